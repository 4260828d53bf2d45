package forwardauth

import "sync/atomic"

// Stats are the door's counters; they only rise.
type Stats struct {
	Allowed     uint64 // requests answered 200
	Unmatched   uint64 // of them, those that no rule counts
	Denied      uint64 // requests answered by a denial
	Rendered    uint64 // denials rendered for ?denial=1; nothing was counted
	Unavailable uint64 // requests of which failure_mode decided at least a part
	Unplanned   uint64 // requests that the policy could not be applied to in full
	Bad         uint64 // requests answered 400
}

type stats struct {
	allowed, unmatched, denied, rendered, unavailable, unplanned, bad atomic.Uint64
}

// Stats returns the door's counters.
func (d *Door) Stats() Stats {
	s := &d.stats
	return Stats{
		Allowed: s.allowed.Load(), Unmatched: s.unmatched.Load(), Denied: s.denied.Load(), Rendered: s.rendered.Load(),
		Unavailable: s.unavailable.Load(), Unplanned: s.unplanned.Load(), Bad: s.bad.Load(),
	}
}
