package node

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// Now is the instant that a batch of another member's is decided at.
func (n *Node) Now() bucket.Instant { return n.pulse.look() }

// Expect has the lines of the entries that come next brought near. It is the peer.Expecter of a node.
func (n *Node) Expect(places []bucket.Place) { n.table.Expect(places) }

// Decide answers an entry of another member's batch. It is the peer.Decider of a node: it does not block.
func (n *Node) Decide(now bucket.Instant, e *peer.Entry, a *peer.Answer) {
	rt := n.routes[e.Partition].Load()
	a.HoldEpoch = rt.epoch
	if rt.here() {
		if n.pulse.young(now) && n.decide(now, rt, e, a) {
			a.Code, a.Holder = peer.Decided, n.cfg.Name
		} else {
			a.Code = peer.Wait
		}
		return
	}
	a.Code = peer.Wait
	switch rt.way {
	case hold.Forward:
		// Who asks for a later hold knows more: it may be on its way here.
		if rt.epoch < e.Epoch || rt.name == n.cfg.Name {
			if e.Failed {
				n.told.checkFailed(int(e.Partition), e.Epoch)
			}
			return
		}
		if !e.Failed || rt.epoch > e.Epoch {
			a.Code, a.Holder = peer.Moved, rt.name
		} else if n.told.checkFailed(int(e.Partition), e.Epoch) {
			// This node has asked about that just now, and still has the holder for alive: it can be reached through here.
			a.Code, a.Holder = peer.Moved, rt.name
		}
	case hold.Through:
		if rt.epoch > e.Epoch {
			a.Code, a.Holder = peer.Moved, rt.name
		}
	case hold.Failover:
		if rt.to == nil || e.Failed {
			n.told.checkFailed(int(e.Partition), rt.epoch)
		}
	}
}

// decide decides an entry at this node's own partition; false: it is frozen.
func (n *Node) decide(now bucket.Instant, rt *route, e *peer.Entry, a *peer.Answer) bool {
	part := n.table.Partition(int(e.Partition))
	a.Via = rt.via(now, e.Wants)
	s := n.split.Load()
	if s != nil && e.Hits >= 0 {
		switch s.apply(n.onSplit(e.OnSplit), e.Wants) {
		case splitSilent:
			return false
		case splitNothing:
			s.deny(e.Wants, &a.Denied)
			return true
		}
	}
	var err error
	switch {
	case e.Return && e.Epoch != rt.epoch:
		// It was lent by an earlier hold, whose books this one may not have in full.
		a.Granted, a.Denied = 0, bucket.Outcome{By: -1, Each: a.Denied.Each}
	case e.Hits < 0:
		err = part.Give(now, e.Wants, uint32(-e.Hits), e.Receipt, &a.Allowed)
		a.Granted = 1
		if e.Return && err == nil {
			n.stats.tookBack.Add(uint64(-e.Hits))
		}
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
	if err == nil && e.Borrow > 0 && a.Granted == e.Times && s == nil && a.Via == transport.ViaHolder && rt.lends {
		n.lend(now, part, e, a)
	}
	return err == nil
}

// Relay answers entries of a member that does not reach their holders. It is the peer.Relayer of a node: it asks the holders, all
// at once, and blocks until they have answered. What it sends is never relayed again.
func (n *Node) Relay(now bucket.Instant, batch []peer.RelayItem) {
	asks := 0
	for i := range batch {
		asks += int(batch[i].Entry.Times)
	}
	n.stats.relays.Add(uint64(asks))
	call := peer.GetCall(asks)
	defer call.Put()
	rest := call.Asks
	relayed := make([][]peer.Ask, len(batch))
	for i := range batch {
		e, a := batch[i].Entry, batch[i].Answer
		rt := n.routes[e.Partition].Load()
		pipe := rt.holder.ask()
		if rt.way != hold.Forward || pipe == nil {
			n.Decide(now, e, a)
			if a.Code == peer.Moved && a.HoldEpoch == e.Epoch {
				a.Code = peer.Wait
			}
			continue
		}
		relayed[i], rest = rest[:e.Times], rest[e.Times:]
		for k := range relayed[i] {
			ask := &relayed[i][k]
			ask.Partition, ask.Epoch, ask.Wants, ask.Hits, ask.Receipt = e.Partition, max(e.Epoch, rt.epoch), e.Wants, e.Hits, e.Receipt
			ask.Each, ask.OnSplit, ask.Deadline = e.Each, e.OnSplit, time.Now().Add(e.Left)
			if e.Each {
				ask.Outcome.Each = call.States(len(e.Wants))
			}
			pipe.Send(ask)
		}
	}
	call.Wait()
	for i := range batch {
		if relayed[i] != nil {
			n.relayedAnswer(batch[i].Entry, batch[i].Answer, relayed[i])
		}
	}
}

// relayedAnswer makes one answer of those that the holder gave to an entry's checks.
func (n *Node) relayedAnswer(e *peer.Entry, a *peer.Answer, asks []peer.Ask) {
	a.Code, a.Granted = peer.Decided, 0
	for k := range asks {
		ask := &asks[k]
		switch ask.Code {
		case peer.Decided:
			a.Via, a.Holder, a.HoldEpoch = ask.Via, ask.Holder, ask.HoldEpoch
			into := &a.Denied
			if ask.Outcome.Allowed {
				a.Granted++
				into = &a.Allowed
			}
			each := append(into.Each[:0], ask.Outcome.Each...)
			*into = ask.Outcome
			into.Each = each
		case peer.Moved:
			a.Code, a.Holder, a.HoldEpoch = peer.Moved, ask.Holder, ask.HoldEpoch
			return
		case peer.Unsent, peer.Wait:
			if ask.Code == peer.Unsent {
				n.told.checkFailed(int(e.Partition), ask.Epoch)
			}
			a.Code = peer.Wait
			return
		default:
			n.told.checkFailed(int(e.Partition), ask.Epoch)
			a.Code = peer.Failed
			return
		}
	}
}
