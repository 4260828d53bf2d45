package hold_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stint-limiter/stint/node/hold"
)

// send is the pipe to a member: it gives up after Attempt, and then fails at once for a while.
func (n *node) send(to string, a *ask, done func(*reply)) {
	w := n.w
	a.to = run{to, n.pipes[to]}
	if a.to.start == 0 || n.circuit[a.to] > w.now {
		n.after(0, func() { done(nil) })
		return
	}
	a.done, a.sent = done, w.now
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
	if r := n.m.Route(a.partition); a.through && r.Way == hold.Forward && n.pipes[r.To] != 0 {
		w.asks++
		n.send(r.To, &ask{id: w.asks, check: a.check, partition: a.partition, key: a.key, epoch: max(a.epoch, r.Hold.Epoch)}, func(r *reply) {
			if r == nil {
				n.checkFailed(a.partition, a.epoch)
				r = &reply{code: broken}
			}
			back(*r)
		})
		return
	}
	r := n.decide(a)
	if r.lends {
		n.lend(a, from, start, n.m.Route(a.partition))
	}
	if a.through && r.code == moved && r.epoch == a.epoch {
		r.code = wait
	}
	back(r)
}

// decide answers an ask, here or not at all.
func (n *node) decide(a *ask) reply {
	r := n.m.Route(a.partition)
	out := reply{holder: r.Hold.Name, epoch: r.Hold.Epoch}
	switch {
	case r.Way == hold.Here && n.young():
		out.code, out.yes = decided, n.take(a.check, a.partition, a.key) == allowed
		out.lends = out.yes && r.Lends
		n.parts[a.partition].decide[a.id] = out.yes
	case r.Way == hold.Forward && (r.Hold.Epoch < a.epoch || r.Hold.Name == n.name):
		if a.failed {
			n.checkFailed(a.partition, a.epoch)
		}
	case r.Way == hold.Forward && (!a.failed || r.Hold.Epoch > a.epoch || n.checkFailed(a.partition, a.epoch)):
		out.code = moved // for one that failed: it can be reached through here
	case r.Way == hold.Through && r.Hold.Epoch > a.epoch:
		out.code = moved
	case r.Way == hold.Failover && (a.failed || r.To == n.name):
		n.checkFailed(a.partition, r.Hold.Epoch)
	}
	return out
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
