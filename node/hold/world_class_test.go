package hold_test

import (
	"slices"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// A class is a kind of fault schedule.
type class struct {
	name string
	// promises of this kind
	strict bool          // at no time do two decide
	calm   bool          // every check is answered
	slow   time.Duration // no check waits longer; 0: not promised
	plan   func(w *world, at time.Duration)
}

var classes = []class{
	{"calm", true, true, 250 * ms, func(w *world, at time.Duration) {}},
	{"delay", true, true, 250 * ms, func(w *world, at time.Duration) {
		w.net.spike, w.net.late, w.net.dup = pick(w, .02, .2), pick(w, 5*ms, 15*ms, 22*ms), .1
		w.joins(at)
	}},
	{"join", true, true, 250 * ms, func(w *world, at time.Duration) { w.joins(at) }},
	{"leave", true, true, 250 * ms, func(w *world, at time.Duration) {
		for range pick(w, 1, 1, 2) {
			w.later(at+w.between(0, 600*ms), func() { w.leave(w.mostlyHolder()) })
		}
	}},
	{"roll", true, true, 250 * ms, func(w *world, at time.Duration) {
		w.last = at + time.Duration(len(w.base))*4200*ms
		w.roll(at, 0)
	}},
	{"crash", true, true, 300 * ms, func(w *world, at time.Duration) {
		w.rst = false
		w.later(at, func() { w.crash(w.mostlyHolder(), 0) })
	}},
	{"crash_rst", true, true, 300 * ms, func(w *world, at time.Duration) {
		w.rst = true
		w.later(at, func() { w.crash(w.mostlyHolder(), 0) })
	}},
	{"restart", true, true, 300 * ms, func(w *world, at time.Duration) {
		w.rst, w.told = w.chance(.7), w.chance(.7)
		w.later(at, func() { w.crash(w.mostlyHolder(), w.between(50*ms, 400*ms)) })
	}},
	{"join_kill", true, true, 300 * ms, func(w *world, at time.Duration) {
		w.joins(at)
		w.later(at+w.between(0, 1800*ms), func() { w.crash(w.holder(0), 0) })
	}},
	{"twocrash", true, true, 600 * ms, func(w *world, at time.Duration) {
		w.later(at, func() { w.crash(w.holder(0), pick(w, 0*ms, 200*ms)) })
		w.later(at+pick(w, 400*ms, 1500*ms, 12*time.Second)+w.between(0, 800*ms), func() { w.crash(w.holder(0), pick(w, 0*ms, 200*ms)) })
	}},
	{"pause1", true, true, 300 * ms, func(w *world, at time.Duration) {
		w.later(at, func() { w.pause(w.mostlyHolder(), w.between(300*ms, 1200*ms)) })
	}},
	{"pause12", true, true, 300 * ms, func(w *world, at time.Duration) {
		w.later(at, func() { w.pause(w.mostlyHolder(), 12*time.Second) })
		w.later(at+12*time.Second, func() {})
	}},
	{"shortpause", true, true, 1000 * ms, func(w *world, at time.Duration) {
		for i := range 12 {
			w.later(at+time.Duration(i)*w.between(150*ms, 400*ms), func() { w.pause(w.mostlyHolder(), w.between(40*ms, 160*ms)) })
		}
	}},
	{"blip", true, true, 1000 * ms, func(w *world, at time.Duration) {
		for i := range 6 {
			w.later(at+time.Duration(i)*w.between(200*ms, 500*ms), func() {
				w.pause(w.mostlyHolder(), pick(w, w.between(50*ms, 130*ms), w.between(100*ms, 400*ms)))
			})
		}
		for _, name := range w.joiners {
			w.later(at+w.between(0, 1500*ms), func() { w.start(name) })
		}
	}},
	{"link", true, true, 300 * ms, func(w *world, at time.Duration) { w.oneLink(at, true) }},
	{"oneway", true, true, 600 * ms, func(w *world, at time.Duration) { w.oneLink(at, false) }},
	{"split", false, false, 1000 * ms, func(w *world, at time.Duration) {
		w.forks, w.net.keep = 2, pick(w, 0, 0, .3)
		side := w.some(w.base)
		w.later(at, func() { w.split(side) })
		w.later(at+pick(w, 150*ms, 400*ms, 2*time.Second, 14*time.Second), w.heal)
		if w.chance(.3) {
			w.later(at+3*time.Second, w.heal)
		}
	}},
	{"bigdelay", false, false, 0, func(w *world, at time.Duration) {
		w.forks = 9
		w.net.spike, w.net.late, w.net.dup, w.net.loss = pick(w, .01, .05, .3), pick(w, 100*ms, 300*ms, 1000*ms), .1, pick(w, 0, .02)
		w.joins(at)
		w.later(at+8*time.Second, func() { w.net.spike, w.net.loss = 0, 0 })
	}},
	{"link_join", true, true, 1000 * ms, func(w *world, at time.Duration) {
		w.net.keep = pick(w, 0, 0, .3)
		w.joins(at)
		j := w.joiners[0]
		w.later(at+w.between(0, 700*ms), func() {
			a, b := w.two()
			if w.chance(.6) {
				a, b = w.holder(0), j
			}
			if w.chance(.5) {
				a, b = b, a
			}
			if a != b {
				w.cut(a, b, w.chance(.6))
			}
		})
		w.later(at+pick(w, 700*ms, 2500*ms, 9*time.Second)+w.between(0, 500*ms), w.heal)
	}},
	{"link_leave", true, true, 600 * ms, func(w *world, at time.Duration) {
		w.net.keep = pick(w, 0, 0, .3)
		w.later(at+w.between(0, 700*ms), func() { a, b := w.two(); w.cut(a, b, w.chance(.6)) })
		w.later(at+w.between(0, 700*ms), func() { w.leave(w.mostlyHolder()) })
		w.later(at+pick(w, 700*ms, 2500*ms, 9*time.Second)+w.between(0, 500*ms), w.heal)
	}},
	{"pause_join", true, true, 1000 * ms, func(w *world, at time.Duration) {
		w.joins(at)
		w.later(at+w.between(0, 600*ms), func() {
			name := pick(w, w.joiners[0], w.joiners[0], w.holder(0))
			w.pause(name, pick(w, w.between(90*ms, 300*ms), time.Second))
		})
	}},
	{"full", true, true, 600 * ms, func(w *world, at time.Duration) {
		w.full = pick(w, .1, .5, .9)
		w.joins(at)
		if w.chance(.5) {
			w.later(at+w.between(0, 600*ms), func() { w.leave(w.mostlyHolder()) })
		}
		w.later(at+w.between(500*ms, 6*time.Second), func() { w.full = 0 })
	}},
	{"reboot", true, false, 0, func(w *world, at time.Duration) {
		w.later(at, w.reboot)
		w.later(at+5*time.Second, func() {})
	}},
	{"mix", false, false, 0, (*world).mix},
}

func (w *world) mix(at time.Duration) {
	w.forks = 9
	w.net.keep = pick(w, 0, .2)
	for range 2 + w.rng.IntN(4) {
		t := at + w.between(0, 6*time.Second)
		switch w.rng.IntN(8) {
		case 0:
			w.later(t, func() { w.crash(w.mostlyHolder(), w.between(time.Second, 6*time.Second)) })
		case 1:
			w.later(t, func() { w.crash(w.mostlyHolder(), w.between(50*ms, 400*ms)) })
		case 2:
			w.later(t, func() { w.pause(w.mostlyHolder(), pick(w, 90*ms, 150*ms, time.Second, 5*time.Second)) })
		case 3:
			w.later(t, func() { w.start(w.joiners[0]) })
		case 4:
			w.later(t, func() { w.leave(w.mostlyHolder()) })
		case 5:
			w.later(t, func() { a, b := w.two(); w.cut(a, b, true) })
		case 6:
			w.later(t, func() { a, b := w.two(); w.cut(a, b, false) })
		case 7:
			w.later(t, func() { w.split(w.some(w.base)) })
		}
	}
	w.later(at+8*time.Second, w.heal)
	w.later(at+11500*ms, func() {})
}

// plan makes the world of a class and a seed, with its faults to come.
func plan(c class, seed uint64, off hold.Rules) *world {
	probe := newWorld(seed, c.name, off, nil, nil, 0).rng // says how large the world is
	n := 3 + max(0, probe.IntN(4)-1)
	if c.name == "link_leave" {
		n = max(n, 4)
	}
	parts := 1
	if probe.IntN(4) == 0 {
		parts += probe.IntN(5)
	}
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	w := newWorld(seed, c.name, off, names[:n], names[n:n+2], parts)
	most := pick(w, 30, 100, 300, 1000)
	w.limit, w.rst, w.told = [2]int{most, max(3, most/10)}, w.chance(.6), w.chance(.6)
	w.begin()
	w.at(500*ms+w.between(0, 50*ms), w.traffic)
	w.last = w.between(1200*ms, 2*time.Second)
	c.plan(w, w.last)
	return w
}

// later does something at a time, which is not after the last fault.
func (w *world) later(t time.Duration, do func()) {
	w.at(t, do)
	w.last = max(w.last, t)
}

func pick[T any](w *world, of ...T) T { return of[w.rng.IntN(len(of))] }

func (w *world) mostlyHolder() string {
	if w.chance(.75) {
		return w.holder(w.rng.IntN(w.parts))
	}
	return w.anybody()
}

// two are members whose link is to be cut.
func (w *world) two() (a, b string) {
	a = pick(w, w.base...)
	if w.chance(.7) {
		a = w.holder(0)
	}
	b = pick(w, slices.DeleteFunc(slices.Clone(w.base), func(s string) bool { return s == a })...)
	if w.chance(.5) {
		return a, b
	}
	return b, a
}

// some are at least one of them, and not all.
func (w *world) some(of []string) []string {
	of = slices.Clone(of)
	w.rng.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:1+w.rng.IntN(len(of)-1)]
}

func (w *world) joins(at time.Duration) {
	for _, name := range w.joiners[:pick(w, 1, 2)] {
		w.later(at+pick(w, 0, w.between(0, 400*ms)), func() { w.start(name) })
	}
}

func (w *world) oneLink(at time.Duration, both bool) {
	w.net.keep = pick(w, 0, 0, .3)
	w.later(at, func() { a, b := w.two(); w.cut(a, b, both) })
	w.later(at+pick(w, 700*ms, 2500*ms, 9*time.Second)+w.between(0, 500*ms), w.heal)
}

// roll restarts one node after the other.
func (w *world) roll(at time.Duration, i int) {
	if i == len(w.base) {
		return
	}
	w.later(at, func() {
		w.leave(w.base[i])
		w.later(w.now+w.between(1200*ms, 2*time.Second), func() { w.start(w.base[i]) })
		w.roll(w.now+w.between(3*time.Second, 4*time.Second), i+1)
	})
}
