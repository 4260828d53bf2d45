package load

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// A fakeLimiter is a target in memory that counts exactly, but for what a test breaks.
type fakeLimiter struct {
	extra   uint64              // admits so many hits more a key
	denyAll bool                // admits nothing
	burns   bool                // a denied check spends its hits in the limits that had room
	lent    uint64              // so many hits of each key are out on loan until loans
	loans   time.Time           //
	fail    func(n int) bool    // the n-th request of all gets no answer
	before  func(caller, n int) // called before every request, n of this caller
	made    func(keys []uint32) // called with every request
	mu      sync.Mutex          // protects following fields
	w       *Workload           //
	spent   map[string]uint64   // by key and limit
	asked   int                 // requests of all callers
	closed  int                 // callers closed
}

func (f *fakeLimiter) Refills() bool { return false }

func (f *fakeLimiter) Caller(i int, w *Workload, _ string) (Caller, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spent == nil {
		f.spent = map[string]uint64{}
	}
	f.w = w
	return &fakeCaller{f: f, i: i}, nil
}

// take knows of limits only their COUNT: windows are longer than any test.
func (f *fakeLimiter) take(key uint32, hits uint64, limits []string) Reply {
	verdict := Admitted
	if f.denyAll {
		return Denied
	}
	var room []string
	for _, l := range limits {
		var count uint64
		if _, err := fmt.Sscanf(l, "%d/", &count); err != nil {
			panic(err)
		}
		if time.Now().Before(f.loans) {
			count -= f.lent
		}
		id := fmt.Sprint(key, " ", l)
		if f.spent[id]+hits > count+f.extra {
			verdict = Denied
		} else {
			room = append(room, id)
		}
	}
	if verdict == Admitted || f.burns {
		for _, id := range room {
			f.spent[id] += hits
		}
	}
	return verdict
}

type fakeCaller struct {
	f    *fakeLimiter
	i, n int
}

func (c *fakeCaller) Check(keys []uint32, replies []Reply, via *Shares) error {
	f := c.f
	if f.before != nil {
		f.before(c.i, c.n)
	}
	c.n++
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.made != nil {
		f.made(keys)
	}
	for i, k := range keys {
		t := f.w.TermsOf(k)
		replies[i] = f.take(k, uint64(t.Hits), t.Limits)
		if f.lent > 0 {
			via[viaLease]++
		} else {
			via[0]++
		}
	}
	if f.fail != nil && f.fail(f.asked) {
		for i := range replies {
			replies[i] = Failed // spent all the same: the answer was lost
		}
		return errors.New("no answer")
	}
	return nil
}

func (c *fakeCaller) Spend(key, hits uint32, limits []string) (Reply, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return c.f.take(key, uint64(hits), limits), nil
}

func (c *fakeCaller) Close() {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.closed++
}
