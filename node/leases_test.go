package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// inSim runs a test on a cluster of whole nodes in fake time.
func inSim(t *testing.T, f func(s *sim)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		s := newSim(t, t.Name(), 1, true)
		defer s.end()
		s.boot()
		if !s.bad() {
			f(s)
		}
	})
}

// hit is an allowed check as its caller sees it.
type hit struct {
	from, to time.Duration
	hits     int64
	via      transport.Via
}

// request asks a node for checks of one key each.
func (s *sim) request(x *simNode, checks ...transport.Check) []transport.Decision {
	r := transport.Request{Checks: checks, Deadline: time.Now().Add(transport.DefaultTimeout)}
	for i := range r.Checks {
		r.Checks[i].Unavailable = transport.Deny
	}
	x.Check(&r)
	return r.Decisions
}

func check(key string, hits int64, limits ...transport.Limit) transport.Check {
	return transport.Check{Key: []byte(key), Limits: limits, Hits: hits}
}

// away returns a node that does not hold a key, and the one that does.
func (s *sim) away(key string) (other, holder *simNode) {
	p := s.hasher.Key([]byte(key)).Partition(ring.Partitions)
	for _, x := range s.live() {
		if x.holds(p) {
			holder = x
		} else {
			other = x
		}
	}
	return other, holder
}

// heat asks for a key at a node until it has a loan.
func (s *sim) heat(x *simNode, key string, limits ...transport.Limit) {
	s.t.Helper()
	for range 100 {
		if d := s.request(x, check(key, 1, limits...))[0]; d.Via == transport.ViaLease {
			return
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatalf("%s was never lent", key)
}

// spent is what the holder counts of a key.
func (s *sim) spent(x *simNode, key string, l transport.Limit) uint64 {
	return s.request(x, check(key, 0, l))[0].Current
}

// hammer asks all nodes for a key, each by some callers, and returns what was allowed. Of each cycle the callers are busy for the first third; 0: always.
func (s *sim) hammer(key string, d, cycle time.Duration, most int64, limits ...transport.Limit) (allowed []hit, checks int) {
	const think = 500 * time.Microsecond
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := s.now()
	end := begin + d
	for i, x := range s.live() {
		for caller := range 3 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(caller)))
				for s.now() < end {
					if cycle > 0 && (s.now()-begin)%cycle >= cycle/3 {
						time.Sleep(cycle - (s.now()-begin)%cycle)
						continue
					}
					h := hit{from: s.now(), hits: 1 + r.Int64N(most)}
					d := s.request(x, check(key, h.hits, limits...))[0]
					h.to, h.via = s.now(), d.Via
					mu.Lock()
					checks++
					if d.Via == transport.ViaUnavailable {
						s.wrong("%s: nobody decided", key)
					} else if d.Allowed {
						allowed = append(allowed, h)
					}
					mu.Unlock()
					time.Sleep(time.Duration(r.ExpFloat64() * float64(think)))
				}
			})
		}
	}
	all.Wait()
	return allowed, checks
}

func sum(hits []hit) (n int64) {
	for _, h := range hits {
		n += h.hits
	}
	return n
}

// With members that stay, no window has more hits than the limit allows, whoever looks for one: all checks that began in it and ended in it, for
// every window that begins with one. Nor are there much less: what is lent and not used, and a slot.
func TestLeasesKeepEveryWindow(t *testing.T) {
	inSim(t, func(s *sim) {
		const cycles = 4
		for _, c := range []struct {
			text  string
			most  int64   // hits of a check
			least float64 // of COUNT, in each cycle
		}{
			{"1000/1s", 1, 0.85},
			{"1500/1s", 3, 0.85},
			{"70000/1s", 40, 0.75}, // ten slots
			{"1000/700ms fixed_window", 2, 0.9},
			{"2000/1s token_bucket", 2, 0.9},
			{"1000/500ms token_bucket burst=3000", 1, 0.9},
		} {
			l := limit(t, c.text)
			w := l.Window.Longest()
			allowed, checks := s.hammer(c.text, cycles*w*3/2, w*3/2, c.most, l)
			leased := 0
			for _, h := range allowed {
				if h.via == transport.ViaLease {
					leased++
				}
			}
			t.Logf("%s: %d hits allowed, %d of %d checks, %d of them from loans", c.text, sum(allowed), len(allowed), checks, leased)
			if leased < len(allowed)/6 {
				t.Errorf("%s: only %d of %d from loans", c.text, leased, len(allowed))
			}
			if got := float64(sum(allowed)); got < c.least*cycles*float64(l.Count) {
				t.Errorf("%s: %.0f hits allowed in %d cycles", c.text, got, cycles)
			}
			switch l.Algorithm {
			case bucket.SlidingWindow:
				if n, at := slidingMost(allowed, w); n > int64(l.Count) {
					t.Errorf("%s: %d hits in the window from %v", c.text, n, at)
				}
			case bucket.FixedWindow:
				if n, at := s.fixedMost(allowed, w); n > int64(l.Count) {
					t.Errorf("%s: %d hits in the window from %v", c.text, n, at)
				}
			case bucket.TokenBucket:
				if over, at, to := tokenOver(allowed, float64(l.Count)/w.Seconds(), float64(l.Burst)); over > 0.001 {
					t.Errorf("%s: %.1f hits more than burst and refill from %v to %v", c.text, over, at, to)
				}
			}
		}
	})
}

// A loan that is used in its last moment, of a bucket that is kept full all the time: what is handed out after the slot that it was charged to has
// ended would be one too many when that slot leaves.
func TestLoanInItsLastMoment(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "1000/1s")
		x, holder := s.away("k")
		var allowed []hit
		ask := func(n *simNode, hits int64) {
			h := hit{from: s.now(), hits: hits}
			d := s.request(n, check("k", hits, l))[0]
			if h.to, h.via = s.now(), d.Via; d.Allowed {
				allowed = append(allowed, h)
			}
		}
		leased := 0
		for round := range 12 {
			time.Sleep(2*time.Second + time.Duration(round)*7*time.Millisecond)
			for range 300 { // until it has more than it can use one by one
				ask(x, 1)
				if p := x.Explain([]byte("k"), nil).Purse; len(p) == 1 && p[0].Left >= 30 {
					break
				}
			}
			for end := s.now() + 1500*time.Millisecond; s.now() < end; time.Sleep(time.Millisecond) {
				ask(holder, int64(max(s.request(holder, check("k", 0, l))[0].Remaining, 1)))
				ask(x, 1)
			}
		}
		for _, h := range allowed {
			if h.via == transport.ViaLease {
				leased++
			}
		}
		if n, at := slidingMost(allowed, time.Second); n > 1000 || leased < 100 {
			t.Errorf("%d hits in the window from %v; %d from loans", n, at, leased)
		}
	})
}

// slidingMost returns the most hits whose checks lie within one window.
func slidingMost(hits []hit, w time.Duration) (most int64, at time.Duration) {
	slices.SortFunc(hits, func(a, b hit) int { return int(a.from - b.from) })
	for i := range hits {
		n := int64(0)
		for k := i; k < len(hits) && hits[k].from < hits[i].from+w; k++ {
			if hits[k].to < hits[i].from+w {
				n += hits[k].hits
			}
		}
		if n > most {
			most, at = n, hits[i].from
		}
	}
	return most, at
}

// fixedMost returns the most hits whose checks lie within one aligned window.
func (s *sim) fixedMost(hits []hit, w time.Duration) (most int64, at time.Duration) {
	windows := map[int64]int64{}
	for _, h := range hits {
		from, to := s.begin.Add(h.from).UnixNano()/int64(w), s.begin.Add(h.to).UnixNano()/int64(w)
		if from == to {
			if windows[from] += h.hits; windows[from] > most {
				most, at = windows[from], h.from
			}
		}
	}
	return most, at
}

// tokenOver returns by how much the hits of some span of time exceed what a full bucket has and gets in it.
func tokenOver(hits []hit, rate, burst float64) (over float64, from, to time.Duration) {
	slices.SortFunc(hits, func(a, b hit) int { return int(a.to - b.to) })
	for i := range hits {
		begin, n := hits[i].from, 0.0
		for k := range hits {
			if h := hits[k]; h.from >= begin {
				n += float64(h.hits)
				if x := n - burst - rate*(h.to-begin).Seconds(); x > over {
					over, from, to = x, begin, h.to
				}
			}
		}
	}
	return over, from, to
}

// The judges themselves know too many hits from enough.
func TestLeaseJudges(t *testing.T) {
	at := func(ms, n int64) hit {
		return hit{from: time.Duration(ms) * time.Millisecond, to: time.Duration(ms+1) * time.Millisecond, hits: n}
	}
	if n, _ := slidingMost([]hit{at(0, 5), at(900, 5), at(1000, 3)}, time.Second); n != 10 {
		t.Errorf("sliding: %d", n)
	}
	if n, _ := slidingMost([]hit{at(10, 5), at(900, 5), at(1005, 3)}, time.Second); n != 13 {
		t.Errorf("sliding: %d", n)
	}
	if over, _, _ := tokenOver([]hit{at(0, 100), at(500, 51)}, 100, 100); over < 0.8 || over > 1 {
		t.Errorf("token: %v over", over)
	}
	if over, _, _ := tokenOver([]hit{at(0, 100), at(500, 50)}, 100, 100); over > 0 {
		t.Errorf("token: %v over", over)
	}
	s := &sim{begin: time.Unix(1000, 0)}
	if n, _ := s.fixedMost([]hit{at(10, 5), at(998, 5), at(1000, 3), at(999, 100)}, time.Second); n != 10 {
		t.Errorf("fixed: %d", n)
	}
}

// Every mix at once under windows that do not end: several limits on a key, more hits than one, refunds, peeks, batches. In the end exactly what was allowed
// is counted, and no limit is exceeded.
func TestLeasesAddUp(t *testing.T) {
	inSim(t, func(s *sim) {
		mixes := [][]transport.Limit{
			{limit(t, "3000/1h")},
			{limit(t, "4000/1h"), limit(t, "2500/1d fixed_window")},
			{limit(t, "2000/7d token_bucket"), limit(t, "100000/1h"), limit(t, "9000/1d fixed_window")},
			{limit(t, "6000/1h"), limit(t, "4500/2h")},
		}
		var mu sync.Mutex
		net, refunds := map[string]int64{}, map[string]int64{}
		count := map[transport.Via]int{}
		var all sync.WaitGroup
		end := s.now() + 6*time.Second
		for i, x := range s.live() {
			for caller := range 4 {
				all.Go(func() {
					r := rand.New(rand.NewPCG(uint64(i), uint64(caller)))
					had := map[string][]simHad{}
					for s.now() < end {
						var checks []transport.Check
						for range 1 + r.IntN(5) {
							k := r.IntN(len(mixes))
							c := check(fmt.Sprint("mix", k), 1+r.Int64N(3), mixes[k]...)
							c.Each = r.IntN(8) == 0
							switch name := string(c.Key); {
							case r.IntN(10) == 0:
								c.Hits = 0
							case r.IntN(6) == 0 && len(had[name]) > 0:
								c.Hits, c.Receipt = -had[name][0].hits, had[name][0].receipt
								had[name] = had[name][1:]
								if r.IntN(3) == 0 {
									c.Receipt = 0
								}
							}
							checks = append(checks, c)
						}
						decisions := s.request(x, checks...)
						mu.Lock()
						for i, d := range decisions {
							name, hits := string(checks[i].Key), checks[i].Hits
							count[d.Via]++
							if d.Via == transport.ViaUnavailable {
								s.wrong("%s: nobody decided", name)
							}
							if checks[i].Each && len(d.Each) != len(checks[i].Limits) {
								s.wrong("%s: states %+v", name, d.Each)
							}
							if d.Allowed {
								net[name] += hits
								refunds[name] -= min(hits, 0)
								if hits > 0 {
									had[name] = append(had[name], simHad{hits, d.Receipt, 0})
								}
							}
						}
						mu.Unlock()
						time.Sleep(time.Duration(r.ExpFloat64() * float64(2*time.Millisecond)))
					}
				})
			}
		}
		all.Wait()
		time.Sleep(time.Second) // the rests come back
		t.Logf("%v", count)
		if count[transport.ViaLease] < 1000 || count[transport.ViaDeniedCache] < 100 {
			t.Errorf("answers by via: %v", count)
		}
		if lost := s.unreturned(); lost != 0 {
			t.Errorf("%d hits of loans were neither handed out nor taken back", lost)
		}
		nodes := s.live()
		for k, limits := range mixes {
			name := fmt.Sprint("mix", k)
			d := s.request(nodes[k%len(nodes)], transport.Check{Key: []byte(name), Limits: limits, Each: true})[0]
			for i, l := range limits {
				got, refilled, kept := int64(d.Each[i].Current), int64(0), int64(0)
				if l.Algorithm == bucket.TokenBucket {
					// What it has got back, and what it may have got back of each hit by itself before that was given back.
					refilled = 1 + int64(float64(l.Count)*s.now().Seconds()/l.Window.Longest().Seconds())
					kept = 1 + int64(float64(refunds[name])*float64(l.Count)*6/l.Window.Longest().Seconds())
				}
				if got > net[name]+kept || got < net[name]-refilled {
					t.Errorf("%s, %s: %d counted, %d allowed, %d given back", name, l.Text, got, net[name], refunds[name])
				}
				if net[name] > int64(l.Most())+refilled {
					t.Errorf("%s, %s: %d allowed", name, l.Text, net[name])
				}
			}
		}
	})
}

// A denial is remembered, for a second at most, and told as the holder told it; a refund elsewhere shows within that second, one made here at once, and a
// raised limit is another question.
func TestDeniedCache(t *testing.T) {
	inSim(t, func(s *sim) {
		l, more := limit(t, "5/1h"), limit(t, "6/1h")
		x, holder := s.away("k")
		s.request(holder, check("k", 5, l))
		first := s.request(x, check("k", 1, l))[0]
		if first.Allowed || first.Via != transport.ViaHolder {
			t.Fatalf("%+v", first)
		}
		time.Sleep(100 * time.Millisecond)
		d := s.request(x, check("k", 1, l))[0]
		if d.Allowed || d.Via != transport.ViaDeniedCache || d.Holder != holder.name || d.Epoch != first.Epoch || d.Limit != 5 || d.By != 0 {
			t.Errorf("%+v", d)
		}
		real := s.request(holder, check("k", 1, l))[0]
		if d.Retry < real.Retry || d.Retry > real.Retry+20*time.Millisecond {
			t.Errorf("told to come back in %v, the holder says %v", d.Retry, real.Retry)
		}
		if d := s.request(x, check("k", 1, more))[0]; !d.Allowed || d.Via != transport.ViaHolder {
			t.Errorf("under a raised limit: %+v", d)
		}
		if d := s.request(x, check("k", 0, l))[0]; d.Via != transport.ViaHolder {
			t.Errorf("a peek: %+v", d)
		}
		// A refund here: what comes after it in the same request sees it.
		ds := s.request(x, check("k", 1, l), check("k", -2, l), check("k", 1, l), check("k", 1, l))
		if ds[0].Allowed || !ds[1].Allowed || !ds[2].Allowed || ds[3].Allowed {
			t.Errorf("%+v", ds)
		}
		// A refund elsewhere.
		s.request(x, check("k", 1, l))
		s.request(holder, check("k", -2, l))
		began := s.now()
		for !s.request(x, check("k", 1, l))[0].Allowed {
			if time.Sleep(10 * time.Millisecond); s.now()-began > time.Second {
				t.Fatal("a refund did not show within a second")
			}
		}
		if s.now() == began {
			t.Error("no denial was remembered")
		}
	})
}

// A refund and a raised limit show where a loan is held as well.
func TestRefundShowsBesideALoan(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "2000/1h")
		x, holder := s.away("k")
		s.heat(x, "k", l)
		d := s.request(x, check("k", 1, l))[0]
		s.request(holder, check("k", 1000, l))
		began := s.now()
		for {
			now := s.request(x, check("k", 1, l))[0]
			if now.Remaining < d.Remaining-900 {
				break
			}
			if time.Sleep(5 * time.Millisecond); s.now()-began > time.Second {
				t.Fatalf("what others spent did not show within a second: %d left", now.Remaining)
			}
		}
		s.request(holder, check("k", -1000, l))
		began = s.now()
		for {
			now := s.request(x, check("k", 1, l))[0]
			if now.Remaining > 1000 {
				break
			}
			if time.Sleep(5 * time.Millisecond); s.now()-began > time.Second {
				t.Fatalf("a refund did not show within a second: %d left", now.Remaining)
			}
		}
		if d := s.request(x, check("k", 1, limit(t, "3000/1h")))[0]; d.Limit != 3000 || d.Via != transport.ViaHolder {
			t.Errorf("a raised limit: %+v", d)
		}
	})
}

// Near the limit every hit goes to the holder: the last ones are there for whoever asks.
func TestNearTheLimitIsExact(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "2000/1h")
		allowed, _ := s.hammer("k", 3*time.Second, 0, 1, l)
		time.Sleep(time.Second)
		_, holder := s.away("k")
		if got := s.spent(holder, "k", l); got != 2000 || len(allowed) != 2000 {
			t.Errorf("%d allowed and %d spent of 2000", len(allowed), got)
		}
	})
}

// A node that leaves gives back what it was lent; what one had that crashes stays spent.
func TestLessesThatGo(t *testing.T) {
	for _, crash := range []bool{false, true} {
		inSim(t, func(s *sim) {
			l := limit(t, "100000/1h")
			x, holder := s.away("k")
			s.heat(x, "k", l)
			for range 30 {
				s.request(x, check("k", 1, l))
			}
			allowed := uint64(0)
			for via, counts := range x.Stats().Decisions {
				if transport.Via(via) != transport.ViaUnavailable {
					allowed += counts[1]
				}
			}
			p := x.Explain([]byte("k"), nil).Purse
			if len(p) != 1 || p[0].Left == 0 || p[0].Limits[0] != l.Text {
				t.Fatalf("nothing is lent at the moment: %+v", p)
			}
			has := x.Stats().Purse // that loan, and the rest of the one before, which goes back with the next tick
			out := int64(has.Granted - has.Spent - has.Returned - has.Lost)
			if crash {
				s.crash(x, false)
			} else {
				s.later(func() { s.leave(x) })
				time.Sleep(30 * time.Millisecond) // far less than a term
				if p := x.Stats().Purse; p.Live != 0 || x.Phase() == Closed {
					t.Errorf("a node that leaves has loans: %+v", p)
				}
			}
			time.Sleep(3 * time.Second)
			lost := s.unreturned()
			if got := s.spent(holder, "k", l); got != allowed+uint64(lost) || crash != (lost > 0) {
				t.Errorf("crash %v: %d spent, %d were allowed, %d of loans did not come back", crash, got, allowed, lost)
			}
			if lost > out {
				t.Errorf("crash %v: %d are lost, and no more than %d were out", crash, lost, out)
			}
		})
	}
}

// A loan is good to its end, also when the hold that granted it is over: its holder has crashed, and another has claimed. Its rest goes back to that hold or to
// nobody.
func TestLoanOutlivesItsHold(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "100000/1h")
		x, old := s.away("k")
		p := s.hasher.Key([]byte("k")).Partition(ring.Partitions)
		allowed, fromOld, claimed := uint64(0), 0, false
		ask := func() {
			d := s.request(x, check("k", 1, l))[0]
			if d.Allowed {
				allowed++
			}
			claimed = claimed || d.Holder != old.name
			if d.Via == transport.ViaLease && d.Holder == old.name && x.routes[p].Load().name != old.name {
				fromOld++
			}
			time.Sleep(200 * time.Microsecond)
		}
		for range 1000 {
			ask()
		}
		s.crash(old, false)
		s.request(x, check("k", 100000, l)) // more than is lent: it is claimed while the loan lasts
		for range 5000 {
			ask()
		}
		if fromOld == 0 || !claimed {
			t.Errorf("%d came from the loan of the former holder, claimed %v", fromOld, claimed)
		}
		s.settle(calmIn)
		if got, lost := s.spent(x, "k", l), s.unreturned(); got > allowed+uint64(lost) {
			t.Errorf("%d spent, %d were allowed, %d of loans did not come back", got, allowed, lost)
		}
	})
}

// A rest that comes while the partition is frozen for a handoff, which is refused then, is sent again.
func TestRestMeetsAFreeze(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "100000/1h")
		x, holder := s.away("k")
		p := s.hasher.Key([]byte("k")).Partition(ring.Partitions)
		s.heat(x, "k", l)
		gate := func(g bucket.Gate) {
			done := make(chan bool)
			holder.told.do(func() { holder.gate(p, g); close(done) })
			<-done
		}
		time.Sleep(lease.Term - 20*time.Millisecond)
		gate(bucket.Frozen)
		time.Sleep(80 * time.Millisecond)
		if p := x.Stats().Purse; p.Live != 0 || s.unreturned() == 0 {
			t.Fatalf("the rest has not come to a frozen partition: %+v", p)
		}
		gate(bucket.Open)
		time.Sleep(50 * time.Millisecond)
		if lost := s.unreturned(); lost != 0 {
			t.Errorf("%d hits of loans were neither handed out nor taken back", lost)
		}
	})
}

// Nobody answers from a purse while members are missing, or after a stop.
func TestPurseIsDropped(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "100000/1h")
		x, _ := s.away("k")
		s.heat(x, "k", l)
		done := make(chan bool)
		x.told.do(func() { x.dropPurse(); close(done) })
		<-done
		if p := x.Explain([]byte("k"), nil).Purse; p != nil {
			t.Errorf("still there: %+v", p)
		}
		few := limit(t, "5/1h")
		s.request(x, check("k", 5, few))
		s.request(x, check("k", 1, few))
		if d := s.request(x, check("k", 1, few))[0]; d.Via != transport.ViaDeniedCache {
			t.Fatalf("%+v", d)
		}
		s.heat(x, "k", l)
		x.stall(300 * time.Millisecond) // its loop: a stop
		time.Sleep(200 * time.Millisecond)
		if d := s.request(x, check("k", 1, l))[0]; d.Via == transport.ViaLease {
			t.Errorf("a node that was stopped answers from a loan: %+v", d)
		}
		time.Sleep(300 * time.Millisecond)
		if d := s.request(x, check("k", 1, few))[0]; d.Via == transport.ViaDeniedCache {
			t.Errorf("a node that was stopped knows a denial from before: %+v", d)
		}
		time.Sleep(time.Second)
		s.settle(calmIn)
		if wakes := x.Stats().Wakes; wakes == 0 {
			t.Error("it has not noticed")
		}
	})
}

// A split drops what was lent and heard.
func TestPurseInASplit(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "100000/1h")
		x, holder := s.away("k")
		s.heat(x, "k", l)
		for _, o := range s.live() {
			if o != x {
				s.link(x.name, o.name)
				s.link(o.name, x.name)
			}
		}
		for x.split.Load() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		for range 200 {
			if d := s.request(x, check("k", 1, l))[0]; d.Via == transport.ViaLease || d.Via == transport.ViaDeniedCache {
				t.Fatalf("%+v", d)
			}
			if d := s.request(holder, check("k", 1, l))[0]; d.Via == transport.ViaLease {
				t.Fatalf("%+v", d)
			}
			time.Sleep(time.Millisecond)
		}
		s.heal()
		s.settle(calmIn)
	})
}

// A group that is sure to be denied takes nothing.
func TestTogetherIsDeniedFirst(t *testing.T) {
	inSim(t, func(s *sim) {
		l := limit(t, "5/1h")
		x, holder := s.away("k")
		s.request(holder, check("k", 5, l))
		r := transport.Request{Deadline: time.Now().Add(time.Second), Checks: []transport.Check{check("other", 1, l), check("k", 1, l)}}
		if transport.Together(x, &r) || r.Decisions[1].Via != transport.ViaHolder {
			t.Fatalf("%+v", r.Decisions)
		}
		if transport.Together(x, &r) {
			t.Fatalf("%+v", r.Decisions)
		}
		if d := r.Decisions[1]; d.Allowed || d.Via != transport.ViaDeniedCache || d.By != 0 || d.Retry <= 0 || d.Holder != holder.name {
			t.Errorf("%+v", d)
		}
		if d := r.Decisions[0]; d.Allowed || d.By != -1 {
			t.Errorf("the other was made: %+v", d)
		}
		r.Checks[0].Each = true // who wants to know how all stand
		if transport.Together(x, &r) || r.Decisions[0].By != 0 {
			t.Errorf("%+v", r.Decisions)
		}
		if got := s.spent(x, "other", l); got != 0 {
			t.Errorf("%d spent of the other", got)
		}
	})
}

// Without leases every check goes to its holder.
func TestNoLeases(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSim(t, t.Name(), 1, true)
		s.noLeases = true
		defer s.end()
		s.boot()
		l := limit(t, "2000/1h")
		allowed, _ := s.hammer("k", time.Second, 0, 2, l)
		for _, x := range s.live() {
			for _, via := range []transport.Via{transport.ViaLease, transport.ViaDeniedCache} {
				if n := x.Stats().Decisions[via]; n != [2]uint64{} {
					t.Errorf("%s: %v by %v", x.name, n, via)
				}
			}
		}
		if n := sum(allowed); n > 2000 || n < 1999 {
			t.Errorf("%d allowed", n)
		}
	})
}
