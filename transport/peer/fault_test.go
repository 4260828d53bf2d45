package peer

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A cut connection hangs up by itself: after it has carried so many bytes one way. A request that was cut was never
// decided; an answer that was cut was.
type cut struct {
	net.Conn
	out, in *atomic.Int64 // bytes that may still go, -1: any number
}

func (c cut) Write(b []byte) (int, error) { return c.limited(b, c.out, c.Conn.Write) }
func (c cut) Read(b []byte) (int, error)  { return c.limited(b, c.in, c.Conn.Read) }

func (c cut) limited(b []byte, left *atomic.Int64, do func([]byte) (int, error)) (int, error) {
	may := left.Load()
	if may < 0 {
		return do(b)
	}
	if may == 0 {
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	n, err := do(b[:min(int64(len(b)), may)])
	left.Add(-int64(n))
	if err == nil && n < len(b) && left.Load() == 0 {
		c.Conn.Close()
		err = net.ErrClosed
	}
	return n, err
}

func cutAfter(c net.Conn, out, in int64) net.Conn {
	x := cut{c, new(atomic.Int64), new(atomic.Int64)}
	x.out.Store(out)
	x.in.Store(in)
	return x
}

// TestEachHitCountsOnceWhateverBreaks runs callers over connections that break at random bytes, in both directions.
// Every ask is answered, and what was spent is what was asked for: not one more for all the repeats, not one less.
func TestEachHitCountsOnceWhateverBreaks(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) { breaking(t, seed) })
	}
}

func breaking(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	d := newCounters()
	x := newPair(t, d, func(pc *PipeConfig, sc *ServerConfig) {
		pc.Lanes = 1 + int(seed%3)
		if seed%2 == 1 {
			pc.Auth, sc.Auth = NewAuth([]byte("s")), NewAuth([]byte("s"))
		}
	})
	x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		switch r.IntN(3) {
		case 0:
			return cutAfter(c, int64(r.IntN(4000)), -1), nil
		case 1:
			return cutAfter(c, -1, int64(r.IntN(1000))), nil
		}
		return cutAfter(c, int64(200+r.IntN(5000)), int64(200+r.IntN(5000))), nil
	})
	var spent, failed atomic.Int64
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(caller)))
			for range 40 {
				c := GetCall(1 + r.IntN(5))
				for i := range c.Asks {
					x.pipe.Send(fill(c, i, 7, int64(1+r.IntN(3)), want(7, 1<<30)))
				}
				c.Wait()
				for i := range c.Asks {
					switch a := &c.Asks[i]; {
					case a.Code == Decided && a.Outcome.Allowed:
						spent.Add(a.Hits)
					case a.Code == Failed:
						// Eight connections in a row broke: allowed, and then nobody knows. It must be rare.
						failed.Add(a.Hits)
					default:
						t.Errorf("seed %d: code %d, %+v", seed, a.Code, a.Outcome)
					}
				}
				c.Put()
				if !x.pipe.Healthy() {
					time.Sleep(Down)
				}
			}
		})
	}
	wg.Wait()
	if got := d.total(7); got < spent.Load() || got > spent.Load()+failed.Load() {
		t.Errorf("seed %d: %d spent, callers know of %d (and %d unknown)", seed, got, spent.Load(), failed.Load())
	}
	if spent.Load() == 0 || x.pipe.Stats().Retries.Load() == 0 || x.server.Stats().Repeats.Load() == 0 {
		t.Errorf("seed %d: nothing broke: %d spent, %d retries, %d repeats", seed, spent.Load(), x.pipe.Stats().Retries.Load(), x.server.Stats().Repeats.Load())
	}
	t.Logf("seed %d: %d spent, %d failed, %d retries, %d repeats", seed, spent.Load(), failed.Load(), x.pipe.Stats().Retries.Load(), x.server.Stats().Repeats.Load())
	x.close()
}

func TestALostAnswerIsRepeatedAndNotDecidedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
			if dial == 1 {
				return cutAfter(c, -1, 40), nil // the answer breaks off
			}
			return c, nil
		})
		a := ask(t, x.pipe, 7, 1, 10)
		if a.Code != Decided || !a.Outcome.Allowed || a.Outcome.Remaining != 9 {
			t.Errorf("%+v", a)
		}
		if d.total(7) != 1 || x.server.Stats().Repeats.Load() != 1 {
			t.Errorf("%d spent, %d repeats", d.total(7), x.server.Stats().Repeats.Load())
		}
	})
}

// A give-back over a broken connection is the case that must not happen twice: it would let hits through.
func TestAGiveBackIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		ask(t, x.pipe, 7, 10, 10)
		x.pipe.lanes[0].hangUpForTest()
		x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
			if dial <= 4 {
				return cutAfter(c, -1, 20), nil
			}
			return c, nil
		})
		if a := ask(t, x.pipe, 7, -3, 10); a.Code != Decided {
			t.Errorf("%+v", a)
		}
		if d.total(7) != 7 {
			t.Errorf("%d left spent of 10 after one give-back of 3", d.total(7))
		}
	})
}

// A batch that is slow to decide is sent again when the attempt times out; the second waits for the first.
func TestARepeatWaitsForTheFirstToBeDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		slow := true
		d.before = func(*Entry) {
			if slow {
				slow = false
				time.Sleep(Attempt + 20*time.Millisecond)
			}
		}
		x := newPair(t, d, nil)
		defer x.close()
		began := time.Now()
		a := ask(t, x.pipe, 7, 1, 10)
		if a.Code != Decided || d.total(7) != 1 || x.server.Stats().Repeats.Load() != 1 {
			t.Errorf("code %d, %d spent, %d repeats", a.Code, d.total(7), x.server.Stats().Repeats.Load())
		}
		if took := time.Since(began); took != Attempt+20*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

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

func TestAnUnreachableMemberFailsAtOnceAndIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		refuse := true
		x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
			if refuse {
				return nil, errRefusedDial
			}
			return c, nil
		})
		began := time.Now()
		for range 10 {
			if a := ask(t, x.pipe, 7, 1, 10); a.Code != Failed {
				t.Errorf("code %d", a.Code)
			}
		}
		if x.pipe.Healthy() || x.net.dials != 1 || time.Since(began) != 0 {
			t.Errorf("healthy %v, %d dials, %v", x.pipe.Healthy(), x.net.dials, time.Since(began))
		}
		refuse = false
		time.Sleep(Down - 1)
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Failed {
			t.Errorf("code %d before its time", a.Code)
		}
		time.Sleep(time.Nanosecond)
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Decided || !x.pipe.Healthy() || x.pipe.downUntil.Load() != 0 {
			t.Errorf("code %d, healthy %v", a.Code, x.pipe.Healthy())
		}
		if d.total(7) != 1 {
			t.Errorf("%d spent", d.total(7))
		}
	})
}

func TestAMemberThatDoesNotAnswerFailsAfterTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		began := time.Now()
		a := ask(t, x.pipe, 7, 1, 10)
		if a.Code != Failed || time.Since(began) != Total {
			t.Errorf("code %d after %v", a.Code, time.Since(began))
		}
		if x.pipe.Healthy() || x.pipe.Stats().Retries.Load() != 2 {
			t.Errorf("healthy %v, %d retries", x.pipe.Healthy(), x.pipe.Stats().Retries.Load())
		}
		close(hang)
		synctest.Wait()
		if d.total(7) != 1 {
			t.Errorf("%d spent", d.total(7))
		}
		x.close()
	})
}

func TestARestartedMemberFailsThePipeForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, func(_ *PipeConfig, sc *ServerConfig) { sc.Self.StartID++ })
		defer x.close()
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Failed {
			t.Errorf("code %d", a.Code)
		}
		time.Sleep(time.Hour)
		if !x.pipe.Gone() || x.pipe.Healthy() {
			t.Error("the pipe still believes in the old start")
		}
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Failed || d.total(7) != 0 {
			t.Errorf("code %d, %d spent", a.Code, d.total(7))
		}
	})
}

// An old start of a name must not be heard after the new one: its asks are of a node that is no more.
func TestASenderIsSupersededByItsNewStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		ask(t, x.pipe, 7, 1, 10)
		cfg := x.pipe.cfg
		cfg.Self.StartID++
		cfg.Stats = nil
		next, err := NewPipe(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		ask(t, next, 7, 1, 10)
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Failed || d.total(7) != 2 {
			t.Errorf("code %d, %d spent", a.Code, d.total(7))
		}
		if a := ask(t, next, 7, 1, 10); a.Code != Decided {
			t.Errorf("code %d", a.Code)
		}
	})
}

func TestCloseFailsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		c := GetCall(2)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		synctest.Wait()
		x.pipe.Send(fill(c, 1, 8, 1, want(8, 10)))
		go x.pipe.Close()
		c.Wait()
		if c.Asks[0].Code != Failed || c.Asks[1].Code != Failed {
			t.Errorf("codes %d and %d", c.Asks[0].Code, c.Asks[1].Code)
		}
		x.pipe.Send(&c.Asks[0])
		if c.Asks[0].Code != Failed {
			t.Errorf("code %d after Close", c.Asks[0].Code)
		}
		c.Put()
		close(hang)
		x.close()
	})
}

// A shutdown answers what has begun and takes nothing more.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		begun, hang := make(chan struct{}, 1), make(chan struct{})
		d.before = func(*Entry) { begun <- struct{}{}; <-hang }
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { pc.Attempt, pc.Total = time.Minute, time.Minute })
		c := GetCall(1)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		<-begun
		down := make(chan error)
		go func() { down <- x.server.Shutdown(context.Background()) }()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		select {
		case err := <-down:
			t.Fatalf("shut down with a batch in flight: %v", err)
		default:
		}
		close(hang)
		c.Wait()
		if c.Asks[0].Code != Decided || d.total(7) != 1 {
			t.Errorf("code %d, %d spent", c.Asks[0].Code, d.total(7))
		}
		c.Put()
		if err := <-down; err != nil {
			t.Error(err)
		}
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Failed || d.total(7) != 1 {
			t.Errorf("code %d, %d spent after shutdown", a.Code, d.total(7))
		}
		x.close()
	})
}

func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		c := GetCall(1)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := x.server.Shutdown(ctx); err == nil {
			t.Error("no error")
		}
		close(hang)
		c.Wait()
		c.Put()
		x.close()
	})
}

// ask sends one ask and waits for it. The answer is a copy.
func ask(t *testing.T, p *Pipe, key uint64, hits int64, count uint32) Ask {
	t.Helper()
	c := GetCall(1)
	defer c.Put()
	p.Send(fill(c, 0, key, hits, want(key, count)))
	c.Wait()
	a := &c.Asks[0]
	return Ask{Code: a.Code, Hits: a.Hits, Via: a.Via, Holder: a.Holder, Outcome: a.Outcome, HoldEpoch: a.HoldEpoch}
}

func (l *lane) hangUpForTest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != nil {
		l.link.conn.Close()
	}
}
