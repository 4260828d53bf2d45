package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	s := &Session{Workload: w, Account: NewAccount(w.Keys, w.Count), opened: time.Now(), refills: t.Refills()}
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
func (s *Session) Verdict() Verdict {
	if s.refills {
		return s.Account.Verdict(time.Since(s.opened))
	}
	return s.Account.Verdict(0)
}

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
		a.Add(k, 1, r)
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
		}
		t.Latency.Merge(c.latency)
	}
	return t
}

// Warm runs a closed loop until the workload is what its name says: connections are open, keys were seen, and callers that are to be far over
// their limit are. It takes d, and for callers that are slow to get over up to ten times d.
func (s *Session) Warm(ctx context.Context, d time.Duration) error {
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

func orUndecided(err error) error {
	if err == nil {
		return errors.New("all were answered as unavailable or full")
	}
	return err
}

func (s *Session) allOver() bool {
	for k := range s.Account.keys {
		if s.Account.keys[k].asked.Load() < 2*uint64(s.Workload.Count) {
			return false
		}
	}
	return true
}

// Finish brings up to 100 of the keys to their limit and over it, unmeasured: one check takes most of what is left of each, and then
// all callers ask for the last few at the same time. So in every workload some keys show whether the limit holds. It
// does nothing where the target cannot ask for many hits at once.
func (s *Session) Finish(ctx context.Context) {
	const last = 32 // hits that are left for the callers to run after
	sample := s.Workload.sample()
	for i, k := range sample {
		c := s.callers[i%len(s.callers)]
		sp, ok := c.Caller.(spender)
		if !ok || ctx.Err() != nil {
			return
		}
		e := &s.Account.keys[k]
		if gone := e.asked.Load() + last; gone < uint64(s.Workload.Count) {
			hits := uint64(s.Workload.Count) - gone
			r, _ := sp.Spend(k, uint32(hits))
			s.Account.AddBulk(k, hits, r)
		}
	}
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
