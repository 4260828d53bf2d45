package policy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

func TestAllRulesThatMatchApply(t *testing.T) {
	p := parse1(t, `
name: p
attributes: { user: { header: X-User-Id }, plan: { header: X-Plan } }
key: [user, ip]
rules:
  all: { limits: [10/1m, 100/1h] }
  items: { match: "GET /items/", limits: 5/1m }
  item: { match: ["GET /items/{id}", "PUT /items/{id}"], limits: 4/1m }
  by-ip: { match: /items/, key: [ip], limits: 3/1m }
  free: { when: { plan: [free, trial*] }, limits: 2/1m }
`)
	wantPlan(t, p, ask(t, "GET /"), "ip=192.0.2.1: all 10/1m, all 100/1h")
	wantPlan(t, p, ask(t, "GET /items/7"), "ip=192.0.2.1: all 10/1m, all 100/1h, items 5/1m, item 4/1m, by-ip 3/1m")
	wantPlan(t, p, ask(t, "PUT /items/7", "X-User-Id: 42"), "user=42: all 10/1m, all 100/1h, item 4/1m; ip=192.0.2.1: by-ip 3/1m")
	wantPlan(t, p, ask(t, "GET /", "X-User-Id: 42", "X-Plan: free"), "user=42: all 10/1m, all 100/1h, free 2/1m")
	wantPlan(t, p, ask(t, "GET /", "X-Plan: trial-2026"), "ip=192.0.2.1: all 10/1m, all 100/1h, free 2/1m")
	wantPlan(t, p, ask(t, "GET /", "X-Plan: fre"), "ip=192.0.2.1: all 10/1m, all 100/1h")
}

func TestOtherwise(t *testing.T) {
	p := parse1(t, `
name: p
attributes: { user: { header: X-User-Id }, plan: { header: X-Plan } }
key: [ip]
rules:
  rest: { match: otherwise, limits: 1/1m }
  items: { match: GET /items, limits: 5/1m }
  mine: { match: GET /mine, key: [user], limits: 5/1m }
  pro: { match: GET /pro, when: { plan: pro }, limits: 5/1m }
  late: { match: otherwise, limits: 9/1h }
`)
	wantPlan(t, p, ask(t, "GET /items"), "ip=192.0.2.1: items 5/1m")
	wantPlan(t, p, ask(t, "GET /else"), "ip=192.0.2.1: rest 1/1m, late 9/1h")
	wantPlan(t, p, ask(t, "OPTIONS *"), "ip=192.0.2.1: rest 1/1m, late 9/1h")
	wantPlan(t, p, ask(t, "GET /mine"), "") // matches, but there is nobody to count it by
	wantPlan(t, p, ask(t, "GET /pro"), "ip=192.0.2.1: rest 1/1m, late 9/1h")
}

func TestWhenAddress(t *testing.T) {
	p := parse1(t, `
name: p
rules:
  inside: { when: { ip: [10.0.0.0/8, "2001:db8::/32", 192.0.2.*] }, key: [ip], limits: 1/1m }
  home: { when: { ip: "2001:db8:0:7::1" }, key: [ip], limits: 2/1m }
`)
	for ip, want := range map[string]string{
		"10.1.2.3": "ip=10.1.2.3: inside 1/1m", "11.1.2.3": "", "192.0.2.9": "ip=192.0.2.9: inside 1/1m",
		"2001:db8::1":      "ip=2001:db8::/64: inside 1/1m",
		"2001:db8:0:7::99": "ip=2001:db8:0:7::/64: inside 1/1m, home 2/1m",
	} {
		wantPlan(t, p, ask(t, "GET /", "from "+ip), want)
	}
}

func TestOverrides(t *testing.T) {
	p := parse1(t, `
name: p
attributes:
  token: { bearer: Authorization }
  user: { header: X-User-Id, lower: true }
  seller: { query: seller }
rules:
  r:
    key: [token, user+seller, user, ip]
    limits: [10/1m, 100/1h]
    overrides:
      - { key: { token: "sha256:5994471abb01112a" }, limits: 1000/1m }
      - { key: { user: Bob, seller: 7 }, limits: 20/1m }
      - { key: { user: BOB }, limits: 30/1m, until: 2021-02-02 }
      - { key: { user: eve }, limits: unlimited }
      - { key: { ip: "2001:db8::1" }, limits: 40/1m }
      - { key: { user: bob }, limits: 50/1m }
`)
	for _, x := range []struct {
		r    *Request
		want string
	}{
		{ask(t, "GET /", "Authorization: Bearer 12345"), "token=sha256:5994471abb01112a: r 1000/1m"},
		{ask(t, "GET /", "Authorization: Bearer 1"), "token=" + hashOf("", "1") + ": r 10/1m, r 100/1h"},
		{ask(t, "GET /?seller=7", "X-User-Id: bob"), "user=bob,seller=7: r 20/1m"},
		{ask(t, "GET /?seller=8", "X-User-Id: bob"), "user=bob,seller=8: r 30/1m"},
		{ask(t, "GET /", "X-User-Id: bob"), "user=bob: r 30/1m"},
		{ask(t, "GET /", "X-User-Id: eve"), ""},
		{ask(t, "GET /?seller=8", "X-User-Id: eve"), ""},
		{ask(t, "GET /", "from 2001:db8::99"), "ip=2001:db8::/64: r 40/1m"},
		{ask(t, "GET /", "from 2001:db8:1::99"), "ip=2001:db8:1::/64: r 10/1m, r 100/1h"},
		// The address is not what this caller is counted by.
		{ask(t, "GET /", "from 2001:db8::99", "X-User-Id: alice"), "user=alice: r 10/1m, r 100/1h"},
	} {
		wantPlan(t, p, x.r, x.want)
	}
	// When the second has ended, the next that fits counts.
	var plan Plan
	later := bucket.Instant(time.Date(2021, 2, 4, 0, 0, 0, 0, time.UTC).UnixMicro())
	if err := p.Plan(ask(t, "GET /", "X-User-Id: bob"), later, &plan); err != nil {
		t.Fatal(err)
	}
	if got := planText(&plan); got != "user=bob: r 50/1m" {
		t.Errorf("after until: %s", got)
	}
}

func TestFailureModeAndSplit(t *testing.T) {
	p := parse1(t, `
name: p
key: [ip]
rules:
  soft: { match: /a, failure_mode: allow, on_split: full, limits: 1/1m }
  hard: { match: ["/a/b", "/c"], failure_mode: deny, on_split: deny, limits: 1/1m }
  mid: { match: ["/a/b", "/d"], on_split: share, limits: 1/1m }
  a: { match: /a/b, failure_mode: allow, limits: 1/1m }
  s: { match: /s, failure_mode: deny, on_split: deny, shadow: true, limits: 1/1m }
`)
	for uri, want := range map[string]string{"/a": "allow full", "/s": "allow ", "/c": "deny deny", "/a/b": "deny deny", "/d": fmt.Sprint(p.rules[2].mode, " share")} {
		var plan Plan
		if err := p.Plan(ask(t, "GET "+uri), t0, &plan); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(plan.Checks[0].Unavailable, " ", plan.Checks[0].OnSplit); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
	m := func(modes ...transport.Mode) transport.Mode {
		var of []contribution
		for _, mode := range modes {
			of = append(of, contribution{rule: &runRule{rule: &rule{mode: mode}}})
		}
		return newCombination(of).mode
	}
	if m(transport.Allow, transport.ByDefault) != transport.ByDefault || m(transport.ByDefault, transport.Deny, transport.Allow) != transport.Deny || m(transport.Allow) != transport.Allow {
		t.Error("modes are put together wrongly")
	}
}

// many is a policy of n rules, each counted by a header of its own.
func many(n int, key func(i int) string) string {
	var b strings.Builder
	b.WriteString("name: p\nattributes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  a%d: { header: X-A%d }\n", i, i)
	}
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  r%d: { match: /x/, key: [%s], limits: 1/1m }\n", i, key(i))
	}
	return b.String()
}

func TestTooMuchAtOnce(t *testing.T) {
	p := parse1(t, many(5, func(i int) string { return fmt.Sprintf("a%d", i) }))
	all := []string{"X-A0: 0", "X-A1: 1", "X-A2: 2", "X-A3: 3", "X-A4: 4"}
	var plan Plan
	if err := p.Plan(ask(t, "GET /x/", all[1:]...), t0, &plan); err != nil || len(plan.Checks) != 4 {
		t.Errorf("four keys: %v, %s", err, planText(&plan))
	}
	if err := p.Plan(ask(t, "GET /x/", all...), t0, &plan); !errors.Is(err, ErrKeys) {
		t.Errorf("five keys: %v", err)
	}
	if got := planText(&plan); got != "a0=0: r0 1/1m; a1=1: r1 1/1m; a2=2: r2 1/1m; a3=3: r3 1/1m" {
		t.Errorf("five keys: %s", got)
	}
	p = parse1(t, many(65, func(int) string { return "ip" }))
	if err := p.Plan(ask(t, "GET /x/"), t0, &plan); !errors.Is(err, ErrLimits) || len(plan.Checks[0].Limits) != bucket.MaxWants {
		t.Errorf("65 limits: %v", err)
	}
}

// What a caller can make of overlapping rules is bounded; beyond it, plans are still right.
func TestCombinationsAreBounded(t *testing.T) {
	const rules = 20
	p := parse1(t, many(rules, func(i int) string { return fmt.Sprintf("a%d, ip", i) }))
	var plan Plan
	for n := range rules * rules * rules { // which three of them have a key of their own
		h := map[string]bool{}
		for _, i := range []int{n % rules, n / rules % rules, n / rules / rules} {
			h[fmt.Sprintf("X-A%d: x", i)] = true
		}
		if a, b, c := n%rules, n/rules%rules, n/rules/rules; a > b || b > c {
			continue // the same three in another order
		}
		if err := p.Plan(ask(t, "GET /x/", slices.Collect(maps.Keys(h))...), t0, &plan); err != nil {
			t.Fatal(err)
		}
		for _, c := range plan.Checks {
			if want := rules - len(h); strings.HasPrefix(string(c.Key), "ip") && len(c.Limits) != want {
				t.Fatalf("%d limits by ip, want %d", len(c.Limits), want)
			}
		}
	}
	if n := len(*p.ready().combinations.made.Load()); n != maxCombinations {
		t.Errorf("%d combinations", n)
	}
}

// A plan's limits are shared by all requests, and its keys are its own.
func TestPlanIsUsedAgain(t *testing.T) {
	p := example(t, "ipto")
	var one, two, again Plan
	r1 := ask(t, "GET /assets", "Authorization: Bearer 1")
	r2 := ask(t, "GET /assets", "Authorization: Bearer 2")
	for plan, r := range map[*Plan]*Request{&one: r1, &two: r2} {
		if err := p.Plan(r, t0, plan); err != nil {
			t.Fatal(err)
		}
	}
	if &one.Checks[0].Limits[0] != &two.Checks[0].Limits[0] {
		t.Error("the same rules gave two slices of limits")
	}
	for _, r := range []*Request{ask(t, "POST /auth/login", "body "+`{"email":"a@b.c"}`), ask(t, "GET /"), ask(t, "GET /wallet/btc/x"), r1} {
		var fresh Plan
		if err := p.Plan(r, t0, &fresh); err != nil {
			t.Fatal(err)
		}
		if err := p.Plan(r, t0, &again); err != nil {
			t.Fatal(err)
		}
		if planText(&fresh) != planText(&again) {
			t.Errorf("%s: %s, and used again %s", r.URI, planText(&fresh), planText(&again))
		}
	}
	if planText(&one) == planText(&two) {
		t.Error("two callers have one plan")
	}
}

func TestPlanAllocatesNothing(t *testing.T) {
	lines := map[string][]string{"X-User-Id": {"42"}, "Authorization": {"Bearer abc"}, "X-Forwarded-For": {"198.51.100.1, 10.0.0.9"}}
	header := func(n string) []string { return lines[n] }
	for name, uri := range map[string]string{"web3market": "/verify?license_key=k&domain=d", "xola": "/api/x?a=b&seller=7", "ipto": "/assets", "license-api": "/"} {
		p := example(t, name)
		p.SetHashKey([]byte("a key"))
		r := &Request{Method: "GET", URI: uri, Peer: netip.MustParseAddr("10.0.0.1"), Header: header}
		var plan Plan
		n := testing.AllocsPerRun(200, func() {
			if err := p.Plan(r, t0, &plan); err != nil || len(plan.Checks) == 0 {
				t.Fatal(err, len(plan.Checks))
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Many goroutines may use one policy from its first request on.
func TestPlanFromManyGoroutines(t *testing.T) {
	p := example(t, "ipto")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var plan Plan
			for i := range 200 {
				uri := []string{"/assets", "/search", "/balance", "/wallet/x", "/none"}[(g+i)%5]
				if err := p.Plan(ask(t, "GET "+uri, "Authorization: Bearer x"), t0, &plan); err != nil {
					t.Error(err)
				}
				want := 4
				if uri == "/none" {
					want = 3
				}
				if len(plan.Checks) != 1 || len(plan.Checks[0].Limits) != want {
					t.Errorf("%s: %s", uri, planText(&plan))
				}
			}
		})
	}
	wg.Wait()
}

func FuzzPlan(f *testing.F) {
	f.Add("GET", "/assets/7?seller=1", "h", "Bearer x", "1.2.3.4", "sid=1", []byte(`{"email":"a"}`))
	f.Add("POST", "//auth/login/?token=%zz;token=1", "", "bearer", ",,", ";;=", []byte("email=1&email"))
	src := `
name: p
client_ip: { trusted_proxies: [private] }
ignore_case: true
attributes:
  token: { bearer: Authorization }
  sid: { cookie: sid }
  email: [{ json: email, lower: true }, { form: email }]
  q: { query: token, secret: true }
  id: { path: id }
  rest: { path: rest }
key: [token+sid, token, ip]
rules:
  all: { limits: [5/1m, 9/1h] }
  one: { match: ["/assets/{id}", "POST h.x/{id}/"], key: [id+email, id], limits: 3/1m }
  two: { match: "/a/{rest...}", key: [rest, ip], limits: 3/1m }
  mail: { match: POST /auth/login, key: [email, q, ip], when: { ip: [10.*, 0.0.0.0/0] }, limits: 2/1m, shadow: true }
  rest: { match: otherwise, key: [sid], limits: 1/1m }
`
	p := parse1(f, src)
	f.Fuzz(func(t *testing.T, method, uri, host, auth, xff, cookie string, body []byte) {
		h := map[string][]string{"Authorization": {auth}, "X-Forwarded-For": {xff}, "Cookie": {cookie, cookie}}
		r := &Request{Method: method, URI: uri, Host: host, Body: body, Peer: netip.MustParseAddr("10.0.0.1"), Header: func(n string) []string { return h[n] }}
		var plan Plan
		before := string(body)
		if err := p.Plan(r, t0, &plan); err != nil {
			t.Fatal(err)
		}
		if string(body) != before {
			t.Fatal("the body was changed")
		}
		if len(plan.Checks) == 0 || len(plan.Checks) > MaxKeys {
			t.Fatalf("%d checks", len(plan.Checks))
		}
		for i, c := range plan.Checks {
			if len(c.Key) == 0 || len(c.Key) > transport.MaxKey || len(c.Limits) == 0 || c.Hits != 1 {
				t.Fatalf("check %d: %+v", i, c)
			}
			for _, other := range plan.Checks[:i] {
				if string(other.Key) == string(c.Key) {
					t.Fatalf("two checks of one key: %s", planText(&plan))
				}
			}
		}
		var a Answer
		if err := p.answer(newMemory(t0), r, &plan, &a); err != nil || !a.Allowed {
			t.Fatalf("%v: %s", err, httpText(&a))
		}
		text := string(httpText(&a))
		for _, secret := range []string{auth, cookie, xff} {
			if len(secret) > 12 && strings.Contains(text, secret) {
				t.Fatalf("the answer repeats what the caller sent:\n%s", text)
			}
		}
	})
}

func BenchmarkPlan(b *testing.B) {
	for _, name := range []string{"web3market", "ipto"} {
		b.Run(name, func(b *testing.B) {
			p := example(b, name)
			lines := map[string][]string{"Authorization": {"Bearer abc"}, "X-Forwarded-For": {"198.51.100.1, 10.0.0.9"}}
			r := &Request{Method: "GET", URI: "/verify", Peer: netip.MustParseAddr("10.0.0.1"), Header: func(n string) []string { return lines[n] }}
			var plan Plan
			for b.Loop() {
				p.Plan(r, t0, &plan)
			}
		})
	}
}
