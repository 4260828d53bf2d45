package load

import (
	"fmt"
	"time"
)

// Terms are what a key is asked for under: its limits, as they are written in a request, and the hits of each check.
type Terms struct {
	Limits []string
	Hits   uint32
	// Count is that of the limit that denies first.
	Count uint32
	// Beside are the other limits. They have room for more than Count, so none of them ever denies; what they have counted is looked at when
	// all is over: a denied check must have spent nothing in them.
	Beside []Beside
	// Refill is for a token bucket: Count hits come back evenly in so long. 0: nothing comes back while a run lasts.
	Refill time.Duration
}

// Beside is a limit that does not deny.
type Beside struct {
	Limit string
	Count uint32
}

// perHour is one hit a check under one limit.
func perHour(count uint32) []Terms {
	return []Terms{{Limits: []string{fmt.Sprintf("%d/1h", count)}, Hits: 1, Count: count}}
}

// mixedTerms are those of the workload `mixed`: all three algorithms, several limits a key, several hits a check. Nothing comes back during a
// run: windows are of an hour and more, and the token buckets take an hour and three quarters for one hit.
func mixedTerms() []Terms {
	const year = 366 * 24 * time.Hour
	return []Terms{
		{Limits: []string{"5000/1h"}, Hits: 1, Count: 5000},
		{Limits: []string{"5000/1h", "20000/1d"}, Hits: 2, Count: 5000, Beside: []Beside{{"20000/1d", 20000}}},
		{Limits: []string{"5000/366d token_bucket"}, Hits: 3, Count: 5000, Refill: year},
		{Limits: []string{"5000/366d fixed_window"}, Hits: 1, Count: 5000},
		{
			Limits: []string{"20000/2h", "5000/366d token_bucket", "30000/366d fixed_window"}, Hits: 5, Count: 5000, Refill: year,
			Beside: []Beside{{"20000/2h", 20000}, {"30000/366d fixed_window", 30000}},
		},
	}
}

// room is how many hits checks of t.Hits can spend: the most whole checks that Count has room for.
func (t *Terms) room() uint64 { return uint64(t.Count) / uint64(t.Hits) * uint64(t.Hits) }

// due is how many of the hits that were asked for one bucket on one machine would have admitted. It does not depend on the order, as all
// checks on a key have the same hits, or a multiple of them that fits.
func (t *Terms) due(asked uint64) uint64 { return min(asked, t.room()) }

// back is how many hits may have come back in the time since the first check.
func (t *Terms) back(since time.Duration) uint64 {
	if t.Refill <= 0 {
		return 0
	}
	return uint64(float64(t.Count) * since.Seconds() / t.Refill.Seconds())
}
