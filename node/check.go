package node

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// work is the scratch memory of one request.
type work struct {
	wants []bucket.Want
	away  []away
	going []going

	// Of the next checks, see ahead.
	keys   [bucket.MostExpected]bucket.KeyHash
	places [bucket.MostExpected]bucket.Place
}

// away is a check that could not be decided here.
type away struct {
	check     int // index in the request
	partition int
	key       bucket.KeyHash
	borrow    uint32 // how much it is to wish for besides, if that is known
}

// Check decides the checks of a request: those on partitions held here at once, the others by their holders. It is
// the transport.Checker of a node.
func (n *Node) Check(r *transport.Request) {
	now := n.pulse.look()
	awake := n.pulse.young(now)
	turns := n.turns.Load()
	w := n.work.Get().(*work)
	w.away = w.away[:0]
	r.Decisions = grow(r.Decisions, len(r.Checks))
	for i := range r.Checks {
		if i%bucket.MostExpected == 0 {
			n.ahead(w, r.Checks[i:min(i+bucket.MostExpected, len(r.Checks))])
		}
		c, key := &r.Checks[i], w.keys[i%bucket.MostExpected]
		p := key.Partition(ring.Partitions)
		var borrow uint32
		switch rt := n.routes[p].Load(); {
		case !awake:
		case rt.here():
			if !n.overtakes(w, key, turns) && n.here(now, rt, c, key, p, w, &r.Decisions[i]) {
				continue
			}
		default:
			var answered bool
			if answered, borrow = n.fromPurse(now, c, key, w, &r.Decisions[i]); answered {
				continue
			}
		}
		w.away = append(w.away, away{i, p, key, borrow})
	}
	if len(w.away) > 0 {
		n.forward(now, r, w)
	}
	for i := range r.Decisions {
		n.stats.count(&r.Decisions[i])
	}
	n.work.Put(w)
}

// ahead hashes the keys of the next checks, and has the lines of those that are held here brought near.
func (n *Node) ahead(w *work, checks []transport.Check) {
	places := w.places[:0]
	for i := range checks {
		key := n.hasher.Key(checks[i].Key)
		w.keys[i] = key
		if p := key.Partition(ring.Partitions); n.routes[p].Load().here() {
			places = append(places, bucket.Place{Partition: p, Key: key.Key})
		}
	}
	if len(places) > 1 {
		n.table.Expect(places)
	}
}

// overtakes reports whether an earlier check of the request on the same key is on its way elsewhere: those on one key take effect in
// order. It can only be so if a route or a gate has changed since the request began.
func (n *Node) overtakes(w *work, key bucket.KeyHash, turns uint64) bool {
	if len(w.away) == 0 || n.steady(turns) {
		return false
	}
	for i := range w.away {
		if w.away[i].key == key {
			return true
		}
	}
	return false
}

// steady reports whether no route or gate has changed since turns was read, and none was changing then.
func (n *Node) steady(turns uint64) bool { return turns&1 == 0 && n.turns.Load() == turns }

// here decides a check at this node's own partition; false if the partition is not held here, or frozen.
func (n *Node) here(now bucket.Instant, rt *route, c *transport.Check, key bucket.KeyHash, partition int, w *work, d *transport.Decision) bool {
	w.wants = appendWants(w.wants[:0], c, key)
	part := n.table.Partition(partition)
	d.Each = each(d.Each, c)
	if s := n.split.Load(); s != nil && c.Hits >= 0 {
		switch s.apply(n.onSplit(c.OnSplit), w.wants) {
		case splitSilent:
			n.unavailable(c, d)
			return true
		case splitNothing:
			s.deny(w.wants, &d.Outcome)
			d.Holder, d.Epoch, d.Via = n.cfg.Name, rt.epoch, transport.ViaHolder
			return true
		}
	}
	var err error
	if c.Hits < 0 {
		err = part.Give(now, w.wants, uint32(-c.Hits), c.Receipt, &d.Outcome)
		if n.purse != nil {
			n.purse.Refund(key.Key)
		}
	} else {
		err = part.Take(now, w.wants, uint32(c.Hits), &d.Outcome)
	}
	if err != nil {
		return false
	}
	d.Holder, d.Epoch, d.Via = n.cfg.Name, rt.epoch, rt.via(now, w.wants)
	n.settle(d)
	return true
}

// via says how an answer of a partition held here came about: a window after a claim, all is known that counts.
func (rt *route) via(now bucket.Instant, wants []bucket.Want) transport.Via {
	if rt.claimed != 0 {
		for i := range wants {
			if now.Sub(rt.claimed) < wants[i].Limit.Window.Longest() {
				return transport.ViaClaimed
			}
		}
	}
	return transport.ViaHolder
}

// settle gives an answered check the answer of on_full where the holder found no room for its line.
func (n *Node) settle(d *transport.Decision) {
	if d.Full {
		d.Outcome = bucket.Outcome{Allowed: n.cfg.OnFull == transport.Allow, Full: true, By: -1}
		d.Via = transport.ViaFull
	}
}

// unavailable answers a check that nobody could decide.
func (n *Node) unavailable(c *transport.Check, d *transport.Decision) {
	mode := c.Unavailable
	if mode == transport.ByDefault {
		mode = n.cfg.FailureMode
	}
	*d = transport.Decision{Via: transport.ViaUnavailable}
	d.By, d.Allowed = -1, mode == transport.Allow
}

func appendWants(to []bucket.Want, c *transport.Check, key bucket.KeyHash) []bucket.Want {
	for i := range c.Limits {
		l := &c.Limits[i]
		to = append(to, bucket.Want{ID: key.ID(l.Window, l.Scope), Limit: l.Limit, Shadow: l.Shadow, CountDenied: l.CountDenied})
	}
	return to
}

// each returns memory for the states of all limits where the check asks for them, nil where not.
func each(old []bucket.State, c *transport.Check) []bucket.State {
	if !c.Each {
		return nil
	}
	return grow(old, len(c.Limits))
}

// grow returns s with length n, in its own memory if that is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
