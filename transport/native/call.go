package native

import (
	"sync"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/policy"
)

// A call is everything that one request needs, kept for the next one: in steady state a check with a key and limits
// allocates nothing. It belongs to one goroutine from Get to Put.
type call struct {
	door     *Door
	policies []*policy.Policy // those in force when the request came
	now      bucket.Instant   // when the policies were asked
	came     time.Time        // when the request was there

	// What was read.
	at      int // index of the check that is being read, −1 outside of them: whom an error is about
	items   []item
	checks  []transport.Check
	timeout time.Duration
	several bool // some item has several keys and spends

	texts [][]byte          // the limits of the check being read
	attrs map[string]string // the attributes of the check being read
	plans []*policy.Plan    // the first planned of them are in use
	plan  int

	// The limits that were read last, in this request or an earlier one, and their bytes in it.
	memo       []byte
	memoLimits []transport.Limit

	// What was decided.
	decisions []transport.Decision
	deadline  time.Time
	round     transport.Request
	back      transport.Request
	held      map[uint64]struct{}

	// How it is answered.
	ans    policy.Answer
	shadow []string
	out    []byte
	json   jsonSource
	mp     msgpackSource
}

// An item is one entry of the request's `checks`, and of the answer's `decisions`: a check of its own, or the checks
// that a policy made of its attributes.
type item struct {
	policy  *policy.Policy // nil where the check names its key and limits
	plan    *policy.Plan
	first   int // its checks are checks[first : first+n]
	n       int
	render  bool
	receipt bool // wants one
	denied  bool // the policy cannot be applied in full, and failure_mode denies
}

// maxPlans is how many plans a call keeps: each has the memory of its keys.
const maxPlans = 64

var calls = sync.Pool{New: func() any {
	return &call{attrs: make(map[string]string), held: make(map[uint64]struct{})}
}}

func (d *Door) acquire(came time.Time) *call {
	c := calls.Get().(*call)
	c.door = d
	c.came = came
	c.at = -1
	c.timeout = transport.DefaultTimeout
	return c
}

// release forgets what belongs to the request and the door, and keeps the memory, and the limits that were read last: they mean the same
// to every door.
func (c *call) release() {
	clear(c.items)
	clear(c.checks)
	clear(c.texts[:cap(c.texts)])
	if len(c.attrs) > 0 {
		clear(c.attrs)
	}
	clear(c.plans[min(len(c.plans), maxPlans):])
	clear(c.back.Checks)
	c.door, c.policies, c.now, c.several, c.plan = nil, nil, 0, false, 0
	c.items, c.checks, c.texts = c.items[:0], c.checks[:0], c.texts[:0]
	c.plans = c.plans[:min(len(c.plans), maxPlans)]
	c.back.Checks = c.back.Checks[:0]
	c.round.Checks, c.round.Decisions = nil, nil
	c.out = c.out[:0]
	c.json, c.mp = jsonSource{}, msgpackSource{}
	calls.Put(c)
}

// nextPlan returns a plan that no other item of the call has.
func (c *call) nextPlan() *policy.Plan {
	if c.plan == len(c.plans) {
		c.plans = append(c.plans, new(policy.Plan))
	}
	c.plan++
	return c.plans[c.plan-1]
}
