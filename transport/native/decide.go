package native

import (
	"hash/maphash"

	"github.com/stint-limiter/stint/transport"
)

// All checks of a request go to the Checker in one batch, and whatever several-key items then have to give back goes
// in a second one. That is the same as deciding the items one by one as long as no check sees a hit that a later
// give-back takes away again:
//
//	A: login, keys token and e-mail    token takes, e-mail denies → token gets its hit back
//	B: asset, key token                in the same batch as A it would count A's hit, and may be denied for it
//
// So where an item has a key that an earlier several-key item of its round has too, a new round begins with it: A is
// settled before B is decided. Requests without such a pair, nearly all, are one round.

// decide fills in call.decisions, one for each of call.checks.
func (c *call) decide() {
	n := len(c.checks)
	if cap(c.decisions) < n {
		c.decisions = make([]transport.Decision, n)
	}
	c.decisions = c.decisions[:n]
	if n == 0 {
		return
	}
	c.deadline = c.came.Add(c.timeout)
	if !c.several {
		c.check(0, n)
		return
	}
	clear(c.held)
	from := 0
	for i := range c.items {
		it := &c.items[i]
		for _, k := range c.checks[it.first : it.first+it.n] {
			if _, shared := c.held[keySum(k.Key)]; shared {
				c.settle(from, i)
				clear(c.held)
				from = i
				break
			}
		}
		if it.spends(c.checks) {
			for _, k := range c.checks[it.first : it.first+it.n] {
				c.held[keySum(k.Key)] = struct{}{}
			}
		}
	}
	c.settle(from, len(c.items))
}

// settle decides items[from:to] and gives back what their denied ones have taken.
func (c *call) settle(from, to int) {
	last := &c.items[to-1]
	c.check(c.items[from].first, last.first+last.n)
	back := c.back.Checks[:0]
	for i := from; i < to; i++ {
		it := &c.items[i]
		if !it.spends(c.checks) {
			continue
		}
		if d := c.decisions[it.first : it.first+it.n]; !transport.AllAllowed(d) {
			back = transport.AppendGiveBack(back, c.checks[it.first:it.first+it.n], d)
		}
	}
	c.back.Checks = back
	if len(back) > 0 {
		c.back.Deadline = transport.GiveBackBy(c.deadline)
		c.door.checker.Check(&c.back)
	}
}

// check has checks[from:to] decided, in one batch.
func (c *call) check(from, to int) {
	if from == to {
		return
	}
	r := &c.round
	r.Checks, r.Deadline, r.Decisions = c.checks[from:to], c.deadline, c.decisions[from:to:to]
	c.door.checker.Check(r)
	copy(c.decisions[from:to], r.Decisions) // onto themselves, unless the Checker has taken memory of its own
}

var keySeed = maphash.MakeSeed()

// keySum stands for a key; two keys that meet in one sum cost a round, nothing else.
func keySum(key []byte) uint64 { return maphash.Bytes(keySeed, key) }
