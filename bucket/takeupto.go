package bucket

// TakeUpTo decides `times` checks of `hits` each, as that many calls of Take in a row would, and returns how many of
// them were allowed. granted is what the last one allowed was told, denied what the first one denied was; whichever
// of the two never happened is left as it was. A folded batch of equal checks and a lease are taken this way.
func (p *Partition) TakeUpTo(now Instant, wants []Want, hits, times uint32, granted, denied *Outcome) (uint32, error) {
	if err := checkWants(wants); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.readyLocked(); err != nil || times == 0 {
		return 0, err
	}
	return p.takeUpToLocked(clamp(now), wants, hits, times, granted, denied), nil
}

// takeUpToLocked spends all but the last of the checks that fit in one go, and lets takeLocked decide the last that
// fits and the first that does not: so these are told what they would have been told, and the rest cost nothing.
func (p *Partition) takeUpToLocked(now Instant, wants []Want, hits, times uint32, granted, denied *Outcome) uint32 {
	if times == 1 || hits == 0 { // checks that spend nothing are all told the same
		var out = Outcome{Each: granted.Each}
		p.takeLocked(now, wants, hits, &out)
		if out.Allowed {
			*granted = out
			return times
		}
		into := denied.Each
		copy(into, out.Each)
		out.Each = into
		*denied = out
		return 0
	}
	ts := p.tallies(len(wants))
	k := uint64(times)
	for i := range wants {
		w, t := &wants[i], &ts[i]
		p.look(w, t)
		t.count(w, now)
		if t.amount = subSat(uint64(w.Limit.Most()), t.used) / uint64(hits); !w.Shadow {
			k = min(k, t.amount)
		}
	}
	if k > 0 {
		missing := false
		for i := range ts {
			missing = missing || ts[i].own == nil && ts[i].amount > 0
		}
		if missing && !p.makeLines(now, wants, ts) {
			p.noRoom(denied, times)
			return 0
		}
		for i := range ts {
			ts[i].amount = min(ts[i].amount, k-1) * uint64(hits)
		}
		if k > 1 {
			p.spend(now, wants, ts)
		}
		p.takeLocked(now, wants, hits, granted)
	}
	if k < uint64(times) {
		p.takeLocked(now, wants, hits, denied)
		p.deniedAgain(now, wants, uint64(hits), uint64(times)-k-1)
	}
	return uint32(k)
}

// deniedAgain counts the attempts of the checks after the first that was denied.
func (p *Partition) deniedAgain(now Instant, wants []Want, hits, times uint64) {
	if times == 0 {
		return
	}
	for i := range wants {
		w := &wants[i]
		if !w.CountDenied || w.Shadow {
			continue
		}
		var t tally
		p.look(w, &t)
		if t.count(w, now); t.used+hits > uint64(w.Limit.Most()) {
			p.attempt(now, w, hits*times)
		}
	}
}
