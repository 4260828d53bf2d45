package bucket

import "math/bits"

// Above ten hits a sliding window counts in slots: 40 of one byte, 20 of two or 10 of four, whatever the counts allow.
// The n slots are a ring over time, each ceil(window/(n−1)) wide, and a hit counts until its whole slot has left, n slots
// after it began: at least the window (never over), at most one slot longer. n slots of window/n would let twice the limit through: a
// hit at the end of a slot would leave after n−1 slots.
//
// And no hit counts after the line is fresh (last hit + window), so that retry-after never exceeds the window.
//
// The grid's phase is aux/128 of a slot. It is 0 where a line begins; a line that was moved to another clock keeps the phase
// it had, rounded up, so that being moved k times makes it k/128 slots stricter at most, not k slots.

// phaseBits is how finely a phase is kept: as many bits as aux has.
const phaseBits = 7

// A grid is how a line's slots lie in time. It is small enough to stay in registers: as a struct in memory, written field by field and copied whole,
// it was a sixth of a take.
type grid struct {
	width, off uint64 // µs
	lg         uint64 // log2 of the slots in a word of marks: 3, 2 or 1
}

func (l *line) grid() grid { return gridOf(l.kind(), uint64(l.span()), l.aux()) }

func gridOf(k kind, span, aux uint64) grid {
	var g grid
	switch k { // constants: a division by a variable costs several times as much
	case slots1:
		g = grid{width: (span + 38) / 39, lg: 3}
	case slots2:
		g = grid{width: (span + 18) / 19, lg: 2}
	default:
		g = grid{width: (span + 8) / 9, lg: 1}
	}
	g.off = aux * g.width >> phaseBits
	return g
}

// n returns how many slots there are.
func (g grid) n() uint64 { return 5 << (g.lg & 3) }

// lanes returns how many of them are in a word of marks.
func (g grid) lanes() uint64 { return 1 << (g.lg & 3) }

// slot returns the number of the slot that t is in.
func (g grid) slot(t Instant) uint64 { return (uint64(t+bias) - g.off) / g.width }

// start returns the first instant of slot s.
func (g grid) start(s uint64) Instant { return Instant(s*g.width+g.off) - bias }

// leaves returns the instant at which the hits of slot s no longer count.
func (g grid) leaves(s uint64) Instant { return g.start(s + g.n()) }

// max returns the most hits that a slot has room for.
func (g grid) max() uint64 { return 1<<(64>>(g.lg&3)&63) - 1 }

// place returns which word of marks slot s is in, and where in it: the slots are a ring.
func (g grid) place(s uint64) (word, shift uint64) {
	return s >> (g.lg & 3) % 5, s & (g.lanes() - 1) << (6 - g.lg&3)
}

func (g grid) get(m *[5]uint64, s uint64) uint64 {
	w, shift := g.place(s)
	return m[w] >> (shift & 63) & g.max()
}

func (g grid) put(m *[5]uint64, s, n uint64) {
	w, shift := g.place(s)
	m[w] = m[w]&^(g.max()<<(shift&63)) | n<<(shift&63)
}

// turned returns the ring as one that begins at slot s.
func (g grid) turned(m *[5]uint64, s uint64) (to [5]uint64) {
	w, shift := g.place(s)
	for i := range uint64(5) {
		to[i] = m[(w+i)%5]>>shift | m[(w+i+1)%5]<<(64-shift)
	}
	return to
}

func (g grid) sum(m *[5]uint64) uint64 {
	var t uint64
	switch g.lg {
	case 3:
		const even = 0x00ff00ff00ff00ff
		for _, x := range m {
			t += x&even + x>>8&even // four lanes of 16 bits, at most 2550 each
		}
		return t * 0x0001000100010001 >> 48
	case 2:
		const even = 0x0000ffff0000ffff
		for _, x := range m {
			t += x&even + x>>16&even
		}
		return t>>32 + t&0xffffffff
	}
	for _, x := range m {
		t += x>>32 + x&0xffffffff
	}
	return t
}

// A view is a line's slots as they are at one instant, without what has left. It is made once a check, for looking, spending
// and waiting.
type view struct {
	g   grid
	m   [5]uint64
	cur uint64 // the slot that now is in
	ok  bool
}

// view fills in v. A clock behind the last hit is taken as being there.
func (l *line) view(v *view, now Instant) {
	v.g = l.grid()
	v.ok = true
	v.m = l.marks
	last := l.fresh() - l.span()
	if now <= last {
		v.cur = v.g.slot(last)
		return
	}
	v.cur = v.g.slot(now)
	if last >= v.g.start(v.cur) {
		return
	}
	v.g.pass(&v.m, v.g.slot(last), v.cur)
}

// pass empties the slots that come round between s and cur, which is the current one now.
func (g grid) pass(m *[5]uint64, s, cur uint64) {
	k := cur - s
	if k >= g.n() {
		*m = [5]uint64{}
		return
	}
	w, shift := g.place(s + 1)
	for in := g.lanes() - (s+1)&(g.lanes()-1); k > 0; in = g.lanes() { // slots from there to the end of the word
		in = min(in, k)
		m[w] &^= ^uint64(0) >> (64 - in<<(6-g.lg&3)&127) << (shift & 63)
		if w++; w == 5 {
			w = 0
		}
		k, shift = k-in, 0
	}
}

// wait returns the instant at which `need` of the hits will have left, at the latest when the line is fresh.
func (v *view) wait(need uint64, fresh Instant) Instant { return v.g.wait(&v.m, v.cur, need, fresh) }

// wait returns it of marks whose current slot is cur.
func (g grid) wait(m *[5]uint64, cur, need uint64, fresh Instant) Instant {
	for s, n := g.oldest(m, cur-(g.n()-1)); s <= cur; s, n = g.oldest(m, s+1) {
		if n >= need {
			return min(g.leaves(s), fresh)
		}
		if n == 0 {
			break
		}
		need -= n
	}
	return fresh
}

// oldest returns the first slot from s on, once round the ring, that is not empty, and its hits.
func (g grid) oldest(m *[5]uint64, s uint64) (slot, hits uint64) {
	w, shift := g.place(s)
	at := s &^ (g.lanes() - 1) // the slot in the word's first place, or that would be
	rest := m[w] >> (shift & 63) << (shift & 63)
	for range 6 { // the word that s is in comes last once more, with what is before s
		if rest != 0 {
			k := uint64(bits.TrailingZeros64(rest)) >> (6 - g.lg&3)
			return at + k, rest >> (k << (6 - g.lg&3) & 63) & g.max()
		}
		at += g.lanes()
		if w++; w == 5 {
			w = 0
		}
		rest = m[w]
	}
	return at, 0
}

func (l *line) slotsUsed(now Instant) uint64 {
	var v view
	l.view(&v, now)
	return v.g.sum(&v.m)
}

func (l *line) slotsWait(now Instant, need uint64) Instant {
	var v view
	l.view(&v, now)
	return v.wait(need, l.fresh())
}

func (l *line) slotsSpend(now Instant, hits uint64) {
	var v view
	if l.fresh() == 0 { // just begun
		v.g = l.grid()
		v.cur = v.g.slot(now)
		l.slotsAdd(&v, now, hits)
		return
	}
	l.view(&v, now)
	l.slotsAdd(&v, now, hits)
}

// slotsAdd spends on the line, whose slots v are at now, and keeps v true.
func (l *line) slotsAdd(v *view, now Instant, hits uint64) {
	span := l.span()
	now = max(now, l.fresh()-span)
	l.setFresh(now + span)
	for {
		n := addSat(v.g.get(&v.m, v.cur), hits)
		if n > v.g.max() {
			if v.g.lg > 1 {
				// A slot is full: COUNT was raised on the live line, or copies were added up.
				l.marks = v.m
				l.convert(max(l.kind()+1, slidingKind(n)), 0)
				l.view(v, now)
				continue
			}
			n = v.g.max()
		}
		v.g.put(&v.m, v.cur, n)
		l.marks = v.m
		return
	}
}

// slotsGive leaves in the ring what no longer counts: should the clock go back, it counts again.
func (l *line) slotsGive(now, at Instant, hits uint64) bool {
	g := l.grid()
	span := l.span()
	last := l.fresh() - span
	now = max(now, last)
	first, end := g.slot(now)-(g.n()-1), g.slot(last)
	take := func(s uint64) {
		v := g.get(&l.marks, s)
		d := min(v, hits)
		g.put(&l.marks, s, v-d)
		hits -= d
	}
	if at >= 0 {
		s := g.slot(at)
		if at+span <= now || s < first || at > last {
			return true // they left of themselves, or the line has begun anew since
		}
		for i := s; i <= min(s+1, end); i++ { // s+1 is where a change of layout may have moved it
			take(i)
		}
	}
	for s := first; hits > 0 && s <= end; s++ {
		take(s)
	}
	for s := end; s > end-g.n(); s-- {
		if g.get(&l.marks, s) > 0 {
			// What is left was spent at the end of its slot at the latest.
			l.setFresh(min(last, g.start(s+1)-1) + span)
			return true
		}
	}
	return false
}
