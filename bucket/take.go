package bucket

import "time"

// Take decides one check: hits > 0 spends them in every want or in none; 0 peeks: it says whether one hit would be allowed,
// and how the limits stand, and changes nothing. All wants have the same ID.Key, and there are 1 to MaxWants of them.
// Errors are ErrNotHeld, ErrFrozen and ErrBadWants.
func (p *Partition) Take(now Instant, wants []Want, hits uint32, out *Outcome) error {
	if err := checkWants(wants); err != nil {
		return err
	}
	p.mu.Lock()
	err := p.readyLocked()
	if err == nil {
		p.takeLocked(clamp(now), wants, hits, out)
	}
	p.mu.Unlock()
	return err
}

func clamp(now Instant) Instant { return min(max(now, 0), maxInstant) }

// A tally is what a check finds for one of its wants.
type tally struct {
	// own is the line that is spent on, nil while there is none.
	own *line
	// rest are the lines of the other histories, from the first on.
	rest [maxHistories - 1]*line
	// used is how many hits count, of all histories.
	used uint64
	// fits: used and the hits asked for are within the limit.
	fits bool
	// amount is how many hits are to be spent.
	amount uint64
	// v is the view of own that used was counted from, if it has slots and is the only line.
	v view
}

// tallies returns n tallies, as they were left.
func (p *Partition) tallies(n int) []tally {
	if len(p.ts) < n {
		p.ts = make([]tally, n)
	}
	return p.ts[:n]
}

// takeLocked decides in three steps: look at all lines, spend on all or none, and say how they stand.
func (p *Partition) takeLocked(now Instant, wants []Want, hits uint32, out *Outcome) {
	if len(wants) == 1 {
		p.takeOne(now, wants, hits, out)
		return
	}
	p.decide(now, wants, hits, out, p.tallies(len(wants)))
}

// takeOne decides a check of one want. Nearly every check is plain and has a line already, in a partition with one history: for these there are
// shorter ways to the same answer.
func (p *Partition) takeOne(now Instant, wants []Want, hits uint32, out *Outcome) {
	w := &wants[0]
	if hits > 0 && !w.Shadow && !w.CountDenied && len(p.others) == 0 && len(out.Each) != 1 {
		if l := p.own.find(w.ID, w.Limit.Algorithm.family()); l != nil {
			if k := l.kind(); k < slots1 || k > slots4 || !p.takeSlots(now, w, l, uint64(hits), out) {
				p.warm(now, w, l, uint64(hits), out)
			}
			return
		}
	}
	var ts [1]tally
	p.decide(now, wants, hits, out, ts[:])
}

// within returns a wait as it is told: at least a microsecond, and no longer than the window. It is longer only where the clock went back, where
// hits are lent, or where a window was made longer for a skewed one.
func within(d, window Instant) time.Duration {
	return time.Duration(min(max(d, 1), window)) * time.Microsecond
}

// warm is decide for a plain want whose line is there.
func (p *Partition) warm(now Instant, w *Want, l *line, n uint64, out *Outcome) {
	var t tally
	t.own, t.amount = l, n
	t.count(w, now)
	most := uint64(w.Limit.Most())
	t.fits = t.used+n <= most
	out.begin()
	out.By = 0
	if t.fits {
		p.write(now, w, &t)
		out.Receipt = receipt(now, p.epoch)
	} else {
		p.deny(l)
		out.Allowed, out.Never = false, n > most
	}
	p.state(now, w, &t, n, &out.State)
}

func (p *Partition) decide(now Instant, wants []Want, hits uint32, out *Outcome, ts []tally) {
	out.begin()
	n := uint64(max(hits, 1))
	missing := false
	for i := range wants {
		w, t := &wants[i], &ts[i]
		p.look(w, t)
		t.count(w, now)
		if t.fits = t.used+n <= uint64(w.Limit.Most()); t.fits {
			t.amount = n
			missing = missing || t.own == nil
			continue
		}
		t.amount = 0
		if w.Shadow {
			out.Shadowed |= 1 << i
		} else {
			out.Allowed = false
		}
	}
	switch {
	case hits == 0:
	case !out.Allowed:
		p.denied(now, wants, ts, n)
	case missing && !p.makeLines(now, wants, ts):
		p.noRoom(out, 1)
		return
	default:
		p.spend(now, wants, ts)
		out.Receipt = receipt(now, p.epoch)
	}
	p.report(now, wants, ts, n, out)
}

// begin overwrites all but Each. Field by field, for Outcome is long and has a pointer: as one assignment this was a tenth of a take.
func (o *Outcome) begin() {
	o.Allowed, o.Never, o.Full = true, false, false
	o.By = -1
	o.State = State{}
	o.Receipt, o.Shadowed = 0, 0
}

// noRoom says that the table is full.
func (p *Partition) noRoom(out *Outcome, times uint32) {
	*out = Outcome{Each: out.Each, By: -1, Full: true}
	clear(out.Each)
	p.t.full.Add(uint64(times))
}

// look finds the want's lines.
func (p *Partition) look(w *Want, t *tally) {
	f := w.Limit.Algorithm.family()
	t.own = p.own.find(w.ID, f)
	t.rest = [maxHistories - 1]*line{}
	k := 0
	for _, h := range p.others {
		if l := h.find(w.ID, f); l != nil {
			t.rest[k] = l
			k++
		}
	}
}

func (t *tally) count(w *Want, now Instant) {
	t.v.ok = false
	switch l := t.own; {
	case t.rest[0] != nil:
		t.used = t.usedByAll(w, now)
	case l == nil || now >= l.fresh():
		t.used = 0
	case l.family() == slidingFamily && l.kind() != exact:
		l.view(&t.v, now)
		t.used = t.v.g.sum(&t.v.m)
	default:
		t.used = l.used(now, w.Limit.Count)
	}
}

// makeLines makes the lines that are missing for what is to be spent, all or none; false: the table is full. A line
// that only a shadow want is missing is made if it can be, for such a want never denies.
func (p *Partition) makeLines(now Instant, wants []Want, ts []tally) bool {
	missing, needed := 0, 0
	for i := range wants {
		if ts[i].amount > 0 && ts[i].own == nil {
			missing++
			if !wants[i].Shadow {
				needed++
			}
		}
	}
	if p.own.run(wants[0].ID.Key)+missing > maxKeyLines {
		return false // see lines: a key with that many lines costs all keys near it
	}
	room := missing
	if !p.makeRoom(now, wants, missing) {
		if needed == missing || needed > 0 && !p.makeRoom(now, wants, needed) {
			return false
		}
		room = needed
	}
	for i := range wants {
		w, t := &wants[i], &ts[i]
		if t.amount == 0 || p.own.find(w.ID, w.Limit.Algorithm.family()) != nil {
			continue
		}
		if room < missing && w.Shadow {
			t.amount = 0
			continue
		}
		p.insert(w.ID, w.Limit.kindFor())
		room--
		missing--
	}
	p.t.release(room) // the same line wanted twice
	for i := range wants {
		p.look(&wants[i], &ts[i]) // making room and lines has moved lines
	}
	return true
}

// spend spends each tally's amount.
func (p *Partition) spend(now Instant, wants []Want, ts []tally) {
	for i := range wants {
		w, t := &wants[i], &ts[i]
		if t.amount == 0 {
			continue
		}
		if spentBefore(ts, i) {
			if t.used += t.amount; t.used >= uint64(w.Limit.Most()) {
				p.deny(t.own)
			}
			t.v.ok = false
			continue
		}
		p.write(now, w, t)
	}
}

// write spends the tally's amount.
func (p *Partition) write(now Instant, w *Want, t *tally) {
	switch {
	case t.v.ok:
		t.own.slotsAdd(&t.v, now, t.amount)
	case t.rest[0] == nil:
		t.own.spend(now, &w.Limit, t.amount)
	default:
		t.spendBesides(w, now)
	}
	if t.used += t.amount; t.used >= uint64(w.Limit.Most()) {
		t.own.deny()
	} else {
		t.own.relent()
		p.fertile()
	}
	p.change(t.own)
}

// spentBefore says that the line of want i was spent on for an earlier one. Callers fold such wants; if they
// slip through, the hits are counted once and the strictest limit holds.
func spentBefore(ts []tally, i int) bool {
	for j := range i {
		if ts[j].own == ts[i].own && ts[j].amount > 0 {
			return true
		}
	}
	return false
}

// denied notes a denial: lines that deny are kept under pressure, and attempts are counted where that is asked for.
func (p *Partition) denied(now Instant, wants []Want, ts []tally, n uint64) {
	for i := range wants {
		w, t := &wants[i], &ts[i]
		if t.fits || w.Shadow {
			continue
		}
		if t.own != nil {
			p.deny(t.own)
		}
		for _, l := range t.rest {
			if l != nil {
				p.deny(l)
			}
		}
	}
	counted := false
	for i := range wants {
		if w := &wants[i]; w.CountDenied && !w.Shadow && !ts[i].fits {
			p.attempt(now, w, n)
			counted = true
		}
	}
	if counted {
		for i := range wants { // making lines moves lines, also those of wants that count no attempts
			p.look(&wants[i], &ts[i])
		}
	}
}

// attempt counts denied hits beside the want's line. It never evicts anything for that: not to count them is no failure.
func (p *Partition) attempt(now Instant, w *Want, n uint64) {
	l := p.own.find(w.ID.Attempts(), attemptsFamily)
	if l == nil {
		if p.lenLocked() >= MaxPartitionLines || !p.t.reserve(1) {
			return
		}
		l = p.insert(w.ID.Attempts(), attempts)
	}
	if now >= l.fresh() {
		l.clear(attempts)
	}
	l.slotsSpend(now, n)
}

// insert makes a line of the own history, for which room was reserved.
func (p *Partition) insert(id ID, k kind) *line {
	l := p.insertIn(&p.own, id, k)
	p.fertile()
	return l
}

func (p *Partition) insertIn(h *history, id ID, k kind) *line {
	before := h.bytes()
	h.grow(1)
	l := h.insert(id, k)
	if after := h.bytes(); after != before {
		p.t.bytes.Add(after - before)
	}
	return l
}
