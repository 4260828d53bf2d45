package transport

import (
	"reflect"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// script answers each request with the next decisions it holds, and keeps what it was asked.
type script struct {
	answers [][]Decision
	asked   []Request
}

func (s *script) Check(r *Request) {
	s.asked = append(s.asked, Request{Checks: append([]Check(nil), r.Checks...), Deadline: r.Deadline})
	r.Decisions = make([]Decision, len(r.Checks))
	if len(s.answers) > 0 {
		copy(r.Decisions, s.answers[0])
		s.answers = s.answers[1:]
	}
}

func decided(allowed bool, via Via, receipt bucket.Receipt) Decision {
	return Decision{Outcome: bucket.Outcome{Allowed: allowed, Receipt: receipt}, Via: via}
}

func TestTogether(t *testing.T) {
	yes, no := decided(true, ViaHolder, 7), decided(false, ViaHolder, 0)
	for _, c := range []struct {
		name    string
		hits    int64
		answers []Decision
		allowed bool
		back    map[string]bucket.Receipt // keys given back, with their receipts
	}{
		{"all allowed", 1, []Decision{yes, yes, yes}, true, nil},
		{"all denied", 1, []Decision{no, no, no}, false, nil},
		{"one denied", 2, []Decision{yes, no, yes}, false, map[string]bucket.Receipt{"a": 7, "c": 7}},
		{"what was never taken stays", 1, []Decision{no, decided(true, ViaUnavailable, 0), decided(true, ViaFull, 0)}, false, nil},
		{"a lease's hit goes back too", 1, []Decision{no, decided(true, ViaLease, 3), no}, false, map[string]bucket.Receipt{"b": 3}},
		{"a peek takes nothing", 0, []Decision{yes, no, yes}, false, nil},
		{"giving back is not undone", -1, []Decision{yes, no, yes}, false, nil},
	} {
		s := &script{answers: [][]Decision{c.answers}}
		r := &Request{Deadline: time.Now().Add(time.Hour)}
		for _, k := range []string{"a", "b", "c"} {
			r.Checks = append(r.Checks, Check{Key: []byte(k), Hits: c.hits, Limits: []Limit{limit(t, "10/1m")}})
		}
		if got := Together(s, r); got != c.allowed {
			t.Errorf("%s: %v", c.name, got)
		}
		var back map[string]bucket.Receipt
		for _, a := range s.asked[1:] {
			for _, k := range a.Checks {
				if back == nil {
					back = map[string]bucket.Receipt{}
				}
				back[string(k.Key)] = k.Receipt
				if k.Hits != -c.hits || len(k.Limits) != 1 || !a.Deadline.Equal(r.Deadline) {
					t.Errorf("%s: gave back %+v until %v", c.name, k, a.Deadline)
				}
			}
		}
		if len(s.asked) > 2 || !reflect.DeepEqual(back, c.back) {
			t.Errorf("%s: gave back %v in %d requests, want %v", c.name, back, len(s.asked)-1, c.back)
		}
	}
}

// A holder that answers at the deadline, or never, leaves no time: what the others took goes back all the same.
func TestGivingBackAfterTheDeadline(t *testing.T) {
	s := &script{answers: [][]Decision{{decided(true, ViaHolder, 7), decided(false, ViaUnavailable, 0)}}}
	r := &Request{Deadline: time.Now()}
	for _, k := range []string{"a", "b"} {
		r.Checks = append(r.Checks, Check{Key: []byte(k), Hits: 1, Limits: []Limit{limit(t, "10/1m")}})
	}
	if Together(s, r) || len(s.asked) != 2 {
		t.Fatalf("asked %d times", len(s.asked))
	}
	if back := s.asked[1]; len(back.Checks) != 1 || back.Checks[0].Hits != -1 || time.Until(back.Deadline) <= 0 {
		t.Errorf("gave back %+v until %v", back.Checks, back.Deadline)
	}
}

// denier is a script that may know of a denial beforehand.
type denier struct {
	script
	knows bool
	asked int
}

func (d *denier) Denied(r *Request) bool {
	d.asked++
	if d.knows {
		r.Decisions = []Decision{{Outcome: bucket.Outcome{By: -1}}, decided(false, ViaDeniedCache, 0)}
	}
	return d.knows
}

// Where a denial is known beforehand nothing is taken, unless that would leave something untold or uncounted.
func TestTogetherIsDeniedFirst(t *testing.T) {
	group := func(change func(c *Check)) []Check {
		var checks []Check
		for _, k := range []string{"a", "b"} {
			checks = append(checks, Check{Key: []byte(k), Hits: 1, Limits: []Limit{limit(t, "10/1m")}})
		}
		change(&checks[0])
		return checks
	}
	for what, c := range map[string]struct {
		checks []Check
		asked  int
	}{
		"a group":               {group(func(*Check) {}), 1},
		"one check":             {group(func(*Check) {})[:1], 0},
		"all states are wanted": {group(func(c *Check) { c.Each = true }), 0},
		"a shadow":              {group(func(c *Check) { c.Limits[0].Shadow = true }), 0},
		"attempts are counted":  {group(func(c *Check) { c.Limits[0].CountDenied = true }), 0},
		"a peek":                {group(func(c *Check) { c.Hits = 0 }), 0},
	} {
		for _, knows := range []bool{false, true} {
			d := &denier{knows: knows}
			r := &Request{Checks: c.checks, Deadline: time.Now().Add(time.Hour)}
			if Together(d, r) {
				t.Errorf("%s: allowed", what)
			}
			if d.asked != c.asked {
				t.Errorf("%s: asked %d times for a denial, want %d", what, d.asked, c.asked)
			}
			if taken := len(d.script.asked) > 0; taken == (knows && c.asked > 0) {
				t.Errorf("%s, known %v: taken %v", what, knows, taken)
			}
		}
	}
}
