package node

import (
	"slices"
	"time"
)

// The classes are those of the model that the ownership protocol was run in (PROTOCOL.md section 9), for whole nodes.
var simClasses = []simClass{
	{"calm", true, 100 * time.Millisecond, func(s *sim) { s.at(s.start0(), func() {}) }},
	{"delay", true, 0, func(s *sim) { // round trips to 50 ms, and a join in it
		s.at(0, func() { s.peers.SetDelay(time.Millisecond, s.span(5*time.Millisecond, 24*time.Millisecond)) })
		s.at(s.start0(), s.join)
	}},
	{"join", true, 250 * time.Millisecond, func(s *sim) {
		for range 1 + s.rng.IntN(2) {
			s.at(s.start0()+s.span(0, 400*time.Millisecond), s.join)
		}
	}},
	{"leave", true, 250 * time.Millisecond, func(s *sim) {
		for range 1 + s.rng.IntN(2) {
			s.at(s.start0()+s.span(0, 600*time.Millisecond), s.leaveOne)
		}
	}},
	{"roll", true, 250 * time.Millisecond, func(s *sim) { // each leaves and comes back
		at := s.start0()
		for _, name := range s.names[:s.first] {
			s.at(at, func() { s.later(func() { s.leave(s.get(name)) }) })
			at += s.span(6*time.Second, 9*time.Second)
			s.at(at, func() { s.back(name) })
			at += s.span(4*time.Second, 6*time.Second)
		}
	}},
	{"crash", false, 260 * time.Millisecond, func(s *sim) { s.at(s.start0(), func() { s.crashOne(true, 0) }) }},
	{"refused", false, 260 * time.Millisecond, func(s *sim) { s.at(s.start0(), func() { s.crashOne(false, 0) }) }},
	{"restart", false, 0, func(s *sim) {
		silent := s.rng.IntN(3) == 0
		s.at(s.start0(), func() { s.crashOne(silent, s.span(50*time.Millisecond, 400*time.Millisecond)) })
	}},
	{"joinkill", false, 0, func(s *sim) {
		s.at(s.start0(), s.join)
		s.at(s.start0()+s.span(0, 4*time.Second), func() { s.crashOne(s.rng.IntN(2) == 0, 0) })
	}},
	{"twocrash", false, 0, func(s *sim) {
		at := s.start0()
		for range 2 {
			back := time.Duration(s.rng.IntN(2)) * 200 * time.Millisecond
			s.at(at, func() { s.crashOne(s.rng.IntN(2) == 0, back) })
			at += []time.Duration{400 * time.Millisecond, 1500 * time.Millisecond, 12 * time.Second}[s.rng.IntN(3)] + s.span(0, 800*time.Millisecond)
		}
	}},
	{"pause", false, 0, func(s *sim) {
		d := s.span(300*time.Millisecond, 1200*time.Millisecond)
		s.at(s.start0(), func() { s.pauseOne(d) })
	}},
	{"longpause", false, 0, func(s *sim) { s.at(s.start0(), func() { s.pauseOne(12 * time.Second) }) }},
	{"blinks", false, 0, func(s *sim) { // around what a tick may be late
		at := s.start0()
		for range 10 {
			d := s.span(40*time.Millisecond, 160*time.Millisecond)
			s.at(at, func() { s.pauseOne(d) })
			at += s.span(150*time.Millisecond, 400*time.Millisecond)
		}
	}},
	{"pausejoin", false, 0, func(s *sim) {
		s.at(s.start0(), s.join)
		for range 3 {
			d := s.span(50*time.Millisecond, 400*time.Millisecond)
			s.at(s.start0()+s.span(0, 3*time.Second), func() { s.pauseOne(d) })
		}
	}},
	{"starve", false, 0, func(s *sim) { // only its loop gets no time
		at := s.start0()
		for range 4 {
			d := s.span(60*time.Millisecond, 900*time.Millisecond)
			s.at(at, func() { s.starveOne(d) })
			at += d + s.span(300*time.Millisecond, 900*time.Millisecond)
		}
	}},
	{"flicker", false, 0, func(s *sim) { // a link that comes and goes
		at := s.start0()
		for range 6 {
			s.at(at, func() { s.cutLink(s.rng.IntN(2) == 0) })
			at += s.span(20*time.Millisecond, 350*time.Millisecond)
			s.at(at, s.heal)
			at += s.span(20*time.Millisecond, 350*time.Millisecond)
		}
	}},
	{"link", false, 0, func(s *sim) { s.cutFor(s.start0(), true) }},
	{"oneway", false, 0, func(s *sim) { s.cutFor(s.start0(), false) }},
	{"twolinks", false, 0, func(s *sim) {
		at := s.start0()
		s.cutFor(at, s.rng.IntN(2) == 0)
		at += s.span(0, 500*time.Millisecond)
		both := s.rng.IntN(2) == 0
		s.at(at, func() { s.cutLink(both) })
	}},
	{"linkjoin", false, 0, func(s *sim) {
		s.at(s.start0(), s.join)
		s.cutFor(s.start0()+s.span(0, 2*time.Second), s.rng.IntN(2) == 0)
	}},
	{"linkleave", false, 0, func(s *sim) {
		s.at(s.start0()+s.span(0, 700*time.Millisecond), s.leaveOne)
		s.cutFor(s.start0()+s.span(0, 700*time.Millisecond), s.rng.IntN(2) == 0)
	}},
	{"split", false, 0, func(s *sim) {
		at := s.start0()
		s.at(at, s.splitNow)
		s.at(at+[]time.Duration{150 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 14 * time.Second}[s.rng.IntN(4)], s.heal)
	}},
	{"mix", false, 0, func(s *sim) {
		for range 2 + s.rng.IntN(4) {
			at := s.start0() + s.span(0, 8*time.Second)
			switch s.rng.IntN(8) {
			case 0:
				back := s.span(time.Second, 6*time.Second)
				s.at(at, func() { s.crashOne(s.rng.IntN(2) == 0, back) })
			case 1:
				back := s.span(50*time.Millisecond, 400*time.Millisecond)
				s.at(at, func() { s.crashOne(s.rng.IntN(2) == 0, back) })
			case 2:
				s.at(at, s.join)
			case 3:
				s.at(at, s.leaveOne)
			case 4:
				s.at(at, func() { s.cutLink(true) })
			case 5:
				s.at(at, func() { s.cutLink(false) })
			case 6:
				s.at(at, s.splitNow)
			case 7:
				d := []time.Duration{90 * time.Millisecond, 150 * time.Millisecond, time.Second, 5 * time.Second}[s.rng.IntN(4)]
				s.at(at, func() { s.pauseOne(d) })
			}
		}
		s.at(s.start0()+10*time.Second, s.heal)
	}},
}

// The same with leases under load: what is lent when something happens, and what comes back.
func init() {
	for _, c := range simClasses {
		if slices.Contains([]string{"calm", "delay", "join", "leave", "roll", "crash", "restart", "pause", "link", "split", "mix"}, c.name) {
			c.name = "hot" + c.name
			simClasses = append(simClasses, c)
		}
	}
}

// start0 is when a schedule's first fault comes: the callers have met some limits by then.
func (s *sim) start0() time.Duration { return s.span(700*time.Millisecond, 1500*time.Millisecond) }

// get returns the present run of a name, nil if it is down.
func (s *sim) get(name string) *simNode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up[name]
}

// join starts the next joiner.
func (s *sim) join() {
	for _, name := range s.names[s.first:] {
		if s.get(name) == nil {
			s.start(name, false)
			return
		}
	}
}

// back starts a node that was down.
func (s *sim) back(name string) {
	if s.get(name) == nil {
		s.start(name, false)
	}
}

// anyone picks a node that is there to stay, if at least two would be without it.
func (s *sim) anyone() *simNode {
	list := s.steady()
	if len(list) < 3 {
		return nil
	}
	return list[s.rng.IntN(len(list))]
}

func (s *sim) leaveOne() {
	if x := s.anyone(); x != nil {
		s.later(func() { s.leave(x) })
	}
}

// crashOne crashes somebody, who is back after a while, if that is not 0.
func (s *sim) crashOne(silent bool, back time.Duration) {
	x := s.anyone()
	if x == nil {
		return
	}
	s.crash(x, silent)
	if back > 0 {
		s.later(func() {
			time.Sleep(back)
			s.back(x.name)
		})
	}
}

// pauseOne pauses somebody, a newcomer too, and waits until that is over if it takes longer.
func (s *sim) pauseOne(d time.Duration) {
	list := slices.DeleteFunc(s.live(), func(x *simNode) bool { return x.leaving.Load() || x.paused.Load() || x.Phase() != Serving })
	if len(list) < 3 {
		return
	}
	s.pause(list[s.rng.IntN(len(list))], d)
}

// starveOne keeps somebody's loop from working, while all else of it goes on.
func (s *sim) starveOne(d time.Duration) {
	list := s.steady()
	if len(list) < 3 {
		return
	}
	x := list[s.rng.IntN(len(list))]
	s.logf("starve %s for %v", x.name, d)
	s.book.fault(simFault{at: s.now(), what: "starve", name: x.name, back: true, whole: s.unsettled() != ""})
	x.stall(d)
	// Somebody does not reach it either: who asks about that, and gets no answer, claims.
	other := list[s.rng.IntN(len(list))]
	if other != x {
		s.link(other.name, x.name)
		s.link(x.name, other.name)
	}
	s.later(func() {
		time.Sleep(d)
		s.heal()
		s.book.fault(simFault{at: s.now(), what: "wake"})
	})
}

// cutLink cuts a link between two nodes, one way or both.
func (s *sim) cutLink(both bool) {
	list := s.live()
	if len(list) < 2 {
		return
	}
	i := s.rng.IntN(len(list))
	j := (i + 1 + s.rng.IntN(len(list)-1)) % len(list)
	a, b := list[i].name, list[j].name
	s.logf("cut %s to %s, both ways %v", a, b, both)
	s.book.fault(simFault{at: s.now(), what: "cut"})
	s.link(a, b)
	if both {
		s.link(b, a)
	}
	s.parted()
}

func (s *sim) cutFor(at time.Duration, both bool) {
	s.at(at, func() { s.cutLink(both) })
	s.at(at+[]time.Duration{600 * time.Millisecond, 2500 * time.Millisecond, 9 * time.Second}[s.rng.IntN(3)]+s.span(0, 500*time.Millisecond), s.heal)
}

// splitNow cuts the hosts into two.
func (s *sim) splitNow() {
	names := slices.Clone(s.names)
	s.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	k := 1 + s.rng.IntN(len(names)-1)
	s.logf("split %v from %v", names[:k], names[k:])
	for _, a := range names[:k] {
		for _, b := range names[k:] {
			s.link(a, b)
			s.link(b, a)
		}
	}
	s.parted()
}
