package client

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
	"github.com/stint-limiter/stint/transport/native"
	"github.com/stint-limiter/stint/transport/policy"
)

func post(d *native.Door, body string) string {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.SetBodyString(body)
	d.Handle(&ctx)
	return fmt.Sprint(ctx.Response.StatusCode(), " ", string(ctx.Response.Body()))
}

// A door over a client answers as one over a node: byte for byte, for random requests with limits and with a policy.
func TestDoorOverAClient(t *testing.T) {
	p, problems := policy.Parse("p.yaml", []byte(`
name: shop
attributes:
  token: { header: X-Token }
key: [ip]
rules:
  all:    { limits: 12/1m }
  verify: { match: GET /verify, limits: [5/1m, 30/1h] }
  write:  { match: ["POST /activate", "POST /deactivate"], limits: 4/1m, key: [token, ip] }
  watch:  { match: GET /verify, limits: 3/1m token_bucket, shadow: true }
headers:
  X-RateLimit-Limit: ${limit}
  X-RateLimit-Remaining: ${remaining}
denied:
  headers: { Retry-After: "${retry_after}" }
  body: "no ${rule}"
`))
	var policies []*policy.Policy
	if p != nil {
		policies = []*policy.Policy{p}
	} else {
		t.Fatalf("policy: %v", problems)
	}
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1"}, DeniedCache: -1})
		loaded := func() []*policy.Policy { return policies }
		over := native.New(native.Config{Checker: c, Policies: loaded})
		direct := native.New(native.Config{Checker: doortest.New(), Policies: loaded})
		rnd := rand.New(rand.NewPCG(1, 2))
		pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
		for i := range 400 {
			var checks []string
			for range 1 + rnd.IntN(4) {
				if rnd.IntN(2) == 0 {
					checks = append(checks, fmt.Sprintf(`{"key":"k%d","limits":[%s],"hits":%s}`, rnd.IntN(3),
						pick(`"9/1m"`, `"20/1h","7/1m"`, `"30/1s token_bucket burst=40"`, `"8/day fixed_window"`), pick("1", "2", "0", "-1", "50", "1", "1")))
				} else {
					checks = append(checks, fmt.Sprintf(`{"attributes":{"method":"%s","path":"%s","ip":"192.0.2.%d","token":"t%d"},"render":%s}`,
						pick("GET", "POST"), pick("/verify", "/activate", "/about"), rnd.IntN(3), rnd.IntN(2), pick("true", "false")))
				}
			}
			body := `{"checks":[` + strings.Join(checks, ",") + `]}`
			if got, want := post(over, body), post(direct, body); got != want {
				t.Fatalf("request %d: %s\ngot  %s\nwant %s", i, body, got, want)
			}
		}
		c.Close()
		nw.close()
	})
}

func limit(policy, rule, text string) transport.Limit {
	l, err := bucket.Parse(text)
	if err != nil {
		panic(err)
	}
	return transport.NewLimit(policy, rule, l)
}

// Limits of several rules in one check: all or nothing, each counted by its own rule.
func TestCheckOfSeveralRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		shadow := limit("p", "watch", "1/1m")
		shadow.Shadow = true
		check := transport.Check{Key: []byte("k"), Hits: 1, Each: true,
			Limits: []transport.Limit{limit("p", "a", "3/1m"), limit("p", "b", "2/1m"), shadow, limit("", transport.Inline, "9/1m")}}
		ask := func() transport.Decision {
			r := transport.Request{Checks: []transport.Check{check}, Deadline: time.Now().Add(time.Second)}
			c.Check(&r)
			return r.Decisions[0]
		}
		for i := range 4 {
			d := ask()
			left := []uint32{uint32(max(2-i, 1)), uint32(max(1-i, 0)), 0, uint32(max(8-i, 7))}
			var got []uint32
			for _, s := range d.Each {
				got = append(got, s.Remaining)
			}
			if d.Allowed != (i < 2) || d.By != 1 || d.Limit != 2 || !reflect.DeepEqual(got, left) || d.Shadowed&^0b100 != 0 || (d.Shadowed != 0) != (i > 0) {
				t.Errorf("%d: %+v, each %v, not %v", i, d, got, left)
			}
		}
		c.Close()
		nw.close()
	})
}

// What nobody could decide is answered by the check's mode; keys too long for their rule's name still count.
func TestCheckerModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		f := nw.nodes["n0:1"]
		c := made(t, nw, Config{Addrs: []string{"n0:1"}, OnError: transport.Deny})
		ask := func(n int) []transport.Decision {
			r := transport.Request{Deadline: time.Now().Add(time.Second)}
			for _, mode := range []transport.Mode{transport.ByDefault, transport.Allow, transport.Deny} {
				for range n {
					r.Checks = append(r.Checks, transport.Check{Key: []byte(strings.Repeat("k", 512)), Hits: 1, Unavailable: mode,
						Limits: []transport.Limit{limit("policy", "rule", "3000/1m")}})
				}
			}
			c.Check(&r)
			return r.Decisions
		}
		for i, d := range ask(800) {
			if !d.Allowed || d.By != 0 || d.Remaining != uint32(2999-i) || d.Via != transport.ViaHolder || d.Receipt == 0 {
				t.Fatalf("%d: %+v", i, d)
			}
		}
		f.counter.Answer = nobody(false)
		for range 2 {
			for i, d := range ask(1) {
				if d.Allowed != (i == 1) || d.Via != transport.ViaUnavailable || d.By != -1 {
					t.Errorf("%d: %+v", i, d)
				}
			}
			f.set(func(f *fake) { f.refuse = true })
			nw.cut()
			synctest.Wait()
		}
		var none transport.Request
		c.Check(&none)
		c.Close()
		nw.close()
	})
}
