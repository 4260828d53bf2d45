package node

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// How a forwarded check goes on when its first try did not decide it.
const (
	// mostMoves bounds how often a check follows `moved`. Views that disagree for longer than three hops are
	// waited for, not run after.
	mostMoves = 3
	// pause is between two tries of a check that was told to wait: half a tick of a handoff, and no more than a caller's
	// round trip to another city.
	pause = 10 * time.Millisecond
	// giveUp is how long a check whose holder fails is tried again before failure_mode answers: the time in which a claim
	// will find another holder (PROTOCOL.md section 6).
	giveUp = 250 * time.Millisecond
)

// going is one check on its way: the ask, and what its tries have taught so far.
type going struct {
	away
	ask    *peer.Ask
	done   bool
	sent   bool   // in the present round
	hint   string // who is said to hold it, "" for what the route says
	moves  int
	failed time.Time // when it first failed; zero: it has not
}

// forward sends the checks that are not held here to their holders, each in the order it has in the request, waits for all
// answers, and sends again what was moved or told to wait. Every check is answered at the latest at the deadline.
func (n *Node) forward(r *transport.Request, w *work) {
	call := peer.GetCall(len(w.away))
	w.going = grow(w.going, len(w.away))
	for k := range w.away {
		a := w.away[k]
		c := &r.Checks[a.check]
		g := &w.going[k]
		*g = going{away: a, ask: &call.Asks[k]}
		ask := g.ask
		ask.Wants = appendWants(call.Wants(len(c.Limits))[:0], c, a.key)
		if c.Each {
			ask.Outcome.Each = call.States(len(c.Limits))
		}
		ask.Partition, ask.Hits, ask.Receipt, ask.Deadline, ask.Each = uint16(a.partition), c.Hits, c.Receipt, r.Deadline, c.Each
	}
	for {
		for k := range w.going {
			if g := &w.going[k]; !g.done {
				n.try(r, w, g)
			}
		}
		call.Wait()
		now, left := time.Now(), 0
		for k := range w.going {
			g := &w.going[k]
			if !g.done && g.sent {
				n.answered(r, g, now)
			}
			if !g.done && (now.After(r.Deadline) || !g.failed.IsZero() && now.Sub(g.failed) > giveUp) {
				n.unavailable(&r.Checks[g.check], &r.Decisions[g.check])
				g.done = true
			}
			if !g.done {
				left++
			}
		}
		if left == 0 {
			break
		}
		n.stats.retried.Add(uint64(left))
		if hurry := w.moved(); !hurry {
			time.Sleep(min(pause, max(time.Until(r.Deadline), 0)))
		}
	}
	call.Put()
}

// moved says whether everything that is left has a new holder to go to at once.
func (w *work) moved() bool {
	for k := range w.going {
		if g := &w.going[k]; !g.done && g.hint == "" {
			return false
		}
	}
	return true
}

// try decides a check here, if this node holds it by now, or sends it to whoever is believed to.
func (n *Node) try(r *transport.Request, w *work, g *going) {
	g.sent = false
	rt := n.routes[g.partition].Load()
	if rt.here && g.hint == "" {
		g.done = n.here(n.clock.Now(), rt, &r.Checks[g.check], g.key, g.partition, w, &r.Decisions[g.check])
		return
	}
	pipe := rt.pipe
	if g.hint != "" {
		pipe = n.pipes.get(g.hint)
		g.hint = ""
	}
	if pipe == nil {
		return // nobody is known yet: wait
	}
	g.ask.Epoch = max(g.ask.Epoch, rt.epoch)
	g.sent = true
	pipe.Send(g.ask)
}

// answered takes in what the holder said.
func (n *Node) answered(r *transport.Request, g *going, now time.Time) {
	c, d := &r.Checks[g.check], &r.Decisions[g.check]
	switch ask := g.ask; ask.Code {
	case peer.Decided:
		states := append(d.Each[:0], ask.Outcome.Each...)
		d.Outcome, d.Via, d.Epoch, d.Holder = ask.Outcome, ask.Via, ask.HoldEpoch, ask.Holder
		d.Each = states
		n.settle(d)
		g.done = true
	case peer.Moved:
		g.moves++
		n.stats.moved.Add(1)
		// The epoch only rises, so two members that point at each other do not send a check round for ever.
		if g.moves <= mostMoves && ask.HoldEpoch >= ask.Epoch && ask.Holder != n.cfg.Name {
			g.hint, ask.Epoch = ask.Holder, ask.HoldEpoch
		}
	case peer.Wait:
	case peer.Failed:
		if g.failed.IsZero() {
			g.failed = now
		}
		// A hit that is sent again may count twice, never less. What gives back must not be doubled, so it is never sent again.
		if c.Hits < 0 {
			n.unavailable(c, d)
			g.done = true
		}
	default: // expired or shed: there is no time left, or no room
		n.unavailable(c, d)
		g.done = true
	}
}

// Decide answers an entry of another member's batch. It is the peer.Decider of a node: it does not block.
func (n *Node) Decide(now bucket.Instant, e *peer.Entry, a *peer.Answer) {
	rt := n.routes[e.Partition].Load()
	part := n.table.Partition(int(e.Partition))
	var err error
	a.Via, a.HoldEpoch = transport.ViaHolder, rt.epoch
	switch {
	case e.Hits < 0:
		err = part.Give(now, e.Wants, uint32(-e.Hits), e.Receipt, &a.Allowed)
		a.Granted = 1
	case e.Times > 1:
		a.Granted, err = part.TakeUpTo(now, e.Wants, uint32(e.Hits), e.Times, &a.Allowed, &a.Denied)
	default:
		if err = part.Take(now, e.Wants, uint32(e.Hits), &a.Allowed); err == nil {
			a.Granted = 1
			if !a.Allowed.Allowed {
				a.Granted, a.Denied = 0, a.Allowed
			}
		}
	}
	switch {
	case err == nil:
		a.Code, a.Holder = peer.Decided, n.cfg.Name
	case err == bucket.ErrFrozen, rt.here, rt.name == "", rt.name == n.cfg.Name:
		a.Code = peer.Wait
	default:
		a.Code, a.Holder = peer.Moved, rt.name
	}
}

// Now is the instant that a batch of another member's is decided at.
func (n *Node) Now() bucket.Instant { return n.clock.Now() }
