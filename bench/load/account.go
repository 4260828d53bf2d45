package load

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A Reply is what a server said about one check.
type Reply uint8

const (
	// Failed: no answer, or `unavailable`, or `full`: nobody has decided. It counts as neither admitted nor denied.
	Failed Reply = iota
	Denied
	Admitted
)

// An Account has what was asked and what was said for every key. It may be written to from many goroutines.
type Account struct {
	count uint32 // of the limit
	keys  []entry
	bulk  atomic.Uint64
}

type entry struct{ asked, admitted, failed atomic.Uint64 }

// NewAccount returns an empty account of so many keys under a limit of count per hour.
func NewAccount(keys int, count uint32) *Account {
	return &Account{count: count, keys: make([]entry, keys)}
}

// Add enters the reply to a check of so many hits.
func (a *Account) Add(key uint32, hits uint64, r Reply) {
	e := &a.keys[key]
	e.asked.Add(hits)
	switch r {
	case Admitted:
		e.admitted.Add(hits)
	case Failed:
		e.failed.Add(hits)
	}
}

// AddBulk enters the reply to one check of many hits with which Finish brings a key near its limit.
func (a *Account) AddBulk(key uint32, hits uint64, r Reply) {
	a.Add(key, hits, r)
	if r == Admitted {
		a.bulk.Add(hits)
	}
}

// A Verdict compares hits admitted with hits due, over all keys.
type Verdict struct {
	Asked    uint64 `json:"asked"`
	Admitted uint64 `json:"admitted"`
	// Due is what one bucket on one machine would have admitted: Σ min(asked, COUNT). A check that failed may have been spent
	// unseen, so where some did, admitted may be less by as many, and not more.
	Due    uint64 `json:"due"`
	Failed uint64 `json:"failed"`
	// Bulk is the part of Admitted, and so of Due, that Finish has spent in few checks of many hits: a thousand million may be one check.
	Bulk  uint64 `json:"bulk"`
	Over  uint64 `json:"over"`  // hits admitted beyond what was due, over the keys that had any
	Under uint64 `json:"under"` // hits denied that were due, what failed aside
	Bad   string `json:"bad,omitempty"`
	// Refill: the server gives hits back evenly through the hour (GCRA), so that Due is a lower bound and Over is
	// counted from what may have come back in the time since the first check.
	Refill bool `json:"refill,omitempty"`
}

// Exact reports whether admitted is what was due.
func (v Verdict) Exact() bool { return v.Over == 0 && v.Under == 0 }

// Verdict compares. It is for when no check is under way. Where the server refills evenly, since is how long the account has
// been open; otherwise it is 0.
func (a *Account) Verdict(since time.Duration) Verdict {
	v := Verdict{Refill: since > 0, Bulk: a.bulk.Load()}
	back := uint64(0)
	if since > 0 {
		back = uint64(float64(a.count)*since.Hours()) + 1
	}
	for k := range a.keys {
		e := &a.keys[k]
		asked, admitted, failed := e.asked.Load(), e.admitted.Load(), e.failed.Load()
		due := min(asked, uint64(a.count))
		most, least := min(asked, due+back), due-min(due, failed)
		v.Asked += asked
		v.Admitted += admitted
		v.Failed += failed
		v.Due += due
		switch {
		case admitted > most:
			v.Over += admitted - most
		case admitted < least:
			v.Under += least - admitted
		default:
			continue
		}
		if v.Bad == "" {
			v.Bad = fmt.Sprintf("key %d: %d asked, %d failed, %d admitted of %d due", k, asked, failed, admitted, due)
		}
	}
	return v
}
