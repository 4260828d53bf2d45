package transport

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A Clock tells instants: the wall clock at its making plus the monotonic time since, so that a wall clock
// that jumps moves no window. A clock is shared by a node and its doors and never changed: safe from any goroutine.
//
// It does not follow the wall clock, not forwards either. A line knows the instants of its hits. Were the clock of a node that began an hour
// behind put forward by that hour, every window would end an hour early: hits spent a minute ago under 100/1h would count no more, and 100 more
// would be let through. Putting the lines forward with the clock is no way out: a check under way has an instant from before, a
// copy is made of durations as of one instant, and day, week and month would end an hour after midnight all the same. A clock that
// ran fast until it has caught up would make every window that much too short. What is right is what a restart does: the lines go to another
// member as durations, and come back to a clock that begins at the wall clock's now. Off says whether that is called for.
type Clock struct {
	start time.Time
	base  bucket.Instant
}

// NewClock returns a clock that starts at the wall clock's now.
func NewClock() *Clock {
	now := time.Now()
	return &Clock{start: now, base: bucket.Instant(now.UnixMicro())}
}

// Off returns how far the wall clock has gone since from what Now tells: above 0, it was put forward. Some ms are nothing.
func (c *Clock) Off() time.Duration {
	now := time.Now()
	return time.Duration(now.UnixMicro()-int64(c.base))*time.Microsecond - now.Sub(c.start)
}

// Now returns the present instant. It never goes back.
func (c *Clock) Now() bucket.Instant {
	return c.base + bucket.Instant(time.Since(c.start)/time.Microsecond)
}

// At returns the instant of a moment that time.Now has told, for who needs the moment for something else as well.
func (c *Clock) At(t time.Time) bucket.Instant {
	return c.base + bucket.Instant(t.Sub(c.start)/time.Microsecond)
}
