package native

import (
	"sync/atomic"

	"github.com/stint-limiter/stint/transport"
)

// Stats are the door's counters; they only rise. A check is an entry of a request's `checks`.
type Stats struct {
	OK          uint64 // requests answered 200
	Bad         uint64 // requests answered 4xx, but for those below: nothing was decided
	TooLarge    uint64 // requests answered 413
	Unavailable uint64 // requests answered 503: every check was unavailable and denied

	Checks    uint64 // checks answered
	Allowed   uint64 // of them
	Unplanned uint64 // checks that a policy could not be applied to in full
	// Via counts decisions by where they came from; a check that a policy counts by several keys has several.
	Via [transport.Vias]uint64
}

// stats are added to once per request, not per check: they are shared by all cores.
type stats struct {
	ok, bad, tooLarge, unavailable atomic.Uint64
	checks, allowed, unplanned     atomic.Uint64
	via                            [transport.Vias]atomic.Uint64
}

func (s *stats) add(checks int, t *tally) {
	s.checks.Add(uint64(checks))
	if t.allowed > 0 {
		s.allowed.Add(t.allowed)
	}
	for i, n := range t.via {
		if n > 0 {
			s.via[i].Add(n)
		}
	}
}

// Stats returns the door's counters.
func (d *Door) Stats() Stats {
	s := &d.stats
	out := Stats{
		OK: s.ok.Load(), Bad: s.bad.Load(), TooLarge: s.tooLarge.Load(), Unavailable: s.unavailable.Load(),
		Checks: s.checks.Load(), Allowed: s.allowed.Load(), Unplanned: s.unplanned.Load(),
	}
	for i := range out.Via {
		out.Via[i] = s.via[i].Load()
	}
	return out
}
