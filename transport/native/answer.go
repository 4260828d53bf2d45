package native

import (
	"slices"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/policy"
)

// A view is one decision as the API shows it. The encoders (answerjson.go, answermsgpack.go) write its fields in this
// order and leave out what the comments say.
type view struct {
	allowed   bool
	by        *transport.Limit // nil: no limit decided, and the five fields that tell of it are left out
	limit     uint32
	remaining uint32
	reset     int64 // milliseconds
	retry     int64
	via       string // "": nothing was to be decided
	policy    bool   // rule and current are there if by is
	rule      string
	current   uint64
	never     bool     // only if true
	shadow    []string // only if there are any
	receipt   bucket.Receipt
	render    bool // status, headers and body are there, body only if there is one
	status    int
	headers   []policy.Header
	body      []byte
}

// A tally is what one request adds to the door's counters.
type tally struct {
	allowed, unavailable uint64 // items; unavailable are those that were denied for that
	via                  [transport.Vias]uint64
}

// answer writes the decisions and returns the HTTP status.
func (c *call) answer(json bool) int {
	var t tally
	for i := range c.decisions {
		if v := c.decisions[i].Via; int(v) < len(t.via) {
			t.via[v]++
		}
	}
	var now bucket.Instant
	if c.plan > 0 {
		now = c.door.clock.Now() // the decisions' resets count from here
	}
	if json {
		c.out = append(c.out, `{"decisions":[`...)
	} else {
		c.out = append(c.out, 0x81)
		c.out = appendMsgpackText(c.out, "decisions")
		c.out = appendMsgpackHead(c.out, 0x90, 0xdc, len(c.items))
	}
	var v view
	for i := range c.items {
		it := &c.items[i]
		if !json && it.policy == nil && !it.receipt {
			var written bool
			d := &c.decisions[it.first]
			if c.out, written = quickAnswer(c.out, d, limitOf(d, &c.checks[it.first])); written {
				if d.Allowed {
					t.allowed++
				}
				continue
			}
		}
		v = view{}
		unavailable := false
		if it.policy == nil {
			unavailable = c.viewPlain(it, &v)
		} else {
			unavailable = c.viewPlanned(it, now, &v)
		}
		if v.allowed {
			t.allowed++
		} else if unavailable {
			t.unavailable++
		}
		if json {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			c.out = appendJSON(c.out, &v)
		} else {
			c.out = appendMsgpack(c.out, &v)
		}
	}
	if json {
		c.out = append(c.out, ']', '}')
	}
	c.door.stats.add(len(c.items), &t)
	if t.unavailable == uint64(len(c.items)) {
		return 503
	}
	return 200
}

// viewPlain shows the decision on a check that named its key, and says whether nobody could make it.
func (c *call) viewPlain(it *item, v *view) bool {
	d, k := &c.decisions[it.first], &c.checks[it.first]
	v.allowed, v.via, v.never = d.Allowed, d.Via.String(), d.Never
	v.state(d, limitOf(d, k))
	if it.receipt && d.Allowed && k.Hits > 0 {
		v.receipt = d.Receipt
	}
	return d.Via == transport.ViaUnavailable
}

// viewPlanned shows what the policy makes of the decisions on its checks, and says whether nobody could make them.
func (c *call) viewPlanned(it *item, now bucket.Instant, v *view) bool {
	v.render = it.render
	if it.denied {
		v.via, v.status = transport.ViaUnavailable.String(), 503
		return true
	}
	checks, decisions := c.checks[it.first:it.first+it.n], c.decisions[it.first:it.first+it.n]
	a := &c.ans
	it.policy.Render(it.plan, decisions, now, a)
	if len(checks) > 0 && checks[0].Hits > 0 {
		it.policy.Tally(it.plan, decisions, a)
	}
	v.allowed, v.status, v.headers, v.body = a.Allowed, a.Status, a.Headers, a.Body
	if it.n == 0 {
		return false // no rule matched
	}
	d := a.Decision
	if d == nil {
		d = undecided(decisions, a.Allowed)
	}
	v.via, v.never = d.Via.String(), d.Never && !a.Allowed
	v.policy, v.rule = true, a.Rule
	v.state(d, a.By)
	c.shadow = c.shadow[:0]
	for i := range decisions {
		c.shadow = appendShadows(c.shadow, &decisions[i], checks[i].Limits)
	}
	v.shadow = c.shadow
	return d.Via == transport.ViaUnavailable
}

// state shows the limit that decided, if one did.
func (v *view) state(d *transport.Decision, by *transport.Limit) {
	if by == nil {
		return
	}
	v.by = by
	v.limit, v.remaining, v.current = d.Limit, d.Remaining, d.Current
	v.reset, v.retry = milliseconds(d.Reset), milliseconds(d.Retry)
}

// limitOf returns the limit that decided, nil where none did.
func limitOf(d *transport.Decision, k *transport.Check) *transport.Limit {
	if d.By < 0 || d.By >= len(k.Limits) || d.Via == transport.ViaUnavailable || d.Via == transport.ViaFull {
		return nil
	}
	return &k.Limits[d.By]
}

// undecided returns the decision that speaks for a plan in which no limit decided: the first that says what the
// policy says.
func undecided(decisions []transport.Decision, allowed bool) *transport.Decision {
	for i := range decisions {
		if decisions[i].Allowed == allowed {
			return &decisions[i]
		}
	}
	return &decisions[0]
}

// appendShadows appends the names of the shadow rules that would have denied, each once.
func appendShadows(names []string, d *transport.Decision, limits []transport.Limit) []string {
	for i := range limits {
		if d.Shadowed&(1<<i) != 0 && !slices.Contains(names, limits[i].Rule) {
			names = append(names, limits[i].Rule)
		}
	}
	return names
}

// milliseconds rounds up: who waits that long has waited long enough.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
