package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// The rules that make a policy safe (POLICY.md, section 2), one test each.

// 1. A limiter is never looser than the router behind it.
func TestSafety01NeverLooserThanTheRouter(t *testing.T) {
	p := example(t, "web3market")
	for _, uri := range []string{
		"/verify", "/verify/", "//verify/", "/./verify", "/x/../verify", "/%76erify", "/x/%2e%2e/verify", "/..//verify",
		"/verify?x=/", "http://api.example/verify", "http:/verify", "/verify/.",
	} {
		wantPlan(t, p, ask(t, "GET "+uri), "ip=192.0.2.1: verify 120/1m")
		wantPlan(t, p, ask(t, "HEAD "+uri), "ip=192.0.2.1: verify 120/1m")
	}
	// What only some routers read so is read both ways.
	for _, uri := range []string{
		"/x%2F..%2Fverify", "/%2fverify", "/verify%2F", "/x\\..\\verify", "/x%5c..%5Cverify", // unescaped before the cut; IIS
		"/verify;jsessionid=1", "/;/verify;/", "/x/..;/verify", // servlets
		"/verify#", "/verify#/x?y", // Node
	} {
		wantPlan(t, p, ask(t, "GET "+uri), "ip=192.0.2.1: verify 120/1m")
	}
	p = parse1(t, `name: p
attributes: { id: { path: id }, seller: { query: seller } }
key: [id, seller, ip]
rules:
  item: { match: "GET /items/{id}", limits: 1/1m }
  part: { match: "GET /items/{id}/part", key: [ip], limits: 2/1m }
  rest: { match: otherwise, limits: 3/1m }
`)
	const rest = "ip=192.0.2.1: rest 3/1m"
	wantPlan(t, p, ask(t, "GET /items/7;x=1"), "id=7: item 1/1m")
	wantPlan(t, p, ask(t, "GET /items/7%2F8"), `id="7/8": item 1/1m; `+rest)
	wantPlan(t, p, ask(t, "GET /items/7%2Fpart"), `id="7/part": item 1/1m; ip=192.0.2.1: part 2/1m`)
	wantPlan(t, p, ask(t, "GET /secret/..;/items/7"), "id=7: item 1/1m; "+rest) // no way out of otherwise
	wantPlan(t, p, ask(t, "GET /?a;b#c"), rest)
	wantPlan(t, p, ask(t, "GET /secret/../items/7"), "id=7: item 1/1m; "+rest) // a router that does not fold
	wantPlan(t, p, ask(t, "GET /?seller=7#1"), "seller=7: rest 3/1m")
	p = parse1(t, "name: p\nkey: [ip]\nrules:\n  hooks: { match: /hooks/, limits: 1/1m }\n  status: { match: /status, limits: 9/1m }\n")
	wantPlan(t, p, ask(t, "POST /hooks/../status"), "ip=192.0.2.1: hooks 1/1m, status 9/1m")
	wantPlan(t, p, ask(t, "POST /hooks%2F%2e.%2Fstatus"), "ip=192.0.2.1: hooks 1/1m, status 9/1m")
}

// 2. What is sent twice with different values is absent: one caller cannot buy a new bucket per request.
func TestSafety02TwiceIsAbsent(t *testing.T) {
	p := example(t, "xola")
	for i := range 50 {
		wantPlan(t, p, ask(t, fmt.Sprintf("GET /x?seller=x%d&seller=real", i), "X-User-Id: 42"), "user=42: api 900/30m")
		wantPlan(t, p, ask(t, fmt.Sprintf("GET /x?seller=x%d;seller=real", i), "X-User-Id: 42"), "user=42: api 900/30m")
		wantPlan(t, p, ask(t, "GET /x?seller=7", fmt.Sprintf("X-User-Id: x%d", i), "X-User-Id: 42"), "ip=192.0.2.1: api 900/30m")
	}
	p = example(t, "ipto")
	token := "token=" + hashOf("", "t")
	for i := range 50 {
		body := fmt.Sprintf(`body {"email":"x%d","Email":"real"}`, i)
		wantPlan(t, p, ask(t, "POST /auth/login", "Authorization: Bearer t", body),
			token+": global 100/1m, global 1000/1h, global 10000/1d; ip=192.0.2.1: magic-link 3/1h")
	}
}

// 3. Empty is absent, and so is a body that was not seen, cannot be parsed, or is too large.
func TestSafety03EmptyIsAbsent(t *testing.T) {
	p := example(t, "ipto")
	large := `body {"email":"a@b.c","x":"` + strings.Repeat("x", MaxBody) + `"}`
	for _, more := range []string{"X: no body", "body ", "body {", `body {"email":""}`, `body {"email":"  "}`, `body {"mail":"a"}`, "body email=a", large} {
		wantPlan(t, p, ask(t, "POST /auth/login", "Authorization: Bearer ", more),
			"ip=192.0.2.1: global 100/1m, global 1000/1h, global 10000/1d, magic-link 3/1h")
	}
	wantPlan(t, example(t, "xola"), ask(t, "GET /?seller=", "X-User-Id: "), "ip=192.0.2.1: api 900/30m")
	// Exactly MaxBody is read.
	body := `body {"email":"a@b.c","x":""}`
	body = body[:len(body)-2] + strings.Repeat("x", MaxBody-len(body)+len("body ")) + `"}`
	r := ask(t, "POST /auth/login", body)
	if len(r.Body) != MaxBody || !strings.Contains(plan1(t, p, r), "email="+hashOf("", "a@b.c")) {
		t.Errorf("a body of %d bytes: %s", len(r.Body), plan1(t, p, r))
	}
}

// 4. A key that nobody verified costs nothing to make up: said by `check`, and countered by a rule with key [ip].
func TestSafety04MadeUpKeys(t *testing.T) {
	src, _ := Example("ipto")
	_, ps := Parse("ipto.yaml", src)
	if !strings.Contains(text(ps), "a caller can make up a new token for each request") {
		t.Errorf("ipto is not warned about:\n%s", text(ps))
	}
	s := newSession(t, example(t, "license-api"))
	for i := range 60 {
		s.send(1, ask(t, "POST /license-keys/validate", fmt.Sprintf("Authorization: Bearer made-up-%d", i)))
	}
	if a := s.send(1, ask(t, "POST /license-keys/validate", "Authorization: Bearer made-up-61")); a.Allowed || a.Rule != "validate" {
		t.Errorf("the 61st token in a minute: %s", httpText(a))
	}
}

// Nor do made-up keys crowd out those that are not.
func TestSafety04MadeUpKeysDoNotCrowdOut(t *testing.T) {
	p, ps := ParseAt(time.UnixMicro(int64(t0)), "p.yaml", []byte(`name: p
client_ip: { trusted_proxies: [private] }
attributes: { a: { cookie: a }, b: { cookie: b }, c: { query: c }, d: { header: User-Agent } }
rules:
  a: { match: /x, key: [a], limits: 1/1m }
  b: { match: /x, key: [b], limits: 1/1m }
  c: { match: /x, key: [c], limits: 1/1m }
  d: { match: /x, key: [d], limits: 1/1m }
  ip: { match: /x, key: [ip], limits: 1/1m }
`))
	if !strings.Contains(text(ps), `requests of rule "a" may be counted by 5 keys`) {
		t.Errorf("no warning:\n%s", text(ps))
	}
	var plan Plan
	if err := p.Plan(ask(t, "GET /x?c=1", "Cookie: a=1; b=2", "User-Agent: d"), t0, &plan); !errors.Is(err, ErrKeys) {
		t.Errorf("five keys: %v", err)
	}
	if got, want := planText(&plan), "c=1: c 1/1m; ip=192.0.2.1: ip 1/1m"; !strings.HasSuffix(got, want) {
		t.Errorf("planned %s, want ... %s", got, want)
	}
}

// Headers that callers write themselves, and secrets among them.
func TestSafety04CallersHeaders(t *testing.T) {
	_, ps := Parse("p.yaml", []byte(`name: p
client_ip: { trusted_proxies: [private] }
attributes: { who: { header: X-Forwarded-For }, token: { header: authorization }, apikey: { header: X-API-Key } }
rules:
  a: { match: /a, key: [who, ip], limits: 1/1m }
  b: { match: /b, key: [token, apikey, ip], limits: 1/1m }
`))
	for _, want := range []string{"a caller can make up a new who", "a caller can make up a new token", "Authorization is a secret", "{ bearer: Authorization }", "X-Api-Key is a secret"} {
		if !strings.Contains(text(ps), want) {
			t.Errorf("%q is missing:\n%s", want, text(ps))
		}
	}
}

// Who may have an override: not everybody, and not nobody.
func TestSafety04Overrides(t *testing.T) {
	const head = `name: p
client_ip: { trusted_proxies: [private] }
attributes: { user: { header: X-User-Id }, seller: { query: seller }, id: { path: id }, token: { bearer: Authorization } }
key: [user+seller, token, ip]
rules:
  base: { key: [ip], limits: 9/1m }
`
	for rule, want := range map[string]string{
		"{ key: [seller, ip], limits: 1/1m, overrides: [{ key: { seller: vip }, limits: unlimited }] }": `every caller can claim to be seller "vip"`,
		"{ limits: 1/1m, overrides: [{ key: { user: 42, seller: vip }, limits: unlimited }] }":          "",
		"{ limits: 1/1m, overrides: [{ key: { token: sha256:5994471abb01112a }, limits: unlimited }] }": "",
		"{ limits: 1/1m, overrides: [{ key: { ip: 192.0.2.1 }, limits: unlimited }] }":                  "",
		`{ match: "/i/{id}", key: [id], limits: 1/1m, overrides: [{ key: { id: 7 }, limits: 2/1m }] }`:  "",
		"{ key: [ip], limits: 1/1m, overrides: [{ key: { user: 42 }, limits: unlimited }] }":            `this override never applies: rule "x"`,
		"{ limits: 1/1m, overrides: [{ key: { ip: 192.0.2.1, user: 42 }, limits: unlimited }] }":        "this override never applies",
	} {
		_, ps := Parse("p.yaml", []byte(head+"  x: "+rule+"\n"))
		if got := text(ps); ps.Err() || want != "" && !strings.Contains(got, want) || want == "" && strings.Contains(got, "override") && strings.Contains(got, "appl") || want == "" && strings.Contains(got, "claim") {
			t.Errorf("%s: want %q in\n%s", rule, want, got)
		}
	}
}

// 5. A header names a caller as it comes; nothing is read out of a token that nobody verified.
func TestSafety05HeadersAsTheyCome(t *testing.T) {
	p := parse1(t, "name: p\nattributes: { user: { header: X-User-Id } }\nrules: { r: { key: [user, ip], limits: 1/1m } }\n")
	jwt := "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiIsIlgtVXNlci1JZCI6IjQyIn0."
	wantPlan(t, p, ask(t, "GET /", "Authorization: Bearer "+jwt), "ip=192.0.2.1: r 1/1m")
	wantPlan(t, p, ask(t, "GET /", "x-user-id: 42"), "user=42: r 1/1m")
	if _, ps := Parse("p.yaml", []byte("name: p\nattributes: { user: { jwt: sub } }\nrules: { r: { key: [user], limits: 1/1m } }\n")); !ps.Err() {
		t.Error("a claim is a source")
	}
}

// 6. Secrets never travel: not in keys, limits, answers, nor in what try, explain and key print.
func TestSafety06SecretsNeverTravel(t *testing.T) {
	p := example(t, "ipto")
	p.SetHashKey([]byte("the cluster's"))
	const secret, mail = "s3cr3t-t0ken", "alice@example.org"
	o := TryOptions{Method: "POST", URL: "/auth/login", N: 5, Body: []byte(`{"email":" Alice@Example.ORG "}`), Header: map[string][]string{"Authorization": {"Bearer " + secret}}}
	r, err := o.request()
	if err != nil {
		t.Fatal(err)
	}
	got := plan1(t, p, r)
	if want := "token=" + hashOf("the cluster's", secret); !strings.Contains(got, want) {
		t.Errorf("%s has no %s", got, want)
	}
	if want := "email=" + hashOf("the cluster's", mail); !strings.Contains(got, want) {
		t.Errorf("%s has no %s: trimmed, in lower case, and hashed with the cluster's key", got, want)
	}
	var out bytes.Buffer
	for _, print := range []func() error{
		func() error { return Try(p, o, &out) },
		func() error { return Explain(p, o, &out) },
		func() error { return Keys(p, o, &out) },
	} {
		if err := print(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{secret, "lice@", "LICE@"} {
		if strings.Contains(strings.ToUpper(got+out.String()), strings.ToUpper(s)) {
			t.Errorf("%q travels:\n%s\n%s", s, got, out.String())
		}
	}
	p = parse1(t, "name: p\nattributes: { c: { cookie: sid } }\nrules: { r: { key: [c], limits: 1/1m } }\n")
	wantPlan(t, p, ask(t, "GET /", "Cookie: sid="+secret), "c="+hashOf("", secret)+": r 1/1m")
}

// 7. Long parts are hashed, control characters escaped, and no value can forge a pair.
func TestSafety07KeysCannotBeForged(t *testing.T) {
	p := parse1(t, "name: p\nattributes: { user: { header: X-User-Id }, seller: { query: seller } }\nrules: { r: { key: [user+seller, user], limits: 1/1m } }\n")
	real := keyOf(t, p, ask(t, "GET /?seller=7", "X-User-Id: 42"))
	for _, user := range []string{"42,seller=7", `42",seller="7`, `42\",seller=7`, "user=42,seller=7"} {
		if got := keyOf(t, p, ask(t, "GET /", "X-User-Id: "+user)); got == real || strings.Count(got, "=") > 1 && !strings.Contains(got, `"`) {
			t.Errorf("user %q is %s", user, got)
		}
	}
	if got := keyOf(t, p, ask(t, "GET /?seller=%0a%1b%00", "X-User-Id: 42")); got != `user=42,seller="\x0a\x1b\x00"` {
		t.Errorf("control characters: %s", got)
	}
	long := strings.Repeat("x", 10000)
	if got := keyOf(t, p, ask(t, "GET /?seller="+long, "X-User-Id: "+long)); got != "user="+hashOf("", long)+",seller="+hashOf("", long) {
		t.Errorf("long parts: %s", got)
	}
}

// 8. Bodies are read to 64 KiB, flat fields only, and given back untouched.
func TestSafety08Bodies(t *testing.T) {
	p := sources(t, "[{ json: a }, { form: a }]")
	for body, want := range map[string]string{
		`{"a":"x","b":{"a":"y"}}`:                               "a=x",
		`{"b":{"a":"y"}}`:                                       absentKey,
		`{"a":{"a":"y"}}`:                                       absentKey,
		`[{"a":"y"}]`:                                           absentKey,
		strings.Repeat(`{"a":`, 20000):                          absentKey,
		strings.Repeat(`[`, MaxBody):                            absentKey,
		`{"b":` + strings.Repeat("[", 9000) + "":                absentKey,
		"a=1&" + strings.Repeat("b=2&", 5000):                   "a=1",
		"a=1&" + strings.Repeat("b=2&", (MaxBody+4)/4):          absentKey,
		`{"a":"x","pad":"` + strings.Repeat("p", 60<<10) + `"}`: "a=x",
	} {
		r := ask(t, "POST /", "body "+body)
		if got := keyOf(t, p, r); got != want {
			t.Errorf("%.40s: %s, want %s", body, got, want)
		}
		if string(r.Body) != body {
			t.Errorf("%.40s: the body was changed", body)
		}
	}
}

// 9. A bucket is (policy, rule, window, algorithm, key), and not COUNT.
func TestSafety09IdentityOfABucket(t *testing.T) {
	policy := func(name, rule, limit string) *Policy {
		return parse1(t, fmt.Sprintf("name: %s\nrules: { %s: { key: [ip], limits: %s } }\n", name, rule, limit))
	}
	s := newSession(t, policy("p", "r", "5/1m"))
	if a := s.admits(5, ask(t, "GET /")); a.Allowed {
		t.Fatal("six of five")
	}
	for _, x := range []struct {
		p    *Policy
		left string
	}{
		{policy("p", "r", "8/1m"), "2"}, // raised: takes effect on the live bucket
		{policy("p", "r", "8/2m"), "7"},
		{policy("p", "r", "8/1m fixed_window"), "7"},
		{policy("p", "other", "8/1m"), "7"},
		{policy("q", "r", "8/1m"), "7"},
	} {
		if a := (&session{t, x.p, s.m}).send(1, ask(t, "GET /")); headerOf(a, "X-RateLimit-Remaining") != x.left {
			t.Errorf("%s %s %s: %s left, want %s", x.p.Name, x.p.rules[0].name, x.p.rules[0].limits[0].Text, headerOf(a, "X-RateLimit-Remaining"), x.left)
		}
	}
}

// 10. All rules with one key meet in one check, and so in one Take: nothing is spent where one of them denies.
func TestSafety10OneKeyOneTake(t *testing.T) {
	p := example(t, "ipto")
	r := ask(t, "POST /assets", "Authorization: Bearer t")
	var plan Plan
	if err := p.Plan(r, t0, &plan); err != nil || len(plan.Checks) != 1 || len(plan.Checks[0].Limits) != 4 {
		t.Fatalf("%v: %s", err, planText(&plan))
	}
	s := newSession(t, p)
	s.admits(10, r)
	var again Plan
	if err := p.Plan(ask(t, "GET /", "Authorization: Bearer t"), t0, &again); err != nil {
		t.Fatal(err)
	}
	again.Checks[0].Hits = 0
	peek := transport.Request{Checks: again.Checks}
	s.m.Check(&peek)
	if got := peek.Decisions[0].Remaining; got != 90 {
		t.Errorf("after ten assets and one denial %d of 100 are left", got)
	}
}
