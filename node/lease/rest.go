package lease

import (
	"sync"

	"github.com/stint-limiter/stint/bucket"
)

// maxRests is how many loans may wait to be given back: an entry of the purse each, about. More stay spent.
const maxRests = 4096

// A Rest is what is left of a loan that has ended: to be given back once, to the hold that granted it and to no other. Whoever takes it says with
// Returned, Lost or Again what became of it.
type Rest struct {
	Hits    uint32
	Receipt bucket.Receipt
	From    From

	tries int
	n     int
	wants [MaxWants]bucket.Want
}

// mostTries is how often a rest is sent, a tick apart, to a holder that could not take it: as long as a handoff may be frozen before it is refused, and
// the holder decides again.
const mostTries = 6

// Wants returns the limits that the loan was for.
func (r *Rest) Wants() []bucket.Want { return r.wants[:r.n] }

// rests wait to be taken.
type rests struct {
	mu   sync.Mutex // protects following; taken under the lock of a set
	wait []Rest
}

func (rs *rests) add(wants []bucket.Want, hits uint32, receipt bucket.Receipt, from From, stats *counters) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.wait) >= maxRests || len(wants) > MaxWants {
		stats.lost.Add(uint64(hits))
		return
	}
	rs.wait = append(rs.wait, Rest{Hits: hits, Receipt: receipt, From: from, n: len(wants)})
	copy(rs.wait[len(rs.wait)-1].wants[:], wants)
}

func (rs *rests) some() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.wait) > 0
}

func (rs *rests) drop(stats *counters) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for i := range rs.wait {
		stats.lost.Add(uint64(rs.wait[i].Hits))
	}
	rs.wait = rs.wait[:0]
}

// Rests takes what is to be given back; its memory becomes the purse's again with the next call, which gets it as buf.
func (p *Purse) Rests(buf []Rest) []Rest {
	rs := &p.rests
	rs.mu.Lock()
	defer rs.mu.Unlock()
	taken := rs.wait
	rs.wait = buf[:0]
	return taken
}

// Again puts back a rest that the holder has surely not taken, to be given back with the next ones: it was frozen, or not sure of itself, or the rest was not
// sent. After some times it is lost. A rest of which that is not known must not come here: it might be given back twice.
func (p *Purse) Again(r *Rest) {
	rs := &p.rests
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.tries++; r.tries >= mostTries || len(rs.wait) >= maxRests {
		p.stats.lost.Add(uint64(r.Hits))
		return
	}
	rs.wait = append(rs.wait, *r)
}

// Returned says that the holder has taken so many hits back.
func (p *Purse) Returned(hits uint32) { p.stats.returned.Add(uint64(hits)) }

// Lost says that so many hits could not be given back: they stay spent.
func (p *Purse) Lost(hits uint32) { p.stats.lost.Add(uint64(hits)) }
