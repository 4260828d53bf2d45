package forwardauth

import (
	"sync"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/policy"
)

// asked is the memory that one request needs, kept for the next one.
type asked struct {
	request policy.Request
	plan    policy.Plan
	checks  transport.Request
	answer  policy.Answer
}

var askedPool = sync.Pool{New: func() any { return new(asked) }}

func acquire() *asked { return askedPool.Get().(*asked) }

func (a *asked) release() {
	a.request = policy.Request{}
	clear(a.checks.Checks)
	a.checks.Checks = a.checks.Checks[:0]
	askedPool.Put(a)
}
