package client

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/stint-limiter/stint/transport"
)

// A lane is one queue, one connection and one request in flight. Its goroutine runs:
//
//	idle ──a call is pushed──▶ make a request ──▶ send, wait for the answer (elsewhere, if it must) ──▶ answer the calls ─┐
//	  ▲                            ▲ what has gathered meanwhile                                                         │
//	  └────────nothing left────────┴─────────────────────────────────────────────────────────────────────────────────────┘
//
// So there is no timer that a check waits for: a check alone goes at once, and under load requests grow by themselves.
type lane struct {
	c    *Client
	home int // index of the node that it keeps to while that is up

	mu     sync.Mutex // protects following
	cond   sync.Cond  // the goroutine waits here
	idle   bool
	closed bool
	queue  []*call
	checks int   // of the calls in queue and flight
	flying int   // of those taken last
	link   *link // written by the goroutine alone; others may close it

	asking atomic.Pointer[node] // who has the request in flight, or had the last one

	// The goroutine's own.
	flight []*call // what is being asked, until each has its answer
	avoid  *node   // who has just failed what is in flight, and is not skipped for it
	buf    []byte
}

// keepRequest is how large a request's memory may be and still be kept for the next.
const keepRequest = 256 << 10

func newLane(c *Client, home int) *lane {
	l := &lane{c: c, home: home}
	l.cond.L = &l.mu
	return l
}

// push queues a call. On an error it is as it was.
func (l *lane) push(k *call) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	if l.checks+len(k.asks) > l.c.cfg.MaxQueue {
		l.mu.Unlock()
		return ErrQueueFull
	}
	l.queue = append(l.queue, k)
	l.checks += len(k.asks)
	idle := l.idle
	l.idle = false
	l.mu.Unlock()
	if idle {
		l.cond.Signal()
	}
	return nil
}

// run is the lane's goroutine.
func (l *lane) run() {
	for l.take() {
		l.deliver()
		// Those who have just been answered run first: most of them ask again, and then go with this request instead of waiting for it.
		runtime.Gosched()
	}
	l.mu.Lock()
	l.flight = append(l.flight, l.queue...)
	l.queue = nil
	l.mu.Unlock()
	l.failAll(l.c.failure(ErrClosed, nil))
	l.hangUp()
}

// take waits until there is something to send, and takes as much as one request holds. False: the client is closed.
func (l *lane) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checks -= l.flying
	l.flying = 0
	for len(l.queue) == 0 && !l.closed {
		l.idle = true
		l.cond.Wait()
	}
	l.idle = false
	if l.closed {
		return false
	}
	n, checks, size := 0, 0, 0
	for _, k := range l.queue {
		checks += len(k.asks)
		size += len(k.buf)
		if n > 0 && (checks > transport.MaxChecks || size > maxChecks) {
			break
		}
		n++
		l.flying = checks
	}
	l.flight = append(l.flight[:0], l.queue[:n]...)
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	return true
}

// deliver sees to it that every call in flight is answered.
//
// Each turn answers calls, or takes a node out of the way, or marks calls as sent twice: so it ends.
func (l *lane) deliver() {
	l.avoid = nil
	for {
		l.sift()
		if len(l.flight) == 0 {
			break
		}
		if l.c.ctx.Err() != nil {
			l.failAll(l.c.failure(ErrClosed, nil))
			break
		}
		n := l.c.pick(l.home, l.avoid)
		if n == nil {
			l.failAll(l.c.noNode())
			break
		}
		l.asking.Store(n)
		l.try(n)
	}
	if cap(l.buf) > keepRequest {
		l.buf = nil
	}
}

// sift drops the calls that nobody waits for any more.
func (l *lane) sift() {
	now := l.c.now()
	l.keep(func(k *call) bool { return k.deadline > now && !k.gone() })
}

// keep leaves those calls in flight that f says yes to. The others are answered, or their callers answer for themselves.
func (l *lane) keep(f func(*call) bool) {
	rest := l.flight[:0]
	for _, k := range l.flight {
		if f(k) {
			rest = append(rest, k)
		}
	}
	clear(l.flight[len(rest):])
	l.flight = rest
}

// failAll answers all that is in flight with an error.
func (l *lane) failAll(err error) {
	for _, k := range l.flight {
		k.answer(nil, err)
	}
	clear(l.flight)
	l.flight = l.flight[:0]
}

// hold makes the link the lane's; false if the client has been closed meanwhile, and so has the link.
func (l *lane) hold(k *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link = k
	if l.closed {
		k.close()
	}
	return !l.closed
}

// hangUp drops the connection, if there is one.
func (l *lane) hangUp() {
	l.mu.Lock()
	k := l.link
	l.link = nil
	l.mu.Unlock()
	k.close()
}

// close ends the lane's goroutine: hanging up ends what it waits for.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.link.close()
	l.mu.Unlock()
	l.cond.Signal()
}
