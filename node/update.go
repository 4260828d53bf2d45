package node

import (
	"slices"
	"time"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport/peer"
)

// update brings links, ring and machine up to the present view:
//
//	view ──► links to all who may be there ──► ring (built aside) ──► hold.ViewChanged ──► gossip what we are
func (n *Node) update() {
	n.view = n.cfg.Gossip.View()
	for _, m := range n.view.Members {
		if m.State == members.Forgotten && !n.forgotten[m.Name] {
			n.forget(m.Name, m.StartID) // others were told, and this node could not be
		}
	}
	n.link()
	n.comparePatience()
	names := ringMembers(n.view, n.cfg.Name, n.Phase() == Leaving)
	r := n.ring.Load()
	// Nobody but this node, and it is leaving: there is no ring to build, and nobody to hand on to.
	if len(names) > 0 && (r == nil || !slices.Equal(r.Names(), names)) {
		n.build(names)
	}
	if r == nil {
		return
	}
	begins, cold := false, false
	if n.Phase() == Starting && slices.Equal(r.Names(), names) {
		begins, cold = n.starting.may(time.Now(), n.view, uint64(r.ID()))
	}
	if begins {
		n.phase.Store(int32(Serving))
		n.began = time.Now()
		n.log.Info("serving", "cold", cold)
	}
	if told := (toldOf{n.view.Seq, r.ID(), n.Phase()}); told != n.toldView {
		n.toldView = told
		n.step(n.viewChanged(r))
	}
	n.cfg.Gossip.SetLocal(members.Local{Serving: n.Phase() == Serving, Leaving: n.Phase() == Leaving, RingID: uint64(r.ID())})
}

// toldOf is what the machine was told of last.
type toldOf struct {
	view  uint64
	ring  ring.ID
	phase Phase
}

func (n *Node) viewChanged(r *ring.Ring) hold.ViewChanged {
	e := hold.ViewChanged{Home: r.Home, Backup: r.Backup, Gone: map[string]uint64{}, May: n.Phase() == Serving || n.Phase() == Leaving}
	for _, m := range n.view.Members {
		switch {
		case m.Name == n.cfg.Name:
		case m.State == members.Left:
			e.Gone[m.Name] = m.StartID
		case m.Live():
			p := hold.Peer{Name: m.Name, Start: m.StartID, Leaving: m.Leaving, Serving: m.Serving}
			// Who was started anew and has told this node so itself is known by that start.
			if l := n.contacts.get(m.Name).link.Load(); l != nil && l.StartID > p.Start {
				p.Start = l.StartID
			}
			e.Members = append(e.Members, p)
		}
	}
	return e
}

// link sees to it that there is a link to everybody who may be there: also to the dead who said no goodbye. They may only have been cut off, and are
// the first to be asked when they are back.
func (n *Node) link() {
	keep := map[string]bool{}
	for _, m := range n.view.Members {
		if m.Name == n.cfg.Name || m.State == members.Left || n.forgotten[m.Name] && !m.Live() {
			continue
		}
		delete(n.forgotten, m.Name)
		keep[m.Name] = true
		if err := n.contacts.meet(peer.Member{Name: m.Name, StartID: m.StartID}, m.PeerAddr); err != nil {
			n.log.Error("no pipe to a member: its partitions cannot be asked for", "member", m.Name, "error", err)
		}
	}
	n.contacts.drop(keep)
}

// ringMembers returns who is in the ring: everybody present who is not leaving, and this node unless it leaves. Starting nodes
// are in it: their partitions wait for them, so that they move once.
func ringMembers(v *members.View, self string, leaving bool) []string {
	var names []string
	for _, m := range v.Members {
		if m.Name == self && leaving || m.Name != self && (!m.Live() || m.Leaving) {
			continue
		}
		names = append(names, m.Name)
	}
	return names
}

// build makes a ring aside, for it takes longer than a tick where members are many, and with it the table of who would be home to this
// node's partitions, which is needed at once.
func (n *Node) build(names []string) {
	if n.building {
		return // ringBuilt comes back
	}
	n.building = true
	n.aside.Go(func() {
		r, err := ring.New(names)
		if err == nil {
			if of := r.Of(n.cfg.Name); len(of) > 0 {
				r.Backup(of[0], n.cfg.Name)
			}
		} else {
			n.log.Error("no ring of these members", "members", len(names), "error", err)
		}
		n.built <- r
	})
}

// ringBuilt puts a ring in force; nil: it could not be built.
func (n *Node) ringBuilt(r *ring.Ring) {
	n.building = false
	if r == nil {
		return
	}
	n.ring.Store(r)
	n.log.Info("ring", "id", r.ID().String(), "members", r.Names())
	n.update()
}
