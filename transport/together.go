package transport

import "time"

// Together decides the checks of a request all or nothing, over several keys: all are taken in parallel, and if one
// is denied the others get their hits back, out of the slots they went into, even after the deadline (GiveBackBy). Never
// over in any limit; a denied request may hold another key's hit for one round trip, and for its window if the node that
// took it dies in that moment.
// Where the Checker knows of a denial beforehand (Denier), nothing is taken at all.
// It reports whether all were allowed. The decisions stay as they were made, except that Remaining of what was given
// back is not corrected: nobody reads it on a denial, where the denying limit is shown.
func Together(c Checker, r *Request) bool {
	if d, ok := c.(Denier); ok && deniable(r.Checks) && d.Denied(r) {
		return false
	}
	c.Check(r)
	if AllAllowed(r.Decisions) {
		return true
	}
	if back := AppendGiveBack(nil, r.Checks, r.Decisions); len(back) > 0 {
		c.Check(&Request{Checks: back, Deadline: GiveBackBy(r.Deadline)})
	}
	return false
}

// A Denier is a Checker that may know of a denial without asking anybody.
type Denier interface {
	// Denied reports whether one of the request's checks is sure to be denied. That one's decision is set then, and all others say
	// that they were not made: denied, with By -1. Nothing is spent, and where it reports false, r.Decisions mean nothing.
	Denied(r *Request) bool
}

// deniable reports whether a denial of one of several checks makes the others pointless: not where one wants to know how all limits stand, or
// where an attempt is counted. A single check is left to Check, which looks for the same.
func deniable(checks []Check) bool {
	if len(checks) < 2 {
		return false
	}
	for i := range checks {
		if checks[i].Each || checks[i].Hits <= 0 {
			return false
		}
		for k := range checks[i].Limits {
			if l := &checks[i].Limits[k]; l.Shadow || l.CountDenied {
				return false
			}
		}
	}
	return true
}

// giveBackTime is how long giving back may take at least: a round trip to any holder that answers, and little beside a
// timeout.
const giveBackTime = 100 * time.Millisecond

// GiveBackBy returns the deadline for giving back what a request took that had this one. It can be later: a holder that
// kept the request waiting until its deadline must not cost the other keys their hits for a window.
func GiveBackBy(deadline time.Time) time.Time {
	if least := time.Now().Add(giveBackTime); least.After(deadline) {
		return least
	}
	return deadline
}

// AllAllowed reports whether every one of the decisions allows.
func AllAllowed(decisions []Decision) bool {
	for i := range decisions {
		if !decisions[i].Allowed {
			return false
		}
	}
	return true
}

// AppendGiveBack appends to back the checks that undo what these ones took, for a group of which one was denied. What
// was answered without a line (unavailable, full) took nothing, and what gave back stays given.
func AppendGiveBack(back, checks []Check, decisions []Decision) []Check {
	for i := range decisions {
		if d := &decisions[i]; d.Allowed && d.Via != ViaUnavailable && d.Via != ViaFull && checks[i].Hits > 0 {
			k := checks[i]
			k.Hits, k.Receipt, k.Each = -k.Hits, d.Receipt, false
			back = append(back, k)
		}
	}
	return back
}
