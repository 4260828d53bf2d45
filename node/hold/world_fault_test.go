package hold_test

import (
	"fmt"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// fault notes that something happens to the cluster now.
func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, w.now)
	w.tracef("FAULT %s", fmt.Sprintf(format, args...))
}

// excuse adds up what a crash (for good) or a stop of a node may cost by the promise: what was spent there and is nowhere
// else, nor was acknowledged by who is there to know. What is elsewhere must be found again.
func (w *world) excuse(n *node, forGood bool) {
	for p := range w.parts {
		_, s := n.m.Hold(p)
		if s == hold.None || s == hold.Copy && !w.nobodyHas(p) {
			continue
		}
		for key := range w.keys {
			mine, best := n.parts[p].lines, 0
			for _, o := range w.alive() {
				if o != n && !o.paused && len(w.net.cut) == 0 {
					best = max(best, mine.common(o.parts[p].lines, key))
					if n.holds(p) && n.parts[p].safe == (run{o.name, o.start}) {
						best = max(best, n.parts[p].copied[key]) // it said so, and may not drop it before another does
					}
				}
			}
			cost := mine.total(key) - best
			w.allow[p][key] += cost
			if forGood {
				w.lost[p][key] += cost
			}
			if cost > 0 {
				w.tracef("  which may cost %d of %d hits on key %d of partition %d", cost, mine.total(key), key, p)
			}
		}
	}
}

// nobodyHas reports whether the partition has no holder now, nor one that was: then a copy is all there is.
func (w *world) nobodyHas(p int) bool {
	for _, n := range w.alive() {
		if _, s := n.m.Hold(p); !n.paused && s != hold.None && s != hold.Copy {
			return false
		}
	}
	return true
}

// crash ends a node at once, and starts it again after a time, if that is not 0.
func (w *world) crash(name string, back time.Duration) {
	n := w.nodes[name]
	if n == nil || !n.alive {
		return
	}
	w.fault("crash %s%d", name, n.start)
	w.excuse(n, true)
	n.die()
	if back > 0 {
		w.after(back, func() { w.start(name) })
	}
}

func (n *node) die() {
	n.alive = false
	n.backlog = nil
}

// reboot stops all nodes at one moment, and starts them again with a snapshot of what they held.
func (w *world) reboot() {
	w.fault("reboot")
	for _, n := range w.alive() {
		n.die()
		saved := map[int]*exported{}
		versions := map[int]hold.Version{}
		for p := range w.parts {
			if h, s := n.m.Hold(p); s == hold.Held || s == hold.Frozen || s == hold.Returning {
				saved[p] = n.parts[p].lines.copy()
				versions[p] = hold.Version{Epoch: h.Epoch, Start: h.Start, Seq: saved[p].seq}
			}
		}
		w.after(w.between(20*ms, 800*ms), func() {
			w.start(n.name)
			for p := range w.parts {
				if saved[p] != nil {
					w.nodes[n.name].parts[p].lines.replace(saved[p])
					w.nodes[n.name].step(hold.Restored{Partition: p, Version: versions[p]})
				}
			}
		})
	}
}

// pause stops a node as SIGSTOP does: what comes meanwhile waits for it, its own timers too.
func (w *world) pause(name string, d time.Duration) {
	n := w.nodes[name]
	if n == nil || !n.alive || n.paused {
		return
	}
	w.fault("pause %s%d for %v", name, n.start, d)
	if d > w.timers.Gap-w.timers.Tick {
		w.excuse(n, false)
	}
	n.paused = true
	w.after(d, func() {
		if n.alive && n.paused {
			w.wake(n)
		}
	})
}

func (w *world) wake(n *node) {
	w.fault("wake %s%d", n.name, n.start)
	n.paused, n.wokeAt = false, w.now
	log := n.backlog
	n.backlog = nil
	if !w.plain && w.chance(.5) {
		w.rng.Shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
	}
	for _, x := range log {
		n.doConn(x.from, x.conn, x.do)
	}
}

// cut cuts a link, one way or both.
func (w *world) cut(a, b string, both bool) {
	w.fault("cut %s %s both=%v", a, b, both)
	w.net.cut[link{a, b}] = true
	if both {
		w.net.cut[link{b, a}] = true
	}
}

// split cuts all links between those on the side and the others.
func (w *world) split(side []string) {
	w.fault("split %v", side)
	in := map[string]bool{}
	for _, name := range side {
		in[name] = true
	}
	for _, a := range w.names {
		for _, b := range w.names {
			if in[a] != in[b] {
				w.net.cut[link{a, b}] = true
			}
		}
	}
}

func (w *world) heal() {
	w.fault("heal")
	w.net.heal()
}

// anybody is somebody who is alive.
func (w *world) anybody() string {
	al := w.alive()
	if len(al) == 0 {
		return pick(w, w.names...)
	}
	return pick(w, al...).name
}

// holder is who holds the partition, by the highest hold; anybody if there is none.
func (w *world) holder(p int) string {
	var best *node
	var top hold.Hold
	for _, n := range w.alive() {
		if h, _ := n.m.Hold(p); n.holds(p) && h.Compare(top) > 0 {
			best, top = n, h
		}
	}
	if best == nil {
		return w.anybody()
	}
	return best.name
}
