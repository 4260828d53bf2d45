package peer

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Deadlines, order and queues: what a caller can rely on whatever the member does.

func TestEveryAskIsAnsweredByItsDeadlineThoughTheBatchHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { pc.Total = time.Minute })
		synctest.Wait() // the lane is idle: one that is only beginning would take the first few asks alone
		began := time.Now()
		c := GetCall(30)
		for i := range c.Asks {
			a := fill(c, i, uint64(i), 1, want(uint64(i), 10))
			a.Deadline = began.Add(time.Duration(30-i) * 3 * time.Millisecond)
			x.pipe.Send(a)
			if i == 10 {
				c.Post()
				synctest.Wait() // the first eleven are in flight, the others queue
			}
		}
		c.Wait()
		if took := time.Since(began); took > 90*time.Millisecond+sweepGap {
			t.Errorf("answered after %v, deadline %v", took, 90*time.Millisecond)
		}
		for i := range c.Asks {
			if c.Asks[i].Code != Expired {
				t.Errorf("ask %d: code %d", i, c.Asks[i].Code)
			}
		}
		// The call serves another caller while the batch is still in flight: the late answers must not touch it.
		c.Put()
		again := GetCall(30)
		for i := range again.Asks {
			fill(again, i, 99, 1, want(99, 10))
		}
		close(hang)
		synctest.Wait()
		for i := range again.Asks {
			if again.Asks[i].Code != Pending {
				t.Errorf("ask %d of the next caller was answered: %d", i, again.Asks[i].Code)
			}
		}
		again.Put()
		if late := x.pipe.Stats().Late.Load(); late != 11 {
			t.Errorf("%d late answers", late)
		}
		// What was not sent in time was not sent at all.
		d.mu.Lock()
		if len(d.log) != 11 {
			t.Errorf("%d entries arrived", len(d.log))
		}
		d.mu.Unlock()
		x.close()
	})
}

func TestWhatIsLateBeforeItIsSentIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		c := GetCall(3)
		for i := range c.Asks {
			fill(c, i, 7, 1, want(7, 10))
		}
		c.Asks[0].Deadline = time.Now().Add(-time.Second)
		c.Asks[2].Deadline = time.Time{}
		for i := range c.Asks {
			x.pipe.Send(&c.Asks[i])
		}
		c.Wait()
		if c.Asks[0].Code != Expired || c.Asks[1].Code != Decided || c.Asks[2].Code != Expired || d.total(7) != 1 {
			t.Errorf("codes %d, %d, %d; %d spent", c.Asks[0].Code, c.Asks[1].Code, c.Asks[2].Code, d.total(7))
		}
		c.Put()
	})
}

// All asks of a call take one lane, so that other lanes cannot overtake them.
func TestTheOrderOfACallStaysOverManyLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		r := rand.New(rand.NewPCG(1, 1))
		var mu sync.Mutex
		d.before = func(*Entry) {
			mu.Lock()
			n := r.IntN(5)
			mu.Unlock()
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { pc.Lanes = 4 })
		defer x.close()
		for range 8 {
			d.log = nil
			c := GetCall(20)
			for i := range c.Asks {
				x.pipe.Send(fill(c, i, 7, int64(i+1), want(7, 1<<30)))
				if i%6 == 5 {
					c.Post()
					time.Sleep(time.Millisecond)
				}
			}
			c.Wait()
			for i, hits := range d.log {
				if hits != int64(i+1) {
					t.Fatalf("order of arrival %v", d.log)
				}
			}
			c.Put()
		}
	})
}

func TestEachAskIsLateByAtMostOneSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		d := newCounters()
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { pc.Attempt, pc.Total = time.Minute, time.Minute })
		var wg sync.WaitGroup
		r := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			start, wait := time.Duration(r.IntN(300))*time.Millisecond, time.Duration(1+r.IntN(200))*time.Millisecond
			wg.Go(func() {
				time.Sleep(start)
				c := GetCall(1)
				a := fill(c, 0, 7, 1, want(7, 10))
				a.Deadline = time.Now().Add(wait)
				x.pipe.Send(a)
				c.Wait()
				if late := time.Since(a.Deadline); a.Code != Expired || late < 0 || late > sweepGap {
					t.Errorf("code %d, %v after the deadline", a.Code, late)
				}
				c.Put()
			})
		}
		wg.Wait()
		close(hang)
		x.close()
	})
}

func TestAFullQueueSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		d := newCounters()
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { pc.MaxQueue = 10 })
		c := GetCall(15)
		for i := range c.Asks {
			x.pipe.Send(fill(c, i, 7, 1, want(7, 100)))
		}
		for i := range c.Asks {
			if shed := c.Asks[i].Code == Shed; shed != (i >= 10) {
				t.Errorf("ask %d: code %d", i, c.Asks[i].Code)
			}
		}
		close(hang)
		c.Wait()
		if x.pipe.Stats().Shed.Load() != 5 || d.total(7) != 10 {
			t.Errorf("%d shed, %d spent", x.pipe.Stats().Shed.Load(), d.total(7))
		}
		// Those that were shed may be sent again, once the lane has put away what it answered: callers wake before that.
		synctest.Wait()
		for i := 10; i < 15; i++ {
			x.pipe.Send(&c.Asks[i])
		}
		c.Wait()
		if d.total(7) != 15 {
			t.Errorf("%d spent", d.total(7))
		}
		c.Put()
		x.close()
	})
}
