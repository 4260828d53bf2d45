package lease

import (
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

type counters struct {
	asked, loans                   atomic.Uint64
	granted, spent, returned, lost atomic.Uint64
	denials, denied                atomic.Uint64
	evicted                        atomic.Uint64
	entries, live                  atomic.Int64
}

// Stats are a purse's counters. What is not said to be of this moment only rises. Granted is Spent and Returned and Lost, and what
// is in the purse or on its way back.
type Stats struct {
	Asked uint64 // wishes to borrow that were sent
	Loans uint64 // loans that came
	// Hits of all loans: granted, of these spent here, given back, and lost: what could not be given back stays spent.
	Granted, Spent, Returned, Lost uint64
	Denials                        uint64 // denials put into the purse
	Denied                         uint64 // checks answered from them
	Evicted                        uint64 // entries of some use that made room for others
	Entries, Live                  int    // entries, and loans, now
}

// Stats returns the counters.
func (p *Purse) Stats() Stats {
	c := &p.stats
	return Stats{
		Asked: c.asked.Load(), Loans: c.loans.Load(),
		Granted: c.granted.Load(), Spent: c.spent.Load(), Returned: c.returned.Load(), Lost: c.lost.Load(),
		Denials: c.denials.Load(), Denied: c.denied.Load(), Evicted: c.evicted.Load(),
		Entries: int(c.entries.Load()), Live: int(c.live.Load()),
	}
}

// Holding is what a purse has for one shape of a check, for a person.
type Holding struct {
	Limits []bucket.Limit
	// Left of Granted hits are there to be handed out until Ends from now; 0 of 0: no loan.
	Left, Granted uint32
	Ends          time.Duration
	Lender        From
	// DeniedHits are denied until DeniedFor from now; 0: nothing is.
	DeniedHits uint32
	DeniedFor  time.Duration
	Denier     From
}

// Explain says what the purse has for a key.
func (p *Purse) Explain(now bucket.Instant, key uint64) []Holding {
	s := p.sets[p.set(key)].Load()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Holding
	for i := range s.entries {
		e := &s.entries[i]
		if len(e.wants) == 0 || e.wants[0].ID.Key != key {
			continue
		}
		var h Holding
		if l := &e.loan; l.granted > 0 && now < l.ends {
			h.Left, h.Granted, h.Ends, h.Lender = l.left, l.granted, l.ends.Sub(now), l.from
		}
		if d := &e.denial; d.hits > 0 && now < d.until {
			h.DeniedHits, h.DeniedFor, h.Denier = d.hits, d.until.Sub(now), d.from
		}
		if h.Granted == 0 && h.DeniedHits == 0 {
			continue
		}
		for _, w := range e.wants {
			h.Limits = append(h.Limits, w.Limit)
		}
		list = append(list, h)
	}
	return list
}
