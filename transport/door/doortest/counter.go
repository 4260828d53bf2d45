// Package doortest has the Checker that doors are tested over. It counts in the dumbest way there is, so that what a
// door makes of decisions can be said by hand.
package doortest

import (
	"sync"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A Counter is the dumbest Checker that counts: windows never end, and the first limit that is full denies. The first
// hit on a line is told to come back in 59 seconds less a nanosecond. It may be called from many goroutines.
type Counter struct {
	// Spent has the hits of each line.
	Spent map[Line]int64
	// Batches are what it has been asked, unless Forget is set; keys are copies.
	Batches [][]transport.Check
	Forget  bool
	// Answer has the last word on each decision, if it is set.
	Answer func(k *transport.Check, d *transport.Decision)

	mu sync.Mutex // protects all of it while Check runs
}

// A Line is a key and a transport.Limit's Scope.
type Line struct {
	Key   string
	Scope uint64
}

// Receipt is that of every hit that is taken.
const Receipt bucket.Receipt = 0xbeef

// New returns a Counter in which nothing is spent.
func New() *Counter { return &Counter{Spent: map[Line]int64{}} }

// Check implements transport.Checker.
func (c *Counter) Check(r *transport.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Forget {
		var batch []transport.Check
		for _, k := range r.Checks {
			k.Key = []byte(string(k.Key))
			batch = append(batch, k)
		}
		c.Batches = append(c.Batches, batch)
	}
	if cap(r.Decisions) < len(r.Checks) {
		r.Decisions = make([]transport.Decision, len(r.Checks))
	}
	r.Decisions = r.Decisions[:len(r.Checks)]
	for i := range r.Checks {
		k, d := &r.Checks[i], &r.Decisions[i]
		*d = transport.Decision{}
		c.decide(k, d)
		if c.Answer != nil {
			c.Answer(k, d)
		}
	}
}

func (c *Counter) decide(k *transport.Check, d *transport.Decision) {
	d.Allowed = true
	ask := max(k.Hits, 1)
	if k.Hits < 0 {
		ask = 0
	}
	for i := range k.Limits {
		l := &k.Limits[i]
		spent := c.Spent[Line{string(k.Key), l.Scope}]
		if spent+ask > int64(l.Count) {
			if l.Shadow {
				d.Shadowed |= 1 << i
				continue
			}
			if d.Allowed {
				d.Allowed, d.By = false, i
			}
			d.Never = d.Never || ask > int64(l.Count)
		}
	}
	if d.Allowed {
		d.By = -1
		for i := range k.Limits {
			l := &k.Limits[i]
			if d.Shadowed&(1<<i) == 0 {
				at := Line{string(k.Key), l.Scope}
				if k.Hits != 0 {
					c.Spent[at] = max(0, c.Spent[at]+k.Hits)
				}
				if left := int64(l.Count) - c.Spent[at]; !l.Shadow && (d.By < 0 || left < int64(d.Remaining)) {
					d.By, d.Remaining = i, uint32(left)
				}
			}
		}
		if k.Hits > 0 {
			d.Receipt = Receipt
		}
	}
	if d.By >= 0 {
		l := &k.Limits[d.By]
		spent := c.Spent[Line{string(k.Key), l.Scope}]
		d.Limit, d.Remaining, d.Current = l.Count, uint32(int64(l.Count)-spent), uint64(spent)
		if spent > 0 {
			d.Reset = 59*time.Second - 1 // rounded up to 59000 ms
		}
		if !d.Allowed && !d.Never {
			d.Retry = d.Reset
		}
	}
	d.Via = transport.ViaHolder
}

// Nobody is an Answer for when nobody can decide.
func Nobody(allow bool) func(*transport.Check, *transport.Decision) {
	return func(_ *transport.Check, d *transport.Decision) {
		*d = transport.Decision{Outcome: bucket.Outcome{Allowed: allow, By: -1}, Via: transport.ViaUnavailable}
	}
}
