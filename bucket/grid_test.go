package bucket

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A ring is the slots of a line as a plain row of counts.
type ring []uint64

func (r ring) at(s uint64) *uint64 { return &r[s%uint64(len(r))] }

func (r ring) sum() (t uint64) {
	for _, n := range r {
		t += n
	}
	return t
}

// gone empties the k slots up to cur.
func (r ring) gone(cur, k uint64) ring {
	r = slices.Clone(r)
	for i := range min(k, uint64(len(r))) {
		*r.at(cur - i) = 0
	}
	return r
}

func (r ring) wait(g grid, cur, need uint64, fresh Instant) Instant {
	for s := cur - uint64(len(r)-1); s <= cur; s++ {
		if need <= *r.at(s) {
			return min(g.leaves(s), fresh)
		}
		need -= *r.at(s)
	}
	return fresh
}

// randomRing returns a ring that has hits in some of its slots, or in all, and the same as marks.
func randomRing(r *rand.Rand, g grid) (ring, [5]uint64) {
	to, m := make(ring, g.n()), [5]uint64{}
	filled, most := r.IntN(5), g.max()>>r.Uint64N(64>>g.lg)
	for i := range to {
		switch {
		case r.IntN(4) >= filled:
		case r.IntN(3) == 0:
			to[i] = g.max()
		default:
			to[i] = 1 + r.Uint64N(most)
		}
		g.put(&m, uint64(i), to[i])
	}
	return to, m
}

func TestGridAgainstAPlainRing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ns := map[kind]uint64{slots1: 40, slots2: 20, slots4: 10, attempts: 10}
	for _, k := range []kind{slots1, slots2, slots4, attempts} {
		for i := range 20_000 {
			w := MinWindow + Window(r.Int64N(int64(MaxWindow-MinWindow)>>r.IntN(28)))
			if i < 128 {
				w = []Window{MinWindow, MaxWindow}[i%2]
			}
			span, aux := uint64(w.micros()), uint64(i%128)
			g := gridOf(k, span, aux)
			if n := ns[k]; g.n() != n || g.width*(n-1) < span || (g.width-1)*(n-1) >= span || g.off != aux*g.width/128 {
				t.Fatalf("kind %d, window %d, phase %d: %d slots %+v", k, w, aux, g.n(), g)
			}
			now := Instant(r.Int64N(int64(maxInstant)))
			cur := g.slot(now)
			if now < g.start(cur) || now >= g.start(cur+1) {
				t.Fatalf("%+v: %d is not in slot %d", g, now, cur)
			}
			to, m := randomRing(r, g)
			for s := range g.n() {
				if v := g.get(&m, cur-s); v != *to.at(cur - s) {
					t.Fatalf("%+v: slot %d has %d, want %d", g, cur-s, v, *to.at(cur - s))
				}
			}
			// All of it, the last slots gone, and more of them gone than there are.
			gone := r.Uint64N(g.n() + 2)
			left := to.gone(cur, gone)
			passed := m
			g.pass(&passed, cur-gone, cur)
			if a, b, c := g.sum(&m), g.sum(&passed), g.left(&m, cur, gone); a != to.sum() || b != left.sum() || c != b {
				t.Fatalf("%+v, slot %d: %v is %d, without %d %d or %d, want %d and %d", g, cur, to, a, gone, b, c, to.sum(), left.sum())
			}
			if left.sum() == 0 {
				continue
			}
			fresh := now + 1 + Instant(r.Int64N(int64(w.micros())))
			need := 1 + r.Uint64N(left.sum())
			want := left.wait(g, cur, need, fresh)
			if a, b := g.wait(&passed, cur, need, fresh), g.wait(&m, cur, need, fresh); a != want || b != want {
				t.Fatalf("%+v, slot %d: %d of %v leave at %d, at %d before the %d are gone, want %d", g, cur, need, left, a, b, gone, want)
			}
		}
	}
}
