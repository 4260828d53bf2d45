package bucket

import "math/bits"

// A token bucket holds up to burst tokens and gets COUNT back per window. The line has what was spent and not yet got back: whole
// tokens, and a fraction whose denominator is the window in µs, since in elapsed µs the bucket gets back exactly
// elapsed × COUNT of those. So nothing is ever rounded, whatever COUNT each check brings: it is the COUNT of the check that
// comes that refills the time since the line was last spent on.
//
// This is the generic cell rate algorithm (GCRA, ATM Forum TM 4.0) with the arrival time kept as tokens.
//
// Marks: whole tokens spent; fraction; as of which instant, the last at which something was spent; since when the bucket has not been
// full, which says of a receipt whether its tokens have long come back; and what tokengive.go needs to know. aux says until when hits are
// lent.

// tokenSpent returns what is spent at now.
func (l *line) tokenSpent(now Instant, count uint32) (whole, frac uint64) {
	at := l.tokenAsOf(count)
	if now <= at {
		return l.marks[0], l.marks[1]
	}
	return drain(l.marks[0], l.marks[1], uint64(now-at), count, uint64(l.span()))
}

// drain returns what is left of the spent tokens after elapsed µs.
func drain(whole, frac, elapsed uint64, count uint32, span uint64) (uint64, uint64) {
	hi, lo := bits.Mul64(elapsed, uint64(count))
	var q, r uint64
	switch {
	case hi == 0 && lo < span:
		r = lo
	case hi == 0:
		q = lo / span
		r = lo - q*span
	case hi >= span:
		return 0, 0
	default:
		q, r = bits.Div64(hi, lo, span)
	}
	if r > frac {
		q, frac = q+1, frac+span
	}
	if q > whole {
		return 0, 0
	}
	return whole - q, frac - r
}

// refilled returns how many tokens come back within a time of at most maxTerm.
func refilled(elapsed Instant, count uint32, span Instant) (whole, frac uint64) {
	n := uint64(elapsed) * uint64(count)
	return n / uint64(span), n % uint64(span)
}

// refill returns how many µs it takes to get this much back, rounded up.
func refill(whole, frac uint64, count uint32, span uint64) Instant {
	hi, lo := bits.Mul64(whole, span)
	lo, c := bits.Add64(lo, frac, 0)
	lo, c2 := bits.Add64(lo, uint64(count)-1, 0)
	hi += c + c2
	if hi >= uint64(count) {
		return maxFresh
	}
	q, _ := bits.Div64(hi, lo, uint64(count))
	return Instant(min(q, uint64(maxFresh)))
}

func (l *line) tokenUsed(now Instant, count uint32) uint64 {
	whole, frac := l.tokenSpent(now, count)
	if frac > 0 {
		whole++
	}
	return whole
}

func (l *line) tokenWait(now Instant, count uint32, need uint64) Instant {
	now = max(now, l.tokenAsOf(count))
	whole, frac := l.tokenSpent(now, count)
	// The line may be fresh sooner, having been written under a larger COUNT.
	return min(now+tokenWait(whole, frac, count, uint64(l.span()), need), l.fresh())
}

// tokenWait returns how long it takes until `need` tokens fewer are spent, a part of a token counting as one.
func tokenWait(whole, frac uint64, count uint32, span, need uint64) Instant {
	if frac > 0 {
		need-- // the part comes back first
	}
	return refill(min(need, whole), frac, count, span)
}

func (l *line) tokenSpend(now Instant, limit *Limit, hits uint64) {
	now = max(now, l.tokenAsOf(limit.Count))
	whole, frac := l.tokenSpent(now, limit.Count)
	if whole == 0 && frac == 0 {
		l.marks[3] = uint64(now)
	}
	l.tokenFound(now, whole, limit)
	l.tokenWrite(now, addSat(whole, hits), frac, limit.Count)
}

// tokenWrite sets what is spent as of now, and when the line is fresh; until when hits are lent stays.
func (l *line) tokenWrite(now Instant, whole, frac uint64, count uint32) {
	if l.aux() != 0 {
		l.setTokenLent(l.tokenLent(), now)
	}
	l.marks[0], l.marks[1], l.marks[2] = whole, frac, uint64(now)
	l.setFresh(now + refill(whole, frac, count, uint64(l.span())))
}
