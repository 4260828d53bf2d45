package node

import (
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// vias is how many words `via` has.
const vias = int(transport.ViaUnavailable) + 1

type stats struct {
	decisions [vias][2]atomic.Uint64 // by via, denied and allowed
	retried   atomic.Uint64
	moved     atomic.Uint64
	held      atomic.Int64
	opened    atomic.Uint64
	resets    [causes]atomic.Uint64
	shut      atomic.Uint64
	dropped   atomic.Uint64
}

func (s *stats) count(d *transport.Decision) {
	allowed := 0
	if d.Allowed {
		allowed = 1
	}
	s.decisions[d.Via][allowed].Add(1)
}

// Stats are a node's counters for metrics. All but Held and Table.Lines only rise.
type Stats struct {
	// Decisions counts checks that this node was asked, by transport.Via, denied [0] and allowed [1].
	Decisions [vias][2]uint64
	Retried   uint64 // forwarded checks sent once more
	Moved     uint64 // answers `moved` that this node got
	Held      int64  // partitions held now
	Opened    uint64 // partitions that this node began to hold
	// Resets counts those of them that started afresh though another member may have spent in them, by cause.
	Resets  map[string]uint64
	Shut    uint64 // partitions that this node let go of
	Dropped uint64 // lines that went with them
	Table   bucket.Stats
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
		Retried: n.stats.retried.Load(), Moved: n.stats.moved.Load(), Held: n.stats.held.Load(), Opened: n.stats.opened.Load(),
		Resets: map[string]uint64{}, Shut: n.stats.shut.Load(), Dropped: n.stats.dropped.Load(),
		Table: n.table.Stats(), Pipes: map[string]Pipe{},
	}
	for v := range s.Decisions {
		for a := range s.Decisions[v] {
			s.Decisions[v][a] = n.stats.decisions[v][a].Load()
		}
	}
	for c := range n.stats.resets {
		s.Resets[cause(c).String()] = n.stats.resets[c].Load()
	}
	n.pipes.each(func(name string, _ uint64, p *peer.Pipe) { s.Pipes[name] = Pipe{p.Stats(), p.Healthy()} })
	return s
}
