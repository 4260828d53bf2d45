package node

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// How a forwarded check goes on when its first try did not decide it.
const (
	// mostMoves bounds how often a check follows `moved`. Views that disagree for longer than three hops are
	// waited for, not run after.
	mostMoves = 3
	// pause is between two tries of a check that was told to wait: half of what a handoff takes at most.
	pause = 5 * time.Millisecond
	// lessTime is what a check must have left to bring a loan home.
	lessTime = 50 * time.Millisecond
)

// going is one check on its way: the ask, and what its tries have taught so far.
//
//	holder ──no answer──► who would claim (failed) ──wait──► … until somebody decides, and then there
//	  ▲ │moved               │            └──"I reach it"──► through that one
//	  └─┘                    └──no answer──► a claim of this node's own, by its loop
type going struct {
	away
	ask   *peer.Ask
	done  bool
	sent  way        // how it went in the present round
	to    *contact   // and to whom
	began lease.Sent // and when, at the earliest

	hint    *contact // who is said to hold it; nil: what the route says
	through *contact // who is said to reach the holder
	moves   int
	silent  uint64    // epoch of the holder that did not answer, 0: none
	holder  *contact  // who was believed to hold it
	deaf    bool      // who would claim does not answer either: this node's loop is to
	asked   time.Time // when who would claim was first told to; zero: not yet
	soon    bool      // the next try need not wait
}

// way is how an ask was sent.
type way uint8

const (
	unsent   way = iota
	direct       // to the holder
	failed       // to who would claim
	relaying     // to who reaches the holder
)

// forward sends the checks that are not held here to their holders, each in the order it has in the request, waits for all
// answers, and sends again what was moved, told to wait or not answered. Every check is answered at the latest at the deadline.
func (n *Node) forward(now bucket.Instant, r *transport.Request, w *work) {
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
		ask.OnSplit = n.onSplit(c.OnSplit)
		if g.borrow == 0 {
			g.borrow = n.wish(now, c, ask.Wants)
		}
		if g.borrow > 0 && time.Until(r.Deadline) < lessTime {
			g.borrow = 0 // nobody might be there to take the loan, and it would stay spent
		}
	}
	turns := n.turns.Load()
	for first := true; ; first = false {
		now := n.pulse.look()
		for k := range w.going {
			if g := &w.going[k]; !g.done {
				g.sent, g.soon = unsent, false
				if first && n.steady(turns) || !w.waitsFor(k) {
					n.try(r, w, g, now)
				}
			}
		}
		call.Wait()
		left, soon := 0, true
		late := !time.Now().Before(r.Deadline)
		for k := range w.going {
			g := &w.going[k]
			if g.done {
				continue
			}
			if g.sent != unsent {
				n.answered(r, g)
			}
			if !g.done && late {
				n.unavailable(&r.Checks[g.check], &r.Decisions[g.check])
				g.done = true
			}
			if !g.done {
				left++
				soon = soon && g.soon
			}
		}
		if left == 0 {
			break
		}
		n.stats.retried.Add(uint64(left))
		if !soon {
			time.Sleep(min(pause, max(time.Until(r.Deadline), 0)))
		}
	}
	call.Put()
}

// waitsFor reports whether an earlier check on the key of check k is still on its way: those on one key take effect in order, also when the
// way of the second has opened since the first was told to wait.
func (w *work) waitsFor(k int) bool {
	for j := range k {
		if g := &w.going[j]; !g.done && g.key == w.going[k].key {
			return true
		}
	}
	return false
}

// try decides a check here, if this node holds it by now, or sends it on its way.
func (n *Node) try(r *transport.Request, w *work, g *going, now bucket.Instant) {
	rt := n.routes[g.partition].Load()
	c := &r.Checks[g.check]
	if n.onSplit(c.OnSplit) == transport.SplitDeny {
		if s := n.split.Load(); s != nil && 2*s.visible <= s.whole {
			n.unavailable(c, &r.Decisions[g.check]) // nobody on this side decides: no need to wait for it
			g.done = true
			return
		}
	}
	if rt.epoch > g.silent {
		g.silent, g.deaf, g.through, g.asked = 0, false, nil, time.Time{} // another holds it by now
	}
	g.ask.Epoch = max(g.ask.Epoch, rt.epoch)
	g.ask.Failed, g.ask.Through, g.ask.Borrow = false, false, 0
	if n.purse != nil {
		g.began = n.purse.Sent(now)
	}
	switch {
	case rt.here():
		if n.pulse.young(now) {
			g.done = n.here(n.clock.Now(), rt, c, g.key, g.partition, w, &r.Decisions[g.check])
		}
	case g.hint != nil:
		g.holder = g.hint
		n.sendTo(g, g.hint, direct)
		g.hint = nil
	case g.through != nil:
		n.sendTo(g, g.through, relaying)
	case rt.way == hold.Through:
		n.sendTo(g, rt.to, relaying)
	case rt.way == hold.Failover:
		g.silent, g.holder = rt.epoch, rt.holder
		n.failOver(g, rt.to)
	case rt.way == hold.Forward && g.silent != 0:
		n.failOver(g, rt.heir)
	case rt.way == hold.Forward:
		g.holder = rt.holder
		if by := rt.holder.around(); by != nil {
			n.sendTo(g, by, relaying)
		} else {
			n.sendTo(g, rt.holder, direct)
		}
	}
}

// failOver tells who is to claim that the holder did not answer: another member, or where that does not answer either,
// this node's loop.
func (n *Node) failOver(g *going, to *contact) {
	if to != nil && !g.deaf {
		n.sendTo(g, to, failed)
		return
	}
	if n.told.checkFailed(g.partition, g.silent) && g.silent != 0 {
		// The loop has asked, and the route still leads to that holder: so it is there, and may hear this node again.
		if rt := n.routes[g.partition].Load(); rt.way == hold.Forward && rt.epoch >= g.silent {
			g.silent, g.deaf = 0, false
		}
	}
}

// sendTo puts the check into a member's pipe.
func (n *Node) sendTo(g *going, to *contact, how way) {
	g.sent, g.to = how, to
	pipe := to.ask()
	if pipe == nil {
		g.ask.Code = peer.Unsent
		return
	}
	g.ask.Failed, g.ask.Through = how == failed, how == relaying
	if how == direct {
		g.ask.Borrow = g.borrow
	}
	pipe.Send(g.ask)
}

// answered takes in what the other member said.
func (n *Node) answered(r *transport.Request, g *going) {
	c, d := &r.Checks[g.check], &r.Decisions[g.check]
	switch ask := g.ask; ask.Code {
	case peer.Decided:
		n.heard(g)
		g.done = true
		if n.lentAfterAll(c, g, d) {
			return
		}
		states := append(d.Each[:0], ask.Outcome.Each...)
		d.Outcome, d.Via, d.Epoch, d.Holder = ask.Outcome, ask.Via, ask.HoldEpoch, ask.Holder
		d.Each = states
		n.settle(d)
	case peer.Moved:
		n.stats.moved.Add(1)
		n.moved(g)
	case peer.Wait:
		g.through = nil
		if g.sent == failed {
			// It may be that it cannot claim, or knows of nothing to claim: after a round's time this node sees to it itself.
			if g.asked.IsZero() {
				g.asked = time.Now()
			} else if time.Since(g.asked) > n.cfg.Timers.Round {
				g.deaf = true
			}
		}
	case peer.Failed, peer.Unsent:
		// A hit that is sent again may count twice, never less. What gives back must not be doubled: it is sent again only if it
		// was not sent.
		if ask.Code == peer.Failed && c.Hits < 0 {
			n.unavailable(c, d)
			g.done = true
			return
		}
		if g.sent == relaying && g.through == nil {
			// The route itself led round: only the loop can find another way, or who is to claim.
			if rt := n.routes[g.partition].Load(); rt.way == hold.Through {
				n.told.checkFailed(g.partition, rt.epoch)
			}
		}
		g.notAnswered()
	default: // expired or shed: there is no time left, or no room
		n.unavailable(c, d)
		g.done = true
	}
}

// moved: another holds it, or the one who was told of a failure reaches the holder.
func (n *Node) moved(g *going) {
	ask := g.ask
	if g.sent == failed && ask.HoldEpoch == g.silent && g.silent != 0 {
		n.stats.relayed.Add(1)
		g.through, g.soon = g.to, true
		if g.holder != nil {
			g.holder.relay.Store(&relay{g.to, time.Now().Add(n.cfg.Timers.Relay)})
		}
		return
	}
	g.moves++
	// The epoch only rises, so two members that point at each other do not send a check round for ever.
	if g.moves <= mostMoves && ask.HoldEpoch >= ask.Epoch && ask.Holder != n.cfg.Name && ask.HoldEpoch != g.silent {
		g.hint, ask.Epoch, g.soon = n.contacts.get(ask.Holder), ask.HoldEpoch, true
	}
}

// notAnswered: the next try goes another way, at once.
func (g *going) notAnswered() {
	g.soon = true
	switch g.sent {
	case direct:
		g.silent, g.deaf = max(g.ask.Epoch, 1), false
	case failed:
		g.deaf = true
	case relaying:
		if g.holder != nil {
			g.holder.relay.Store(nil)
		}
		g.through, g.soon = nil, false
	}
}
