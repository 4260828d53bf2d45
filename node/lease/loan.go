package lease

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
)

const (
	// A loan is renewed ahead once less than one part in renewAt of its hits, or of its time, is left.
	renewAt = 4
	// askTime is how long the answer to a wish is waited for before another check brings it: longer than a round trip, shorter than a
	// term, for the answer may be lost.
	askTime = 50 * time.Millisecond
	// quietTime is how long nothing is wished for after the holder lent nothing: it is near the limit, or the limit is one that is not lent from.
	quietTime = 50 * time.Millisecond
)

// A loan is what is left of what the holder has spent for this node.
type loan struct {
	left, granted uint32
	got           bucket.Instant // when it was heard of
	renew, ends   bucket.Instant
	from          From
	receipt       bucket.Receipt
	outcome       bucket.Outcome // of the check that brought it
}

// tell answers a check from the loan, whose hits are off it already.
func (l *loan) tell(now bucket.Instant, out *bucket.Outcome) {
	each := out.Each
	*out = l.outcome
	out.Each = each
	used := l.granted - l.left
	less(&out.State, used, now.Sub(l.got))
	if len(each) == len(l.outcome.Each) {
		for i := range each {
			each[i] = l.outcome.Each[i]
			less(&each[i], used, now.Sub(l.got))
		}
	}
}

// less brings a state up to now: so many more hits were spent, and so much time has passed since it was heard, which is after it was
// true: so no wait comes out too short. (That of an allowed check may be over meanwhile: it is in a moment, then.)
func less(s *bucket.State, used uint32, passed time.Duration) {
	s.Remaining -= min(s.Remaining, used)
	s.Current += uint64(used)
	if s.Reset > 0 {
		s.Reset = max(s.Reset-max(passed, 0), time.Microsecond)
	}
	if s.Retry > 0 {
		s.Retry = max(s.Retry-max(passed, 0), time.Microsecond)
	}
}

// A Grant is a loan as the holder made it.
type Grant struct {
	Hits    uint32
	Term    time.Duration
	Receipt bucket.Receipt
	From    From
}

// A Sent is when an ask was sent, at the earliest. What its answer says is only believed if the purse was not dropped since: a node that was stopped may
// have had a clock that stood still as well, and a loan from before would look young.
type Sent struct {
	at    bucket.Instant
	drops uint32
}

// Sent is to be read before an ask is sent.
func (p *Purse) Sent(now bucket.Instant) Sent { return Sent{now, p.drops.Load()} }

// Lent takes in a loan, which came at now with the answer out to a check of this shape. Its term counts from sent. What is left of an earlier
// one is given back.
func (p *Purse) Lent(sent Sent, now bucket.Instant, wants []bucket.Want, g Grant, out *bucket.Outcome) {
	p.stats.loans.Add(1)
	p.stats.granted.Add(uint64(g.Hits))
	ends := sent.at.Add(min(g.Term, Term))
	if now >= ends || !mayBeLent(wants) || p.closed.Load() {
		p.rests.add(wants, g.Hits, g.Receipt, g.From, &p.stats)
		return
	}
	s, e := p.open(now, wants)
	defer s.mu.Unlock()
	p.end(e)
	if p.drops.Load() != sent.drops { // whoever drops, or closes, goes through the sets after it has said so
		p.stats.lost.Add(uint64(g.Hits))
		return
	}
	if p.closed.Load() {
		p.rests.add(wants, g.Hits, g.Receipt, g.From, &p.stats)
		return
	}
	each := append(e.loan.outcome.Each[:0], out.Each...)
	e.loan = loan{left: g.Hits, granted: g.Hits, got: now, ends: ends, renew: ends.Add(-min(g.Term, Term) / renewAt), from: g.From, receipt: g.Receipt, outcome: *out}
	e.loan.outcome.Each, e.loan.outcome.Receipt, e.loan.outcome.Retry = each, g.Receipt, 0
	e.demand.asking, e.demand.quiet = 0, 0
	if e.denial.hits <= g.Hits {
		e.denial.hits = 0 // it was lent since
	}
	p.stats.live.Add(1)
	k := p.set(wants[0].ID.Key)
	p.lent[k/64].Or(1 << (k % 64))
}

// NotLent takes in that the answer to a wish brought no loan. (That of a folded ask may have come with another's answer.)
func (p *Purse) NotLent(now bucket.Instant, wants []bucket.Want) {
	s := p.sets[p.set(wants[0].ID.Key)].Load()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(wants); e != nil && e.demand.asking != 0 {
		e.demand.asking = 0
		if e.loan.left == 0 || now >= e.loan.ends {
			e.demand.quiet = now.Add(quietTime)
		}
	}
}

// end ends an entry's loan, if there is one; the rest is to be given back. The set is locked.
func (p *Purse) end(e *entry) {
	l := &e.loan
	if l.granted == 0 {
		return
	}
	if l.left > 0 {
		p.rests.add(e.wants, l.left, l.receipt, l.from, &p.stats)
	}
	l.left, l.granted = 0, 0
	p.stats.live.Add(-1)
}

// Sweep ends the loans whose time has come, and reports whether anything waits to be given back. It looks only at sets with loans.
func (p *Purse) Sweep(now bucket.Instant) bool {
	p.eachLent(func(s *set) (still bool) {
		for i := range s.entries {
			e := &s.entries[i]
			if e.loan.granted > 0 && now >= e.loan.ends {
				p.end(e)
			}
			still = still || e.loan.granted > 0
		}
		return still
	})
	return p.rests.some()
}

// eachLent calls f for each set that may have loans; f says whether it still has. The set is locked meanwhile.
func (p *Purse) eachLent(f func(s *set) (still bool)) {
	for w := range p.lent {
		bits := p.lent[w].Load()
		for b := 0; bits != 0; b, bits = b+1, bits>>1 {
			if bits&1 == 0 {
				continue
			}
			s := p.sets[64*w+b].Load()
			s.mu.Lock()
			if !f(s) {
				p.lent[w].And(^(uint64(1) << b))
			}
			s.mu.Unlock()
		}
	}
}

// Close ends all loans and takes no more: what it has, and what still comes, is to be given back.
func (p *Purse) Close() {
	p.closed.Store(true)
	p.eachLent(func(s *set) bool {
		for i := range s.entries {
			p.end(&s.entries[i])
		}
		return false
	})
}

// Drop forgets all: loans stay spent, denials are to be heard anew. It is for a node that was stopped or misses members.
func (p *Purse) Drop() {
	p.drops.Add(1)
	for k := range p.sets {
		s := p.sets[k].Load()
		if s == nil {
			continue
		}
		s.mu.Lock()
		for i := range s.entries {
			e := &s.entries[i]
			p.stats.lost.Add(uint64(e.loan.left))
			if e.loan.granted > 0 {
				p.stats.live.Add(-1)
			}
			e.loan.left, e.loan.granted = 0, 0
			e.denial.hits = 0
			e.demand = demand{}
		}
		s.mu.Unlock()
	}
	p.rests.drop(&p.stats)
}
