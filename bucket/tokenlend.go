package bucket

// A token bucket's line knows until when hits are lent: aux counts steps of 4 ms from the step in which the line was last
// written. It has to, for a COUNT that is raised meanwhile would refill the time since it was written faster than was reckoned with when the
// hits were lent, and a bucket that is full again would forget hits that are yet to be handed out. So under a COUNT that is
// greater than the one the line was last written under nothing comes back until the term is over.

const lentShift = 12

// tokenLend spends hits that are handed out until end. See lend.go.
func (l *line) tokenLend(now, end Instant, limit *Limit, hits uint64) {
	if now >= l.fresh() {
		l.clear(token)
	}
	now = max(now, l.tokenAsOf(limit.Count))
	whole, frac := l.tokenSpent(now, limit.Count)
	if whole == 0 && frac == 0 {
		l.marks[3] = uint64(now)
	}
	w, f := refilled(max(end-now, 0), limit.Count, l.span())
	if w > whole || w == whole && f > frac {
		whole, frac = w, f
	}
	found := whole - w
	if f > frac {
		found--
	}
	l.tokenFound(end, found, limit)
	l.tokenWrite(now, addSat(whole, hits), frac, limit.Count)
	if end > l.tokenLent() {
		l.setTokenLent(end, now)
	}
}

// tokenLent returns until when hits may be handed out that are lent: not after the line was last written where none are.
func (l *line) tokenLent() Instant {
	return (Instant(l.marks[2])>>lentShift + Instant(l.aux())) << lentShift
}

// setTokenLent notes it, rounded up to a whole step, on a line that is written as of at.
func (l *line) setTokenLent(until, at Instant) {
	steps := Instant(0)
	if until > at {
		steps = min((until+1<<lentShift-1)>>lentShift-at>>lentShift, auxMask)
	}
	l.setAux(uint64(steps))
}

// tokenAsOf returns the instant from which on a check of this COUNT refills what is spent.
func (l *line) tokenAsOf(count uint32) Instant {
	if l.aux() != 0 {
		return l.tokenAsOfLent(count)
	}
	return Instant(l.marks[2])
}

func (l *line) tokenAsOfLent(count uint32) Instant {
	at := Instant(l.marks[2])
	if refill(l.marks[0], l.marks[1], count, uint64(l.span())) < l.fresh()-at {
		return max(at, l.tokenLent())
	}
	return at
}
