package transport

import "time"

// Together decides the checks of a request all or nothing, over several keys: all are taken in parallel, and if one
// is denied the others get their hits back, out of the slots they went into, even after the deadline (GiveBackBy). Never
// over in any limit; a denied request may hold another key's hit for one round trip, and for its window if the node that
// took it dies in that moment.
// It reports whether all were allowed. The decisions stay as they were made, except that Remaining of what was given
// back is not corrected: nobody reads it on a denial, where the denying limit is shown.
func Together(c Checker, r *Request) bool {
	c.Check(r)
	if AllAllowed(r.Decisions) {
		return true
	}
	if back := AppendGiveBack(nil, r.Checks, r.Decisions); len(back) > 0 {
		c.Check(&Request{Checks: back, Deadline: GiveBackBy(r.Deadline)})
	}
	return false
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
