package bucket

// Give gives hits back, never below zero. A receipt takes them out of the slot they went into; without one they leave
// the oldest, those of other histories than the own one before its own (but a token bucket's own only). Hits that have left
// of themselves are not given back. The outcome says how the limits stand then; Allowed is true. Giving 0 back says the same and
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
	ts := p.tallies(len(wants))
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
			p.deny(t.own) // nothing was left to give, or COUNT was lowered: it denies as before
		}
	}
	p.report(now, wants, ts, 0, out)
	return nil
}

func (p *Partition) giveLocked(now, at Instant, w *Want, hits uint64) {
	var t tally
	p.look(w, &t)
	several := t.rest[0] != nil
	if several && at < 0 && w.Limit.Algorithm != TokenBucket {
		for _, h := range p.others {
			if l := h.find(w.ID, w.Limit.Algorithm.family()); l != nil {
				was := l.used(now, w.Limit.Count)
				p.giveLine(now, -1, w, min(hits, was), h, l)
				hits -= min(hits, was)
			}
		}
	}
	switch l := t.own; {
	case l == nil || hits == 0:
	case several && w.Limit.Algorithm == TokenBucket:
		if at < 0 || at >= Instant(l.marks[3]) {
			if at >= 0 {
				hits = t.tokenBack(at, w.Limit.Count, hits)
			}
			t.tokenWriteSum(now, w.Limit.Count, 0, hits)
		}
		p.given(l)
	default:
		p.giveLine(now, at, w, hits, &p.own, l)
	}
}

func (p *Partition) giveLine(now, at Instant, w *Want, hits uint64, h *history, l *line) {
	if hits == 0 {
		return
	}
	left := l.give(now, at, w.Limit.Count, hits)
	p.given(l)
	switch {
	case left:
	case p.told(l):
		// It stays for a moment with nothing spent, so that the next changes say so.
		*l = line{id: l.id, clock: uint64(l.kind()) | l.clock&changedMask}
		l.setFresh(now)
	default:
		h.removeLine(l)
		p.release(1)
	}
}

func (p *Partition) given(l *line) {
	l.relent()
	p.fertile()
	p.change(l)
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
