package hold_test

import (
	"slices"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// Gossip in a world is an oracle that is as late and as wrong as SWIM: a join is known after up to 1.5 s, a death after 4 to 9 s, a return
// after a cut up to 5 s more; members hear at different times; a quick restart is not seen as a death; and it never says who holds what.
const gossipEvery = 200 * ms

func (w *world) gossip() {
	if w.plain {
		return
	}
	for _, n := range w.alive() {
		if n.paused || !n.joined {
			continue
		}
		reach := w.reach(n.name)
		changed := false
		for _, name := range w.names {
			y := w.nodes[name]
			if name == n.name || y == nil {
				continue
			}
			s := n.view[name]
			if !reach[name] || !y.joined || y.gone {
				if s == nil {
					continue
				}
				if _, ok := n.downAt[name]; !ok {
					n.downAt[name] = w.now + w.between(4*time.Second, 9*time.Second)
				}
				if w.now >= n.downAt[name] {
					delete(n.downAt, name)
					delete(n.view, name)
					w.tracef("%s%d believes that %s is dead", n.name, n.start, name)
					changed = true
				}
				continue
			}
			delete(n.downAt, name)
			if s == nil || s.start != y.start || s.leaving != y.leaving || s.serving == y.starting {
				if n.bye[name] >= y.start {
					continue
				}
				k := run{name, y.start}
				if _, ok := n.learnAt[k]; !ok {
					n.learnAt[k] = w.now + w.between(0, 1500*ms)
					if s == nil && n.met[name] {
						n.learnAt[k] += w.between(0, 5*time.Second)
					}
				}
				if w.now >= n.learnAt[k] {
					delete(n.learnAt, k)
					n.view[name] = &seen{y.start, !y.starting, y.leaving}
					n.meet(name, y.start)
					changed = true
				}
			}
		}
		if changed {
			n.do("", n.viewChanged)
		}
	}
	w.after(gossipEvery, w.gossip)
}

// meet is when gossip tells of a run of a member: messages go there from now on.
func (n *node) meet(name string, start uint64) {
	n.met[name] = true
	n.meetStart(name, start)
}

// meetStart is when a run of a member is heard of, by gossip or by its own messages.
func (n *node) meetStart(name string, start uint64) {
	if n.met[name] && start > n.pipes[name] {
		n.pipes[name] = start
	}
}

// start starts a node, new or again.
func (w *world) start(name string) {
	if n := w.nodes[name]; n != nil && n.alive {
		return
	}
	w.fault("start %s", name)
	n := newNode(w, name)
	w.nodes[name] = n
	n.viewChanged()
	n.loops()
	if w.withoutSeed {
		n.serve()
	}
	n.join()
}

// join calls every member, until one answers that may hold; then, a little later, this node may.
func (n *node) join() {
	w := n.w
	if !n.starting {
		return
	}
	for _, name := range w.names {
		if y := w.nodes[name]; name != n.name && y != nil && y.alive && !y.leaving && w.net.up(n.name, name) && w.net.up(name, n.name) {
			w.after(w.between(w.net.least, w.net.most), func() { y.do("", func() { y.greet(n) }) })
		}
	}
	// When everything was stopped, all go once they agree, or the lowest name goes first.
	alone, lowest := true, true
	for name, s := range n.view {
		alone, lowest = alone && !s.serving, lowest && n.name < name
	}
	if since := w.now - n.heardAt; n.heardAt > 0 && alone && (since > time.Second && w.agree || since > 3*time.Second && lowest) {
		w.tracef("%s%d goes first", n.name, n.start)
		n.serve()
		return
	}
	n.after(w.between(150*ms, 250*ms), n.join)
}

// greet is the exchange of states between a member and one that joins.
func (y *node) greet(n *node) {
	if !n.alive || y.leaving {
		return
	}
	y.view[n.name] = &seen{start: n.start, serving: !n.starting}
	delete(y.bye, n.name)
	y.meet(n.name, n.start)
	y.viewChanged()
	n.w.after(n.w.between(n.w.net.least, n.w.net.most), func() {
		n.do("", func() {
			for _, name := range n.w.names {
				s := y.view[name]
				if name == y.name {
					s = &seen{y.start, !y.starting, y.leaving}
				}
				if s == nil || name == n.name || n.view[name] != nil && n.view[name].start >= s.start {
					continue
				}
				c := *s
				n.view[name] = &c
				n.meet(name, s.start)
			}
			if n.heardAt == 0 {
				n.heardAt = n.w.now
			}
			n.joined, y.joined = true, true
			n.viewChanged()
			if wait := n.w.between(20*ms, 700*ms); !y.starting && n.starting && n.w.plain {
				n.after(50*ms, n.serve)
			} else if !y.starting && n.starting {
				n.after(wait, n.serve)
			}
		})
	})
}

// serve is when a starting node may hold.
func (n *node) serve() {
	if n.starting {
		n.starting = false
		n.viewChanged()
		n.spread(func(s *seen) { s.serving = true })
	}
}

// spread tells all members something of this one, as far as they can be reached; gossip tells the others later.
func (n *node) spread(what func(*seen)) {
	for _, name := range n.w.names {
		if start := n.pipes[name]; start != 0 {
			n.w.net.send(n, name, start, func(d *node) {
				if s := d.view[n.name]; s != nil && s.start == n.start {
					what(s)
					d.viewChanged()
				}
			}, func() {})
		}
	}
}

// leave is an orderly end: it hands over, says goodbye and goes.
func (w *world) leave(name string) {
	n := w.nodes[name]
	staying := slices.DeleteFunc(w.alive(), func(n *node) bool { return n.leaving })
	if n == nil || !n.alive || n.leaving || n.starting || len(staying) <= 2 {
		return
	}
	w.fault("leave %s", name)
	n.do("", func() {
		n.leaving, n.leaveAt = true, w.now
		n.spread(func(s *seen) { s.leaving = true })
		n.viewChanged()
		n.step(hold.LeaveNow{})
		n.after(400*ms, n.left)
	})
}

const leaveMost = 4 * time.Second

func (n *node) left() {
	if !n.m.Left() && n.w.now-n.leaveAt < leaveMost {
		n.after(30*ms, n.left)
		return
	}
	n.w.excuse(n, true) // what it could not hand over, by its time or because nobody is there
	n.w.tracef("%s%d says goodbye", n.name, n.start)
	n.gone = true
	n.step(hold.Quit{})
	for _, name := range n.w.names {
		if start := n.pipes[name]; start != 0 {
			n.w.net.send(n, name, start, func(d *node) {
				d.bye[n.name] = max(d.bye[n.name], n.start)
				delete(d.met, n.name)
				if s := d.view[n.name]; s != nil && s.start == n.start {
					delete(d.view, n.name)
				}
				d.viewChanged()
			}, func() {})
		}
	}
	n.after(100*ms, func() {
		n.w.tracef("%s%d ends", n.name, n.start)
		n.die()
	})
}
