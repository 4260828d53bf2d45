package node

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

// A route says where the checks of a partition go: hold.Route, with contacts for names. Routes are immutable and swapped one by one; a check that reads an old
// one is put right by the gate of the partition it comes to.
type route struct {
	way    hold.Way
	holder *contact // nil: nobody is known, or this node
	name   string   // the holder's
	start  uint64
	epoch  uint64
	to     *contact // Through, Failover: who is to be asked; nil is this node
	heir   *contact // Forward: who is to claim if the holder does not answer; nil is this node
	lends  bool     // Here: hits may be lent
	// claimed is when the partition was claimed without everything being sure that was spent in it; 0: it was not.
	claimed bucket.Instant
}

// here says that this node decides.
func (rt *route) here() bool { return rt.way == hold.Here }

// reroute brings a partition's route up to what the machine says.
func (n *Node) reroute(p int) {
	r := n.machine.Route(p)
	next := route{way: r.Way, name: r.Hold.Name, start: r.Hold.Start, epoch: r.Hold.Epoch, lends: r.Lends}
	if next.name != n.cfg.Name {
		next.holder = n.contacts.get(next.name)
	}
	if r.To != "" && r.To != n.cfg.Name {
		next.to = n.contacts.get(r.To)
	}
	if r.Heir != "" && r.Heir != n.cfg.Name {
		next.heir = n.contacts.get(r.Heir)
	}
	if r.Claimed != 0 {
		next.claimed = n.pulse.instantOf(r.Claimed)
		if old := n.routes[p].Load(); old.claimed != 0 && old.epoch == next.epoch {
			next.claimed = old.claimed
		}
	}
	if *n.routes[p].Load() != next {
		n.turns.Add(1)
		n.routes[p].Store(n.shared.get(next))
		n.turns.Add(1)
	}
}

// shared lets partitions that are alike share a route, so that the routes of all of them stay in the processor's cache.
type shared map[route]*route

// mostShared is when old routes are forgotten: as many as there can be of use at once, twice.
const mostShared = 8192

func (s *shared) get(r route) *route {
	if rt := (*s)[r]; rt != nil {
		return rt
	}
	if *s == nil || len(*s) >= mostShared {
		*s = shared{}
	}
	rt := &r
	(*s)[r] = rt
	return rt
}
