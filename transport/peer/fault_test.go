package peer

import (
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
// Every ask is answered, and what was spent is what was asked for: not one more for all the repeats, not one less; of those that failed
// nobody knows, and of those that were Unsent nothing was spent.
func TestEachHitCountsOnceWhateverBreaks(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) { breaking(t, seed) })
	}
}

func breaking(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	refuse := seed%4 == 3
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
		if refuse && r.IntN(4) == 0 {
			return nil, errRefusedDial
		}
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
					case a.Code == Unsent:
						// Nothing of it was spent: the sum below says so.
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
			if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent {
				t.Errorf("code %d", a.Code)
			}
		}
		if x.pipe.Healthy() || x.net.dials != 1 || time.Since(began) != 0 {
			t.Errorf("healthy %v, %d dials, %v", x.pipe.Healthy(), x.net.dials, time.Since(began))
		}
		refuse = false
		time.Sleep(Down - 1)
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent {
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
		if a.Code != Failed || time.Since(began) != Total+lookTime {
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
