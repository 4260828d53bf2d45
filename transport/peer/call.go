package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A Call is the asks of one caller's request, and the one wake-up that they share:
//
//	c := peer.GetCall(n)
//	for i := range c.Asks {
//		c.Asks[i].Wants = c.Wants(k) // and the rest of the question
//		pipe.Send(&c.Asks[i])
//	}
//	c.Wait()
//	… read the answers; send some again, and Wait again …
//	c.Put()
//
// A call belongs to one goroutine; the pipes answer its asks from others. In steady state neither a call nor an ask
// allocates.
//
// # How the last answer wakes the caller
//
// pending counts answers down and sent asks up, but the sent ones only once: in Wait. So while the caller is still
// sending, answers take it below zero and nobody is woken.
//
//  1. caller sends 3; a pipe answers 1: pending −1.
//  2. caller waits: pending += 3 → 2. Not zero, so it sleeps.
//  3. pipes answer 1, then 1: 1, then 0. Who brings it to zero wakes the caller, once, and does not touch
//     the call again.
//
// Had all three been answered before step 2, the sum there would have been 0 and the caller would not sleep.
//
// # Why a call can be put back while a batch in flight still points to it
//
// An expired ask is answered while its batch may hang for another 100 ms. That batch points to the ask, and the ask
// may by then serve another caller. Each sending of an ask has a ticket of its own, and who wants to answer it must
// swap that ticket for the next number first: it can be done once, and never with an old ticket. The question is only
// read in the moment in which the batch is made, in which the sweep leaves the lane alone (lane.go).
type Call struct {
	Asks []Ask

	asks   []Ask // all that were ever made, so that their tickets go on
	wants  []bucket.Want
	states []bucket.State

	lane  uint32  // which lane of each pipe it uses: another for each use of the call
	sent  int     // since the last Wait
	ready []*lane // idle lanes that have something of this call to send

	pending atomic.Int64

	mu   sync.Mutex // protects following
	cond sync.Cond
	woke bool
}

// Calls that grew beyond these are not kept: one request of the largest size would hold its memory for good.
const (
	keepAsks  = 2048
	keepWants = 4096
)

// A sync.Cond and no channel: channels belong to the synctest bubble that made them, and the pool outlives bubbles.
var calls = sync.Pool{New: func() any {
	c := &Call{}
	c.cond.L = &c.mu
	return c
}}

var callLanes atomic.Uint32

// GetCall returns a call with n asks. Questions are empty, and so are answers.
func GetCall(n int) *Call {
	c := calls.Get().(*Call)
	if c.asks == nil {
		c.lane = callLanes.Add(1)
	}
	c.lane++
	if n > len(c.asks) {
		c.asks = make([]Ask, max(n, 2*len(c.asks)))
		for i := range c.asks {
			c.asks[i].call = c
		}
	}
	c.Asks = c.asks[:n]
	c.wants, c.states = c.wants[:0], c.states[:0]
	return c
}

// Wants returns memory for n wants, good until Put.
func (c *Call) Wants(n int) []bucket.Want {
	if len(c.wants)+n > cap(c.wants) {
		// What was given out before stays where it is; the call forgets it.
		c.wants = make([]bucket.Want, 0, max(2*cap(c.wants), n, 8))
	}
	at := len(c.wants)
	c.wants = c.wants[:at+n]
	w := c.wants[at : at+n : at+n]
	clear(w)
	return w
}

// States returns memory for n states, good until Put: for Outcome.Each.
func (c *Call) States(n int) []bucket.State {
	if len(c.states)+n > cap(c.states) {
		c.states = make([]bucket.State, 0, max(2*cap(c.states), n, 8))
	}
	at := len(c.states)
	c.states = c.states[:at+n]
	s := c.states[at : at+n : at+n]
	clear(s)
	return s
}

// Post makes idle pipes send what was given to them. Wait does it too; who has other work to do before waiting calls
// it first.
func (c *Call) Post() {
	for i, l := range c.ready {
		l.cond.Signal()
		c.ready[i] = nil
	}
	c.ready = c.ready[:0]
}

// Wait returns once every ask that was sent is answered: at the latest a few milliseconds after the latest deadline.
func (c *Call) Wait() {
	c.Post()
	n := c.sent
	c.sent = 0
	if n == 0 || c.pending.Add(int64(n)) == 0 {
		return
	}
	c.mu.Lock()
	for !c.woke {
		c.cond.Wait()
	}
	c.woke = false
	c.mu.Unlock()
}

// told is how pipes say that n asks are answered.
func (c *Call) told(n int) {
	if c.pending.Add(-int64(n)) != 0 {
		return
	}
	c.mu.Lock()
	c.woke = true
	c.cond.Signal()
	c.mu.Unlock()
}

// Put gives the call back. All its asks must have been waited for; nothing of it may be used after.
func (c *Call) Put() {
	if c.sent != 0 {
		panic("peer: Call.Put before Call.Wait")
	}
	for i := range c.Asks {
		c.Asks[i].reset()
	}
	c.Asks = nil
	if len(c.asks) > keepAsks || cap(c.wants) > keepWants || cap(c.states) > keepWants {
		return
	}
	calls.Put(c)
}

// reset empties the ask field by field: the ticket must never be written but by an atomic, a late answer may look at it.
func (a *Ask) reset() {
	a.Partition, a.Epoch, a.Wants, a.Hits, a.Receipt, a.Deadline, a.Each = 0, 0, nil, 0, 0, time.Time{}, false
	a.Failed, a.Through, a.OnSplit, a.Borrow, a.Return = false, false, 0, 0, false
	a.Code, a.Via, a.Holder, a.Outcome, a.HoldEpoch, a.Loan = Pending, 0, "", bucket.Outcome{}, 0, Loan{}
}

// post remembers an idle lane, once: a request of a hundred checks wakes a member's lane once.
func (c *Call) post(l *lane) {
	for _, have := range c.ready {
		if have == l {
			return
		}
	}
	c.ready = append(c.ready, l)
}
