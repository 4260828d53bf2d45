package hold

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Each inequality holds at its very edge, and a nanosecond beyond is named.
func TestCheckNamesWhatIsBroken(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what   string
		field  func(*Timers) *time.Duration
		edge   time.Duration // of the field, at patience 1
		beyond time.Duration
	}{
		{"tick is positive", func(t *Timers) *time.Duration { return &t.Tick }, 1, -1},
		{"gap ≥ 2 ticks", func(t *Timers) *time.Duration { return &t.Gap }, 40 * ms, -1},
		{"gap + round trip ≤ probe", func(t *Timers) *time.Duration { return &t.Probe }, 95 * ms, -1},
		{"probe + 2 round trips ≤ round", func(t *Timers) *time.Duration { return &t.Probe }, 100 * ms, 1},
		{"round ≤ claim-max", func(t *Timers) *time.Duration { return &t.ClaimMax }, 130 * ms, -1},
		{"claim-max + gap + round trip ≤ promise", func(t *Timers) *time.Duration { return &t.Promise }, 295 * ms, -1},
		{"round ≤ flip", func(t *Timers) *time.Duration { return &t.Flip }, 130 * ms, -1},
		{"round + retry ≤ good", func(t *Timers) *time.Duration { return &t.Good }, 190 * ms, -1},
		{"attempt + tick ≤ rests", func(t *Timers) *time.Duration { return &t.Rests }, 120 * ms, -1},
		{"attempt + round ≤ 2.5 attempts", func(t *Timers) *time.Duration { return &t.Attempt }, 86_666_667, -1},
	} {
		timers := Patience(1)
		*c.field(&timers) = c.edge
		if err := timers.Check(); err != nil {
			t.Errorf("%s, at its edge: %v", c.what, err)
		}
		*c.field(&timers) += c.beyond
		if err := timers.Check(); err == nil || !strings.Contains(err.Error(), `"`+c.what) {
			t.Errorf("%s, broken: %v", c.what, err)
		}
	}
}

// Whatever factor --patience takes, from 0.5 to 100, the family stays whole: no rounding breaks what is tight.
func TestPatienceKeepsTheInequalities(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		f := 0.5 + float64(i)/20_000*99.5
		for _, f := range []float64{f, 0.5 + r.Float64()*3, 100} {
			if err := Patience(f).Check(); err != nil {
				t.Fatalf("patience %v: %v", f, err)
			}
		}
	}
	if t1, t3 := Patience(1), Patience(3); t3.Attempt != 3*t1.Attempt || t3.Holds != 3*t1.Holds {
		t.Errorf("%+v is not three times %+v", t3, t1)
	}
}
