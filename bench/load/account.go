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
	terms []Terms // of key k: terms[k % len(terms)]
	keys  []entry
	bulk  atomic.Uint64
	lent  atomic.Uint64

	// What limits beside the one that denies have counted too many or too few of.
	besideOver, besideUnder atomic.Uint64
	besideBad               atomic.Pointer[string]
}

type entry struct{ asked, admitted, failed atomic.Uint64 }

// NewAccount returns an empty account of so many keys, of which key k is asked for under terms[k % len(terms)].
func NewAccount(keys int, terms []Terms) *Account {
	return &Account{terms: terms, keys: make([]entry, keys)}
}

func (a *Account) termsOf(key uint32) *Terms { return &a.terms[int(key)%len(a.terms)] }

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

// AddBulk enters the replies to checks of many hits with which Finish brings a key near its limit.
func (a *Account) AddBulk(key uint32, asked, admitted, failed uint64) {
	e := &a.keys[key]
	e.asked.Add(asked)
	e.admitted.Add(admitted)
	e.failed.Add(failed)
	a.bulk.Add(admitted)
}

// Again enters the replies to hits that were denied before and are asked for once more, now that no loan can hold them any longer. They were
// asked for already.
func (a *Account) Again(key uint32, admitted, failed uint64) {
	a.keys[key].admitted.Add(admitted)
	a.keys[key].failed.Add(failed)
	a.lent.Add(admitted)
}

// missing is how many hits of the key were denied though they were due.
func (a *Account) missing(key uint32) uint64 {
	e := &a.keys[key]
	due := a.termsOf(key).due(e.asked.Load())
	have := e.admitted.Load() + e.failed.Load()
	return due - min(due, have)
}

// beside enters what a limit beside the deciding one has counted wrong.
func (a *Account) beside(over, under uint64, format string, args ...any) {
	a.besideOver.Add(over)
	a.besideUnder.Add(under)
	s := fmt.Sprintf(format, args...)
	a.besideBad.CompareAndSwap(nil, &s)
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
	// Lent is the part of Admitted that was denied at first, while another node had it on loan, and admitted when it was asked for again
	// after all loans had come back. It is 0 where no answer came from a lease.
	Lent uint64 `json:"denied_while_lent"`
	// Lost are hits that were lent and neither handed out nor taken back, by the nodes' own account: whoever had them was starved, or they were lost on
	// their way. They stay spent, so Under may be as much.
	Lost uint64 `json:"lost_on_loan"`
	Bad  string `json:"bad,omitempty"`
	// Refill: the server gives hits back evenly through the hour (GCRA), so that Due is a lower bound and Over is
	// counted from what may have come back in the time since the first check.
	Refill bool `json:"refill,omitempty"`
}

// Exact reports whether admitted is what was due, but for what was lost on loan.
func (v Verdict) Exact() bool { return v.Over == 0 && v.Under <= v.Lost }

// Verdict compares. It is for when no check is under way. The account has been open for so long; refills says that the server gives back hits of
// every limit evenly through the hour, whatever its algorithm.
func (a *Account) Verdict(open time.Duration, refills bool) Verdict {
	v := Verdict{
		Refill: refills, Bulk: a.bulk.Load(), Lent: a.lent.Load(), Over: a.besideOver.Load(), Under: a.besideUnder.Load(),
	}
	if s := a.besideBad.Load(); s != nil {
		v.Bad = *s
	}
	for k := range a.keys {
		e, t := &a.keys[k], a.termsOf(uint32(k))
		back := t.back(open)
		if refills {
			back = uint64(float64(t.Count)*open.Hours()) + 1
		}
		asked, admitted, failed := e.asked.Load(), e.admitted.Load(), e.failed.Load()
		due := t.due(asked)
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
