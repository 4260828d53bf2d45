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
		a := NewAccount(len(c.keys), 10)
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
		v := a.Verdict(c.since)
		if v.Due != c.due || v.Over != c.over || v.Under != c.under || v.Exact() != (c.over+c.under == 0) || (v.Bad == "") != v.Exact() {
			t.Errorf("%s: %+v, want due %d, over %d, under %d", c.name, v, c.due, c.over, c.under)
		}
	}
}
