package client

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// A denial cannot become an admission before its retry moment, unless somebody gives back or the limit is raised. So it is remembered until
// then, for a second at most, and a caller that hammers costs no request. A "no" to h hits is a "no" to h or more.
//
// It works like transport.LimitCache: the key's hash names a set of four slots, so reading takes no lock and memory is bounded.
//
// # Give-backs
//
// What is given back through this client shows at once. A denial that was decided before the give-back must not be remembered after it:
//
//  1. caller A is denied by the holder; its answer is on the way over one connection.
//  2. caller B gives back over another one, and has its answer first: the denials of the key are dropped.
//  3. A's answer arrives. Were it remembered now, the key would be denied for a second, though there is room.
//
// So each set has a turn, which a give-back raises when it begins and when it ends. A notes the turn before it asks, and at step 3 finds
// another one. It looks once more after it has written, for B may come to step 2 between A's look and A's writing.

const (
	deniedWays = 4
	// maxDenied is how long a denial is remembered at most: after that long a refund elsewhere, or a raised limit, shows.
	maxDenied = time.Second
	// An answer's milliseconds are rounded up, so a denial may end this much earlier than it says.
	roundedUp = time.Millisecond
)

type denials struct{ sets []deniedSet }

type deniedSet struct {
	turns atomic.Uint32
	next  atomic.Uint32
	slots [deniedWays]atomic.Pointer[denial]
}

// A denial is never changed once it is in a slot.
type denial struct {
	id       []byte // key and limits as a request has them
	key      int    // id[:key] is the key
	hits     int64
	at       int64 // when it was heard
	until    int64 // when it may have ended
	decision Decision
}

func newDenials(n int) *denials {
	sets := 1
	for sets*deniedWays < n && sets < 1<<20 {
		sets *= 2
	}
	return &denials{sets: make([]deniedSet, sets)}
}

func (d *denials) set(hash uint64) *deniedSet { return &d.sets[hash&uint64(len(d.sets)-1)] }

func (d *denials) turn(hash uint64) uint32 { return d.set(hash).turns.Load() }

// find returns the denial of so many hits that still stands, or nil.
func (d *denials) find(hash uint64, id []byte, hits, now int64) *denial {
	s := d.set(hash)
	for i := range s.slots {
		if e := s.slots[i].Load(); e != nil && now < e.until && hits >= e.hits && bytes.Equal(e.id, id) {
			return e
		}
	}
	return nil
}

// store remembers a denial, unless somebody has given back since turn.
func (d *denials) store(hash uint64, turn uint32, e *denial, now int64) {
	s := d.set(hash)
	if s.turns.Load() != turn {
		return
	}
	// The same question's slot, else one that has ended, else the next in turn.
	victim := &s.slots[s.next.Add(1)%deniedWays]
	for i := range s.slots {
		old := s.slots[i].Load()
		if old != nil && bytes.Equal(old.id, e.id) {
			victim = &s.slots[i]
			break
		}
		if old == nil || now >= old.until {
			victim = &s.slots[i]
		}
	}
	victim.Store(e)
	if s.turns.Load() != turn {
		victim.CompareAndSwap(e, nil)
	}
}

// drop forgets the denials of a key.
func (d *denials) drop(hash uint64, key []byte) {
	s := d.set(hash)
	s.turns.Add(1)
	for i := range s.slots {
		if e := s.slots[i].Load(); e != nil && bytes.Equal(e.id[:e.key], key) {
			s.slots[i].CompareAndSwap(e, nil)
		}
	}
}

// remembered returns the answer to a check that is known to be denied still.
func (c *Client) remembered(k *call, a *ask, now int64) (Decision, bool) {
	if c.denied == nil || a.hits < 1 || a.id == 0 {
		return Decision{}, false
	}
	e := c.denied.find(a.hash, k.buf[a.from+1:a.id], a.hits, now)
	if e == nil {
		return Decision{}, false
	}
	c.stats.denied.Add(1)
	d := e.decision
	since := time.Duration(now - e.at)
	d.Reset, d.Retry = max(d.Reset-since, 0), max(d.Retry-since, 0)
	d.Via = transport.ViaDeniedCache
	return d, true
}

// remember keeps an answer that denies.
func (c *Client) remember(k *call, a *ask, d *Decision) {
	if c.denied == nil || d.Allowed || a.hits < 1 || a.id == 0 || d.By == "" {
		return
	}
	stands := d.Retry - roundedUp
	if d.Never {
		stands = maxDenied
	}
	now := c.now()
	until := k.sent + int64(min(stands, maxDenied)) // from when it was sent: it was decided after that
	if stands <= 0 || until <= now {
		return
	}
	c.denied.store(a.hash, a.turn, &denial{
		id: bytes.Clone(k.buf[a.from+1 : a.id]), key: a.key - a.from - 1, hits: a.hits, at: now, until: until, decision: *d,
	}, now)
}

// forget drops the denials of what a call has given back.
func (c *Client) forget(k *call) {
	if c.denied == nil || !k.gives {
		return
	}
	for i := range k.asks {
		if a := &k.asks[i]; a.hits < 0 && a.id != 0 {
			c.denied.drop(a.hash, k.buf[a.from+1:a.key])
		}
	}
}
