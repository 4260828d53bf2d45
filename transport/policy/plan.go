package policy

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A Plan is what a policy asks of a request: one check per distinct key, each under the limits of all rules that
// count by that key. A Plan may be used again for another request; the memory of its keys is its own.
type Plan struct {
	// Checks go to transport.Together. None: no rule matched, and the request is not limited.
	Checks []transport.Check
}

// Plan matches a request against the policy and fills in the plan. now decides which overrides have ended. An error
// means the policy cannot be applied to this request (more than MaxKeys keys or bucket.MaxWants limits at once); then
// failure_mode answers.
func (p *Policy) Plan(r *Request, now bucket.Instant, plan *Plan) error { panic("stub") }

// MaxKeys is how many distinct keys one request may be counted under: each is a round trip of its own.
const MaxKeys = 4

// An Answer is what the policy sends for a decided plan.
type Answer struct {
	Allowed bool
	Rule    string // the deciding rule
	Status  int    // 200 where allowed
	Headers []Header
	Body    []byte // nil where allowed
	// Decision is the deciding one, and By its limit; nil where no rule matched or nobody could decide.
	Decision *transport.Decision
	By       *transport.Limit
}

// A Header is one line of an answer.
type Header struct{ Name, Value string }

// Render turns the decisions on a plan's checks into the answer. now is the instant at which they were made: every
// form of `reset` is that instant plus the decision's, rounded up to a whole second once.
func (p *Policy) Render(plan *Plan, decisions []transport.Decision, now bucket.Instant, a *Answer) {
	panic("stub")
}
