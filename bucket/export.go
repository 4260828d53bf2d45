package bucket

import "fmt"

// A Copy is a history as it was at one instant, ready to travel: it has no instants, only durations.
type Copy struct {
	Name Name
	// Seq orders the copies of one history: the larger is the newer.
	Seq     uint64
	Records []Record
}

// A Record is one line of a copy: eight words of 64 bits, to be sent as they are. Clock is laid out as that of a line, but counts
// the µs until the line is fresh, from when it was exported. By kind:
//
//   - exact: each mark is how long before the last hit, in the window's units, rounded down; so no hit is older
//     on arrival than it was.
//   - slots: aux is how far into its slot the last hit was, in 256ths, rounded down, and the slots are in order, that
//     of the last hit at the end.
//   - fixed: hits; µs until the window ends (less than 0: it has, but its end is remembered); µs since it began.
//   - token: whole tokens; fraction; µs since they were counted; µs since the bucket was full.
//
// A line denied last stays one that is not evicted.
type Record struct {
	ID    ID
	Clock uint64
	Marks [5]uint64
}

// Export copies the history of that name as it is at now; without a copy's lines that are fresh, and without attempts, which
// nothing depends on. The error is ErrNoHistory.
func (p *Partition) Export(now Instant, name Name) (*Copy, error) {
	now = clamp(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.historyNamed(name)
	if h == nil {
		return nil, fmt.Errorf("export history %v: %w", name, ErrNoHistory)
	}
	c := &Copy{Name: h.name, Seq: h.seq, Records: make([]Record, 0, h.n)}
	for i := range h.a {
		if l := &h.a[i]; !l.empty() && l.kind() != attempts && !p.gone(l, now) {
			c.Records = append(c.Records, l.record(now))
		}
	}
	return c, nil
}

func (p *Partition) historyNamed(name Name) *history {
	if p.own.name == name {
		return &p.own
	}
	for _, h := range p.others {
		if h.name == name {
			return h
		}
	}
	return nil
}

// record turns the line's instants into durations.
func (l *line) record(now Instant) Record {
	r := Record{ID: l.id, Marks: l.marks}
	aux := uint64(0)
	switch k := l.kind(); k {
	case exact:
		span := l.span()
		last, shift := l.fresh()-span, exactShift(span)
		now = max(now, last) // a clock that went back: as if it were at the last hit
		left := l.exactLeft(now)
		aux = l.aux() - left
		m := line{id: l.id}
		for i := range aux {
			m.setExactMark(i, uint32((last-l.exactTime(left+i, last, shift))>>shift))
		}
		r.Marks = m.marks
	case slots1, slots2, slots4:
		g := l.grid()
		last := l.fresh() - l.span()
		now = max(now, last)
		m, cur := l.live(&g, now)
		newest := g.slot(last)
		r.Marks = [5]uint64{}
		for s := cur - (g.n - 1); s <= newest; s++ {
			g.put(&r.Marks, g.n-1-(newest-s), g.get(&m, g.pos(s)))
		}
		aux = uint64(last-g.start(newest)) << 8 / g.width
	case fixed:
		r.Marks[1] = uint64(l.fixedEnd() - now)
		r.Marks[2] = uint64(now - Instant(l.marks[2]))
	case token:
		now = max(now, Instant(l.marks[2]))
		r.Marks[2] = uint64(now - Instant(l.marks[2]))
		r.Marks[3] = uint64(now - Instant(l.marks[3]))
	}
	r.Clock = uint64(max(l.fresh()-now, 0))<<freshShift | aux<<auxShift | l.clock&(denyingMask|kindMask)
	return r
}
