package node

import (
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/node/mail"
	"github.com/stint-limiter/stint/node/snapshot"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// vias is how many words `via` has.
const vias = int(transport.ViaUnavailable) + 1

// whys is how many reasons there are to hold a partition.
const whys = int(hold.Resumed) + 1

type stats struct {
	decisions [vias][2]atomic.Uint64 // by via, denied and allowed
	retried   atomic.Uint64
	moved     atomic.Uint64
	relayed   atomic.Uint64 // checks sent through another member
	relays    atomic.Uint64 // checks relayed for other members

	loans    atomic.Uint64 // granted to others
	lent     atomic.Uint64 // hits of them
	tookBack atomic.Uint64 // hits that came back

	held     atomic.Int64
	opened   atomic.Uint64
	shut     atomic.Uint64
	owned    [whys]atomic.Uint64
	crashed  atomic.Uint64 // of those reset, the ones whose holder is known
	unknown  atomic.Uint64 // and the others
	gave     atomic.Uint64
	handing  atomic.Uint64 // µs of all freezes that ended in a handoff
	absorbed atomic.Uint64
	lines    atomic.Uint64
	wakes    atomic.Uint64
	late     atomic.Uint64 // µs

	longestFreeze atomic.Int64 // ns
	lag           atomic.Int64 // ns
	whole         atomic.Int64 // members of the whole cluster
	counts        atomic.Pointer[hold.Counts]
}

func (s *stats) count(d *transport.Decision) {
	allowed := 0
	if d.Allowed {
		allowed = 1
	}
	s.decisions[d.Via][allowed].Add(1)
}

// Stats are a node's counters for metrics. What is not said to be of this moment only rises.
type Stats struct {
	// Decisions counts checks that this node was asked, by transport.Via, denied [0] and allowed [1].
	Decisions [vias][2]uint64
	Retried   uint64 // forwarded checks sent once more
	Moved     uint64 // answers `moved` that this node got
	Relayed   uint64 // checks that went through another member, as the holder could not be reached
	Relays    uint64 // checks that this node put to the holder for others

	// Loans that this node, as a holder, granted to others: how many, how many hits, and how many of those came back.
	Loans, Lent, TookBack uint64
	// Purse is what it was lent itself, and which denials it remembers; zero where leases are off.
	Purse lease.Stats

	Held   int64  // partitions held now
	Opened uint64 // partitions that this node began to hold
	// Owned counts those by why, and the ones that it went on holding: began, handed, copied, reset, resumed.
	Owned map[string]uint64
	// Resets counts those whose counts were forgotten, as nobody had a copy: after the crash of a holder, or unknown.
	Resets map[string]uint64
	Shut   uint64 // partitions that this node let go of
	Gave   uint64 // of those, the ones that were handed over in order
	// Handing is how long checks waited for all handoffs together, LongestFreeze for the longest, or for a claim or wake in its place.
	Handing, LongestFreeze time.Duration
	Absorbed               uint64 // returns merged: what others spent in partitions that are held here
	LinesSent              uint64 // with copies, handoffs and returns
	Wakes                  uint64 // times that this node found itself stopped
	Late                   time.Duration

	// Counts are the partitions now (a second ago at most) by what this node has of them.
	Counts hold.Counts
	// BackupLag is the age of the oldest change, now, that no copy is known to have, about.
	BackupLag time.Duration
	// Visible of Whole members are heard now.
	Visible, Whole int

	Table bucket.Stats
	Mail  *mail.Stats
	// Snapshot is nil where none is kept.
	Snapshot *snapshot.Stats
	// Pipes has the pipe to each other member, by name.
	Pipes map[string]Pipe
}

// Pipe is how the pipe to another member does.
type Pipe struct {
	*peer.PipeStats
	Healthy bool
}

// Stats returns the node's counters.
func (n *Node) Stats() Stats {
	s := Stats{
		Retried: n.stats.retried.Load(), Moved: n.stats.moved.Load(), Relayed: n.stats.relayed.Load(), Relays: n.stats.relays.Load(),
		Held: n.stats.held.Load(), Opened: n.stats.opened.Load(), Owned: map[string]uint64{}, Resets: map[string]uint64{},
		Shut: n.stats.shut.Load(), Gave: n.stats.gave.Load(),
		Handing: time.Duration(n.stats.handing.Load()) * time.Microsecond, LongestFreeze: time.Duration(n.stats.longestFreeze.Load()),
		Absorbed: n.stats.absorbed.Load(), LinesSent: n.stats.lines.Load(),
		Wakes: n.stats.wakes.Load(), Late: time.Duration(n.stats.late.Load()) * time.Microsecond,
		BackupLag: time.Duration(n.stats.lag.Load()), Table: n.table.Stats(), Mail: &n.mail, Pipes: map[string]Pipe{},
	}
	s.Loans, s.Lent, s.TookBack = n.stats.loans.Load(), n.stats.lent.Load(), n.stats.tookBack.Load()
	if n.purse != nil {
		s.Purse = n.purse.Stats()
	}
	for v := range s.Decisions {
		for a := range s.Decisions[v] {
			s.Decisions[v][a] = n.stats.decisions[v][a].Load()
		}
	}
	for why := range n.stats.owned {
		s.Owned[hold.Why(why).String()] = n.stats.owned[why].Load()
	}
	if c := n.stats.counts.Load(); c != nil {
		s.Counts = *c
	}
	if x := n.split.Load(); x != nil {
		s.Visible, s.Whole = x.visible, x.whole
	} else {
		s.Whole = int(n.stats.whole.Load())
		s.Visible = s.Whole
	}
	s.Resets["crash"], s.Resets["unknown"] = n.stats.crashed.Load(), n.stats.unknown.Load()
	if n.keeper != nil {
		kept := n.keeper.Stats()
		s.Snapshot = &kept
	}
	n.contacts.each(func(c *contact, l *link) { s.Pipes[c.name] = Pipe{l.pipe.Stats(), l.pipe.Healthy()} })
	return s
}
