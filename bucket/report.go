package bucket

import "time"

// report says how the wants stand and which decides: of those that deny the one with the longest wait, else the one with the
// least remaining, and of several the one whose reset is later. Shadow wants never decide.
func (p *Partition) report(now Instant, wants []Want, ts []tally, n uint64, out *Outcome) {
	each := len(out.Each) == len(wants)
	for i := range wants {
		w, t := &wants[i], &ts[i]
		// A want that cannot decide is only looked at where it is asked for: its reset costs as much as a take.
		candidate := !w.Shadow && t.fits == out.Allowed
		if candidate && out.Allowed && out.By >= 0 && t.remaining(w) > out.Remaining {
			candidate = false
		}
		if !candidate && !each {
			continue
		}
		var s State
		p.state(now, w, t, n, &s)
		if each {
			out.Each[i] = s
		}
		if !candidate {
			continue
		}
		never := n > uint64(w.Limit.Most())
		var better bool
		switch {
		case out.By < 0:
			better = true
		case out.Allowed:
			better = s.Remaining < out.Remaining || s.Remaining == out.Remaining && s.Reset > out.Reset
		default:
			better = !out.Never && (never || s.Retry > out.Retry)
		}
		if better {
			out.By, out.Never, out.State = i, never && !t.fits, s
		}
	}
}

func (t *tally) remaining(w *Want) uint32 {
	return uint32(subSat(uint64(w.Limit.Most()), t.used))
}

// state fills in how the want's limit stands; n is how many hits were asked for.
func (p *Partition) state(now Instant, w *Want, t *tally, n uint64, s *State) {
	s.Reset, s.Retry = 0, 0
	most := uint64(w.Limit.Most())
	s.Limit = uint32(most)
	s.Remaining = t.remaining(w)
	s.Current = t.used
	if t.used > 0 {
		need := uint64(1)
		if t.used > most {
			need = t.used - most + 1
		}
		s.Reset = t.until(w, now, need)
		if !t.fits && n <= most {
			s.Retry = s.Reset
			if again := t.used + n - most; again != need {
				s.Retry = t.until(w, now, again)
			}
		}
	}
	if w.CountDenied {
		if l := p.own.find(w.ID.Attempts(), attemptsFamily); l != nil {
			s.Current = addSat(s.Current, l.used(now, w.Limit.Count))
		}
	}
}

// until returns how long it is until `need` of the used hits have left.
func (t *tally) until(w *Want, now Instant, need uint64) time.Duration {
	var at Instant
	switch {
	case t.v.ok:
		at = t.v.wait(need, t.own.fresh())
	case t.rest[0] == nil:
		at = t.own.wait(now, w.Limit.Count, need)
	default:
		at = t.waitForAll(w, now, need)
	}
	if w.Limit.Algorithm == TokenBucket {
		return within(at-now, maxWait)
	}
	return within(at-now, w.ID.Window().micros())
}

// maxWait is a hundred years: as a time.Duration it does not overflow.
const maxWait Instant = 100 * 366 * 24 * 60 * 60 * 1e6
