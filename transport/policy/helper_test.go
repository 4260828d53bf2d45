package policy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// t0 is the instant that most tests are at: a whole second, so that rounding shows where it is meant to.
const t0 = bucket.Instant(1612196901 * 1e6)

func parse1(t testing.TB, src string) *Policy {
	t.Helper()
	p, ps := ParseAt(time.UnixMicro(int64(t0)), "p.yaml", []byte(src))
	if ps.Err() {
		t.Fatalf("%v", ps)
	}
	return p
}

func example(t testing.TB, name string) *Policy {
	t.Helper()
	src, ok := Example(name)
	if !ok {
		t.Fatalf("no example %s", name)
	}
	return parse1(t, string(src))
}

// ask makes a request: `METHOD URI`, then headers as `Name: value`; `from ADDRESS` is the peer, `body TEXT` the body.
func ask(t testing.TB, line string, more ...string) *Request {
	t.Helper()
	method, uri, ok := strings.Cut(line, " ")
	if !ok {
		t.Fatalf("no URI in %q", line)
	}
	h := http.Header{}
	r := &Request{Method: method, URI: uri, Host: "api.example", Header: h.Values, Peer: netip.MustParseAddr("192.0.2.1")}
	for _, m := range more {
		switch {
		case strings.HasPrefix(m, "from "):
			r.Peer = netip.MustParseAddr(m[len("from "):])
		case strings.HasPrefix(m, "body "):
			r.Body = []byte(m[len("body "):])
		default:
			name, value, ok := strings.Cut(m, ": ")
			if !ok {
				t.Fatalf("not a header: %q", m)
			}
			h.Add(name, value)
		}
	}
	return r
}

// planned1 is a plan as text: `key: rule limit, rule limit; key: …`.
func plan1(t testing.TB, p *Policy, r *Request) string {
	t.Helper()
	var plan Plan
	if err := p.Plan(r, t0, &plan); err != nil {
		t.Fatal(err)
	}
	return planText(&plan)
}

func planText(plan *Plan) string {
	var checks []string
	for _, c := range plan.Checks {
		var limits []string
		for _, l := range c.Limits {
			limits = append(limits, l.Rule+" "+l.Text)
		}
		checks = append(checks, fmt.Sprintf("%s: %s", c.Key, strings.Join(limits, ", ")))
	}
	return strings.Join(checks, "; ")
}

func wantPlan(t *testing.T, p *Policy, r *Request, want string) {
	t.Helper()
	if got := plan1(t, p, r); got != want {
		t.Errorf("%s %s: planned\n     %s\nwant %s", r.Method, r.URI, got, want)
	}
}

// render1 renders decisions and returns the answer as HTTP.
func render1(t testing.TB, p *Policy, r *Request, now bucket.Instant, decisions ...transport.Decision) string {
	t.Helper()
	var plan Plan
	var a Answer
	if err := p.Plan(r, now, &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Checks) != len(decisions) {
		t.Fatalf("planned %s for %d decisions", planText(&plan), len(decisions))
	}
	p.Render(&plan, decisions, now, &a)
	return string(httpText(&a))
}

// allowedBy and deniedBy make decisions by limit number `by`.
func allowedBy(by int, limit, remaining uint32, reset time.Duration) (d transport.Decision) {
	d.Allowed, d.By = true, by
	d.State = bucket.State{Limit: limit, Remaining: remaining, Current: uint64(limit - remaining), Reset: reset}
	return d
}

func deniedBy(by int, limit uint32, retry time.Duration) (d transport.Decision) {
	d.By = by
	d.State = bucket.State{Limit: limit, Current: uint64(limit), Reset: retry, Retry: retry}
	return d
}

func nobody(allowed bool) (d transport.Decision) {
	d.Allowed, d.By, d.Via = allowed, -1, transport.ViaUnavailable
	return d
}

// A session takes requests the whole way over one memory.
type session struct {
	t *testing.T
	p *Policy
	m *memory
}

func newSession(t *testing.T, p *Policy) *session { return &session{t, p, newMemory(t0)} }

// send sends n times and returns the last answer; all but the last must be allowed.
func (s *session) send(n int, r *Request) *Answer {
	s.t.Helper()
	var plan Plan
	a := new(Answer)
	for i := range n {
		if err := s.p.answer(s.m, r, &plan, a); err != nil {
			s.t.Fatal(err)
		}
		if !a.Allowed && i < n-1 {
			s.t.Fatalf("%s %s: request %d of %d was denied by %s", r.Method, r.URI, i+1, n, a.Rule)
		}
	}
	return a
}

// admits says that exactly n requests like r pass, and returns the denial.
func (s *session) admits(n int, r *Request) *Answer {
	s.t.Helper()
	if a := s.send(n, r); !a.Allowed {
		s.t.Fatalf("%s %s: request %d was denied by %s", r.Method, r.URI, n, a.Rule)
	}
	a := s.send(1, r)
	if a.Allowed {
		s.t.Fatalf("%s %s: request %d was allowed", r.Method, r.URI, n+1)
	}
	return a
}

func (s *session) wait(d time.Duration) { s.m.now = s.m.now.Add(d) }

func headerOf(a *Answer, name string) string {
	for _, h := range a.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return "-"
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%q is no number", s)
	}
	return n
}
