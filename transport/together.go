package transport

// Together decides the checks of a request all or nothing, over several keys: all are taken in parallel, and if one
// is denied the others get their hits back, out of the slots they went into. Never over in any limit; a denied
// request may hold another key's hit for one round trip, and for its window if the node that took it dies in that moment.
// It reports whether all were allowed. The decisions stay as they were made, except that Remaining of what was given
// back is not corrected: nobody reads it on a denial, where the denying limit is shown.
func Together(c Checker, r *Request) bool {
	c.Check(r)
	allowed := true
	taken := 0
	for i := range r.Decisions {
		if !r.Decisions[i].Allowed {
			allowed = false
		} else {
			taken++
		}
	}
	if allowed || taken == 0 {
		return allowed
	}
	back := Request{Deadline: r.Deadline}
	for i := range r.Decisions {
		if d := &r.Decisions[i]; d.Allowed && d.Via != ViaUnavailable && d.Via != ViaFull && r.Checks[i].Hits > 0 {
			k := r.Checks[i]
			k.Hits, k.Receipt = -k.Hits, d.Receipt
			back.Checks = append(back.Checks, k)
		}
	}
	if len(back.Checks) > 0 {
		c.Check(&back)
	}
	return false
}
