package hold_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// check is one caller's question, at the node that it was put to.
type check struct {
	id             uint64
	n              *node
	partition, key int
	since, until   time.Duration
	epoch          uint64 // the highest that was heard of: it only rises
	hint           string // who is said to hold it
	moves          int
	doubted        hold.Hold // the hold that did not answer, as who is to claim was told
	doubtedAt      time.Duration
	done           func(verdict)
}

// verdict is how a check ended.
type verdict uint8

const (
	unanswered verdict = iota
	denied
	allowed
)

// ask is one try of a check at another node.
type ask struct {
	id             uint64
	check          uint64
	partition, key int
	epoch          uint64
	failed         bool // the holder with this epoch did not answer
	through        bool // put it to the holder, and bring the answer
	to             run
	conn           int
	done           func(*reply) // nil: it failed
}

type reply struct {
	code   code
	yes    bool
	holder string
	epoch  uint64
}

type code uint8

const (
	wait code = iota
	decided
	moved
)

const (
	deadline  = time.Second
	mostMoves = 3
)

// ask puts a check to a node, as a caller would.
func (w *world) ask(n *node, partition, key int, done func(verdict)) {
	w.checks++
	c := &check{id: uint64(w.checks), n: n, partition: partition, key: key, since: w.now, until: w.now + deadline, done: done}
	n.do("", func() { n.try(c) })
}

// traffic is callers all over the cluster, busier around faults.
func (w *world) traffic() {
	if w.quiet {
		return
	}
	if al := w.callable(); len(al) > 0 {
		n := al[w.rng.IntN(len(al))]
		w.ask(n, w.rng.IntN(w.parts), w.rng.IntN(4)/3, func(verdict) {})
	}
	near := false
	for _, t := range w.faults[max(0, len(w.faults)-6):] {
		near = near || w.now-t < 1500*ms
	}
	mean := 60 * ms
	if near {
		mean = 6 * ms
	}
	w.after(time.Duration(w.rng.ExpFloat64()*float64(mean)), w.traffic)
}

// callable are the nodes that callers are sent to.
func (w *world) callable() []*node {
	var out []*node
	for _, n := range w.alive() {
		if !n.gone && !n.starting {
			out = append(out, n)
		}
	}
	return out
}

// answer ends a check.
func (n *node) answer(c *check, v verdict) {
	w := n.w
	if c.done == nil {
		return
	}
	took := w.now - c.since
	stopped := n.wokeAt > c.since // its caller waited for a node that stood still
	if !stopped {
		w.longest = max(w.longest, took)
	}
	switch {
	case v == unanswered && stopped:
		w.standing++
	case v == unanswered:
		w.failures++
		w.failed = append(w.failed, failure{w.now, c.since, n.name, c.partition})
		w.tracef("check %d at %s%d failed", c.id, n.name, n.start)
	case v == allowed:
		w.admitted[c.partition][c.key]++
	}
	if took > 150*ms {
		w.tracef("check %d at %s%d took %v", c.id, n.name, n.start, took)
	}
	done := c.done
	c.done = nil
	done(v)
}

// young reports whether this node may decide: its tick is, and it has not said goodbye.
func (n *node) young() bool { return n.w.now-n.lastTick <= n.w.timers.Gap && !n.gone }

// try puts a check where its route leads.
func (n *node) try(c *check) {
	w := n.w
	if c.done == nil {
		return
	}
	if w.now >= c.until {
		n.answer(c, unanswered)
		return
	}
	r := n.m.Route(c.partition)
	if c.hint != "" && r.Way != hold.Here {
		to := c.hint
		c.hint = ""
		n.put(c, to, &ask{epoch: c.epoch}, func() { n.later(c) })
		return
	}
	c.hint = ""
	switch {
	case r.Way == hold.Here && n.young():
		n.answer(c, n.take(c.id, c.partition, c.key))
	case r.Way == hold.Forward:
		n.put(c, r.To, &ask{epoch: max(c.epoch, r.Hold.Epoch)}, func() { n.failedAt(c, r) })
	case r.Way == hold.Through:
		n.put(c, r.To, &ask{epoch: max(c.epoch, r.Hold.Epoch), through: true}, func() { n.failedAt(c, r) })
	case r.Way == hold.Failover:
		n.failover(c, r.Hold, r.To)
	default:
		n.later(c)
	}
}

func (n *node) later(c *check) { n.after(n.w.between(5*ms, 10*ms), func() { n.try(c) }) }

// failedAt is when the holder did not answer: who is to claim is told, unless another way was found meanwhile.
func (n *node) failedAt(c *check, was hold.Route) {
	if r := n.m.Route(c.partition); r.Hold != was.Hold || r.Way != was.Way {
		n.try(c)
		return
	}
	n.failover(c, was.Hold, n.backup(c.partition, was.Hold.Name))
}

func (n *node) failover(c *check, h hold.Hold, to string) {
	fail := func() {
		n.step(hold.CheckFailed{Partition: c.partition, Epoch: h.Epoch})
		n.later(c)
	}
	if c.doubted != h {
		c.doubted, c.doubtedAt = h, n.w.now
	}
	// Who is to claim has had the time of a round, and nothing came of it: it reaches the holder, and this node does not.
	if to == "" || to == n.name || n.w.now-c.doubtedAt >= n.w.timers.Round {
		fail()
		return
	}
	n.put(c, to, &ask{epoch: max(c.epoch, h.Epoch), failed: true}, fail)
}

func (n *node) backup(p int, holder string) string {
	ring := []string{}
	if !n.leaving {
		ring = append(ring, n.name)
	}
	for _, name := range n.w.names {
		if s := n.view[name]; s != nil && !s.leaving {
			ring = append(ring, name)
		}
	}
	for _, name := range n.w.order(p, ring) {
		if name != holder {
			return name
		}
	}
	return ""
}

// put sends one try of a check, and takes its answer.
func (n *node) put(c *check, to string, a *ask, failed func()) {
	w := n.w
	w.asks++
	a.id, a.check, a.partition, a.key = w.asks, c.id, c.partition, c.key
	n.send(to, a, func(r *reply) {
		if c.done == nil {
			return
		}
		if r == nil {
			failed()
			return
		}
		c.epoch = max(c.epoch, a.epoch)
		switch r.code {
		case decided:
			if r.yes {
				n.answer(c, allowed)
			} else {
				n.answer(c, denied)
			}
		case moved:
			c.moves++
			if c.moves <= mostMoves && r.epoch >= c.epoch && r.holder != n.name {
				c.hint, c.epoch = r.holder, r.epoch
				n.try(c)
				return
			}
			c.moves = 0
			n.later(c)
		default:
			n.later(c)
		}
	})
}

// send is the pipe to a member: it gives up after Attempt, and then fails at once for a while.
func (n *node) send(to string, a *ask, done func(*reply)) {
	w := n.w
	a.to = run{to, n.pipes[to]}
	if a.to.start == 0 || n.circuit[a.to] > w.now {
		n.after(0, func() { done(nil) })
		return
	}
	a.done = done
	n.asks[a.id] = a
	w.tracef("  check %d: %s%d asks %s%d (epoch %d, failed %v, through %v)", a.check, n.name, n.start, to, a.to.start, a.epoch, a.failed, a.through)
	sent := w.now
	fail := func() {
		if n.asks[a.id] == a {
			delete(n.asks, a.id)
			if n.heard[a.to] < sent {
				n.circuit[a.to] = w.now + w.timers.Circuit
			}
			done(nil)
		}
	}
	w.net.send(n, to, a.to.start, func(d *node) {
		d.meetStart(n.name, n.start)
		d.asked(a, n.name, n.start)
	}, fail)
	n.after(w.timers.Attempt, fail)
}

// answers is when a member has answered: the pipe is whole.
func (n *node) answers(r run) {
	delete(n.circuit, r)
	n.heard[r] = n.w.now
}

// failAll is what becomes of all asks under way when the connections are dropped.
func (n *node) failAll() {
	for _, id := range slices.Sorted(maps.Keys(n.asks)) {
		if a := n.asks[id]; a != nil {
			delete(n.asks, id)
			a.done(nil)
		}
	}
}

// asked answers another node's ask.
func (n *node) asked(a *ask, from string, start uint64) {
	w := n.w
	back := func(r reply) {
		w.net.send(n, from, start, func(d *node) {
			d.meetStart(n.name, n.start)
			if d.asks[a.id] == a {
				delete(d.asks, a.id)
				d.answers(a.to)
				a.done(&r)
			}
		}, func() {})
	}
	if yes, ok := n.parts[a.partition].decide[a.id]; ok { // it came twice
		back(reply{code: decided, yes: yes})
		return
	}
	r := n.m.Route(a.partition)
	switch {
	case !n.young():
		back(reply{})
	case r.Way == hold.Here:
		yes := n.take(a.check, a.partition, a.key) == allowed
		n.parts[a.partition].decide[a.id] = yes
		back(reply{code: decided, yes: yes})
	case a.through && r.Way == hold.Forward:
		w.asks++
		n.send(r.To, &ask{id: w.asks, check: a.check, partition: a.partition, key: a.key, epoch: r.Hold.Epoch}, func(r *reply) {
			if r == nil {
				r = &reply{}
			}
			back(*r)
		})
	case r.Hold.Epoch > a.epoch && r.Hold.Name != n.name:
		back(reply{code: moved, holder: r.Hold.Name, epoch: r.Hold.Epoch})
	case a.failed:
		n.step(hold.CheckFailed{Partition: a.partition, Epoch: a.epoch})
		back(reply{})
	default:
		back(reply{})
	}
}

// take decides, and notes what no node could see: whether another that took over has decided already.
func (n *node) take(id uint64, partition, key int) verdict {
	w := n.w
	h, state := n.m.Hold(partition)
	p := &n.parts[partition]
	if state == hold.Held && p.gate != open {
		w.wrongf("%s%d is to decide for partition %d and its gate is not open", n.name, n.start, partition)
	}
	if top := w.highest[partition]; h.Compare(top) > 0 {
		w.highest[partition] = h
	} else if h != top {
		w.stale = append(w.stale, fmt.Sprintf("at %v %s decides as %v after %v has", w.now, n.name, h, top))
		w.tracef("!! stale: %s", w.stale[len(w.stale)-1])
	}
	if p.lines.total(key) >= w.limit[key] {
		return denied
	}
	p.lines.take(key)
	w.spent[partition][key]++
	return allowed
}
