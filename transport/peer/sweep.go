package peer

import (
	"sync/atomic"
	"time"
)

// The sweep of a lane answers asks whose deadline has passed, whether they wait in the queue or hang in a batch. It is
// one timer a lane, set only while asks are pending, and for no earlier than the earliest deadline among them. What it
// may touch, and when, is told at lane.

// arm sets the sweep. In steady state it runs about once per longest deadline: deadlines mostly rise, so a lane is
// swept when the ask that it was set for is long answered, and then set for the earliest that is left.
func (l *lane) arm(at int64) {
	l.sweepAt = max(at, l.p.now()+int64(sweepGap), 1)
	l.timer.Reset(time.Duration(l.sweepAt - l.p.now()))
}

func (l *lane) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.sweepAt = 0
	now := l.p.now()
	var next int64
	expired := 0
	look := func(slots []slot) {
		for i := range slots {
			s := &slots[i]
			if atomic.LoadUint32(&s.a.ticket) != s.ticket {
				continue
			}
			if s.deadline > now {
				if next == 0 || s.deadline < next {
					next = s.deadline
				}
			} else if s.claim() {
				s.a.Code = Expired
				s.c.told(1)
				expired++
			}
		}
	}
	look(l.queue)
	if !l.making {
		look(l.flight[l.done:])
	} else {
		next = now
	}
	if expired > 0 {
		l.p.stats.Expired.Add(uint64(expired))
	}
	if next != 0 {
		l.arm(next)
	}
}
