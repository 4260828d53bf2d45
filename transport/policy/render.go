package policy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// Render turns the decisions on a plan's checks into the answer. now is the instant at which they were made.
//
// The deciding decision is, on a denial, the denying one with the longest wait; else the one with the least remaining, of
// equals the one with the later reset. A shadow rule's never is.
//
// Times are rounded up once, each from the exact instant: `reset_unix` and `reset_time` are the second at or after now
// plus the decision's reset; `reset` and `retry_after` are the whole seconds that such a wait takes, counted from
// now. So neither is ever early, nor late by a second, `retry_after` never exceeds a window of whole seconds, and on a denial
// of one hit, where both are one instant, they are one number. A request of more hits than its limit has room for
// will never pass; its `retry_after` is the window's length, to make a client that does not look slow down.
//
// Where nobody could decide, failure_mode has answered: allowed is 200 without headers; denied is 503 with the policy's body,
// its headers but those with numbers in them, and Retry-After 1.
func (p *Policy) Render(plan *Plan, decisions []transport.Decision, now bucket.Instant, a *Answer) {
	a.reset()
	run := p.ready()
	s := settle(plan.Checks, decisions)
	switch {
	case s.denied >= 0:
		a.decide(plan, decisions, s.denied)
		rule := run.byName[a.By.Rule]
		n := count(a.Decision, a.By, now)
		if run.each {
			n.fields = fieldsOf(run, plan, decisions)
		}
		a.Status = rule.denied.status
		for i := range rule.denied.headers {
			a.header(&rule.denied.headers[i], &n)
		}
		if rule.denied.problem {
			a.body = appendQuota(a.body, a.Status, func(b []byte) []byte { return appendViolated(b, run, plan, decisions) })
		} else {
			a.body = rule.denied.body.append(a.body, &n)
		}
		a.finish(rule.denied.contentType)
	case s.undecided >= 0:
		a.Allowed, a.Status = false, http.StatusServiceUnavailable
		by := loud(plan.Checks[s.undecided].Limits)
		rule := run.byName[by.Rule]
		a.Rule = by.Rule
		n := count(&transport.Decision{Outcome: bucket.Outcome{State: bucket.State{Limit: by.Most(), Reset: time.Second, Retry: time.Second}}}, by, now)
		a.undecided(rule, &n)
	case s.allowed >= 0:
		a.decide(plan, decisions, s.allowed)
		n := count(a.Decision, a.By, now)
		if run.each {
			n.fields = fieldsOf(run, plan, decisions)
		}
		for i := range run.headers {
			a.header(&run.headers[i], &n)
		}
		a.fillIn()
	}
}

// Remaining lines of a settlement are -1: there is none such.
type settlement struct {
	denied    int // the denial to show
	undecided int // a denial that nobody decided
	allowed   int // the admission to show
}

// settle finds the deciding decision.
func settle(checks []transport.Check, decisions []transport.Decision) settlement {
	s := settlement{-1, -1, -1}
	for i := range decisions[:min(len(decisions), len(checks))] {
		d := &decisions[i]
		known := d.Via != transport.ViaUnavailable && d.By >= 0 && d.By < len(checks[i].Limits) && !checks[i].Limits[d.By].Shadow
		switch {
		case !d.Allowed && !known:
			if s.undecided < 0 {
				s.undecided = i
			}
		case !d.Allowed:
			if s.denied < 0 || longer(d, &decisions[s.denied]) {
				s.denied = i
			}
		case known:
			if s.allowed < 0 || tighter(d, &decisions[s.allowed]) {
				s.allowed = i
			}
		}
	}
	return s
}

func longer(d, than *transport.Decision) bool {
	if d.Never != than.Never {
		return d.Never
	}
	return d.Retry > than.Retry
}

func tighter(d, than *transport.Decision) bool {
	return d.Remaining < than.Remaining || d.Remaining == than.Remaining && d.Reset > than.Reset
}

// loud is the first limit that is not in the shadow.
func loud(limits []transport.Limit) *transport.Limit {
	for i := range limits {
		if !limits[i].Shadow {
			return &limits[i]
		}
	}
	return &limits[0]
}

// count works out the numbers of a decision.
func count(d *transport.Decision, by *transport.Limit, now bucket.Instant) numbers {
	n := numbers{limit: d.Limit, remaining: d.Remaining, current: d.Current, window: seconds(by.Window.Longest()), rule: by.Rule,
		reset: seconds(d.Reset), resetUnix: wholeSecond(now.Add(d.Reset)), retryAfter: 1}
	switch {
	case d.Never:
		n.retryAfter = n.window
	case !d.Allowed:
		n.retryAfter = max(1, seconds(d.Retry))
	case d.Remaining == 0:
		n.retryAfter = max(1, n.reset)
	}
	return n
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// wholeSecond is the Unix second at or after an instant.
func wholeSecond(i bucket.Instant) int64 {
	s := int64(i) / 1e6
	if int64(i) > s*1e6 {
		s++
	}
	return s
}

func (a *Answer) decide(plan *Plan, decisions []transport.Decision, i int) {
	a.Decision = &decisions[i]
	a.By = &plan.Checks[i].Limits[a.Decision.By]
	a.Rule, a.Allowed = a.By.Rule, a.Decision.Allowed
}

func (a *Answer) header(h *header, n *numbers) {
	a.put(h.name)
	a.text = h.value.append(a.text, n)
	a.end()
}

// finish completes a denial.
func (a *Answer) finish(contentType string) {
	if contentType != "" {
		a.put("Content-Type")
		a.text = append(a.text, contentType...)
		a.end()
	}
	a.fillIn()
	a.Body = a.body
}

func (a *Answer) undecided(rule *runRule, n *numbers) {
	retry := false
	for i := range rule.denied.headers {
		h := &rule.denied.headers[i]
		if !h.value.constant() {
			continue
		}
		a.header(h, n)
		retry = retry || canonicalHeader(h.name) == "Retry-After"
	}
	if !retry {
		a.put("Retry-After")
		a.text = append(a.text, '1')
		a.end()
	}
	if rule.denied.problem {
		a.body = appendUndecided(a.body)
	} else {
		a.body = rule.denied.body.append(a.body, n)
	}
	a.finish(rule.denied.contentType)
}

// constant reports whether the template says the same whatever was decided, but for how long to wait.
func (t *template) constant() bool {
	for i := range t.parts {
		if p := &t.parts[i]; p.literal == "" && p.value != valueRetryAfter {
			return false
		}
	}
	return true
}

// quotaName is what the IETF fields and the default body call a limit: its rule, and where the rule has several limits
// the window too.
func appendQuotaName(b []byte, run *runner, l *transport.Limit) []byte {
	b = append(append(b, '"'), l.Rule...)
	if len(run.byName[l.Rule].limits) > 1 {
		_, window, _ := strings.Cut(l.Text, "/")
		window, _, _ = strings.Cut(window, " ")
		b = append(append(b, '-'), window...)
	}
	return append(b, '"')
}

// appendViolated appends the names of the limits that denied, one for each key.
func appendViolated(b []byte, run *runner, plan *Plan, decisions []transport.Decision) []byte {
	first := true
	for i := range decisions[:min(len(decisions), len(plan.Checks))] {
		d := &decisions[i]
		if d.Allowed || d.Via == transport.ViaUnavailable || d.By < 0 || d.By >= len(plan.Checks[i].Limits) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendQuotaName(b, run, &plan.Checks[i].Limits[d.By])
	}
	return b
}

// fieldsOf writes RateLimit and RateLimit-Policy as draft-ietf-httpapi-ratelimit-headers-11 has them: a list of all limits
// but those in the shadow. Where only the deciding limit's state is known (the answer came from a lease or a cached
// denial), RateLimit has that one alone.
func fieldsOf(run *runner, plan *Plan, decisions []transport.Decision) func(b []byte, v value) []byte {
	return func(b []byte, v value) []byte {
		from := len(b)
		for i := range decisions[:min(len(decisions), len(plan.Checks))] {
			d, limits := &decisions[i], plan.Checks[i].Limits
			for j := range limits {
				l := &limits[j]
				state := &d.State
				switch {
				case l.Shadow:
					continue
				case v == valueRateLimitPolicy:
				case d.Via == transport.ViaUnavailable || d.By < 0:
					continue
				case len(d.Each) == len(limits):
					state = &d.Each[j]
				case j != d.By:
					continue
				}
				if len(b) > from {
					b = append(b, ", "...)
				}
				b = appendQuotaName(b, run, l)
				if v == valueRateLimitPolicy {
					b = strconv.AppendUint(append(b, ";q="...), uint64(l.Count), 10)
					b = strconv.AppendInt(append(b, ";w="...), seconds(l.Window.Longest()), 10)
				} else {
					b = strconv.AppendUint(append(b, ";r="...), uint64(state.Remaining), 10)
					b = strconv.AppendInt(append(b, ";t="...), seconds(state.Reset), 10)
				}
			}
		}
		return b
	}
}
