package fault

import (
	"fmt"
	"slices"
	"time"

	"github.com/stint-limiter/stint/bench/load"
)

// An Account says what was admitted on some keys, all of which were asked for until they denied, and what was due.
type Account struct {
	Asked    uint64 `json:"checks"`
	Admitted uint64 `json:"admitted"`
	Due      uint64 `json:"due"`   // Σ COUNT
	Over     uint64 `json:"over"`  // hits beyond COUNT, over the keys that had any
	Under    uint64 `json:"under"` // hits missing to COUNT, but for checks that failed
	// MostOver is the most hits that one key has over, as so many times its COUNT.
	MostOver float64 `json:"most_over"`
	// MostUnder is how many of them one key misses, MostUnderLent the same of the keys whose hits nodes lend each other.
	MostUnder     uint64 `json:"most_under"`
	MostUnderLent uint64 `json:"most_under_lent"`

	Failed  uint64        `json:"failed"`     // checks, but for the lost ones
	Lost    uint64        `json:"lost"`       // checks without an answer on their way to a node that was killed or stopped
	Slowest time.Duration `json:"slowest_ns"` // but for checks at a node that was stopped

	Via map[string]uint64 `json:"via"`
	// Examples has the worst key of each sort, the first failures and the slowest check, in words.
	Examples []string `json:"examples,omitempty"`
}

// Account adds up what was recorded for these keys.
func (r *Records) Account(keys []*Key) Account {
	a := Account{Via: map[string]uint64{}}
	type sum struct{ asked, admitted, doubt uint64 }
	mine := make([]*sum, len(r.keys))
	for _, k := range keys {
		mine[k.At] = &sum{}
		a.Due += uint64(k.Count)
	}
	var slowest Record
	for _, c := range r.all {
		s := mine[c.Key]
		if s == nil {
			continue
		}
		a.Asked++
		s.asked += uint64(c.Hits)
		excused := r.excused(c)
		switch c.Said {
		case Admitted:
			s.admitted += uint64(c.Hits)
			a.Admitted += uint64(c.Hits)
		case Failed:
			s.doubt += uint64(c.Hits) // it may have been spent, and nobody knows
			if excused {
				a.Lost++
			} else {
				a.Failed++
			}
		}
		if excused {
			continue
		}
		a.Via[load.Vias[c.Via]]++
		if c.End-c.Start > a.Slowest {
			a.Slowest, slowest = c.End-c.Start, c
		}
	}
	var over, under *Key
	for _, k := range keys {
		s, due := mine[k.At], uint64(k.Count)
		switch least := due - min(due, s.doubt); {
		case s.admitted > due:
			a.Over += s.admitted - due
			if times := float64(s.admitted-due) / float64(due); times > a.MostOver {
				a.MostOver, over = times, k
			}
		case s.admitted < least:
			n := least - s.admitted
			a.Under += n
			most := &a.MostUnder
			if k.Count >= lent {
				most = &a.MostUnderLent
			}
			if *most = max(*most, n); n >= max(a.MostUnder, a.MostUnderLent) {
				under = k
			}
		}
	}
	for _, k := range []*Key{over, under} {
		if k != nil {
			s := mine[k.At]
			a.Examples = append(a.Examples, fmt.Sprintf("%s, %s: %d admitted of %d asked, %d in doubt", k.Name, k.Limit, s.admitted, s.asked, s.doubt))
		}
	}
	a.Examples = append(a.Examples, r.firstFailures(places(keys), 3)...)
	if a.Slowest > 0 {
		a.Examples = append(a.Examples, fmt.Sprintf("slowest: %s via %s, asked at %.2f s, answered after %v",
			r.keys[slowest.Key].Name, load.Vias[slowest.Via], slowest.Start.Seconds(), a.Slowest.Round(100*time.Microsecond)))
	}
	return a
}

// places returns the places of keys among all keys.
func places(keys []*Key) map[int]bool {
	m := map[int]bool{}
	for _, k := range keys {
		m[k.At] = true
	}
	return m
}

// firstFailures returns the first n failures in words, the lost ones left out.
func (r *Records) firstFailures(keys map[int]bool, n int) (words []string) {
	all := slices.Clone(r.failures)
	slices.SortFunc(all, func(a, b Failure) int { return int(a.Start - b.Start) })
	for _, f := range all {
		if len(words) < n && keys[int(f.Key)] && !r.excused(f.Record) {
			words = append(words, "failed: "+f.What)
		}
	}
	return words
}
