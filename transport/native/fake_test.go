package native

import (
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A counter is the dumbest Checker that counts: windows never end, and the first limit that is full denies. Each
// batch it is asked is kept.
type counter struct {
	mu      sync.Mutex
	spent   map[line]int64
	batches [][]transport.Check
	keep    bool                                            // keep batches
	answer  func(k *transport.Check, d *transport.Decision) // has the last word
}

type line struct {
	key   string
	scope uint64
}

func newCounter() *counter { return &counter{spent: map[line]int64{}, keep: true} }

func (c *counter) Check(r *transport.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep {
		var batch []transport.Check
		for _, k := range r.Checks {
			k.Key = []byte(string(k.Key))
			batch = append(batch, k)
		}
		c.batches = append(c.batches, batch)
	}
	if cap(r.Decisions) < len(r.Checks) {
		r.Decisions = make([]transport.Decision, len(r.Checks))
	}
	r.Decisions = r.Decisions[:len(r.Checks)]
	for i := range r.Checks {
		k, d := &r.Checks[i], &r.Decisions[i]
		*d = transport.Decision{}
		c.decide(k, d)
		if c.answer != nil {
			c.answer(k, d)
		}
	}
}

func (c *counter) decide(k *transport.Check, d *transport.Decision) {
	d.Allowed = true
	ask := max(k.Hits, 1)
	if k.Hits < 0 {
		ask = 0
	}
	for i := range k.Limits {
		l := &k.Limits[i]
		spent := c.spent[line{string(k.Key), l.Scope}]
		if spent+ask > int64(l.Count) {
			if l.Shadow {
				d.Shadowed |= 1 << i
				continue
			}
			if d.Allowed {
				d.Allowed, d.By = false, i
			}
			d.Never = d.Never || ask > int64(l.Count)
		}
	}
	if d.Allowed {
		d.By = -1
		for i := range k.Limits {
			l := &k.Limits[i]
			if d.Shadowed&(1<<i) == 0 {
				at := line{string(k.Key), l.Scope}
				if k.Hits != 0 {
					c.spent[at] = max(0, c.spent[at]+k.Hits)
				}
				if left := int64(l.Count) - c.spent[at]; !l.Shadow && (d.By < 0 || left < int64(d.Remaining)) {
					d.By, d.Remaining = i, uint32(left)
				}
			}
		}
		if k.Hits > 0 {
			d.Receipt = 0xbeef
		}
	}
	if d.By >= 0 {
		l := &k.Limits[d.By]
		spent := c.spent[line{string(k.Key), l.Scope}]
		d.Limit, d.Remaining, d.Current = l.Count, uint32(int64(l.Count)-spent), uint64(spent)
		if spent > 0 {
			d.Reset = 59*time.Second - 1 // rounded up to 59000 ms
		}
		if !d.Allowed && !d.Never {
			d.Retry = d.Reset
		}
	}
	d.Via = transport.ViaHolder
}

func (c *counter) asked(t testing.TB, i int) []transport.Check {
	t.Helper()
	if i >= len(c.batches) {
		t.Fatalf("asked %d times, not %d", len(c.batches), i+1)
	}
	return c.batches[i]
}

// nobody answers as if nobody could decide.
func nobody(allow bool) func(*transport.Check, *transport.Decision) {
	return func(_ *transport.Check, d *transport.Decision) {
		*d = transport.Decision{Outcome: bucket.Outcome{Allowed: allow, By: -1}, Via: transport.ViaUnavailable}
	}
}

// post sends a body to the door and returns its answer.
func post(t testing.TB, d *Door, body string) *fasthttp.Response {
	t.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.Header.SetContentType("application/x-www-form-urlencoded") // what curl -d says
	ctx.Request.SetBodyString(body)
	d.Handle(&ctx)
	return &ctx.Response
}

// answered sends a body and expects this status, type and body.
func answered(t testing.TB, d *Door, body string, status int, want string) {
	t.Helper()
	r := post(t, d, body)
	if r.StatusCode() != status || string(r.Body()) != want {
		t.Errorf("%s\ngot  %d %s\nwant %d %s", body, r.StatusCode(), r.Body(), status, want)
	}
}

func header(name, value string) policy.Header { return policy.Header{Name: name, Value: value} }
