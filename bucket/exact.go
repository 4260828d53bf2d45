package bucket

import "math/bits"

// The exact layout of a sliding window keeps the time of each hit, for up to ten. A time is four bytes: the hit's
// instant in units of a power of two of microseconds, rounded up, modulo 2^32. The unit is such that the window is less than
// 2^31 units, so that each mark is understood from its distance to the last hit, whose instant the clock word has to
// the microsecond (fresh less window). Up to windows of 35 minutes the unit is 1 µs; at 366 days it is 16 ms.
//
// Marks are in order, oldest first; aux is how many there are.

const (
	maxExact = 10
	// bias is added to instants before they are divided, so that those before 1970 (a test's clock that starts at 0 and
	// takes over a line a window old) round the same way as all others.
	bias = 1 << 46
)

// exactShift returns the unit of a window's marks, as the logarithm of its µs.
func exactShift(span Instant) uint {
	return uint(max(bits.Len64(uint64(span))-31, 0))
}

// exactUnits is t in units, rounded up.
func exactUnits(t Instant, shift uint) uint64 {
	return (uint64(t+bias) + 1<<shift - 1) >> shift
}

func (l *line) exactMark(i uint64) uint32 { return uint32(l.marks[i/2] >> (i % 2 * 32)) }

func (l *line) setExactMark(i uint64, m uint32) {
	s := i % 2 * 32
	l.marks[i/2] = l.marks[i/2]&^(0xffffffff<<s) | uint64(m)<<s
}

// exactTime returns the instant of mark i: never before the hit, never after the last.
func (l *line) exactTime(i uint64, last Instant, shift uint) Instant {
	units := exactUnits(last, shift)
	back := uint32(units) - l.exactMark(i)
	return min(last, Instant((units-uint64(back))<<shift)-bias)
}

// exactLeft returns how many marks, from the oldest, no longer count at now.
func (l *line) exactLeft(now Instant) uint64 {
	span := l.span()
	last, shift := l.fresh()-span, exactShift(span)
	now = max(now, last)
	i := uint64(0)
	for n := l.aux(); i < n && l.exactTime(i, last, shift)+span <= now; i++ {
	}
	return i
}

func (l *line) exactUsed(now Instant) uint64 { return l.aux() - l.exactLeft(now) }

func (l *line) exactWait(now Instant, need uint64) Instant {
	span := l.span()
	last := l.fresh() - span
	i := l.exactLeft(now) + need - 1
	return l.exactTime(min(i, l.aux()-1), last, exactShift(span)) + span
}

func (l *line) exactSpend(now Instant, limit *Limit, hits uint64) {
	span := l.span()
	n := l.aux()
	if n > 0 {
		now = max(now, l.fresh()-span)
		if left := l.exactLeft(now); left > 0 {
			l.exactDrop(0, left)
			n -= left
		}
	}
	if n+hits > maxExact {
		// More hits than there are marks: COUNT was raised on the live line.
		l.convert(max(slidingKind(uint64(limit.Count)), slidingKind(n+hits)), 0)
		l.slotsSpend(now, hits)
		return
	}
	m := uint32(exactUnits(now, exactShift(span)))
	for ; hits > 0; hits-- {
		l.setExactMark(n, m)
		n++
	}
	l.setAux(n)
	l.setFresh(now + span)
}

// exactDrop drops k marks from mark i on.
func (l *line) exactDrop(i, k uint64) {
	n := l.aux() - k
	for ; i < n; i++ {
		l.setExactMark(i, l.exactMark(i+k))
	}
	l.setAux(n)
}

// exactGive leaves the marks that no longer count: should the clock go back, they count again.
func (l *line) exactGive(now, at Instant, hits uint64) bool {
	span := l.span()
	last, shift := l.fresh()-span, exactShift(span)
	left := l.exactLeft(now)
	if at >= 0 {
		if at+span <= max(now, last) || at > last {
			return true // they left of themselves, or the line has begun anew since
		}
		m := uint32(exactUnits(at, shift))
		i, n := left, l.aux()
		for i < n && l.exactMark(i) != m {
			i++
		}
		k := uint64(0)
		for i+k < n && k < hits && l.exactMark(i+k) == m {
			k++
		}
		l.exactDrop(i, k)
		hits -= k
	}
	l.exactDrop(left, min(hits, l.aux()-left))
	n := l.aux()
	if n == 0 {
		return false
	}
	// The newest may have gone: what is left is fresh sooner.
	l.setFresh(l.exactTime(n-1, last, shift) + span)
	return true
}
