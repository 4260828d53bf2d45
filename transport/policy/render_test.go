package policy

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

const head = `
name: p
attributes: { user: { header: X-User-Id } }
`

const twoKeys = head + `
rules:
  mine: { key: [user], limits: [10/1m, 100/1h] }
  all: { key: [ip], limits: 50/1m, denied: { status: 403, headers: { X-Why: "${rule}" }, body: "no ${limit}" } }
headers: { X-Limit: "${limit} ${remaining} ${reset} ${rule}" }
`

func TestRenderAllowed(t *testing.T) {
	p := parse1(t, twoKeys)
	r := ask(t, "GET /", "X-User-Id: 42")
	for _, x := range []struct {
		name string
		d    []transport.Decision
		want string
	}{
		{"the least remaining", []transport.Decision{allowedBy(1, 100, 7, time.Minute), allowedBy(0, 50, 3, time.Second)}, "50 3 1 all"},
		{"ties to the later reset", []transport.Decision{allowedBy(1, 100, 3, time.Minute), allowedBy(0, 50, 3, time.Second)}, "100 3 60 mine"},
		{"what nobody decided does not show", []transport.Decision{allowedBy(0, 10, 7, 10*time.Second), nobody(true)}, "10 7 10 mine"},
	} {
		want := "HTTP/1.1 200 OK\nX-Limit: " + x.want + "\n"
		if got := render1(t, p, r, t0, x.d...); got != want {
			t.Errorf("%s:\n%s", x.name, got)
		}
	}
	if got := render1(t, p, r, t0, nobody(true), nobody(true)); got != "HTTP/1.1 200 OK\n" {
		t.Errorf("nobody could decide:\n%s", got)
	}
}

func TestRenderDenied(t *testing.T) {
	p := parse1(t, twoKeys)
	r := ask(t, "GET /", "X-User-Id: 42")
	mine := `HTTP/1.1 429 Too Many Requests
X-Limit: 100 0 90 mine
Retry-After: 90
Content-Type: application/problem+json

{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"violated-policies":[NAMES]}
`
	all := "HTTP/1.1 403 Forbidden\nX-Limit: 50 0 20 all\nRetry-After: 20\nX-Why: all\nContent-Type: text/plain\n\nno 50\n"
	never := deniedBy(0, 50, 0)
	never.Never = true
	for _, x := range []struct {
		name string
		d    []transport.Decision
		want string
	}{
		{"one denies", []transport.Decision{deniedBy(1, 100, 90*time.Second), allowedBy(0, 50, 0, time.Hour)}, strings.Replace(mine, "NAMES", `"mine-1h"`, 1)},
		{"the longest wait", []transport.Decision{deniedBy(1, 100, 90*time.Second), deniedBy(0, 50, 20*time.Second)}, strings.Replace(mine, "NAMES", `"mine-1h","all"`, 1)},
		{"the other denies", []transport.Decision{allowedBy(1, 100, 1, 0), deniedBy(0, 50, 20*time.Second)}, all},
		{"never is the longest, and waits a window", []transport.Decision{deniedBy(1, 100, 90*time.Second), never}, "HTTP/1.1 403 Forbidden\nX-Limit: 50 0 0 all\nRetry-After: 60\nX-Why: all\nContent-Type: text/plain\n\nno 50\n"},
		{"a real denial beats what nobody decided", []transport.Decision{nobody(false), deniedBy(0, 50, 20*time.Second)}, all},
	} {
		if got := render1(t, p, r, t0, x.d...); got != x.want {
			t.Errorf("%s:\n%s\nwant\n%s", x.name, got, x.want)
		}
	}
}

func TestRenderUnavailable(t *testing.T) {
	p := example(t, "web3market")
	want := `HTTP/1.1 503 Service Unavailable
Retry-After: 1
Content-Type: application/json

{
  "success": false,
  "error": "rate_limit_exceeded",
  "message": "Too many requests. Please try again later."
}
`
	r := ask(t, "GET /verify")
	if got := render1(t, p, r, t0, nobody(false)); got != want {
		t.Errorf("denied:\n%s", got)
	}
	if got := render1(t, p, r, t0, nobody(true)); got != "HTTP/1.1 200 OK\n" {
		t.Errorf("allowed:\n%s", got)
	}
	full := nobody(false)
	full.Via = transport.ViaFull
	if got := render1(t, p, r, t0, full); got != want {
		t.Errorf("full:\n%s", got)
	}
	p = parse1(t, head+`
rules: { r: { key: [ip], limits: 5/1m } }
headers: { X-L: "${limit}", X-Static: yes }
denied: { headers: { Retry-After: ~ } }
`)
	want = "HTTP/1.1 503 Service Unavailable\nX-Static: yes\nRetry-After: 1\nContent-Type: application/problem+json\n\n" +
		`{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"nobody can say now whether this request is within its limits; try again in a moment"}` + "\n"
	if got := render1(t, p, r, t0, nobody(false)); got != want {
		t.Errorf("the default body:\n%s", got)
	}
}

func TestRenderNoRule(t *testing.T) {
	if got := render1(t, example(t, "web3market"), ask(t, "GET /other"), t0); got != "HTTP/1.1 200 OK\n" {
		t.Errorf("%s", got)
	}
}

func TestRenderDefaults(t *testing.T) {
	p := parse1(t, head+"rules: { r: { key: [ip], limits: 5/1m } }\n")
	if got := render1(t, p, ask(t, "GET /"), t0, allowedBy(0, 5, 4, 60*time.Second)); got != "HTTP/1.1 200 OK\nX-RateLimit-Limit: 5\nX-RateLimit-Remaining: 4\nX-RateLimit-Reset: 1612196961\n" {
		t.Errorf("allowed:\n%s", got)
	}
	got := render1(t, p, ask(t, "GET /"), t0, deniedBy(0, 5, 30*time.Second))
	top, body, _ := strings.Cut(got, "\n\n")
	if top != "HTTP/1.1 429 Too Many Requests\nX-RateLimit-Limit: 5\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1612196931\nRetry-After: 30\nContent-Type: application/problem+json" {
		t.Errorf("denied:\n%s", top)
	}
	var b struct {
		Status   int
		Violated []string `json:"violated-policies"`
	}
	if err := json.Unmarshal([]byte(body), &b); err != nil || b.Status != 429 || len(b.Violated) != 1 || b.Violated[0] != "r" {
		t.Errorf("body %s: %v", body, err)
	}
}

func TestRenderHeadersAreLaidOver(t *testing.T) {
	p := parse1(t, head+`
rules:
  a: { match: /a, key: [ip], limits: 5/1m }
  b: { match: /b, key: [ip], limits: 5/1m, denied: { headers: { x-one: over, X-Two: ~, Content-Type: text/html }, body: "<p>" } }
  c: { match: /c, key: [ip], limits: 5/1m, denied: { headers: { Content-Type: ~ }, body: "c" } }
headers: { X-One: one, X-Two: two }
denied: { headers: { X-Three: three } }
`)
	for uri, want := range map[string]string{
		"/a": "X-One: one\nX-Two: two\nRetry-After: 9\nX-Three: three\nContent-Type: application/problem+json\n\n{",
		"/b": "x-one: over\nRetry-After: 9\nX-Three: three\nContent-Type: text/html\n\n<p>",
		"/c": "X-One: one\nX-Two: two\nRetry-After: 9\nX-Three: three\n\nc",
	} {
		got := render1(t, p, ask(t, "GET "+uri), t0, deniedBy(0, 5, 9*time.Second))
		if !strings.HasPrefix(got, "HTTP/1.1 429 Too Many Requests\n"+want) {
			t.Errorf("%s:\n%s", uri, got)
		}
	}
	if got := render1(t, p, ask(t, "GET /b"), t0, allowedBy(0, 5, 1, 0)); got != "HTTP/1.1 200 OK\nX-One: one\nX-Two: two\n" {
		t.Errorf("allowed:\n%s", got)
	}
}

func TestRenderShadow(t *testing.T) {
	p := parse1(t, head+`
rules:
  real: { key: [ip], limits: 5/1m }
  trial: { key: [ip], limits: 1/1m, shadow: true }
  quiet: { match: /q, key: [user], limits: 1/1m, shadow: true }
headers: { X: "${rule} ${remaining}", RateLimit-Policy: "${ratelimit_policy}" }
`)
	s := newSession(t, p)
	for i, want := range []string{"real 4", "real 3", "real 2", "real 1", "real 0"} {
		if a := s.send(1, ask(t, "GET /")); headerOf(a, "X") != want || headerOf(a, "RateLimit-Policy") != `"real";q=5;w=60` {
			t.Errorf("request %d: %s", i+1, httpText(a))
		}
	}
	if a := s.send(1, ask(t, "GET /")); a.Allowed || a.Rule != "real" {
		t.Errorf("the sixth: %s", httpText(a))
	}
	// Should a holder name a shadow limit as the one that decides, it shows no more for that.
	if got := render1(t, p, ask(t, "GET /"), t0, allowedBy(1, 1, 0, time.Minute)); got != "HTTP/1.1 200 OK\n" {
		t.Errorf("decided by a shadow: %s", got)
	}
	// A key with nothing but a shadow rule shows nothing, however often it is used.
	p.rules = p.rules[2:]
	p.SetHashKey(nil)
	s = newSession(t, p)
	if a := s.send(3, ask(t, "GET /q", "X-User-Id: 1")); !a.Allowed || len(a.Headers) > 0 || a.By != nil {
		t.Errorf("shadow alone: %s", httpText(a))
	}
}

func TestRenderFields(t *testing.T) {
	p := parse1(t, head+`
key: [ip]
rules:
  global: { limits: [10/1m, 100/1h] }
  items: { match: /items, limits: 3/1s }
  mine: { key: [user], limits: "4/1m token_bucket burst=9" }
headers: { RateLimit: "${ratelimit}", RateLimit-Policy: "${ratelimit_policy}" }
`)
	s := newSession(t, p)
	a := s.send(1, ask(t, "GET /items", "X-User-Id: 42"))
	if got, want := headerOf(a, "RateLimit-Policy"), `"global-1m";q=10;w=60, "global-1h";q=100;w=3600, "items";q=3;w=1, "mine";q=4;w=60`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := headerOf(a, "RateLimit"), `"global-1m";r=9;t=60, "global-1h";r=99;t=3600, "items";r=2;t=1, "mine";r=8;t=15`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// Only the deciding limit is known: so is what is said.
	got := render1(t, p, ask(t, "GET /"), t0, deniedBy(1, 100, 90*time.Second))
	if !strings.Contains(got, "\nRateLimit: \"global-1h\";r=0;t=90\n") {
		t.Errorf("%s", got)
	}
	var plan Plan
	q := example(t, "web3market")
	if err := q.Plan(ask(t, "GET /verify"), t0, &plan); err != nil || plan.Checks[0].Each {
		t.Errorf("web3market asks for the state of every limit")
	}
}

// Times are never early, never late by a second, and on a denial the delta and the retry are one number.
func TestRenderRounding(t *testing.T) {
	p := parse1(t, head+`
rules: { r: { key: [ip], limits: 5/1m } }
headers: { X: "${reset} ${reset_unix} ${retry_after} ${reset_time}" }
`)
	r := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		now := t0 + bucket.Instant(r.IntN(2e6))
		wait := time.Duration(1+r.IntN(60e6)) * time.Microsecond
		if r.IntN(4) == 0 {
			wait = wait.Round(time.Second) + time.Second
		}
		wait = min(wait, time.Minute)
		var plan Plan
		var a Answer
		if err := p.Plan(ask(t, "GET /"), now, &plan); err != nil {
			t.Fatal(err)
		}
		p.Render(&plan, []transport.Decision{deniedBy(0, 5, wait)}, now, &a)
		f := strings.Fields(headerOf(&a, "X"))
		reset, _ := strconv.ParseInt(f[0], 10, 64)
		unix, _ := strconv.ParseInt(f[1], 10, 64)
		at := int64(now.Add(wait))
		if d := unix*1e6 - at; d < 0 || d >= 1e6 {
			t.Fatalf("now %d, %v: reset_unix %d is off by %d µs", now, wait, unix, d)
		}
		if d := int64(now) + reset*1e6 - at; d < 0 || d >= 1e6 || reset > 60 {
			t.Fatalf("now %d, %v: reset %d is off by %d µs", now, wait, reset, d)
		}
		if f[2] != f[0] {
			t.Fatalf("retry_after %s, reset %s", f[2], f[0])
		}
		if f[3] != time.Unix(unix, 0).UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Fatalf("%s is not %d", f[3], unix)
		}
	}
	for _, x := range []struct {
		d    transport.Decision
		want string
	}{
		{allowedBy(0, 5, 4, 0), "0 1612196901 1 2021-02-01T16:28:21.000Z"},
		{allowedBy(0, 5, 0, 30*time.Second), "30 1612196931 30 2021-02-01T16:28:51.000Z"},
		{deniedBy(0, 5, 0), "0 1612196901 1 2021-02-01T16:28:21.000Z"},
		{deniedBy(0, 5, time.Microsecond), "1 1612196902 1 2021-02-01T16:28:22.000Z"},
	} {
		if got := render1(t, p, ask(t, "GET /"), t0, x.d); !strings.Contains(got, "\nX: "+x.want+"\n") {
			t.Errorf("%+v:\n%s", x.d.State, got)
		}
	}
}

func TestRenderAllocatesNothingTheSecondTime(t *testing.T) {
	p := example(t, "web3market")
	var plan Plan
	var a Answer
	if err := p.Plan(ask(t, "GET /verify"), t0, &plan); err != nil {
		t.Fatal(err)
	}
	denied, allowed := []transport.Decision{deniedBy(0, 120, 34*time.Second)}, []transport.Decision{allowedBy(0, 120, 87, time.Second)}
	p.Render(&plan, denied, t0, &a)
	kept := headerOf(&a, "Retry-After")
	p.Render(&plan, allowed, t0, &a)
	if a.Body != nil || !a.Allowed || a.Status != 200 || len(a.Headers) != 2 {
		t.Errorf("an answer used again: %s", httpText(&a))
	}
	if kept != "34" {
		t.Errorf("a header's value was overwritten: %q", kept)
	}
	p.Render(&plan, denied, t0, &a)
	want := string(httpText(&a))
	p.Render(&plan, denied, t0, &a)
	if got := string(httpText(&a)); got != want {
		t.Errorf("the same again:\n%s", got)
	}
	for name, d := range map[string][]transport.Decision{"denied": denied, "allowed": allowed} {
		if n := testing.AllocsPerRun(100, func() { p.Render(&plan, d, t0, &a) }); n > 2 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add(true, false, 0, uint32(5), uint32(4), int64(1e9), int64(0), uint8(0))
	f.Add(false, true, -1, uint32(5), uint32(0), int64(-1), int64(1<<62), uint8(5))
	p := parse1(f, twoKeys)
	f.Fuzz(func(t *testing.T, ok, never bool, by int, limit, remaining uint32, reset, retry int64, via uint8) {
		d := transport.Decision{Via: transport.Via(via)}
		d.Allowed, d.Never, d.By = ok, never, by
		d.State = bucket.State{Limit: limit, Remaining: remaining, Reset: time.Duration(reset), Retry: time.Duration(retry)}
		var plan Plan
		var a Answer
		if err := p.Plan(ask(t, "GET /", "X-User-Id: 42"), t0, &plan); err != nil {
			t.Fatal(err)
		}
		p.Render(&plan, []transport.Decision{d, d}, t0, &a)
		if a.Allowed != ok {
			t.Fatalf("%+v: %s", d, httpText(&a))
		}
		if !ok {
			if n, err := strconv.Atoi(headerOf(&a, "Retry-After")); err != nil || n < 1 {
				t.Fatalf("%+v: %s", d, httpText(&a))
			}
		}
	})
}
