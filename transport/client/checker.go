package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/bits"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A client is a transport.Checker: a door works over it as over a node of its own. What a node's API cannot say is made up for here:
//
//   - The API counts all limits that come with a request under one name, `inline`. A policy's limits are counted by their rule: so for
//     them the rule's name goes into the key, and a check whose limits belong to several rules travels as several checks. They are all or
//     nothing as keys of one request are (transport.Together): when one is denied, the others get their hits back.
//   - Shadow limits travel as checks of their own, which deny nothing.
//   - The states of all limits (Check.Each) are asked for by peeks right after the check.
//
// Count-denied and on_split cannot be said at all: a denied attempt is not counted, and the node's own --on-split holds.

// A part says which of a transport.Check's limits an ask is about.
type part struct {
	limits uint64 // a bit for each; 0: all
	shadow bool
	each   bool // it only looks
}

var _ transport.Checker = (*Client)(nil)

// Check implements transport.Checker. What nobody could decide is answered by the check's mode, or by Config.OnError where it has none.
func (c *Client) Check(r *transport.Request) {
	if cap(r.Decisions) < len(r.Checks) {
		r.Decisions = make([]transport.Decision, len(r.Checks))
	}
	r.Decisions = r.Decisions[:len(r.Checks)]
	deadline := int64(r.Deadline.Sub(c.base))
	k, now := c.get(), c.now()
	var held []int // checks in k of several parts, which may give back
	for i := range r.Checks {
		check := &r.Checks[i]
		simple := isSimple(check)
		need := 1
		if !simple {
			need = 2 * len(check.Limits)
		}
		// A check must not count a hit that an earlier one is about to give back.
		if len(k.asks)+need > transport.MaxChecks || len(k.buf)+need*maxPlain > maxChecks || len(held) > 0 && shares(r, held, check) {
			k = c.flush(r, k, deadline)
			now = c.now()
			held = held[:0]
		}
		first := len(k.asks)
		var known Decision
		var is bool
		if simple {
			a := k.addCheck(c, check.Key, check.Limits, check.Hits, check.Receipt, check.Hits > 0)
			known, is = c.remembered(k, a, now)
		} else {
			known, is = c.addParts(k, check, now)
		}
		for j := first; j < len(k.asks); j++ {
			k.asks[j].of = i
		}
		if is {
			k.cut(first)
			fill(&r.Decisions[i], check, 0, &known)
		} else if len(k.asks) > first+1 && check.Hits > 0 {
			held = append(held, i)
		}
	}
	c.put(c.flush(r, k, deadline))
}

// shares reports whether a check has the key of one of those.
func shares(r *transport.Request, held []int, check *transport.Check) bool {
	for _, i := range held {
		if bytes.Equal(r.Checks[i].Key, check.Key) {
			return true
		}
	}
	return false
}

// maxPlain bounds the bytes of a check with a key and limits.
const maxPlain = transport.MaxKey + transport.MaxLimits*(bucket.MaxLimitText+3) + 64

// isSimple reports whether the API can say a check as it is.
func isSimple(check *transport.Check) bool {
	if len(check.Limits) > transport.MaxLimits || check.Each && len(check.Limits) > 1 {
		return false
	}
	for i := range check.Limits {
		if l := &check.Limits[i]; l.Policy != "" || l.Rule != transport.Inline || l.Shadow {
			return false
		}
	}
	return true
}

// addParts adds a check as several, each about limits of one rule. It stops where one of them is known to be denied.
func (c *Client) addParts(k *call, check *transport.Check, now int64) (known Decision, is bool) {
	var key []byte
	for todo := uint64(1)<<len(check.Limits) - 1; todo != 0; {
		first := &check.Limits[bits.TrailingZeros64(todo)]
		p := part{shadow: first.Shadow}
		var limits []transport.Limit
		for rest := todo; rest != 0 && len(limits) < transport.MaxLimits; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			if l := &check.Limits[i]; l.Policy == first.Policy && l.Rule == first.Rule && l.Shadow == first.Shadow {
				limits = append(limits, *l)
				p.limits |= 1 << i
			}
		}
		todo &^= p.limits
		key = appendScoped(key[:0], first, check.Key)
		a := k.addCheck(c, key, limits, check.Hits, check.Receipt, check.Hits > 0)
		a.part = p
		if p.shadow || check.Each {
			continue
		}
		if d, denied := c.remembered(k, a, now); denied {
			return d, true
		}
	}
	if check.Each {
		for i := range check.Limits {
			key = appendScoped(key[:0], &check.Limits[i], check.Key)
			k.addCheck(c, key, check.Limits[i:i+1:i+1], 0, 0, false).part = part{limits: 1 << i, each: true}
		}
	}
	return Decision{}, false
}

// appendScoped appends the key that a rule counts a key by. The first byte is one that no key of a person begins with.
func appendScoped(b []byte, l *transport.Limit, key []byte) []byte {
	if l.Policy == "" && l.Rule == transport.Inline {
		return append(b, key...)
	}
	b = append(b, '\x01')
	b = append(b, l.Policy...)
	b = append(b, '\x1f')
	b = append(b, l.Rule...)
	b = append(b, '\x1f')
	b = append(b, key...)
	if len(b) > transport.MaxKey {
		sum := sha256.Sum256(b)
		b = hex.AppendEncode(append(b[:0], '\x01'), sum[:])
	}
	return b
}

// flush asks what a call has gathered, and returns an empty call.
func (c *Client) flush(r *transport.Request, k *call, deadline int64) *call {
	if len(k.asks) == 0 {
		return k
	}
	k.deadline = deadline
	mine, err := c.ask(context.Background(), k, c.now())
	var back *call
	for i := 0; i < len(k.asks); {
		of := k.asks[i].of
		n := 1
		for i+n < len(k.asks) && k.asks[i+n].of == of {
			n++
		}
		d, check := &r.Decisions[of], &r.Checks[of]
		if err != nil {
			u := c.undecided()
			fill(d, check, 0, &u)
		} else if c.conclude(k, i, n, check, d); !d.Allowed && n > 1 && check.Hits > 0 {
			back = c.giveBack(back, k, i, n, check)
		}
		i += n
	}
	if mine {
		k.reset()
	} else {
		k = c.get()
	}
	if back != nil {
		now := c.now()
		back.deadline = now + int64(time.Until(transport.GiveBackBy(r.Deadline)))
		if mine, _ := c.ask(context.Background(), back, now); mine {
			c.put(back)
		}
	}
	return k
}

// conclude makes one decision of the answers to a check's parts, which are k.asks[first:first+n].
func (c *Client) conclude(k *call, first, n int, check *transport.Check, d *transport.Decision) {
	var best Decision
	var by uint64
	found := false
	each := d.Each[:0]
	var shadowed, taken uint64
	for i := first; i < first+n; i++ {
		a := &k.asks[i]
		x, _ := c.settle(k, a, &k.decisions[i])
		if x.Allowed && !a.part.each {
			taken |= a.part.limits
		}
		switch {
		case a.part.each:
			each = append(each, state(&x))
		case a.part.shadow:
			if j := indexOf(check, a.part.limits, x.By); !x.Allowed && j >= 0 {
				shadowed |= 1 << j
			}
			if !found && by == 0 { // where all limits are shadow, nobody denies
				best = Decision{Allowed: true, Via: x.Via}
			}
		case !found || decides(&x, &best):
			best, by, found = x, a.part.limits, true
		}
	}
	if n > 1 {
		best.Receipt = 0 // several checks have several
	}
	if !best.Allowed && check.Hits > 0 {
		for i := range each { // the peeks saw what is given back in a moment
			if taken&(1<<i) != 0 {
				each[i].Remaining += uint32(min(uint64(check.Hits), uint64(each[i].Limit-min(each[i].Remaining, each[i].Limit))))
				each[i].Current = uint64(each[i].Limit - min(each[i].Remaining, each[i].Limit))
			}
		}
	}
	d.Each = each
	fill(d, check, by, &best)
	d.Shadowed = shadowed
	if check.Each && len(d.Each) == 0 && len(check.Limits) == 1 {
		d.Each = append(d.Each, d.State)
	}
}

// decides reports whether a is the deciding one of two answers that must both allow.
func decides(a, b *Decision) bool {
	undecided := func(d *Decision) bool { return d.Via == transport.ViaUnavailable }
	switch {
	case a.Allowed != b.Allowed:
		return !a.Allowed
	case undecided(a) != undecided(b):
		return undecided(a)
	case a.Allowed:
		return a.Remaining < b.Remaining || a.Remaining == b.Remaining && a.Reset > b.Reset
	case a.Never != b.Never:
		return a.Never
	}
	return a.Retry > b.Retry
}

// giveBack adds what the parts of a denied check have taken to the call back.
func (c *Client) giveBack(back, k *call, first, n int, check *transport.Check) *call {
	for i := first; i < first+n; i++ {
		a, x := &k.asks[i], &k.decisions[i]
		if a.part.each || !x.Allowed || x.Via == transport.ViaUnavailable || x.Via == transport.ViaFull {
			continue
		}
		if back == nil {
			back = c.get()
		}
		key := appendScoped(nil, &check.Limits[bits.TrailingZeros64(a.part.limits)], check.Key)
		back.addCheck(c, key, a.limits, -check.Hits, x.Receipt, false)
	}
	return back
}

// fill writes an answer as a transport.Decision; by has a bit for each limit that it may be about, 0 is all.
func fill(d *transport.Decision, check *transport.Check, by uint64, from *Decision) {
	each := d.Each
	*d = transport.Decision{Via: from.Via}
	d.Each = each
	d.Allowed, d.Never, d.Receipt = from.Allowed, from.Never, from.Receipt
	d.Full = from.Via == transport.ViaFull
	if d.By = indexOf(check, by, from.By); d.By >= 0 {
		d.State = state(from)
	}
	if from.Via == transport.ViaUnavailable && check.Unavailable != transport.ByDefault {
		d.Allowed = check.Unavailable.Allows()
	}
}

func state(d *Decision) bucket.State {
	return bucket.State{Limit: d.Limit, Remaining: d.Remaining, Current: uint64(d.Limit - min(d.Remaining, d.Limit)), Reset: d.Reset, Retry: d.Retry}
}

// indexOf returns which of the limits has a text, -1 for none.
func indexOf(check *transport.Check, of uint64, text string) int {
	for i := range check.Limits {
		if l := &check.Limits[i]; (of == 0 || of&(1<<i) != 0) && l.Text == text {
			return i
		}
	}
	return -1
}
