package node

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport/peer"
)

const (
	// startTick is how often a starting node looks whether it may begin.
	startTick = 100 * time.Millisecond
	// sweepTick and sweepRound say how expired lines are dropped: a few partitions each tick, all of them once a round, so
	// that no tick takes long and a dead line costs memory for some seconds at most.
	sweepTick  = 100 * time.Millisecond
	sweepRound = 10 * time.Second
	// sweepAfter is how long a line has counted nothing when it is dropped. Checks under way have instants from before: one that
	// began just before a line was fresh and found it dropped would be allowed, at an instant at which it was not.
	sweepAfter = time.Second
)

// loop is the one goroutine that turns views into rings, rings into holds, and holds into gates and routes.
//
//	members kick ─► view ─► ring ─► hold.Gates ─► gates, then routes ─► gossip what we are
func (n *Node) loop() {
	defer close(n.stopped)
	tick := time.NewTicker(startTick)
	defer tick.Stop()
	sweep := time.NewTicker(sweepTick)
	defer sweep.Stop()
	leave := n.leave
	n.update(false)
	for {
		select {
		case <-n.cfg.Gossip.Changed():
			n.update(false)
		case <-tick.C:
			if n.Phase() != Starting {
				tick.Stop()
				continue
			}
			n.update(false)
		case <-leave:
			leave = nil
			n.phase.Store(int32(Leaving))
			n.log.Info("leaving: the others take over this node's partitions")
			n.update(true)
			close(n.left)
		case <-sweep.C:
			n.table.Expire(n.clock.Now().Add(-sweepAfter), ring.Partitions*int(sweepTick)/int(sweepRound)+1)
		case <-n.stop:
			return
		}
	}
}

// update brings ring, holds, gates and routes up to the present view. Where ring and members are as before it does nothing,
// unless forced.
func (n *Node) update(force bool) {
	view := n.cfg.Gossip.View()
	why := causeOf(view.Since(n.view), n.Phase())
	n.view = view
	names, starts := ringMembers(view, n.cfg.Name, n.Phase() == Leaving)
	old := n.ring.Load()
	r, err := ring.New(names)
	if err != nil {
		// Nobody but this node, and it is leaving: there is no ring to build, and nobody to hand on to.
		r = old
	}
	fresh := old == nil || r.ID() != old.ID()
	if fresh {
		n.log.Info("ring", "id", r.ID().String(), "members", names)
	}
	begin, cold := false, false
	if n.Phase() == Starting {
		begin, cold = n.starting.may(time.Now(), view, uint64(r.ID()))
	}
	n.ring.Store(r)
	if fresh || begin || force || n.startsChanged(starts) {
		n.rehold(r, view, starts, hold.RingChanged{May: begin || n.Phase() == Serving, Cold: cold}, why)
	}
	if begin {
		n.phase.Store(int32(Serving)) // not before it holds what it is home to: Ready says so
	}
	n.cfg.Gossip.SetLocal(members.Local{Serving: n.Phase() == Serving, Leaving: n.Phase() == Leaving, RingID: uint64(r.ID())})
	if begin {
		n.log.Info("serving", "partitions", n.machine.Held(), "cold", cold)
	}
}

// ringMembers returns who is in the ring: everybody present who is not leaving, and this node unless it leaves. Starting nodes
// are in it: their partitions wait for them, so that no two members decide for one.
func ringMembers(v *members.View, self string, leaving bool) ([]string, map[string]uint64) {
	var names []string
	starts := map[string]uint64{}
	for _, m := range v.Members {
		if m.Name == self && leaving || m.Name != self && (!m.Live() || m.Leaving) {
			continue
		}
		names = append(names, m.Name)
		starts[m.Name] = m.StartID
	}
	return names, starts
}

// startsChanged says whether a member was started anew under its old name, which changes no ring: a crash and a join.
func (n *Node) startsChanged(starts map[string]uint64) bool {
	changed := false
	n.pipes.each(func(name string, startID uint64, _ *peer.Pipe) {
		changed = changed || starts[name] != 0 && starts[name] != startID
	})
	return changed
}

// rehold steps the machine with a ring and carries its effects out. A gate is shut before the route that leads elsewhere
// is there, and opened before the route that leads here is: a check in between finds a shut gate and is sent on.
func (n *Node) rehold(r *ring.Ring, view *members.View, starts map[string]uint64, changed hold.RingChanged, why cause) {
	changed.Home = func(p int) (string, uint64) { name := r.Home(p); return name, starts[name] }
	effects := n.machine.Step(changed)
	var opened, resets, shut, dropped int
	for _, e := range effects {
		switch e := e.(type) {
		case hold.Open:
			part := n.table.Partition(e.Partition)
			part.Reset()
			part.SetState(bucket.Open, e.Epoch)
			opened++
			if e.Reset {
				resets++
			}
		case hold.Close:
			part := n.table.Partition(e.Partition)
			epoch, _ := part.Epoch()
			part.SetState(bucket.Shut, epoch)
			dropped += part.Reset()
			shut++
		}
	}
	n.reroute(view)
	n.stats.held.Store(int64(n.machine.Held()))
	n.stats.opened.Add(uint64(opened))
	n.stats.resets[why].Add(uint64(resets))
	n.stats.shut.Add(uint64(shut))
	n.stats.dropped.Add(uint64(dropped))
	if resets > 0 {
		n.log.Warn("partitions start afresh: what was spent in them elsewhere is forgotten", "cause", why.String(), "partitions", resets, "ring", r.ID().String())
	}
	if shut > 0 {
		n.log.Warn("partitions moved away", "cause", why.String(), "partitions", shut, "lines_dropped", dropped, "ring", r.ID().String())
	}
}

// reroute points every partition's checks at its holder.
func (n *Node) reroute(view *members.View) {
	present := map[string]members.Member{}
	keep := map[string]bool{}
	for _, m := range view.Members {
		if m.Name != n.cfg.Name && m.Live() {
			present[m.Name] = m
			keep[m.Name] = true
			if err := n.pipes.to(m.Name, m.StartID, m.PeerAddr); err != nil {
				n.log.Error("no pipe to a member: its partitions cannot be asked for", "member", m.Name, "error", err)
			}
		}
	}
	// Partitions alike share a route, so that the routes of all of them stay in the processor's cache.
	shared := map[route]*route{}
	for p := range n.routes {
		h, state := n.machine.Hold(p)
		next := route{here: state == hold.Held, name: h.Name, epoch: h.Epoch}
		if m, ok := present[h.Name]; ok {
			next.pipe = n.pipes.get(m.Name)
		}
		rt, ok := shared[next]
		if !ok {
			rt = &next
			shared[next] = rt
		}
		if now := n.routes[p].Load(); *now != next {
			n.routes[p].Store(rt)
		}
	}
	n.pipes.keep(keep)
}
