package bucket

import "time"

// Hits can be lent: spent here in advance, and handed out by another member without asking for each. It may do so at any moment until
// the end of the term, which this line cannot know before; so each algorithm charges them such that any moment will do:
//
//   - A sliding window in slots charges them to the end of the term, which is in the slot that now is in: they leave when that slot does. The
//     line has then seen an instant that is yet to come, by less than a slot: what is spent meanwhile is in the same slot.
//   - A fixed window charges them to itself, and the term ends before it does.
//   - A token bucket that is nearly full would get back, during the term, nothing of what is handed out at its end. So as much
//     counts besides as it gets back within the term; a bucket from which more than that is missing already is charged the hits alone.
//
// An exact line would have to know each hit's moment: nothing is lent of it. Nor where other histories count too, for what they leave
// is known to no one of them; nor below LeaseMinCount.

// LeaseMinCount is the least COUNT of which hits are lent. Below it, what remains is exact on every node.
const LeaseMinCount = 1000

const (
	// minTerm: hits lent for less are back here before they are worth the way.
	minTerm = Instant(5 * time.Millisecond / time.Microsecond)
	// maxTerm is what a token bucket's line has room for, and longer than hits should be out of sight.
	maxTerm = Instant(500 * time.Millisecond / time.Microsecond)
	// tokenTerms: a token bucket lends for a twentieth of its window at most, since what it gets back in that time may count as spent.
	tokenTerms = 20
)

// Lend spends up to hits hits in every want, the same number in each, for another member to hand out within term from now. What that member
// does not hand out it gives back with out.Receipt, once and after the term or before, and exactly what was handed out stays spent; of a
// token bucket, at most the term's refill more. What does not come back stays spent.
//
// The term is at most `most` and 500 ms, at least 5 ms, and ends no later than the slot or the window that the hits were charged to.
// granted is 0, and nothing is spent, where nothing can be lent: nothing is left; a want is a shadow, counts denied attempts or has a COUNT below
// LeaseMinCount; a line has exact times; the partition has more than one history; the clock is behind the window or slot that the line has
// seen; the term would be too short. out says how the limits stand after it, Allowed is true. Errors are those of Take. Within the term a told
// wait may be short by what is left of the term.
func (p *Partition) Lend(now Instant, wants []Want, hits uint32, most time.Duration, out *Outcome) (granted uint32, term time.Duration, err error) {
	if err := checkWants(wants); err != nil {
		return 0, 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.readyLocked(); err != nil {
		return 0, 0, err
	}
	now = clamp(now)
	ts := p.tallies(len(wants))
	for i := range wants {
		p.look(&wants[i], &ts[i])
		ts[i].count(&wants[i], now)
	}
	*out = Outcome{Each: out.Each, By: -1, Allowed: true}
	n, d := p.lendable(now, wants, ts, uint64(hits), min(Instant(most/time.Microsecond), maxTerm))
	if n > 0 && p.lend(now, now+d, wants, ts, n) {
		granted, term = uint32(n), time.Duration(d)*time.Microsecond
		out.Receipt = receipt(now+d, p.epoch)
	}
	for i := range wants {
		ts[i].fits = true
	}
	p.report(now, wants, ts, 0, out)
	return granted, term, nil
}

// lendable returns how many hits can be lent, and for how long.
func (p *Partition) lendable(now Instant, wants []Want, ts []tally, n uint64, term Instant) (uint64, Instant) {
	if len(p.others) > 0 {
		return 0, 0
	}
	for i := range wants {
		w := &wants[i]
		if w.Shadow || w.CountDenied || w.Limit.Count < LeaseMinCount {
			return 0, 0
		}
		term = min(term, ts[i].longestTerm(now, w))
	}
	for i := range wants {
		if wants[i].Limit.Algorithm == TokenBucket {
			term = (now+term)>>lentShift<<lentShift - now // to a step of what its line notes
			break
		}
	}
	if term < minTerm {
		return 0, 0
	}
	for i := range wants {
		w, t := &wants[i], &ts[i]
		used := t.used
		if w.Limit.Algorithm == TokenBucket {
			whole, frac := refilled(term, w.Limit.Count, w.ID.Window().micros())
			if frac > 0 {
				whole++
			}
			used = max(used, whole)
		}
		n = min(n, subSat(uint64(w.Limit.Most()), used))
	}
	return n, term
}

// longestTerm returns for how long hits of the want may be lent: to the last microsecond of their slot or window.
func (t *tally) longestTerm(now Instant, w *Want) Instant {
	l := t.own
	switch w.Limit.Algorithm {
	case TokenBucket:
		return w.ID.Window().micros() / tokenTerms
	case FixedWindow:
		if l == nil {
			_, end := w.ID.Window().around(now)
			return end - 1 - now
		}
		if end := l.fixedEnd(); now < end {
			if first := Instant(l.marks[2]); now < first {
				if start, _ := w.ID.Window().around(first); now < max(start, Instant(l.marks[3])) {
					return 0
				}
			}
			return end - 1 - now
		}
		return l.fixedNext(now) - 1 - now
	}
	if l == nil || now >= l.fresh() { // as it will begin
		g := gridOf(w.Limit.kindFor(), uint64(w.ID.Window().micros()), 0)
		return g.start(g.slot(now)+1) - 1 - now
	}
	if !t.v.ok || now < t.v.g.start(t.v.cur) {
		return 0
	}
	return t.v.g.start(t.v.cur+1) - 1 - now
}

// lend spends n in every want until end; false: there is no room for a line.
func (p *Partition) lend(now, end Instant, wants []Want, ts []tally, n uint64) bool {
	missing := false
	for i := range ts {
		ts[i].amount = n
		missing = missing || ts[i].own == nil
	}
	if missing && !p.makeLines(now, wants, ts) {
		return false
	}
	for i := range wants {
		w, t := &wants[i], &ts[i]
		l := t.own
		switch {
		case spentBefore(ts, i):
			t.v.ok = false
			t.used += n
		case w.Limit.Algorithm == TokenBucket:
			l.tokenLend(now, end, &w.Limit, n)
			t.used = l.used(now, w.Limit.Count)
		case w.Limit.Algorithm == FixedWindow:
			l.spend(now, &w.Limit, n)
			t.used += n
		case t.v.ok:
			// Not by l.spend at end: the line may be fresh by then, and counts until it is.
			l.slotsAdd(&t.v, end, n)
			t.used += n
		default:
			l.spend(end, &w.Limit, n)
			t.used += n
		}
		if t.used >= uint64(w.Limit.Most()) {
			l.deny()
		} else {
			l.relent()
			p.fertile()
		}
		p.change(l)
	}
	return true
}
