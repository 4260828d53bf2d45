package bucket

// Give gives hits back, never below zero. A receipt takes them out of the slot they went into; without one they leave
// the oldest. Hits that have left of themselves are not given back, nor are those in another history than the
// partition's own. The outcome says how the limits stand then; Allowed is true. Giving 0 back says the same and
// changes nothing. Errors are those of Take.
func (p *Partition) Give(now Instant, wants []Want, hits uint32, r Receipt, out *Outcome) error {
	if err := checkWants(wants); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.readyLocked(); err != nil {
		return err
	}
	now = clamp(now)
	at := r.instant(p.epoch)
	if len(p.ts) < len(wants) {
		p.ts = make([]tally, len(wants))
	}
	ts := p.ts[:len(wants)]
	for i := range wants {
		w := &wants[i]
		if hits > 0 && !wantedBefore(wants, i) {
			p.giveLocked(now, at, w, uint64(hits))
		}
	}
	*out = Outcome{Each: out.Each, By: -1, Allowed: true}
	for i := range wants {
		w, t := &wants[i], &ts[i]
		p.look(w, t)
		t.count(w, now)
		t.fits = true
		if hits > 0 && t.own != nil && t.used >= uint64(w.Limit.Most()) {
			t.own.deny() // nothing was left to give, or COUNT was lowered: it denies as before
		}
	}
	p.report(now, wants, ts, 0, out)
	return nil
}

func (p *Partition) giveLocked(now, at Instant, w *Want, hits uint64) {
	var t tally
	p.look(w, &t)
	l := t.own
	if l == nil {
		return
	}
	p.own.seq++
	if t.rest[0] != nil && w.Limit.Algorithm == TokenBucket {
		if at < 0 || at >= Instant(l.marks[3]) {
			t.tokenWriteSum(now, w.Limit.Count, 0, hits)
		}
	} else if !l.give(now, at, w.Limit.Count, hits) {
		p.own.removeLine(l)
		p.t.release(1)
		return
	}
	l.relent()
	p.fertile()
}

// wantedBefore says that an earlier want is of the same line.
func wantedBefore(wants []Want, i int) bool {
	for j := range i {
		if wants[j].ID == wants[i].ID && wants[j].Limit.Algorithm == wants[i].Limit.Algorithm {
			return true
		}
	}
	return false
}
