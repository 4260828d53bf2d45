package node

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

// carry does what the machine wants done, in order. Gates come before routes in what it says: a check that reads an old route finds a shut
// gate and is sent on.
func (n *Node) carry(effects []hold.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case *hold.Send:
			n.send(e.To, e.Message)
		case hold.Rerouted:
			n.reroute(e.Partition)
		case hold.Own:
			n.own(e)
		case hold.Freeze:
			n.gate(e.Partition, bucket.Frozen)
			n.frozen[e.Partition] = n.pulse.now()
		case hold.Thaw:
			n.gate(e.Partition, bucket.Open)
			n.thawed(e.Partition)
		case hold.Shut:
			n.shut(e)
		case *hold.Store:
			n.store(e)
		case hold.Absorb:
			if n.parcel != nil {
				n.table.Partition(e.Partition).Absorb(n.parcel)
				n.parcel = nil
			}
			n.stats.absorbed.Add(1)
			n.healing.merged = n.pulse.now()
			n.news.absorbed++
		case hold.Clear:
			n.table.Partition(e.Partition).Clear()
			n.out[e.Partition].sent = nil
		case hold.Unacknowledged:
			n.unacknowledged(e.Partition)
		case *hold.Acknowledged:
			n.acknowledged(e)
		case hold.Woke:
			n.woke(e)
		}
	}
}

// gate sets a partition's gate; its epoch stays.
func (n *Node) gate(p int, g bucket.Gate) {
	part := n.table.Partition(p)
	epoch, _ := part.Epoch()
	n.turns.Add(1)
	part.SetState(g, epoch)
	n.turns.Add(1)
}

// own opens a partition: its history first, then the gate.
func (n *Node) own(e hold.Own) {
	part := n.table.Partition(e.Partition)
	if e.Flip != nil && n.parcel != nil {
		part.Apply(n.parcel)
		n.parcel = nil
	}
	part.SetHistory(e.History)
	part.SetSeq(e.Seq)
	if !e.Resume || e.Flip != nil {
		n.out[e.Partition].sent, n.out[e.Partition].pending = nil, 0
	}
	n.turns.Add(1)
	part.SetState(bucket.Open, e.Hold.Epoch)
	n.turns.Add(1)
	n.thawed(e.Partition)
	if !n.open[e.Partition] {
		n.open[e.Partition] = true
		n.stats.held.Add(1)
		n.stats.opened.Add(1)
	}
	n.stats.owned[e.Why].Add(1)
	if e.Why == hold.Reset && e.Before.Known() {
		n.stats.crashed.Add(1)
	} else if e.Why == hold.Reset {
		n.stats.unknown.Add(1)
	}
	n.news.owned(e.Why, e.Before.Name)
}

// shut ends a hold. The lines stay, as a copy or to be returned.
func (n *Node) shut(e hold.Shut) {
	n.gate(e.Partition, bucket.Shut)
	n.out[e.Partition].sent, n.out[e.Partition].pending = nil, 0
	if n.open[e.Partition] {
		n.open[e.Partition] = false
		n.stats.held.Add(-1)
		n.stats.shut.Add(1)
	}
	if e.Gave {
		n.stats.gave.Add(1)
		n.stats.handing.Add(uint64(n.thawed(e.Partition) / time.Microsecond))
	}
	n.thawed(e.Partition)
	n.news.shut(e.Gave, e.To.Name)
}

// thawed ends a freeze and returns how long it lasted.
func (n *Node) thawed(p int) time.Duration {
	n.flips[p] = nil
	since := n.frozen[p]
	if since == 0 {
		return 0
	}
	n.frozen[p] = 0
	d := n.pulse.now() - since
	for was := n.stats.longestFreeze.Load(); int64(d) > was && !n.stats.longestFreeze.CompareAndSwap(was, int64(d)); {
		was = n.stats.longestFreeze.Load()
	}
	return d
}

// store takes a copy in, or what changed in it.
func (n *Node) store(e *hold.Store) {
	if n.parcel == nil {
		return
	}
	part := n.table.Partition(e.Partition)
	if e.Backup.Whole() {
		part.Replace(n.parcel)
	} else {
		part.Apply(n.parcel)
	}
	n.parcel = nil
}

// woke: this node was stopped. What waits in connections and boxes is old; nothing of it may be taken for news, neither here nor by others.
func (n *Node) woke(e hold.Woke) {
	n.wakes++
	n.stats.wakes.Add(1)
	n.stats.late.Add(uint64(e.Late / time.Microsecond))
	n.log.Warn("this node was stopped or starved; it asks the others before it decides again", "for", e.Late.Round(time.Millisecond))
	n.dropPurse()
	n.inbox.Clear()
	n.cfg.Disconnect()
	n.contacts.each(func(_ *contact, l *link) {
		l.out.Clear()
		l.pipe.Disconnect()
	})
}
