package bucket

// Above ten hits a sliding window counts in slots: 40 of one byte, 20 of two or 10 of four, whatever the counts allow.
// The n slots are a ring over time, each ceil(window/(n−1)) wide, and a hit counts until its whole slot has left, n slots
// after it began: at least the window (never over), at most one slot longer. n slots of window/n would let twice the limit through: a
// hit at the end of a slot would leave after n−1 slots.
//
// And no hit counts after the line is fresh (last hit + window), so that retry-after never exceeds the window.
//
// The grid's phase is aux/128 of a slot. It is 0 where a line begins; a line that was moved to another clock keeps the phase
// it had, rounded up, so that being moved k times makes it k/128 slots stricter at most, not k slots.

func (l *line) grid() grid { return gridOf(l.kind(), uint64(l.span()), l.aux()) }

// A view is a line's slots as they are at one instant, without what has left. It is made once a check, for looking, spending
// and waiting.
type view struct {
	g   grid
	m   [5]uint64
	cur uint64 // the slot that now is in
	ok  bool
}

// view fills in v. A clock behind the last hit is taken as being there.
func (l *line) view(v *view, now Instant) {
	v.g = l.grid()
	v.ok = true
	v.m = l.marks
	last := l.fresh() - l.span()
	if now <= last {
		v.cur = v.g.slot(last)
		return
	}
	v.cur = v.g.slot(now)
	if last >= v.g.start(v.cur) {
		return
	}
	v.g.pass(&v.m, v.g.slot(last), v.cur)
}

func (v *view) wait(need uint64, fresh Instant) Instant { return v.g.wait(&v.m, v.cur, need, fresh) }

func (l *line) slotsUsed(now Instant) uint64 {
	var v view
	l.view(&v, now)
	return v.g.sum(&v.m)
}

func (l *line) slotsWait(now Instant, need uint64) Instant {
	var v view
	l.view(&v, now)
	return v.wait(need, l.fresh())
}

func (l *line) slotsSpend(now Instant, hits uint64) {
	var v view
	if l.fresh() == 0 { // just begun
		v.g = l.grid()
		v.cur = v.g.slot(now)
		l.slotsAdd(&v, now, hits)
		return
	}
	l.view(&v, now)
	l.slotsAdd(&v, now, hits)
}

// slotsAdd spends on the line, whose slots v are at now, and keeps v true.
func (l *line) slotsAdd(v *view, now Instant, hits uint64) {
	span := l.span()
	now = max(now, l.fresh()-span)
	l.setFresh(now + span)
	for {
		n := addSat(v.g.get(&v.m, v.cur), hits)
		if n > v.g.max() {
			if v.g.lg > 1 {
				// A slot is full: COUNT was raised on the live line, or copies were added up.
				l.marks = v.m
				l.convert(max(l.kind()+1, slidingKind(n)), 0)
				l.view(v, now)
				continue
			}
			n = v.g.max()
		}
		v.g.put(&v.m, v.cur, n)
		l.marks = v.m
		return
	}
}

// slotsGive leaves in the ring what no longer counts: should the clock go back, it counts again.
func (l *line) slotsGive(now, at Instant, hits uint64) bool {
	g := l.grid()
	span := l.span()
	last := l.fresh() - span
	now = max(now, last)
	first, end := g.slot(now)-(g.n()-1), g.slot(last)
	take := func(s uint64) {
		v := g.get(&l.marks, s)
		d := min(v, hits)
		g.put(&l.marks, s, v-d)
		hits -= d
	}
	if at >= 0 {
		s := g.slot(at)
		if at+span <= now || s < first || at > last {
			return true // they left of themselves, or the line has begun anew since
		}
		for i := s; i <= min(s+1, end); i++ { // s+1 is where a change of layout may have moved it
			take(i)
		}
	}
	for s := first; hits > 0 && s <= end; s++ {
		take(s)
	}
	for s := end; s > end-g.n(); s-- {
		if g.get(&l.marks, s) > 0 {
			// What is left was spent at the end of its slot at the latest.
			l.setFresh(min(last, g.start(s+1)-1) + span)
			return true
		}
	}
	return false
}
