package node

import (
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A pulse tells the loop its time, and everybody else whether the loop is alive.
//
// A node that was stopped (SIGSTOP, a suspended machine, no processor for a while) must not decide before it knows what
// became of its partitions meanwhile. It notices by its last tick: the loop publishes each, once all that it led to is carried out. A check that finds the
// last one too old decides nothing here and waits; the loop finds the same and asks the others (hold.Woke).
//
// The loop's time is monotonic, but a suspended machine's monotonic clock may stand still while the wall clock goes on. So a wall
// clock that leaps ahead of the monotonic one counts as time that has passed. If somebody set the clock, that costs a question to the
// others and no more.
type pulse struct {
	clock *transport.Clock
	gap   time.Duration
	base  time.Time

	// These belong to the loop.
	ahead time.Duration // how far the wall clock was ahead of the monotonic one
	leapt time.Duration // how far it has leapt in all

	last atomic.Int64 // instant of the last tick; 0: none that counts
	wall atomic.Int64 // the same by the wall clock, in ns
}

func newPulse(clock *transport.Clock, gap time.Duration) *pulse {
	return &pulse{clock: clock, gap: gap, base: time.Now()}
}

// now returns how long the node has been running. It is the loop's only.
func (p *pulse) now() time.Duration {
	t := time.Now()
	mono := t.Sub(p.base)
	ahead := time.Duration(t.UnixNano()-p.base.UnixNano()) - mono
	if leap := ahead - p.ahead; leap > p.gap {
		p.leapt += leap
	}
	p.ahead = ahead
	return mono + p.leapt
}

// instantOf returns the instant of a moment of the loop's time. (Behind a leap it is late by that, which errs to the safe side.)
func (p *pulse) instantOf(at time.Duration) bucket.Instant {
	return p.clock.Now().Add(at - p.now())
}

// begin is called as a tick begins; what it returns is published once the tick is over.
func (p *pulse) begin() (bucket.Instant, int64) {
	t := time.Now()
	return p.clock.At(t), t.UnixNano()
}

func (p *pulse) publish(at bucket.Instant, wall int64) {
	p.wall.Store(wall)
	p.last.Store(int64(at))
}

// look returns the present instant for a request or a batch. Where the wall clock says that the last tick is old, it
// takes the tick back, for all who are asking. It reads the clocks once, both of them: a moment is the wall clock's and the monotonic one's.
func (p *pulse) look() bucket.Instant {
	t := time.Now()
	if last := p.last.Load(); last != 0 && t.UnixNano()-p.wall.Load() > int64(p.gap) {
		p.last.CompareAndSwap(last, 0)
	}
	return p.clock.At(t)
}

// young reports whether the last tick is young enough to decide by, at an instant that look has returned.
func (p *pulse) young(now bucket.Instant) bool {
	return int64(now)-p.last.Load() <= int64(p.gap/time.Microsecond)
}
