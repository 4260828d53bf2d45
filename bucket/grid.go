package bucket

import "math/bits"

// phaseBits is how finely a phase is kept: as many bits as aux has.
const phaseBits = 7

// A grid is how a line's slots lie in time. It is small enough to stay in registers: with narrower fields, written one by one and copied whole right after,
// it was a third of a take.
type grid struct {
	width, off uint64 // µs
	lg         uint64 // log2 of the slots in a word of marks: 3, 2 or 1
}

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

// sum adds all slots up, in lanes of twice their width.
func (g grid) sum(m *[5]uint64) uint64 {
	var t uint64
	switch g.lg { // constants: as one loop, as in left, this takes longer
	case 3:
		for _, x := range m {
			t += x&evens8 + x>>8&evens8 // at most 2550 each
		}
	case 2:
		for _, x := range m {
			t += x&evens16 + x>>16&evens16
		}
	default:
		for _, x := range m {
			t += x&evens32 + x>>32
		}
	}
	return g.across(t)
}

// evens are every other slot of a word.
const (
	evens8  = 0x00ff00ff00ff00ff
	evens16 = 0x0000ffff0000ffff
	evens32 = 0x00000000ffffffff
)

var evens = [4]uint64{1: evens32, 2: evens16, 3: evens8}

// across adds up the lanes of a sum.
func (g grid) across(t uint64) uint64 {
	switch g.lg {
	case 3:
		return t * 0x0001000100010001 >> 48
	case 2:
		return t>>32 + t&0xffffffff
	}
	return t
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

// left returns what the sum is without the k slots up to cur, as if pass had emptied them.
func (g grid) left(m *[5]uint64, cur, k uint64) uint64 {
	if k >= g.n() {
		return 0
	}
	k = g.n() - k // from here on those that stay: they begin behind cur
	even, bits := evens[g.lg&3], uint64(64)>>(g.lg&3)&63
	var t uint64
	w, shift := g.place(cur + 1)
	for in := g.lanes() - (cur+1)&(g.lanes()-1); k > 0; in = g.lanes() { // slots from there to the end of the word
		in = min(in, k)
		x := m[w] >> (shift & 63) << (64 - in<<(6-g.lg&3)&127)
		t += x&even + x>>bits&even
		if w++; w == 5 {
			w = 0
		}
		k, shift = k-in, 0
	}
	return g.across(t)
}

// wait returns the instant at which `need` of the hits will have left, at the latest when the line is fresh. Nothing need be passed
// for that: what would be emptied comes last, behind as many hits as are left without.
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
