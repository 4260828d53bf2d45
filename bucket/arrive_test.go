package bucket

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Slots that are turned are as those that are laid out one by one, wherever the two clocks stand.
func TestTurnedSlotsAreAsLaidOut(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	turned := 0
	const tries = 200_000
	for range tries {
		k := slots1 + kind(r.IntN(3))
		l := line{id: ID{Key: 1, Line: uint64(r.Int64N(int64(time.Hour/time.Millisecond))+int64(MinWindow)) << restBits}, clock: uint64(k) | uint64(r.IntN(2))*denyingMask}
		for i := range l.marks {
			l.marks[i] = r.Uint64() & r.Uint64() & r.Uint64()
		}
		span := l.span()
		g := gridOf(k, uint64(span), 0)
		last := noon + Instant(r.Int64N(int64(day)))
		if r.IntN(4) == 0 {
			last = g.start(g.slot(last)) + Instant(r.IntN(3)) - 1 // where slots meet
		}
		begin := last - Instant(uint64(r.IntN(256))*g.width>>8)
		off := uint64(begin+bias) % g.width
		phase := (off<<phaseBits + g.width - 1) / g.width & auxMask
		a, b := l, l
		b.slotsLay(g, phase, last, begin)
		if !a.slotsTurn(phase, last, begin) {
			continue
		}
		if turned++; a != b {
			t.Fatalf("kind %d, span %d, phase %d, last %d, begin %d, marks %x: turned %x, laid out %x", k, span, phase, last, begin, l.marks, a, b)
		}
	}
	if turned < tries/2 {
		t.Errorf("only %d of %d were turned", turned, tries)
	}
}
