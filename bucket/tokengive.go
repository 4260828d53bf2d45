package bucket

// What comes back to a token bucket is what it misses because of the hits, and no more: while it would have been full without them, it got them
// back of itself. The line does not remember its whole past, but
//
//   - what the bucket got from the moment of the receipt until it was last spent on is the most that can have come back of itself;
//   - and if all that were spent on it since found at least so many tokens missing, as many hits come back whole.
//
// For the second the last mark has two numbers. The low one, 22 bits, is how many tokens were missing at least when something was spent, ever
// since the last time that nearly none were: that time is the high one, in steps of 1,024 µs. What is given back is taken off the
// low one, for without it as many fewer would have been missing. Once it is used up the count begins anew.
//
// Hits that are lent count as spent when their term ends, and their receipt names that moment.

const (
	deepBits = 22
	deepMask = 1<<deepBits - 1
	lowShift = 10
)

// tokenFound notes how many tokens were missing when something is spent.
func (l *line) tokenFound(at Instant, whole uint64, limit *Limit) {
	switch {
	case whole == 0 || whole < uint64(limit.Burst)/16:
		l.tokenShallow(at)
	case uint64(at)>>lowShift < l.marks[4]>>deepBits:
		// in the same step; receipts of this step do not ask
	case whole < l.marks[4]&deepMask:
		l.marks[4] = l.marks[4]&^deepMask | whole
	}
}

// tokenShallow notes that nearly none were, or may have been, at `at` and never since.
func (l *line) tokenShallow(at Instant) {
	l.marks[4] = (uint64(at)>>lowShift+1)<<deepBits | deepMask
}

func (l *line) tokenGive(now, at Instant, count uint32, hits uint64) bool {
	if at >= 0 && at < Instant(l.marks[3]) {
		return true // they came back of themselves
	}
	asOf := l.tokenAsOf(count)
	now = max(now, asOf)
	whole, frac := l.tokenSpent(now, count)
	back, part := l.tokenBack(now, at, count, hits)
	if back > whole || back == whole && part >= frac {
		return false
	}
	// As of when it was, so that this stays the moment at which something was last spent.
	whole, frac = l.marks[0]-back, l.marks[1]
	if part > frac {
		whole, frac = whole-1, frac+uint64(l.span())
	}
	l.tokenWrite(asOf, whole, frac-part, count)
	return true
}

// tokenBack returns how many of the hits come back that were spent at `at`, or are said to be the oldest, and takes them off what was missing.
func (l *line) tokenBack(now, at Instant, count uint32, hits uint64) (whole, frac uint64) {
	last := max(l.tokenAsOf(count), l.tokenLent())
	if at < 0 {
		at = now
	}
	whole = hits
	deep := l.marks[4] & deepMask
	if at < last {
		whole, frac = drain(hits, 0, uint64(last-at), count, uint64(l.span()))
		if all := min(hits, deep); uint64(at)>>lowShift >= l.marks[4]>>deepBits && all > whole {
			whole, frac = all, 0
		}
	}
	less := whole
	if frac > 0 {
		less++
	}
	if less >= deep {
		l.tokenShallow(last)
	} else {
		l.marks[4] -= less
	}
	return whole, frac
}
