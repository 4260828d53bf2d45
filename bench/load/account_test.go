package load

import (
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	type key struct{ admitted, denied, failed int }
	for _, c := range []struct {
		name        string
		keys        []key
		since       time.Duration
		due         uint64
		over, under uint64
	}{
		{"under the limit, all admitted", []key{{7, 0, 0}}, 0, 7, 0, 0},
		{"over the limit, COUNT admitted", []key{{10, 90, 0}}, 0, 10, 0, 0},
		{"one too many", []key{{11, 89, 0}}, 0, 10, 1, 0},
		{"one too few", []key{{9, 91, 0}}, 0, 10, 0, 1},
		{"denied though there was room", []key{{3, 1, 0}}, 0, 4, 0, 1},
		{"everything denied", []key{{0, 5, 0}, {0, 50, 0}}, 0, 15, 0, 15},
		{"one key's surplus does not make up for another's lack", []key{{12, 8, 0}, {8, 12, 0}}, 0, 20, 2, 2},
		{"what failed may have been spent", []key{{8, 90, 2}}, 0, 10, 0, 0},
		{"what failed may not have been spent", []key{{10, 88, 2}}, 0, 10, 0, 0},
		{"more is missing than has failed", []key{{7, 91, 2}}, 0, 10, 0, 1},
		{"failed checks excuse nothing that is over", []key{{11, 80, 9}}, 0, 10, 1, 0},
		{"half an hour of refill gives back half of COUNT and one for rounding", []key{{16, 84, 0}}, 30 * time.Minute, 10, 0, 0},
		{"and no more", []key{{17, 83, 0}}, 30 * time.Minute, 10, 1, 0},
	} {
		a := NewAccount(len(c.keys), []Terms{{Hits: 1, Count: 10}})
		for k, n := range c.keys {
			for _, r := range []struct {
				n int
				r Reply
			}{{n.admitted, Admitted}, {n.denied, Denied}, {n.failed, Failed}} {
				for range r.n {
					a.Add(uint32(k), 1, r.r)
				}
			}
		}
		v := a.Verdict(c.since, c.since > 0)
		if v.Due != c.due || v.Over != c.over || v.Under != c.under || v.Exact() != (c.over+c.under == 0) || (v.Bad == "") != v.Exact() {
			t.Errorf("%s: %+v, want due %d, over %d, under %d", c.name, v, c.due, c.over, c.under)
		}
	}
}

func TestVerdictOfChecksOfSeveralHits(t *testing.T) {
	// Three checks of 3 hits fit under 10, not a fourth.
	for _, c := range []struct{ asked, admitted, over, under int }{{2, 2, 0, 0}, {3, 3, 0, 0}, {9, 3, 0, 0}, {9, 4, 3, 0}, {9, 2, 0, 3}} {
		a := NewAccount(1, []Terms{{Hits: 3, Count: 10, Refill: 366 * 24 * time.Hour}})
		for i := range c.asked {
			r := Denied
			if i < c.admitted {
				r = Admitted
			}
			a.Add(0, 3, r)
		}
		if v := a.Verdict(time.Hour, false); v.Over != uint64(c.over) || v.Under != uint64(c.under) {
			t.Errorf("%+v: %+v", c, v)
		}
	}
}

func TestVerdictOfATokenBucket(t *testing.T) {
	for _, c := range []struct {
		open time.Duration
		over uint64
	}{{time.Minute, 3}, {20 * time.Minute, 2}, {time.Hour, 0}} {
		a := NewAccount(1, []Terms{{Hits: 1, Count: 10, Refill: 3 * time.Hour}})
		for range 13 {
			a.Add(0, 1, Admitted)
		}
		a.Add(0, 1, Denied)
		if v := a.Verdict(c.open, false); v.Over != c.over || v.Refill {
			t.Errorf("13 of 10 after %v: %+v, want %d over", c.open, v, c.over)
		}
	}
}

func TestAgain(t *testing.T) {
	a := NewAccount(2, []Terms{{Hits: 2, Count: 10}})
	for i := range 5 {
		r := Admitted
		if i > 2 {
			r = Denied
		}
		a.Add(0, 2, r)
	}
	if n, other := a.missing(0), a.missing(1); n != 4 || other != 0 {
		t.Fatalf("%d and %d hits are missing, want 4 and 0", n, other)
	}
	a.Again(0, 0, 0)
	if v := a.Verdict(0, false); v.Under != 4 || v.Lent != 0 {
		t.Errorf("denied again: %+v", v)
	}
	a.Again(0, 4, 0)
	if v := a.Verdict(0, false); !v.Exact() || v.Lent != 4 || v.Asked != 10 || v.Admitted != 10 {
		t.Errorf("admitted: %+v", v)
	}
}

func TestVerdictOfWhatWasLost(t *testing.T) {
	for _, c := range []struct {
		v     Verdict
		exact bool
	}{{Verdict{Under: 5, Lost: 5}, true}, {Verdict{Under: 6, Lost: 5}, false}, {Verdict{Over: 1, Lost: 5}, false}} {
		if c.v.Exact() != c.exact {
			t.Errorf("%+v", c.v)
		}
	}
}
