package node

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

const (
	simKeys    = 30
	simClients = 10
	// simThink is how long a client waits between two requests, on average: some thousand checks a second in all, half of them of a
	// few hot keys, so that whatever happens to a partition finds some under way.
	simThink = 10 * time.Millisecond
)

// simClient asks nodes that are ready for hits, until told to stop. It gives back only what it was allowed, and that once.
type simClient struct {
	s    *sim
	r    *rand.Rand
	had  map[*simKey][]simHad
	req  transport.Request
	asks []*simKey
}

type simHad struct {
	hits    int64
	receipt bucket.Receipt
	at      time.Duration
}

// think is how long a client waits on average: less where keys are hot.
func (s *sim) think() time.Duration {
	if s.hot {
		return simThink / 3
	}
	return simThink
}

// clients starts the callers; the function that it returns stops them.
func (s *sim) clients() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for id := range simClients {
		c := &simClient{s: s, r: rand.New(rand.NewPCG(s.seed, uint64(100+id))), had: map[*simKey][]simHad{}}
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(min(time.Duration(c.r.ExpFloat64()*float64(s.think())), 10*simThink)):
					c.request()
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// request asks one node for one to four checks at once.
func (c *simClient) request() {
	nodes := c.s.steady()
	if len(nodes) == 0 {
		return
	}
	x := nodes[c.r.IntN(len(nodes))]
	c.req.Checks, c.asks = c.req.Checks[:0], c.asks[:0]
	since := [4]time.Duration{}
	for i := range 1 + c.r.IntN(4) {
		k := c.s.book.keys[c.r.IntN(simKeys)]
		if c.s.hot && c.r.IntN(10) > 0 {
			k = c.s.book.keys[c.r.IntN(len(simHotLimits))]
		} else if !c.s.hot && c.r.IntN(2) == 0 {
			k = c.s.book.keys[simKeys/2+c.r.IntN(simKeys/5)]
		}
		check := transport.Check{Key: []byte(k.name), Limits: []transport.Limit{k.limit}, Hits: 1, Unavailable: transport.Deny}
		switch n := c.r.IntN(20); {
		case n < 3:
			check.Hits = 0
		case n == 3 && len(c.had[k]) > 0:
			h := c.had[k][0]
			c.had[k] = c.had[k][1:]
			check.Hits, since[i] = -h.hits, h.at
			if c.r.IntN(2) == 0 {
				check.Receipt = h.receipt
			}
		case n < 10:
			check.Hits = int64(1 + c.r.IntN(3))
		}
		c.req.Checks = append(c.req.Checks, check)
		c.asks = append(c.asks, k)
	}
	from, pauses := c.s.now(), x.pauses.Load()
	c.req.Deadline = time.Now().Add(transport.DefaultTimeout)
	x.Check(&c.req)
	to, dead := c.s.now(), x.dead.Load()
	for i, k := range c.asks {
		d := &c.req.Decisions[i]
		e := simEntry{from: from, to: to, asked: x.name, holder: d.Holder, epoch: d.Epoch, hits: c.req.Checks[i].Hits, how: simDenied, via: d.Via, since: since[i], unheard: dead || x.pauses.Load() != pauses}
		switch {
		case dead, d.Via == transport.ViaUnavailable:
			e.how = simUnknown
		case d.Allowed:
			e.how = simAllowed
			if e.hits > 0 {
				c.had[k] = append(c.had[k], simHad{e.hits, d.Receipt, from})
			}
		}
		if e.how == simUnknown && !dead {
			c.s.logf("  %s at %s: %d of %s failed after %v", k.name, x.name, e.hits, k.limit.Text, to-from)
		}
		c.s.book.add(k, e)
	}
}

// one check of a key at a node, in the ledger like any other.
func (s *sim) ask(x *simNode, k *simKey, hits int64) transport.Decision {
	r := transport.Request{Deadline: time.Now().Add(transport.DefaultTimeout), Checks: []transport.Check{
		{Key: []byte(k.name), Limits: []transport.Limit{k.limit}, Hits: hits, Unavailable: transport.Deny}}}
	from := s.now()
	x.Check(&r)
	d := r.Decisions[0]
	e := simEntry{from: from, to: s.now(), asked: x.name, holder: d.Holder, epoch: d.Epoch, hits: hits, how: simDenied, via: d.Via}
	switch {
	case d.Via == transport.ViaUnavailable:
		e.how = simUnknown
	case d.Allowed:
		e.how = simAllowed
	}
	s.book.add(k, e)
	return d
}
