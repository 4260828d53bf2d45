package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Load asks all nodes that are up for all keys in use, and records every answer. Its methods are for the one
// goroutine that tells the story; the callers are its own.
type Load struct {
	zero    time.Time
	targets []*target
	keys    []*Key
	callers []*caller
	lapses  []lapse
	stop    context.CancelFunc
	wg      sync.WaitGroup
	paused  bool

	// gate is held for reading by each caller while it asks, for writing by Pause.
	gate  sync.RWMutex
	up    atomic.Pointer[[]*target]
	inUse atomic.Pointer[[]*Key]
	rate  atomic.Int64 // checks per second over all callers, 0: as fast as they can
}

// A target is a node to ask.
type target struct {
	name string
	addr string
	at   uint8 // its place among the targets
	// life rises when the node has come up again: connections to what it was before are of no use.
	life atomic.Int32
}

// A lapse is a time in which a node could not answer: from is when it was killed or stopped.
type lapse struct {
	to         uint8
	from, till time.Duration
}

// forever ends a lapse that has not ended.
const forever = time.Duration(1<<63 - 1)

// NewLoad returns a load of so many callers at so many checks a second in all; 0 is as fast as they can. It is paused.
func NewLoad(callers int, rate int64) *Load {
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{zero: time.Now(), stop: stop}
	l.rate.Store(rate)
	l.up.Store(&[]*target{})
	l.inUse.Store(&[]*Key{})
	l.gate.Lock()
	l.paused = true
	for i := range callers {
		c := l.newCaller(uint64(i))
		l.callers = append(l.callers, c)
		l.wg.Go(func() { c.run(ctx, callers) })
	}
	// The last caller is the story's own: see Finish.
	l.callers = append(l.callers, l.newCaller(uint64(callers)))
	return l
}

// Close ends the load, waits for its last answers and closes its connections. It may be called twice.
func (l *Load) Close() {
	l.stop()
	l.Resume()
	l.wg.Wait()
	for _, c := range l.callers {
		c.close()
	}
}

// Now is the time since the load was made, by which all is recorded.
func (l *Load) Now() time.Duration { return time.Since(l.zero) }

// NewKeys makes n more keys; see newKeys. They are asked for once they are in use.
func (l *Load) NewKeys(prefix string, n int, mid uint32) []*Key {
	keys := newKeys(prefix, n, mid, len(l.keys))
	l.keys = append(l.keys, keys...)
	return keys
}

// Use has the callers ask for these keys from now on.
func (l *Load) Use(keys []*Key) { l.inUse.Store(&keys) }

// Rate changes how many checks a second there are in all.
func (l *Load) Rate(rate int64) { l.rate.Store(rate) }

// Pause waits until every check that is under way is answered, and lets none begin.
func (l *Load) Pause() {
	if !l.paused {
		l.gate.Lock()
		l.paused = true
	}
}

// Resume lets the callers go on.
func (l *Load) Resume() {
	if l.paused {
		l.paused = false
		l.gate.Unlock()
	}
}

// Up has the callers ask this node, too. A node that was up before is asked over new connections.
func (l *Load) Up(name, addr string) {
	t := l.target(name)
	if t == nil {
		t = &target{name: name, addr: addr, at: uint8(len(l.targets))}
		l.targets = append(l.targets, t)
	}
	t.life.Add(1)
	l.Back(name)
}

// Back has the callers ask this node again, over the connections that they have: it was stopped, and runs on.
func (l *Load) Back(name string) {
	l.Avoid(name)
	t := l.target(name)
	for i := range l.lapses {
		if l.lapses[i].to == t.at && l.lapses[i].till == forever {
			l.lapses[i].till = l.Now()
		}
	}
	up := append([]*target(nil), *l.up.Load()...)
	up = append(up, t)
	l.up.Store(&up)
}

// Avoid has the callers ask this node no more. What is on its way to it is to be answered.
func (l *Load) Avoid(name string) {
	var up []*target
	for _, t := range *l.up.Load() {
		if t.name != name {
			up = append(up, t)
		}
	}
	l.up.Store(&up)
}

// Lose has the callers ask this node no more, and says that from now on it can answer nothing: it is about to be killed
// or stopped.
func (l *Load) Lose(name string) {
	l.Avoid(name)
	l.lapses = append(l.lapses, lapse{to: l.target(name).at, from: l.Now(), till: forever})
}

func (l *Load) target(name string) *target {
	for _, t := range l.targets {
		if t.name == name {
			return t
		}
	}
	return nil
}

// A caller asks one check after another. It is for one goroutine; what it has recorded is for others while the load is
// paused or closed.
type caller struct {
	load    *Load
	rand    *rand.Rand
	conns   map[*target]*conn
	node    int // who was asked last
	records []Record
	failure []Failure
}

// maxFailures is how many failures a caller remembers in words.
const maxFailures = 8

func (l *Load) newCaller(seed uint64) *caller {
	return &caller{load: l, rand: rand.New(rand.NewPCG(seed, 1)), conns: map[*target]*conn{}, node: int(seed)}
}

// run asks until ctx ends. The load's rate is shared evenly: each caller has moments of its own at which its next check
// is due, and one that was kept waiting for an answer does not hurry after.
func (c *caller) run(ctx context.Context, callers int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for ctx.Err() == nil {
		if rate := c.load.rate.Load(); rate > 0 {
			period := time.Duration(int64(callers) * int64(time.Second) / rate)
			// Not on a beat that all callers share.
			due = due.Add(period/2 + time.Duration(c.rand.Int64N(int64(period))))
			if now := time.Now(); due.Before(now) {
				due = now
			}
			timer.Reset(time.Until(due))
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
		c.load.gate.RLock()
		up, keys := *c.load.up.Load(), *c.load.inUse.Load()
		idle := len(up) == 0 || len(keys) == 0
		if !idle && ctx.Err() == nil {
			c.node++
			c.ask(keys[c.rand.IntN(len(keys))], 1, up[c.node%len(up)])
		}
		c.load.gate.RUnlock()
		if idle {
			timer.Reset(5 * time.Millisecond) // the story may bring a node back
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
	}
}

// ask asks one node for hits on a key, and records the answer.
func (c *caller) ask(k *Key, hits uint32, to *target) (decision, error) {
	cn := c.conns[to]
	if cn == nil {
		cn = &conn{to: to}
		c.conns[to] = cn
	}
	request := k.one
	if hits != 1 {
		request = k.request(hits)
	}
	r := Record{Key: uint32(k.At), Hits: hits, Node: to.at, Start: c.load.Now()}
	d, err := cn.ask(request)
	r.End = c.load.Now()
	r.Said, r.Via = said(d, err)
	if r.Said == Failed && len(c.failure) < maxFailures {
		what := "answered " + d.Via
		if err != nil {
			what = err.Error()
		}
		c.failure = append(c.failure, Failure{r, fmt.Sprintf("%s for %s at %s, asked at %.2f s, after %v",
			what, k.Name, to.name, r.Start.Seconds(), (r.End - r.Start).Round(time.Millisecond))})
	}
	c.records = append(c.records, r)
	return d, err
}

func (c *caller) close() {
	for _, cn := range c.conns {
		cn.close()
	}
}
