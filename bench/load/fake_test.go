package load

import (
	"errors"
	"sync"
)

// A fakeLimiter is a target in memory that counts exactly, but for what a test breaks.
type fakeLimiter struct {
	extra   uint64              // admits so many hits more a key
	denyAll bool                // admits nothing
	fail    func(n int) bool    // the n-th request of all gets no answer
	before  func(caller, n int) // called before every request, n of this caller
	made    func(keys []uint32) // called with every request
	mu      sync.Mutex          // protects following fields
	spent   map[uint32]uint64   //
	count   uint64              //
	asked   int                 // requests of all callers
	closed  int                 // callers closed
}

func (f *fakeLimiter) Refills() bool { return false }

func (f *fakeLimiter) Caller(i int, w *Workload, _ string) (Caller, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spent == nil {
		f.spent = map[uint32]uint64{}
	}
	f.count = uint64(w.Count)
	return &fakeCaller{f: f, i: i}, nil
}

func (f *fakeLimiter) take(key uint32, hits uint64) Reply {
	if f.denyAll || f.spent[key]+hits > f.count+f.extra {
		return Denied
	}
	f.spent[key] += hits
	return Admitted
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
		replies[i] = f.take(k, 1)
		via[0]++
	}
	if f.fail != nil && f.fail(f.asked) {
		for i := range replies {
			replies[i] = Failed // spent all the same: the answer was lost
		}
		return errors.New("no answer")
	}
	return nil
}

func (c *fakeCaller) Spend(key, hits uint32) (Reply, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return c.f.take(key, uint64(hits)), nil
}

func (c *fakeCaller) Close() {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.closed++
}
