package transport

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A Clock tells instants: the wall clock at its making plus the monotonic time since, so that a wall clock
// that jumps moves no window. A clock is shared by a node and its doors and never changed: safe from any goroutine.
type Clock struct {
	start time.Time
	base  bucket.Instant
}

// NewClock returns a clock that starts at the wall clock's now.
func NewClock() *Clock {
	now := time.Now()
	return &Clock{start: now, base: bucket.Instant(now.UnixMicro())}
}

// Now returns the present instant. It never goes back.
func (c *Clock) Now() bucket.Instant {
	return c.base + bucket.Instant(time.Since(c.start)/time.Microsecond)
}
