package bucket

import "time"

// An Algorithm says how a limit counts.
type Algorithm uint8

const (
	// SlidingWindow never lets more than COUNT hits through in any WINDOW. It is the default.
	SlidingWindow Algorithm = iota
	// FixedWindow lets COUNT hits through per window; windows are aligned in UTC by the holder's clock.
	FixedWindow
	// TokenBucket refills COUNT tokens per WINDOW and holds up to Burst of them.
	TokenBucket
)

// A Window is the length of a limit's window in milliseconds, from MinWindow to MaxWindow, or Month.
// It fits in 36 bits, which is the room that a line's ID has for it.
type Window int64

const (
	// MinWindow is 100 ms: below it the round trip to the holder is longer than the window.
	MinWindow Window = 100
	// MaxWindow is 366 days.
	MaxWindow Window = 366 * 24 * 60 * 60 * 1000
	// Month is the calendar month in UTC, for FixedWindow only. `day` and `week` need no kind of their own: a fixed
	// window of 1d is the calendar's day, and one of 1w is its week, from Monday.
	Month Window = 1<<36 - 1
)

// Longest returns the longest time that the window can last; a month counts as 31 days.
func (w Window) Longest() time.Duration {
	if w == Month {
		return 31 * 24 * time.Hour
	}
	return time.Duration(w) * time.Millisecond
}

// A Limit is one limit, `COUNT/WINDOW [algorithm] [burst=N]`. It is a value without pointers and can be compared
// with ==; Parse is the way to a valid one.
type Limit struct {
	// Count is how many hits a window has room for, 1 to 4294967295.
	Count uint32
	// Burst is how many tokens a TokenBucket holds, at least Count; it is 0 for the other algorithms.
	Burst     uint32
	Window    Window
	Algorithm Algorithm
}

// Most returns the largest number of hits that one check may ever be allowed: Burst for a TokenBucket, else Count.
func (l Limit) Most() uint32 {
	if l.Algorithm == TokenBucket {
		return l.Burst
	}
	return l.Count
}

// Valid reports whether Parse could have returned the limit.
func (l Limit) Valid() bool {
	if l.Count == 0 || l.Window < MinWindow {
		return false
	}
	switch l.Algorithm {
	case SlidingWindow:
		return l.Burst == 0 && l.Window <= MaxWindow
	case FixedWindow:
		return l.Burst == 0 && (l.Window <= MaxWindow || l.Window == Month)
	case TokenBucket:
		return l.Burst >= l.Count && l.Window <= MaxWindow
	}
	return false
}
