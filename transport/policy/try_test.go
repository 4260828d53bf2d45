package policy

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func tryOut(t *testing.T, p *Policy, o TryOptions) string {
	t.Helper()
	o.Now = time.UnixMicro(int64(t0))
	var b bytes.Buffer
	if err := Try(p, o, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTry(t *testing.T) {
	p := example(t, "ipto")
	got := tryOut(t, p, TryOptions{Method: "POST", URL: "/balance/withdraw", N: 7, Every: time.Second})
	diff(t, got, `# request 1: the first
HTTP/1.1 200 OK
X-RateLimit-Limit: 5
X-RateLimit-Remaining: 4
X-RateLimit-Reset: 1612200501

# request 5, after 4s: the last allowed
HTTP/1.1 200 OK
X-RateLimit-Limit: 5
X-RateLimit-Remaining: 0
X-RateLimit-Reset: 1612200501

# request 6, after 5s: the first denied, by withdraw 5/1h
HTTP/1.1 429 Too Many Requests
X-RateLimit-Limit: 5
X-RateLimit-Remaining: 0
X-RateLimit-Reset: 1612200501
Retry-After: 3595
Content-Type: application/json

{
  "detail": "Rate limit exceeded",
  "retry_after": 3595
}

# 7 sent, 5 allowed, 2 denied
`)
	diff(t, tryOut(t, p, TryOptions{Method: "POST", URL: "/balance/withdraw", N: 1}), `# request 1: the first
HTTP/1.1 200 OK
X-RateLimit-Limit: 5
X-RateLimit-Remaining: 4
X-RateLimit-Reset: 1612200501

# 1 sent, 1 allowed, 0 denied
`)
	if got := tryOut(t, example(t, "xola"), TryOptions{URL: "/"}); !strings.HasSuffix(got, "# 901 sent, 900 allowed, 1 denied\n") || !strings.Contains(got, "# request 900: the last allowed\n") {
		t.Errorf("until one is denied:\n%s", got)
	}
	if got := tryOut(t, example(t, "web3market"), TryOptions{URL: "/other"}); got != "# no rule counts this request: it is not limited\nHTTP/1.1 200 OK\n" {
		t.Errorf("no rule:\n%s", got)
	}
	if got := tryOut(t, parse1(t, "name: p\nrules: { r: { key: [ip], limits: 2/1s } }\n"), TryOptions{URL: "/", N: 9, Every: 400 * time.Millisecond}); !strings.Contains(got, "the last allowed, after denials\n") {
		t.Errorf("allowed again:\n%s", got)
	}
}

func TestTryOptions(t *testing.T) {
	p := example(t, "web3market")
	for _, o := range []TryOptions{{URL: "verify"}, {URL: ""}, {URL: "/verify", N: -1}, {URL: "/verify", N: MaxTry + 1}, {URL: "/verify", Every: -1}} {
		if err := Try(p, o, &bytes.Buffer{}); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	o := TryOptions{URL: "http://api.example/verify", From: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X-Forwarded-For": {"198.51.100.7"}}}
	r, err := o.request()
	if err != nil || r.Host != "api.example" || r.Method != "GET" {
		t.Fatalf("%+v, %v", r, err)
	}
	wantPlan(t, p, r, "ip=198.51.100.7: verify 120/1m")
}

func TestExplain(t *testing.T) {
	p := parse1(t, `
name: p
attributes:
  user: { header: X-User-Id }
  plan: { header: X-Plan, lower: true }
key: [user, ip]
rules:
  all: { limits: [10/1m, 100/1h], overrides: [{ key: { ip: 192.0.2.1 }, limits: 20/1m, until: 2027-06-30 }] }
  items: { match: ["GET /items", "GET /items/{id}"], limits: 5/1m, shadow: true }
  free: { match: /items/, when: { plan: free }, limits: 2/1m }
  mine: { match: /items/, key: [user], limits: 2/1m }
  else: { match: /else, limits: 2/1m }
  rest: { match: otherwise, limits: 1/1m }
`)
	o := TryOptions{URL: "/items/7", Header: http.Header{"X-Plan": {"Pro"}}, Now: time.UnixMicro(int64(t0))}
	var b bytes.Buffer
	if err := Explain(p, o, &b); err != nil {
		t.Fatal(err)
	}
	diff(t, b.String(), `all    yes: every request; counted by ip=192.0.2.1 (user is absent); override 20/1m until 2027-06-30
items  yes: GET /items/{id}; counted by ip=192.0.2.1 (user is absent); limits 5/1m
free   no: /items/ does, but when: not with plan=pro
mine   yes: /items/; but not counted (user is absent)
else   no: /else does not match
rest   no: another rule matches

key ip=192.0.2.1
  20/1m  all
  5/1m  items, in the shadow: never denies

what a first request like this is sent:
HTTP/1.1 200 OK
X-RateLimit-Limit: 20
X-RateLimit-Remaining: 19
X-RateLimit-Reset: 1612196961
`)
	b.Reset()
	if err := Keys(p, o, &b); err != nil {
		t.Fatal(err)
	}
	diff(t, b.String(), `ip=192.0.2.1
# - key: { ip: "192.0.2.1" }
# - key: { plan: "pro" }
`)
}

// What explain says of each rule is what the plan does.
func TestExplainAgreesWithPlan(t *testing.T) {
	for _, name := range []string{"ipto", "web3market", "xola", "license-api"} {
		p := example(t, name)
		for _, uri := range []string{"/", "/verify", "/assets/7", "/auth/login", "/wallet/btc", "/license-keys/activate"} {
			for _, method := range []string{"GET", "POST", "PUT"} {
				o := TryOptions{Method: method, URL: uri, Now: time.UnixMicro(int64(t0))}
				r, err := o.request()
				if err != nil {
					t.Fatal(err)
				}
				var b bytes.Buffer
				if err := Explain(p, o, &b); err != nil {
					t.Fatal(err)
				}
				var plan Plan
				if err := p.Plan(r, t0, &plan); err != nil {
					t.Fatal(err)
				}
				rules := 0
				for _, c := range plan.Checks {
					for i, l := range c.Limits {
						if i == 0 || c.Limits[i-1].Rule != l.Rule {
							rules++
						}
					}
				}
				if got := strings.Count(b.String(), "; counted by "); got != rules {
					t.Errorf("%s %s: %d rules count, explain has\n%s", method, uri, rules, &b)
				}
			}
		}
	}
}
