package node

import (
	"context"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// What a check meets between "held here?" and the way to its holder: the purse (package lease), with what this node was lent and which
// denials it has heard. And what comes of the answers, and of what is left.
//
// The purse is asked only by a node that knows how things stand: its last tick is young, and nobody is missing. And only for a check that does not
// overtake an earlier one of its request on the same key: a refund is to be seen by what comes after it.

// purse is a lease.Purse and the way of its rests. A nil one answers nothing.
type purse struct {
	*lease.Purse
	kick  chan struct{}      // something is to be given back
	flush chan chan struct{} // give everything back, and say so
	spare []lease.Rest       // of the goroutine that gives back
}

func newPurse() *purse {
	return &purse{Purse: lease.New(0), kick: make(chan struct{}, 1), flush: make(chan chan struct{})}
}

// fromPurse answers a check of a partition that is held elsewhere, if it can. If not, borrow is what its ask is to wish for.
func (n *Node) fromPurse(now bucket.Instant, c *transport.Check, key bucket.KeyHash, w *work, d *transport.Decision) (answered bool, borrow uint32) {
	if n.purse == nil || c.Hits <= 0 || !n.purse.Has(key.Key) || n.split.Load() != nil || w.asks(key) {
		return false, 0
	}
	w.wants = appendWants(w.wants[:0], c, key)
	d.Each = each(d.Each, c)
	var from lease.From
	a, borrow := n.purse.Answer(now, w.wants, uint32(c.Hits), &d.Outcome, &from)
	switch a {
	case lease.Lent:
		d.Via = transport.ViaLease
	case lease.Denied:
		d.Via = transport.ViaDeniedCache
	default:
		return false, borrow
	}
	d.Holder, d.Epoch = from.Holder, from.Epoch
	return true, 0
}

// lentAfterAll answers a check that was to renew a loan, and was denied, from what is left of that.
func (n *Node) lentAfterAll(c *transport.Check, g *going, d *transport.Decision) bool {
	if g.borrow == 0 || g.ask.Outcome.Allowed || n.split.Load() != nil {
		return false
	}
	now := n.pulse.look()
	d.Each = each(d.Each, c)
	var from lease.From
	if !n.pulse.young(now) || !n.purse.Use(now, g.ask.Wants, uint32(c.Hits), &d.Outcome, &from) {
		return false
	}
	d.Via, d.Holder, d.Epoch = transport.ViaLease, from.Holder, from.Epoch
	return true
}

// asks reports whether an earlier check of the request on the same key is on its way elsewhere.
func (w *work) asks(key bucket.KeyHash) bool {
	for i := range w.away {
		if w.away[i].key == key {
			return true
		}
	}
	return false
}

// Denied is transport.Denier's: it says whether one of the checks is sure to be denied, without asking or spending anything. The
// decision of that one is set then, and the others say that they were not made.
func (n *Node) Denied(r *transport.Request) bool {
	now := n.pulse.look()
	if n.purse == nil || !n.pulse.young(now) || n.split.Load() != nil {
		return false
	}
	var w *work
	denied := -1
	for i := range r.Checks {
		c := &r.Checks[i]
		key := n.hasher.Key(c.Key)
		if c.Hits <= 0 || !n.purse.Has(key.Key) || n.routes[key.Partition(len(n.routes))].Load().here() {
			continue
		}
		if w == nil {
			w = n.work.Get().(*work)
			r.Decisions = grow(r.Decisions, len(r.Checks))
		}
		w.wants = appendWants(w.wants[:0], c, key)
		var o bucket.Outcome
		var from lease.From
		if n.purse.Denied(now, w.wants, uint32(c.Hits), &o, &from) {
			o.Each = r.Decisions[i].Each
			r.Decisions[i] = transport.Decision{Outcome: o, Via: transport.ViaDeniedCache, Holder: from.Holder, Epoch: from.Epoch}
			denied = i
			break
		}
	}
	if w != nil {
		n.work.Put(w)
	}
	if denied < 0 {
		return false
	}
	for i := range r.Decisions {
		if i != denied {
			r.Decisions[i] = transport.Decision{Outcome: bucket.Outcome{By: -1, Each: r.Decisions[i].Each}, Via: transport.ViaDeniedCache}
		}
	}
	n.stats.count(&r.Decisions[denied])
	return true
}

// wish is how much the ask of a check should wish to borrow.
func (n *Node) wish(now bucket.Instant, c *transport.Check, wants []bucket.Want) uint32 {
	if n.purse == nil || c.Hits <= 0 || n.split.Load() != nil {
		return 0
	}
	return n.purse.Want(now, wants, uint32(c.Hits))
}

// heard puts into the purse what the holder has answered.
func (n *Node) heard(g *going) {
	ask := g.ask
	switch {
	case n.purse == nil || ask.Hits == 0:
		return
	case ask.Hits < 0:
		n.purse.Refund(g.key.Key)
		return
	case g.sent != direct:
		return // who relayed it stands for the holder there
	}
	o, from := &ask.Outcome, lease.From{Holder: ask.Holder, Epoch: ask.HoldEpoch}
	if !o.Allowed {
		if n.split.Load() == nil {
			n.purse.HeardDenied(g.began, n.clock.Now(), ask.Wants, uint32(ask.Hits), o, from)
		}
	} else if n.purse.Has(g.key.Key) {
		n.purse.HeardAllowed(ask.Wants, uint32(ask.Hits))
	}
	if l := &ask.Loan; l.Hits > 0 {
		n.purse.Lent(g.began, n.clock.Now(), ask.Wants, lease.Grant{Hits: l.Hits, Term: l.Term, Receipt: l.Receipt, From: from}, o)
	} else if ask.Borrow > 0 {
		n.purse.NotLent(n.clock.Now(), ask.Wants)
	}
}

// sweepPurse has the loans that have ended given back. It is called with each tick.
func (n *Node) sweepPurse() {
	if n.purse != nil && n.purse.Sweep(n.clock.Now()) {
		poke(n.purse.kick)
	}
}

// dropPurse forgets what this node was lent, and what it has heard: it does not know how things stand.
func (n *Node) dropPurse() {
	if n.purse != nil {
		n.purse.Drop()
	}
}

// giveBack is the goroutine that gives the rests of loans back.
func (n *Node) giveBack() {
	for {
		select {
		case <-n.stop:
			return
		case <-n.purse.kick:
			n.giveRests()
		case done := <-n.purse.flush:
			n.giveRests()
			close(done)
		}
	}
}

// mostRests is how many rests go in one call.
const mostRests = 512

// giveRests gives back what waits, each rest once: whether an ask that got no answer has arrived cannot be known, and what is given back twice would be let
// through twice. So what fails stays spent. Only what was surely not taken is sent again.
func (n *Node) giveRests() {
	rests := n.purse.Rests(n.purse.spare)
	n.purse.spare = rests
	for len(rests) > 0 {
		some := rests[:min(len(rests), mostRests)]
		rests = rests[len(some):]
		call := peer.GetCall(len(some))
		deadline := time.Now().Add(transport.DefaultTimeout)
		for i := range some {
			r, ask := &some[i], &call.Asks[i]
			ask.Wants = append(call.Wants(len(r.Wants()))[:0], r.Wants()...)
			ask.Partition = uint16(ask.Wants[0].ID.Partition(len(n.routes)))
			ask.Epoch, ask.Hits, ask.Receipt, ask.Return = r.From.Epoch, -int64(r.Hits), r.Receipt, true
			ask.Deadline, ask.OnSplit = deadline, n.cfg.OnSplit
			if pipe := n.contacts.get(r.From.Holder).ask(); pipe != nil {
				pipe.Send(ask)
			} else {
				ask.Code = peer.Unsent
			}
		}
		call.Wait()
		for i := range some {
			switch ask := &call.Asks[i]; {
			case ask.Code == peer.Decided && ask.Outcome.Allowed:
				n.purse.Returned(some[i].Hits)
			case ask.Code == peer.Wait, ask.Code == peer.Unsent:
				n.purse.Again(&some[i]) // with the next tick
			default:
				n.purse.Lost(some[i].Hits)
			}
		}
		call.Put()
	}
}

// closePurse gives all loans back and takes no more, for a node that leaves.
func (n *Node) closePurse(ctx context.Context) {
	if n.purse == nil {
		return
	}
	n.purse.Close()
	done := make(chan struct{})
	select {
	case n.purse.flush <- done:
	case <-n.stopped:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-n.stopped:
	case <-ctx.Done():
	}
}

// lend lends an asker what it wishes for besides its checks, which were allowed: spent first, granted then. If that is lost on its way, it
// stays spent.
func (n *Node) lend(now bucket.Instant, part *bucket.Partition, e *peer.Entry, a *peer.Answer) {
	if a.Allowed.By < 0 {
		return
	}
	members := 1
	if r := n.ring.Load(); r != nil {
		members = len(r.Names())
	}
	hits := lease.Slice(a.Allowed.Limit, a.Allowed.Remaining, e.Borrow, uint32(e.Hits), members)
	if hits == 0 {
		return
	}
	var out bucket.Outcome
	granted, term, err := part.Lend(now, e.Wants, hits, lease.Term, &out)
	if err != nil || granted == 0 {
		return
	}
	a.Loan = peer.Loan{Hits: granted, Term: term, Receipt: out.Receipt}
	n.stats.loans.Add(1)
	n.stats.lent.Add(uint64(granted))
}
