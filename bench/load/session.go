package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Session is one workload against one server, from its first check to the verdict. Connections and the account last
// as long as the session; stretches come one after another.
type Session struct {
	Workload *Workload
	Account  *Account

	opened  time.Time
	refills bool
	callers []*caller
	seen    Shares // of all stretches that have ended
}

// A caller is one of the session's callers and what it has seen in the present stretch.
type caller struct {
	Caller
	cursor  cursor
	keys    []uint32
	replies []Reply

	requests, checks, admitted, failed uint64
	err                                error // the stretch's first
	via                                Shares
	latency                            *hdrhistogram.Histogram
}

// NewSession opens so many callers. Prefix begins every key; it must be new, for the account begins empty.
func NewSession(t Target, w *Workload, prefix string, callers int) (*Session, error) {
	s := &Session{Workload: w, Account: NewAccount(w.Keys, w.Terms), opened: time.Now(), refills: t.Refills()}
	for i := range callers {
		c, err := t.Caller(i, w, prefix)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("open caller %d: %w", i, err)
		}
		s.callers = append(s.callers, &caller{
			Caller: c, cursor: w.cursor(i, callers),
			keys: make([]uint32, w.Batch), replies: make([]Reply, w.Batch), latency: newLatency(),
		})
	}
	return s, nil
}

// Close closes all connections.
func (s *Session) Close() {
	for _, c := range s.callers {
		c.Close()
	}
}

// Verdict compares what was admitted with what was due so far. It is for between stretches.
func (s *Session) Verdict() Verdict { return s.Account.Verdict(time.Since(s.opened), s.refills) }

// A Stretch is what one stretch of load has shown.
type Stretch struct {
	Elapsed  time.Duration
	Requests uint64
	Checks   uint64
	Admitted uint64
	Failed   uint64 // checks
	Err      error  // the first of those that failed without an answer
	Via      Shares
	Latency  *hdrhistogram.Histogram // of requests, in ns
	// Late, in open loop, is by how much the generator itself was behind when it handed a request to its callers, in
	// ns. It is part of Latency and not the server's doing.
	Late *hdrhistogram.Histogram
	// Unsent, in open loop, is how many requests were due and never sent, because every caller still waited for an
	// answer. They are in Latency with the time that they had waited, and their checks in Failed.
	Unsent uint64
}

// Rate returns the checks per second that were answered.
func (s Stretch) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Checks-s.Failed) / s.Elapsed.Seconds()
}

// newLatency returns a histogram from 1 µs to a minute, to three digits, in ns.
func newLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// record enters a duration; one that is beyond the histogram's range counts as the end of it.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	d = min(max(d, 0), time.Minute)
	h.RecordValue(int64(d))
}

// Closed runs a closed loop for d, or until ctx ends: every caller sends its next request when it has its answer.
func (s *Session) Closed(ctx context.Context, d time.Duration) Stretch {
	s.reset()
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for _, c := range s.callers {
		wg.Go(func() {
			for t := time.Now(); t.Before(end) && ctx.Err() == nil; {
				c.ask(s.Account)
				now := time.Now()
				record(c.latency, now.Sub(t))
				t = now
			}
		})
	}
	wg.Wait()
	return s.collect(time.Since(start))
}

// ask sends the caller's next request and enters the replies.
func (c *caller) ask(a *Account) {
	c.cursor.next(c.keys)
	c.askFor(a)
}

func (c *caller) askFor(a *Account) {
	if err := c.Check(c.keys, c.replies, &c.via); err != nil && c.err == nil {
		c.err = err
	}
	c.requests++
	c.checks += uint64(len(c.keys))
	for i, k := range c.keys {
		r := c.replies[i]
		switch r {
		case Admitted:
			c.admitted++
		case Failed:
			c.failed++
		}
		a.Add(k, uint64(a.termsOf(k).Hits), r)
	}
}

func (s *Session) reset() {
	for _, c := range s.callers {
		c.requests, c.checks, c.admitted, c.failed, c.err, c.via = 0, 0, 0, 0, nil, Shares{}
		c.latency.Reset()
	}
}

func (s *Session) collect(elapsed time.Duration) Stretch {
	t := Stretch{Elapsed: elapsed, Latency: newLatency()}
	for _, c := range s.callers {
		t.Requests += c.requests
		t.Checks += c.checks
		t.Admitted += c.admitted
		t.Failed += c.failed
		if t.Err == nil {
			t.Err = c.err
		}
		for i, n := range c.via {
			t.Via[i] += n
			s.seen[i] += n
		}
		t.Latency.Merge(c.latency)
	}
	return t
}

// Warm runs a closed loop until the workload is what its name says: connections are open, keys were seen (each one, where their number was
// asked for), and callers that are to be far over their limit are. It takes d, and for callers that are slow to get over up to ten times d.
func (s *Session) Warm(ctx context.Context, d time.Duration) error {
	if s.Workload.Fill {
		if t := s.Fill(ctx, 0, nil); t.Failed > 0 {
			return fmt.Errorf("%d of %d checks failed while each key was asked for once: %w", t.Failed, t.Checks, orUndecided(t.Err))
		}
	}
	for range 10 {
		if t := s.Closed(ctx, d); t.Requests > 0 && t.Failed == t.Checks {
			return fmt.Errorf("every check failed: %w", orUndecided(t.Err))
		}
		if s.Workload.seq != nil || s.allOver() {
			break
		}
	}
	return ctx.Err()
}

// Fill asks for every key once, in their order, so many a second if rate is not 0, else as fast as all callers can; the last request goes on
// with the first keys. Every hundred requests it says how many keys were asked for, unless say is nil; several goroutines may call it.
func (s *Session) Fill(ctx context.Context, rate float64, say func(keys int)) Stretch {
	s.reset()
	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, c := range s.callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				first := (n - 1) * len(c.keys)
				if first >= s.Workload.Keys {
					return
				}
				for i := range c.keys {
					c.keys[i] = uint32((first + i) % s.Workload.Keys)
				}
				if rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(float64(first) / rate * 1e9))))
				}
				sent := time.Now()
				c.askFor(s.Account)
				record(c.latency, time.Since(sent))
				if say != nil && n%100 == 0 {
					say(first + len(c.keys))
				}
			}
		})
	}
	wg.Wait()
	return s.collect(time.Since(start))
}

func orUndecided(err error) error {
	if err == nil {
		return errors.New("all were answered as unavailable or full")
	}
	return err
}

func (s *Session) allOver() bool {
	for k := range s.Account.keys {
		if s.Account.keys[k].asked.Load() < 2*uint64(s.Workload.TermsOf(uint32(k)).Count) {
			return false
		}
	}
	return true
}

// lending is how long after the last check every hit that was lent has come back, and every denial that was cached meanwhile is
// forgotten: a loan lasts up to 200 ms and a denial up to a second.
const lending = 1500 * time.Millisecond

// lends reports whether a node has answered from what it was lent, or remembered, so that loans may be out.
func (s *Session) lends() bool {
	seen := s.seen
	for _, c := range s.callers {
		for i, n := range c.via {
			seen[i] += n
		}
	}
	return seen[viaLease] > 0 || seen[viaDeniedCache] > 0
}

// returned waits until all loans have come back.
func (s *Session) returned(ctx context.Context) {
	if !s.lends() {
		return
	}
	t := time.NewTimer(lending)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Finish brings up to 100 of the keys to their limit and over it, unmeasured: one check takes most of what is left of each, and then
// all callers ask for the last few at the same time. So in every workload some keys show whether the limit holds. It
// does nothing where the target cannot ask for many hits at once.
//
// Hits on loan to a node are spent, and another node denies what they would have allowed until they have come back. So before this and after it all
// loans are waited for, and what was denied though it was due is asked for once more: now it has to be admitted.
func (s *Session) Finish(ctx context.Context) {
	sp, ok := s.callers[0].Caller.(spender)
	if !ok {
		return
	}
	s.returned(ctx)
	s.again(ctx, sp)
	sample := s.Workload.sample()
	s.nearly(ctx, sample)
	s.race(ctx, sample)
	s.returned(ctx)
	s.again(ctx, sp)
	s.beside(ctx, sp, sample)
}

// spend asks for so many hits of a key in one check, and, where there are less, for as many of them as there are: by halves. It returns how
// many were admitted, and how many may have been.
func spend(sp spender, key uint32, t *Terms, hits uint64) (admitted, failed uint64) {
	for step := hits; step > 0 && hits > 0; {
		step = min(step, hits)
		switch r, _ := sp.Spend(key, uint32(step), t.Limits); r {
		case Admitted:
			admitted += step
			hits -= step
		case Denied:
			step = step / 2 / uint64(t.Hits) * uint64(t.Hits)
		default:
			return admitted, hits
		}
	}
	return admitted, 0
}

// last is how many checks are left of each sampled key for the callers to run after.
const last = 32

// nearly spends most of what is left of each key.
func (s *Session) nearly(ctx context.Context, sample []uint32) {
	for i, k := range sample {
		sp, ok := s.callers[i%len(s.callers)].Caller.(spender)
		if !ok || ctx.Err() != nil {
			return
		}
		t := s.Workload.TermsOf(k)
		gone := s.Account.keys[k].asked.Load() + last*uint64(t.Hits)
		if room := t.room(); gone < room {
			admitted, failed := spend(sp, k, t, room-gone)
			s.Account.AddBulk(k, room-gone, admitted, failed)
		}
	}
}

// race has all callers ask for the sampled keys, together more often than is left.
func (s *Session) race(ctx context.Context, sample []uint32) {
	rounds := 2*last/len(s.callers) + 1
	var wg sync.WaitGroup
	for n, c := range s.callers {
		wg.Go(func() {
			for range rounds {
				// Batches of the sample, padded with its beginning, from another place for every caller.
				for at := 0; at < len(sample) && ctx.Err() == nil; at += len(c.keys) {
					for i := range c.keys {
						c.keys[i] = sample[(n+at+i)%len(sample)]
					}
					c.askFor(s.Account)
				}
			}
		})
	}
	wg.Wait()
}

// again asks once more for what was denied though it was due. Where nothing was lent nothing excuses that, and nothing is asked again.
func (s *Session) again(ctx context.Context, sp spender) {
	if !s.lends() {
		return
	}
	for k := range s.Account.keys {
		if n := s.Account.missing(uint32(k)); n > 0 && ctx.Err() == nil {
			admitted, failed := spend(sp, uint32(k), s.Workload.TermsOf(uint32(k)), n)
			s.Account.Again(uint32(k), admitted, failed)
		}
	}
}

// beside looks at the limits beside the one that denies: all or nothing, so each has counted what was admitted and not a hit of what was denied.
// Exactly what is left of it must be admitted, and nothing after. Hits of the key that are missing already are missing here too, and not counted again.
func (s *Session) beside(ctx context.Context, sp spender, sample []uint32) {
	for _, k := range sample {
		t, e := s.Workload.TermsOf(k), &s.Account.keys[k]
		for _, b := range t.Beside {
			if e.failed.Load() > 0 || ctx.Err() != nil {
				break // nobody knows whether that was spent
			}
			alone := &Terms{Limits: []string{b.Limit}, Hits: 1}
			left := uint64(b.Count) - e.admitted.Load()
			admitted, failed := spend(sp, k, alone, left)
			if failed > 0 {
				break
			}
			if under := left - admitted; under > s.Account.missing(k) {
				s.Account.beside(0, under-s.Account.missing(k), "key %d: %d hits were admitted under %v, and then %d of %d under %s alone",
					k, e.admitted.Load(), t.Limits, admitted, left, b.Limit)
			} else if r, _ := sp.Spend(k, 1, alone.Limits); r == Admitted {
				s.Account.beside(1, 0, "key %d: %d hits were admitted under %v, and then more than %d under %s alone", k, e.admitted.Load(), t.Limits, left, b.Limit)
			}
		}
	}
}
