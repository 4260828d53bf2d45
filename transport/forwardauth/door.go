package forwardauth

import (
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
	"github.com/stint-limiter/stint/transport/policy"
)

// Path is where the door is.
const Path = "/v1/auth"

// Config is what a door is made from.
type Config = door.Config

// A Door answers ANY /v1/auth. It is made by New; its methods may be called from many goroutines.
type Door struct {
	checker  transport.Checker
	policies func() []*policy.Policy
	clock    *transport.Clock
	mode     transport.Mode
	log      *slog.Logger
	stats    stats
}

// New returns a door. It panics without a Checker.
func New(c Config) *Door {
	c = c.Filled()
	return &Door{checker: c.Checker, policies: c.Policies, clock: c.Clock, mode: c.FailureMode, log: c.Log}
}

// Handle answers one request.
func (d *Door) Handle(ctx *fasthttp.RequestCtx) {
	if err := d.handle(ctx); err != nil {
		d.stats.bad.Add(1)
		door.Refuse(ctx, &transport.Problem{Status: fasthttp.StatusBadRequest, Detail: err.Error(), Check: -1})
	}
}

// handle answers one request; what it returns is wrong with the request, and nothing was spent.
func (d *Door) handle(ctx *fasthttp.RequestCtx) error {
	o, err := readOptions(ctx.QueryArgs())
	if err != nil {
		return err
	}
	p, err := door.Pick(d.policies(), o.policy)
	if err != nil {
		return err
	}
	a := acquire()
	defer a.release()
	if err := original(ctx, &a.request); err != nil {
		return err
	}
	if err := p.Plan(&a.request, d.clock.Now(), &a.plan); err != nil {
		// The operator's matter: too many keys or limits meet in one request. What it is about may be secret. Where
		// failure_mode allows, what the plan has is still decided: a client who could make a plan fail by sending more
		// headers would otherwise go free.
		d.log.Debug("a policy cannot be applied to a request in full", "policy", p.Name, "error", err)
		d.stats.unplanned.Add(1)
		if !d.mode.Allows() {
			d.stats.unavailable.Add(1)
			d.deny(ctx, &o, fasthttp.StatusServiceUnavailable, "nobody can decide this request at the moment")
			return nil
		}
	}
	if len(a.plan.Checks) == 0 {
		d.unmatched(ctx, &o)
		return nil
	}
	a.checks.Deadline = time.Now().Add(o.timeout)
	a.checks.Checks = append(a.checks.Checks[:0], a.plan.Checks...)
	if !o.denial {
		transport.Together(d.checker, &a.checks)
	} else if !d.peek(a) {
		d.unmatched(ctx, &o)
		return nil
	}
	p.Render(&a.plan, a.checks.Decisions, d.clock.Now(), &a.answer)
	if !o.denial {
		p.Tally(&a.plan, a.checks.Decisions, &a.answer)
	}
	d.answer(ctx, &o, &a.answer, unavailable(a.checks.Decisions))
	return nil
}

// peek fills in the decisions of a denial that has been made already, and counts nothing. The client was denied a
// moment ago: if the limits have room again by now, it is told to come back at once, but it is still told no, because
// what asks here is nginx's error_page, which would show a 200 to a client whose request never reached the backend.
// It reports false where no limit has anything to tell: nobody could decide, or all rules are shadow.
func (d *Door) peek(a *asked) bool {
	for i := range a.checks.Checks {
		a.checks.Checks[i].Hits = 0
	}
	d.checker.Check(&a.checks)
	if !transport.AllAllowed(a.checks.Decisions) {
		return true
	}
	told := false
	for i := range a.checks.Decisions {
		if d := &a.checks.Decisions[i]; d.By >= 0 && d.Via != transport.ViaUnavailable {
			d.Allowed, told = false, true
		}
	}
	return told
}

// answer sends what the policy rendered.
func (d *Door) answer(ctx *fasthttp.RequestCtx, o *options, a *policy.Answer, unavailable bool) {
	r := &ctx.Response
	switch {
	case a.Allowed:
		d.stats.allowed.Add(1)
	case o.denial:
		d.stats.rendered.Add(1)
	default:
		d.stats.denied.Add(1)
	}
	if unavailable {
		d.stats.unavailable.Add(1)
	}
	status := a.Status
	if a.Allowed {
		status = fasthttp.StatusOK
	} else if o.denyStatus != 0 {
		status = o.denyStatus
	}
	r.SetStatusCode(status)
	for _, h := range a.Headers {
		// As the policy spells it: Set would turn X-RateLimit-Limit into X-Ratelimit-Limit.
		r.Header.SetCanonical([]byte(h.Name), []byte(h.Value))
	}
	r.SetBody(a.Body)
}

// unmatched answers a request that no rule counts: yes, and nothing else. A denial of it can be asked for all the
// same, when the policy was changed a moment ago, and then it is one without the policy's words.
func (d *Door) unmatched(ctx *fasthttp.RequestCtx, o *options) {
	if !o.denial {
		d.stats.allowed.Add(1)
		d.stats.unmatched.Add(1)
		return
	}
	d.deny(ctx, o, fasthttp.StatusTooManyRequests, "too many requests; try again in a moment")
}

// deny sends a denial that no policy has words for.
func (d *Door) deny(ctx *fasthttp.RequestCtx, o *options, status int, detail string) {
	if o.denial {
		d.stats.rendered.Add(1)
	} else {
		d.stats.denied.Add(1)
	}
	if o.denyStatus != 0 {
		status = o.denyStatus
	}
	door.Refuse(ctx, &transport.Problem{Status: status, Detail: detail, Check: -1})
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
}

// unavailable reports whether a decision was made by failure_mode.
func unavailable(decisions []transport.Decision) bool {
	for i := range decisions {
		if decisions[i].Via == transport.ViaUnavailable {
			return true
		}
	}
	return false
}
