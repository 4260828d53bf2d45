package hold_test

import (
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// check is one caller's question, at the node that it was put to. Its way is that of package node (forward.go there), in short.
type check struct {
	id             uint64
	n              *node
	partition, key int
	since, until   time.Duration
	epoch          uint64 // the highest that was heard of: it only rises
	hint           string // who is said to hold it
	moves          int
	holder         string        // who was asked last
	silent         uint64        // the epoch of the holder that did not answer
	told           time.Duration // when who is to claim was told first; 0: not yet
	deaf           bool          // that one does not answer either, or does nothing about it
	through        string        // who reaches the holder
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
	sent           time.Duration
	done           func(*reply) // nil: it failed
}

type reply struct {
	code   code
	yes    bool
	lends  bool
	holder string
	epoch  uint64
}

type code uint8

const (
	wait code = iota
	decided
	moved
	broken // it was asked for another, and nothing is known of what became of it
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

// young reports whether this node's tick is, so that it may decide.
func (n *node) young() bool { return n.w.now-n.lastTick <= n.w.timers.Gap }

// try puts a check where its route leads.
func (n *node) try(c *check) {
	if c.done == nil {
		return
	}
	if n.w.now >= c.until {
		n.answer(c, unanswered)
		return
	}
	r := n.m.Route(c.partition)
	if r.Hold.Epoch > c.silent {
		c.silent, c.told, c.deaf, c.through = 0, 0, false, "" // another holds it by now
	}
	c.epoch = max(c.epoch, r.Hold.Epoch)
	switch {
	case r.Way == hold.Here:
		if n.young() {
			n.answer(c, n.take(c.id, c.partition, c.key))
		} else {
			n.later(c)
		}
	case c.hint != "":
		c.holder, c.hint = c.hint, ""
		n.put(c, c.holder, &ask{})
	case c.through != "":
		n.put(c, c.through, &ask{through: true})
	case r.Way == hold.Through:
		n.put(c, r.To, &ask{through: true})
	case r.Way == hold.Failover:
		c.silent, c.holder = r.Hold.Epoch, r.Hold.Name
		n.failover(c, r.To)
	case r.Way == hold.Forward && c.silent != 0:
		n.failover(c, r.Heir)
	case r.Way == hold.Forward:
		c.holder = r.Hold.Name
		if by := n.around(c.holder); by != "" {
			n.put(c, by, &ask{through: true})
		} else {
			n.put(c, c.holder, &ask{})
		}
	default:
		n.later(c)
	}
}

func (n *node) later(c *check) { n.after(n.w.between(5*ms, 10*ms), func() { n.try(c) }) }

// around is who reaches a member that this node does not.
func (n *node) around(name string) string {
	if r := n.relays[name]; r.until > n.w.now && n.circuit[run{name, n.pipes[name]}] > n.w.now {
		return r.through
	}
	delete(n.relays, name)
	return ""
}

// relay is a member that reaches another, until then.
type relay struct {
	through string
	until   time.Duration
}

// failover tells who is to claim that the holder did not answer: another member, or where that does not answer either, this machine.
func (n *node) failover(c *check, to string) {
	if to != "" && to != n.name && !c.deaf {
		if c.told == 0 {
			c.told = n.w.now
		}
		n.put(c, to, &ask{failed: true})
		return
	}
	if n.checkFailed(c.partition, c.silent) && c.silent != 0 {
		// The machine has asked, and the route still leads to that holder: so it is there, and may hear this node again.
		if r := n.m.Route(c.partition); r.Way == hold.Forward && r.Hold.Epoch >= c.silent {
			c.silent, c.told, c.deaf = 0, 0, false
		}
	}
	n.later(c)
}

// considered says when the machine was last told of a holder's failure.
type considered struct {
	epoch uint64
	at    time.Duration
}

// checkFailed tells the machine of a failure, and reports whether it was told of the same a moment ago: if it still has the holder for
// alive, it has asked.
func (n *node) checkFailed(partition int, epoch uint64) (asked bool) {
	c := &n.parts[partition].considered
	asked = c.at > 0 && c.epoch == epoch && n.w.now-c.at < n.w.timers.Good
	n.step(hold.CheckFailed{Partition: partition, Epoch: epoch})
	*c = considered{epoch, n.w.now}
	return asked
}

// put sends one try of a check, and takes its answer.
func (n *node) put(c *check, to string, a *ask) {
	w := n.w
	w.asks++
	a.id, a.check, a.partition, a.key, a.epoch = w.asks, c.id, c.partition, c.key, c.epoch
	n.send(to, a, func(r *reply) {
		switch {
		case c.done == nil:
		case r == nil || r.code == broken:
			n.notAnswered(c, a)
		case r.code == decided && r.yes:
			n.answer(c, allowed)
		case r.code == decided:
			n.answer(c, denied)
		case r.code == moved:
			n.moved(c, a, r)
		default:
			// It had the time of a round, and nothing came of it: perhaps it reaches the holder only through another.
			c.deaf = c.deaf || a.failed && w.now-c.told >= w.timers.Round
			c.through = ""
			n.later(c)
		}
	})
}

// moved: another holds it, or the one who was told of a failure reaches the holder.
func (n *node) moved(c *check, a *ask, r *reply) {
	if a.failed && r.epoch == c.silent && c.silent != 0 {
		c.through = a.to.name
		n.relays[c.holder] = relay{c.through, n.w.now + n.w.timers.Relay}
		n.try(c)
		return
	}
	c.moves++
	if c.moves <= mostMoves && r.epoch >= a.epoch && r.holder != n.name && r.epoch != c.silent {
		c.hint, c.epoch = r.holder, max(c.epoch, r.epoch)
		n.try(c)
		return
	}
	n.later(c)
}

// notAnswered: the next try goes another way.
func (n *node) notAnswered(c *check, a *ask) {
	switch {
	case a.through:
		delete(n.relays, c.holder)
		c.through = ""
		if r := n.m.Route(c.partition); r.Way == hold.Through && r.To == a.to.name {
			n.checkFailed(c.partition, r.Hold.Epoch)
		}
		n.later(c)
		return
	case a.failed:
		c.deaf = true
	default:
		c.silent, c.told, c.deaf = max(a.epoch, 1), 0, false
	}
	n.try(c)
}
