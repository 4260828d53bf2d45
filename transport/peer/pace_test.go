package peer

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A slow decider takes so long for a batch, and for each of its entries.
type slow struct {
	*counters
	batch, entry atomic.Int64
}

func newSlow(batch, entry time.Duration) *slow {
	s := &slow{counters: newCounters()}
	s.batch.Store(int64(batch))
	s.entry.Store(int64(entry))
	return s
}

func (s *slow) Now() bucket.Instant {
	time.Sleep(time.Duration(s.batch.Load()))
	return 0
}

func (s *slow) Decide(now bucket.Instant, e *Entry, a *Answer) {
	time.Sleep(time.Duration(s.entry.Load()))
	s.counters.Decide(now, e, a)
}

// A crowd sends asks, each for itself and for a key of its own, and counts their answers.
type crowd struct {
	t     *testing.T
	pipe  *Pipe
	wg    sync.WaitGroup
	keys  atomic.Uint64
	codes [Unsent + 1]atomic.Int64
}

// ask asks once, for an answer within some time.
func (c *crowd) ask(within time.Duration) {
	c.wg.Go(func() {
		call := GetCall(1)
		key := c.keys.Add(1)
		a := fill(call, 0, key, 1, want(key, 10))
		began := time.Now()
		a.Deadline = began.Add(within)
		c.pipe.Send(a)
		call.Wait()
		c.codes[a.Code].Add(1)
		if took := time.Since(began); took > within+sweepGap || a.Code == Shed && took != 0 {
			c.t.Errorf("code %d after %v of %v", a.Code, took, within)
		}
		call.Put()
	})
}

// steady asks so often for so long.
func (c *crowd) steady(within, every, long time.Duration) {
	for range long / every {
		c.ask(within)
		time.Sleep(every)
	}
}

// take returns how many asks have had an answer since it was last asked, and which.
func (c *crowd) take(code Code) int { return int(c.codes[code].Swap(0)) }

// A member that can answer 2000 asks a second is asked 4000: half of them are answered, and in time, and the others are told at
// once. When it is asked less than it can, all are answered.
func TestOverloadShedsWhatCannotBeAnsweredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSlow(0, 500*time.Microsecond)
		x := newPair(t, d, nil)
		c := &crowd{t: t, pipe: x.pipe}
		const within = 200 * time.Millisecond
		c.steady(within, time.Second/4000, 2*time.Second)
		if c.wg.Wait(); c.codes[Shed].Load() == 0 {
			t.Error("nothing was shed: there was no overload")
		}
		decided, shed, expired := c.take(Decided), c.take(Shed), c.take(Expired)
		t.Logf("of 8000: %d decided, %d shed, %d expired; %d batches", decided, shed, expired, x.pipe.Stats().Batches.Load())
		if decided < 3600 || expired > decided/50 || decided+shed+expired != 8000 {
			t.Errorf("of 8000 asks, 4000 of which could be answered: %d decided, %d shed, %d expired, %d failed", decided, shed, expired, c.take(Failed)+c.take(Unsent))
		}
		// The load falls to half of what the member can do, while the queue is as long as it may be.
		c.steady(within, time.Second/4000, time.Second)
		c.steady(within, time.Second/1000, 100*time.Millisecond)
		c.codes[Shed].Store(0)
		c.steady(within, time.Second/1000, time.Second)
		if c.wg.Wait(); c.take(Shed) != 0 {
			t.Error("still shed when the load was gone")
		}
		// Large requests that can be answered in time are, though the member is slow.
		for n := range Unsent + 1 {
			c.take(n)
		}
		for range 3 {
			for range 1000 {
				c.ask(time.Second)
			}
			c.wg.Wait()
		}
		if n := c.take(Decided); n != 3000 {
			t.Errorf("%d of 3000 decided, %d shed, %d expired", n, c.take(Shed), c.take(Expired))
		}
		if s := x.pipe.Stats(); s.Failed.Load() != 0 || s.Downs.Load() != 0 || s.Retries.Load() != 0 {
			t.Errorf("%d failed, %d times down, %d retries", s.Failed.Load(), s.Downs.Load(), s.Retries.Load())
		}
		x.close()
	})
}

// However suddenly they come: where the member is quick nobody is shed, also right after an accident.
func TestBurstsAreNotShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quick, soon = 100 * time.Microsecond, 15 * time.Millisecond
		d := newSlow(quick, 2*time.Microsecond)
		x := newPair(t, d, nil)
		c := &crowd{t: t, pipe: x.pipe}
		large := func() {
			call := GetCall(1000)
			for i := range call.Asks {
				a := fill(call, i, uint64(i), 1, want(uint64(i), 1<<30))
				a.Deadline = time.Now().Add(soon)
				x.pipe.Send(a)
			}
			call.Wait()
			for i := range call.Asks {
				if call.Asks[i].Code != Decided {
					t.Errorf("ask %d of a large request: code %d", i, call.Asks[i].Code)
				}
			}
			call.Put()
		}
		callers := func() {
			for range 64 {
				c.ask(soon)
			}
		}
		for round := range 300 {
			callers()
			c.wg.Go(large)
			time.Sleep(time.Duration(3+round%5) * time.Millisecond)
			if round%50 == 49 {
				// A batch is held up; the next one, of those that came meanwhile, is on its way when many come at once.
				d.batch.Store(int64(60 * time.Millisecond))
				c.ask(time.Second)
				time.Sleep(time.Microsecond)
				d.batch.Store(int64(quick))
				for range 10 {
					c.ask(time.Second)
				}
				time.Sleep(60*time.Millisecond + quick/2)
				callers()
			}
		}
		c.wg.Wait()
		if n := c.take(Decided); n != 300*64+6*75 || x.pipe.Stats().Shed.Load() != 0 {
			t.Errorf("%d decided, %d shed", n, x.pipe.Stats().Shed.Load())
		}
		x.close()
	})
}

// A member that is far away is not slow: batches are as large as what gathers.
func TestADistantMemberGetsLargeBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSlow(40*time.Millisecond, time.Microsecond)
		x := newPair(t, d, nil)
		c := &crowd{t: t, pipe: x.pipe}
		for range 10 {
			for range 3000 {
				c.ask(time.Second)
			}
			c.wg.Wait()
		}
		before := x.pipe.Stats().Batches.Load()
		for range 5 {
			for range 3000 {
				c.ask(time.Second)
			}
			c.wg.Wait()
		}
		// One takes the first few that come, one the others.
		if n := x.pipe.Stats().Batches.Load() - before; n > 10 || c.take(Decided) != 45000 {
			t.Errorf("%d batches for 5 times 3000 asks", n)
		}
		x.close()
	})
}

func TestPace(t *testing.T) {
	const ms = int64(time.Millisecond)
	const quick = ms / 5
	p := newPace(100 * ms)
	step := func(what string, took int64, asks, entries int, full bool, most, per int) {
		t.Helper()
		p.answered(took, asks, entries, full, false)
		if p.most != most || p.per != per {
			t.Errorf("%s: at most %d entries and %d asks, not %d and %d", what, p.most, p.per, most, per)
		}
	}
	step("the first", quick, 10, 10, false, 512, 512)
	step("a small one", quick, 1, 1, false, 512, 512)
	step("one that folded", quick, 100, 10, false, 512, 5120)
	step("full", quick, 512, 512, true, 1024, 1024)
	step("full by its bytes", quick, 200, 200, true, 1024, 200)
	step("full again", quick, 1024, 1024, true, 2048, 2048)
	step("and again", quick, 2048, 2048, true, 4096, 4096)
	step("there are no larger ones", quick, 4096, 4096, true, 4096, 4096)
	step("starved", 40*ms+quick, 4096, 4096, true, 4096, 4096)
	step("a few that waited as long", 40*ms+quick, 300, 300, false, 4096, 4096)
	step("and a handful", 80*ms, 3, 3, false, 4096, 4096)
	for range 200 {
		step("and for long", 50*ms+quick, 4096, 4096, true, 4096, 4096)
	}
	step("not answered in time", 100*ms+quick, 4096, 4096, true, 1024, 1024)
	step("slow still", 50*ms+quick, 2048, 1024, true, 1024, 2048)
	step("as it should be", 25*ms+quick, 1024, 1024, true, 1024, 1024)
	step("quicker", 20*ms+quick, 1024, 1024, true, 1280, 1280)
	step("not even few", 100*ms+quick, 10, 10, false, 64, 64)
	step("it is over", quick, 64, 64, true, 128, 128)

	p = newPace(100 * ms)
	p.per = 100
	late := func(what string, ahead int, deadline int64, want bool) {
		t.Helper()
		if got := p.late(ahead, deadline); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	late("nothing is known", 1e6, 0, false)
	p.took = [2]int64{50 * ms, 0}
	late("one slow batch is none", 1e6, 0, false)
	p.took, p.began = [2]int64{50 * ms, 10 * ms}, 1000*ms
	late("the shorter one counts", 99, 1025*ms, false)
	late("a moment too late", 99, 1025*ms-1, true)
	late("one more batch ahead", 100, 1037*ms, true)
	late("and time for it", 100, 1038*ms, false)
	p.took = [2]int64{ms, ms}
	late("late already, but not for the queue", 0, 900*ms, false)
	p.idle()
	late("idle", 1e6, 0, false)
	// Of what was left of a queue nothing is learned of full batches, but that they are slower still.
	p = newPace(100 * ms)
	p.answered(32*ms, 64, 64, true, false)
	p.answered(32*ms, 64, 64, true, true)
	p.answered(ms, 2, 2, false, true)
	p.per = 64
	late("after a rest", 64, 119*ms, true)
	p.answered(40*ms, 2, 2, false, true)
	p.answered(40*ms, 2, 2, false, true)
	p.per = 64
	late("after a slow rest", 64, 121*ms, true)
	p.answered(ms, 2, 2, false, false)
	p.per = 64
	late("after a small one, which was all there was", 64, 119*ms, false)
	if p = (pace{most: MaxEntries}); p.late(1e6, 0) {
		t.Error("a lane without a pace sheds")
	}
	if p.answered(100*ms, 9, 9, true, false); p.most != MaxEntries {
		t.Error("a lane without a pace has one")
	}
}
