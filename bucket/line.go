package bucket

import "time"

// A line is one bucket: what was spent under one limit by one key. It is as large as a cache line and has no pointers,
// so that a take touches one line of memory and millions of lines cost the garbage collector nothing.
//
// It knows what was spent, never what is left: COUNT and burst come with each check. It does know its window and its
// kind, so that it can be moved and expired without its limit.
type line struct {
	id ID
	// clock is, from the top: 52 bits fresh, the instant in µs at which nothing spent here counts any more (the year
	// 2112 is the last); 7 bits aux; 1 bit changed; 1 bit denying; 3 bits kind.
	clock uint64
	// marks is what was spent; each kind has its own layout.
	marks [5]uint64
}

// A kind is the layout of a line's marks.
type kind uint8

const (
	empty    kind = iota
	exact         // up to 10 hits, the time of each; aux: how many there are
	slots1        // 40 slots of one byte; aux: phase of the grid
	slots2        // 20 slots of two bytes
	slots4        // 10 slots of four bytes
	fixed         // hits, end and start of the running window
	token         // tokens spent, and as of when; aux: until when hits are lent
	attempts      // denied attempts; laid out as slots4
)

const (
	kindMask    = 7
	denyingMask = 8
	changedMask = 16 // see changes.go
	auxShift    = 5
	auxMask     = 1<<7 - 1
	freshShift  = 12
	// maxInstant leaves the longest window below the largest fresh instant.
	maxInstant Instant = 1<<52 - 1 - 1<<46
	maxFresh   Instant = 1<<52 - 1
)

// A family is what tells two lines with equal IDs apart, should 28 bits of hash ever collide: lines of one family can
// be converted into each other.
type family uint8

const (
	none family = iota
	slidingFamily
	fixedFamily
	tokenFamily
	attemptsFamily
)

var families = [8]family{none, slidingFamily, slidingFamily, slidingFamily, slidingFamily, fixedFamily, tokenFamily, attemptsFamily}

func (a Algorithm) family() family { return slidingFamily + family(a) }

func (l *line) kind() kind      { return kind(l.clock & kindMask) }
func (l *line) empty() bool     { return l.clock&kindMask == 0 }
func (l *line) family() family  { return families[l.clock&kindMask] }
func (l *line) fresh() Instant  { return Instant(l.clock >> freshShift) }
func (l *line) aux() uint64     { return l.clock >> auxShift & auxMask }
func (l *line) denying() bool   { return l.clock&denyingMask != 0 }
func (l *line) deny()           { l.clock |= denyingMask }
func (l *line) relent()         { l.clock &^= denyingMask }
func (l *line) changed() bool   { return l.clock&changedMask != 0 }
func (l *line) setAux(a uint64) { l.clock = l.clock&^(auxMask<<auxShift) | a<<auxShift }
func (l *line) setFresh(t Instant) {
	t = min(max(t, 0), maxFresh)
	l.clock = l.clock&(1<<freshShift-1) | uint64(t)<<freshShift
}

// clear makes the line one of kind k with nothing spent. If it had changed, it still has.
func (l *line) clear(k kind) {
	l.clock = l.clock&changedMask | uint64(k)
	l.marks = [5]uint64{}
}

// span is the longest that the line's window lasts, in µs.
func (l *line) span() Instant { return l.id.Window().micros() }

func (w Window) micros() Instant {
	if w == Month {
		return Instant(w.Longest() / time.Microsecond)
	}
	return Instant(w) * 1000
}

// kindFor returns the layout that a line of this limit begins with: the finest one that never overflows under its COUNT.
func (l *Limit) kindFor() kind {
	switch l.Algorithm {
	case FixedWindow:
		return fixed
	case TokenBucket:
		return token
	}
	return slidingKind(uint64(l.Count))
}

func slidingKind(hits uint64) kind {
	switch {
	case hits <= maxExact:
		return exact
	case hits <= 1<<8-1:
		return slots1
	case hits <= 1<<16-1:
		return slots2
	}
	return slots4
}

// used returns how many hits on the line count at now. A line that is fresh counts none, whatever its marks say,
// so that it makes no difference whether and when it is dropped. count is the limit's COUNT.
func (l *line) used(now Instant, count uint32) uint64 {
	if now >= l.fresh() {
		return 0
	}
	switch l.kind() {
	case exact:
		return l.exactUsed(now)
	case slots1, slots2, slots4, attempts:
		return l.slotsUsed(now)
	case fixed:
		return l.fixedUsed(now)
	case token:
		return l.tokenUsed(now, count)
	}
	return 0
}

// wait returns the instant at which `need` of the hits that count now will have left. need is from 1 to used.
func (l *line) wait(now Instant, count uint32, need uint64) Instant {
	switch l.kind() {
	case exact:
		return l.exactWait(now, need)
	case slots1, slots2, slots4, attempts:
		return l.slotsWait(now, need)
	case fixed:
		return l.fixedEnd()
	case token:
		return l.tokenWait(now, count, need)
	}
	return now
}

// spend adds hits, saturating: at now, or at the latest that the line has seen.
func (l *line) spend(now Instant, limit *Limit, hits uint64) {
	if now >= l.fresh() && l.kind() != fixed {
		l.clear(limit.kindFor())
	}
	switch l.kind() {
	case exact:
		l.exactSpend(now, limit, hits)
	case slots1, slots2, slots4:
		l.slotsSpend(now, hits)
	case fixed:
		l.fixedSpend(now, hits)
	case token:
		l.tokenSpend(now, limit, hits)
	}
}

// give takes hits back out, never below zero: those spent at `at`, or the oldest if at < 0. Hits that left of
// themselves are not given back a second time. It reports whether anything that counts is left.
func (l *line) give(now, at Instant, count uint32, hits uint64) bool {
	if now >= l.fresh() {
		return true // it is Expire's; should the clock go back, it counts still
	}
	switch l.kind() {
	case exact:
		return l.exactGive(now, at, hits)
	case slots1, slots2, slots4:
		return l.slotsGive(now, at, hits)
	case fixed:
		return l.fixedGive(now, at, hits)
	case token:
		return l.tokenGive(now, at, count, hits)
	}
	return true
}

func addSat(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return 1<<64 - 1
}

func subSat(a, b uint64) uint64 {
	if a > b {
		return a - b
	}
	return 0
}
