package bucket

import (
	"cmp"
	"slices"
)

// Where a partition has more than one history, a check is decided on their sum: what each spent counts, and only the
// own one is written. Windows add up hit by hit. Token buckets do not: if each history's bucket refilled for
// itself, two would refill twice as fast. They are one bucket that got all their tokens to give back: it serves the
// histories one after the other, in the order in which they were last written, and never two at once.

// all returns the want's lines of all histories.
func (t *tally) all(buf *[maxHistories]*line) []*line {
	ls := buf[:0]
	if t.own != nil {
		ls = append(ls, t.own)
	}
	for _, l := range t.rest {
		if l != nil {
			ls = append(ls, l)
		}
	}
	return ls
}

// usedByAll returns how many hits count at now, of all histories.
func (t *tally) usedByAll(w *Want, now Instant) uint64 {
	var buf [maxHistories]*line
	ls := t.all(&buf)
	if w.Limit.Algorithm == TokenBucket {
		whole, frac := outstanding(ls, now, w.Limit.Count)
		if frac > 0 {
			whole++
		}
		return whole
	}
	var n uint64
	for _, l := range ls {
		n = addSat(n, l.used(now, w.Limit.Count))
	}
	return n
}

// waitForAll returns the instant at which `need` of the used hits will have left.
func (t *tally) waitForAll(w *Want, now Instant, need uint64) Instant {
	var buf [maxHistories]*line
	ls := t.all(&buf)
	var last Instant // all of them are fresh then
	if w.Limit.Algorithm == TokenBucket {
		last = bucketEnd(ls)
	}
	for _, l := range ls {
		last = max(last, l.fresh())
	}
	// It is needed seldom enough that searching for it is fast enough.
	at := *t
	lo, hi := now, max(now, last) // at lo too many are used, at hi few enough
	for lo+1 < hi {
		mid := lo + (hi-lo)/2
		if at.usedByAll(w, mid) > t.used-need {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// spendBesides spends the tally's amount where other histories count too.
func (t *tally) spendBesides(w *Want, now Instant) {
	switch w.Limit.Algorithm {
	case TokenBucket:
		t.tokenWriteSum(now, w.Limit.Count, t.amount, 0)
		return
	case SlidingWindow:
		for _, l := range t.rest {
			if l != nil && now < l.fresh() {
				now = max(now, l.fresh()-l.span()) // a clock that went back behind what any history has seen
			}
		}
	case FixedWindow:
		for _, l := range t.rest {
			if l != nil && t.own.fixedEnd() <= now && now < l.fixedEnd() {
				now = max(now, Instant(l.marks[2]))
			}
		}
	}
	t.own.spend(now, &w.Limit, t.amount)
}

// inOrder sorts a bucket's lines by when they were last written.
func inOrder(ls []*line) {
	slices.SortFunc(ls, func(a, b *line) int { return cmp.Compare(Instant(a.marks[2]), Instant(b.marks[2])) })
}

// outstanding returns what a token bucket has yet to get back of what all lines spent: it serves them in the order in which they
// were written.
func outstanding(ls []*line, now Instant, count uint32) (whole, frac uint64) {
	if now >= bucketEnd(ls) {
		return 0, 0
	}
	inOrder(ls)
	var busy Instant // until then it serves the lines before
	for i, l := range ls {
		span := uint64(l.span())
		from := Instant(l.marks[2])
		if i > 0 {
			from = max(from, busy)
		}
		w, f := l.marks[0], l.marks[1]
		busy = from + refill(w, f, count, span)
		if now > from {
			w, f = drain(w, f, uint64(now-from), count, span)
		}
		if whole, frac = addSat(whole, w), frac+f; frac >= span {
			whole, frac = addSat(whole, 1), frac-span
		}
	}
	return whole, frac
}

// bucketEnd returns when all lines of a token bucket will be fresh, served one after the other at the COUNTs they were
// written under.
func bucketEnd(ls []*line) Instant {
	inOrder(ls)
	var end Instant
	for _, l := range ls {
		at := Instant(l.marks[2])
		end = max(end, at) + max(l.fresh()-at, 0)
	}
	return min(end, maxFresh)
}

// tokenWriteSum makes the own line such that the sum is `spend` more and `give` less than it was, but never below zero. What is left
// of the others is taken as if they were served alone, before the own line: now being the last write, so they will be.
func (t *tally) tokenWriteSum(now Instant, count uint32, spend, give uint64) {
	var buf [maxHistories]*line
	ls := t.all(&buf)
	for _, l := range ls {
		now = max(now, Instant(l.marks[2]))
	}
	whole, frac := outstanding(ls, now, count)
	if whole == 0 && frac == 0 {
		t.own.marks[3] = uint64(now)
	}
	rest := *t
	rest.own = nil
	w, f := outstanding(rest.all(&buf), now, count)
	span := uint64(t.own.span())
	if f > frac {
		frac, w = frac+span, w+1
	}
	frac -= f
	whole = subSat(addSat(whole, spend), w)
	if give > whole {
		whole, frac = 0, 0
	} else {
		whole -= give
	}
	t.own.tokenShallow(now)
	t.own.tokenWrite(now, whole, frac, count)
}

// tokenBack returns how many of the hits, which were spent at `at`, were not got back since by a bucket that is written in several histories.
func (t *tally) tokenBack(at Instant, count uint32, hits uint64) uint64 {
	var buf [maxHistories]*line
	last := at
	for _, l := range t.all(&buf) {
		last = max(last, Instant(l.marks[2]))
	}
	whole, _ := drain(hits, 0, uint64(last-at), count, uint64(t.own.span()))
	return whole
}

// gone reports whether the line counts no more. A line of a token bucket that other histories have too is only
// gone when the bucket has served them all.
func (p *Partition) gone(l *line, now Instant) bool {
	if now < l.fresh() {
		return false
	}
	if l.kind() != token || len(p.others) == 0 {
		return true
	}
	var buf [maxHistories]*line
	ls := p.linesOf(l.id, tokenFamily, buf[:0])
	if !slices.Contains(ls, l) {
		ls = append(ls, l) // lines that are being swept are not to be found where they were
	}
	return now >= bucketEnd(ls)
}
