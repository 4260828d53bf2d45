package lease

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A denial is what the holder said to so many hits, 0 for none.
type denial struct {
	hits         uint32
	heard, until bucket.Instant
	from         From
	outcome      bucket.Outcome
}

func (d *denial) says(now bucket.Instant, hits uint32) bool { return d.hits == hits && now < d.until }

func (d *denial) tell(now bucket.Instant, out *bucket.Outcome) {
	each := out.Each
	*out = d.outcome
	out.Each = each
	passed := now.Sub(d.heard)
	less(&out.State, 0, passed)
	if len(each) == len(d.outcome.Each) {
		for i := range each {
			each[i] = d.outcome.Each[i]
			less(&each[i], 0, passed)
		}
	}
}

// HeardDenied takes in a holder's denial of hits > 0, heard at now, to a check that was sent at the instant sent or later. Of several it
// keeps the one of the fewest hits: who asks for more finds out from the holder how much longer that takes.
//
// It is good until something changes at the holder by itself: until the same check would pass, or the remaining of a limit grows, counted from sent, which is
// before it was decided. What others spend makes no difference to it, and what they give back shows within DenialTerm.
func (p *Purse) HeardDenied(sent Sent, now bucket.Instant, wants []bucket.Want, hits uint32, out *bucket.Outcome, from From) {
	if out.Allowed || out.Full || out.By < 0 || hits == 0 || p.closed.Load() || !mayBeDenied(wants) {
		return
	}
	good := DenialTerm
	switch {
	case out.Never:
	case out.Retry <= 0:
		return
	default:
		good = min(good, out.Retry)
	}
	good = until(good, &out.State)
	for i := range out.Each {
		good = until(good, &out.Each[i])
	}
	end := sent.at.Add(good)
	if now >= end {
		return
	}
	s, e := p.open(now, wants)
	defer s.mu.Unlock()
	d := &e.denial
	if p.drops.Load() != sent.drops {
		return
	}
	if d.hits != 0 && now < d.until && (d.hits < hits || d.hits == hits && d.until >= end) {
		return
	}
	if d.hits == 0 || now >= d.until {
		p.stats.denials.Add(1)
	}
	each := append(d.outcome.Each[:0], out.Each...)
	*d = denial{hits: hits, heard: now, until: end, from: from, outcome: *out}
	d.outcome.Each = each
}

// until is good, or less where the state changes by itself sooner.
func until(good time.Duration, s *bucket.State) time.Duration {
	if s.Reset > 0 {
		return min(good, s.Reset)
	}
	return good
}

// HeardAllowed takes in that the holder allowed so many hits: what was denied before that is not any more.
func (p *Purse) HeardAllowed(wants []bucket.Want, hits uint32) {
	s := p.sets[p.set(wants[0].ID.Key)].Load()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(wants); e != nil && e.denial.hits <= hits {
		e.denial.hits = 0
	}
}

// Refund drops the denials of a key: hits were given back. Its loans stay, they are no less good.
func (p *Purse) Refund(key uint64) {
	if !p.Has(key) {
		return
	}
	s := p.sets[p.set(key)].Load()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		if e := &s.entries[i]; len(e.wants) > 0 && e.wants[0].ID.Key == key {
			e.denial.hits = 0
		}
	}
}
