package peer

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Answers come from any number of goroutines while the caller is still sending, or waits: it wakes once, and only when
// all are there.
func TestACallWakesOnceWithTheLastAnswer(t *testing.T) {
	c := GetCall(0)
	defer c.Put()
	for round := range 3000 {
		n := 1 + round%7
		var told sync.WaitGroup
		for range n {
			c.sent++
			told.Go(func() { c.told(1) })
			if round%3 == 0 {
				runtime.Gosched()
			}
		}
		c.Wait()
		if p := c.pending.Load(); p != 0 {
			t.Fatalf("round %d: woken with %d answers missing", round, p)
		}
		told.Wait()
	}
}

// The pool outlives the bubbles of synctest: a call that was made in one must work in another, and outside.
func TestCallsOutliveBubbles(t *testing.T) {
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			c := GetCall(1)
			c.sent = 1
			go func() { time.Sleep(time.Second); c.told(1) }()
			began := time.Now()
			c.Wait()
			if time.Since(began) != time.Second {
				t.Error("the wait was not durable")
			}
			c.Put()
		})
	}
}

func TestACallStartsEmpty(t *testing.T) {
	c := GetCall(3)
	for i := range c.Asks {
		a := fill(c, i, 7, -1, want(7, 10), want(7, 20))
		a.Each, a.Receipt, a.Epoch, a.Outcome.Each = true, 5, 6, c.States(2)
		a.Code, a.Holder, a.HoldEpoch, a.Via = Moved, "n2", 9, 3
		a.Outcome.Remaining = 7
		a.Borrow, a.Return, a.Loan = 8, true, Loan{1, 2, 3}
	}
	c.Put()
	for range 100 { // one of them is likely that call; with -race the pool drops some on purpose
		c := GetCall(3)
		for i := range c.Asks {
			a := &c.Asks[i]
			if a.Partition != 0 || a.Epoch != 0 || a.Wants != nil || a.Hits != 0 || a.Receipt != 0 || a.Each || !a.Deadline.IsZero() ||
				a.Code != Pending || a.Holder != "" || a.HoldEpoch != 0 || a.Via != 0 || a.Outcome.Remaining != 0 || a.Outcome.Each != nil ||
				a.Borrow != 0 || a.Return || a.Loan != (Loan{}) {
				t.Fatalf("ask %d: %+v", i, a)
			}
		}
		if w := c.Wants(2); w[0] != (c.Wants(1)[0]) {
			t.Fatalf("wants %+v", w)
		}
		c.Put()
	}
}

// Memory that was given out stays where it is while more is asked for.
func TestWantsStayWhereTheyAre(t *testing.T) {
	c := GetCall(100)
	defer c.Put()
	for i := range c.Asks {
		c.Asks[i].Wants = c.Wants(1 + i%3)
		c.Asks[i].Wants[0] = want(uint64(i), 10)
	}
	for i := range c.Asks {
		if c.Asks[i].Wants[0].ID.Key != uint64(i) || len(c.Asks[i].Wants) != 1+i%3 {
			t.Fatalf("wants of ask %d: %+v", i, c.Asks[i].Wants)
		}
	}
}

// While a batch is made the questions of its asks are read without the lock. The sweep must not answer one of them then,
// or the caller would change the question under the lane.
func TestTheSweepLeavesABatchThatIsBeingMadeAlone(t *testing.T) {
	p := &Pipe{base: time.Now(), stats: new(PipeStats)}
	p.cfg.MaxQueue = 10
	l := newLane(p, 0)
	defer l.timer.Stop()
	c := GetCall(1)
	defer c.Put()
	a := fill(c, 0, 7, 1, want(7, 10))
	l.push(a, -1)
	l.flight, l.queue = l.queue, l.flight
	for _, making := range []bool{true, false} {
		l.mu.Lock()
		l.making = making
		l.mu.Unlock()
		l.sweep()
		l.mu.Lock()
		if swept := a.ticket&1 == 0; swept == making || making && l.sweepAt == 0 {
			t.Errorf("making %v: swept %v, next sweep at %d", making, swept, l.sweepAt)
		}
		l.mu.Unlock()
	}
	c.Wait()
	if a.Code != Expired {
		t.Errorf("code %d", a.Code)
	}
}

func TestMistakesOfTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		c := GetCall(2)
		a := fill(c, 0, 7, 1, want(7, 10))
		x.pipe.Send(a)
		panics(t, "an ask sent twice", func() { x.pipe.Send(a) })
		panics(t, "a call put back before it was waited for", c.Put)
		bad := fill(c, 1, 7, 1, want(7, 0))
		x.pipe.Send(bad)
		if bad.Code != Failed || x.pipe.Stats().Invalid.Load() != 1 {
			t.Errorf("a bad ask: code %d", bad.Code)
		}
		close(hang)
		c.Wait()
		if a.Code != Decided {
			t.Errorf("code %d: the bad ask spoiled the batch", a.Code)
		}
		c.Put()
		x.close()
	})
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
