package bucket

import (
	"errors"
	"fmt"
)

var (
	// ErrFull: the copy's lines would be more than the table may have.
	ErrFull = errors.New("bucket: no room for the copy; the table is at its max-lines")
	// ErrBadRecord: a record that no Export makes.
	ErrBadRecord = errors.New("bucket: a record that no export makes; was it sent by another version?")
)

// Merge takes a copy of a history in, at now. Its laws:
//
//   - The copies of one history replace each other: one with a higher sequence than what is here takes its place, and any other
//     changes nothing. So merging is idempotent, and copies of one history may come in any order.
//   - Histories of different names add up, each name once, in any order.
//   - Nothing that counted leaves sooner for being merged ("never over"), and later by no more than the
//     rounding of a Record: 1/128 of a slot, or one unit of an exact layout.
//
// It changes all or nothing. Errors: ErrHistories for the fifth name, ErrFull, ErrBadRecord. Unlike Take it needs no open gate:
// who is sent a partition has it shut.
func (p *Partition) Merge(now Instant, c *Copy) error {
	now = clamp(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.historyNamed(c.Name)
	if h != nil && h.seq >= c.Seq && !(h.seq == 0 && h.n == 0) {
		return nil
	}
	if h == nil && !p.roomForHistory() {
		return fmt.Errorf("merge history %v: %w", c.Name, ErrHistories)
	}
	// The lines are made aside and put in place once nothing can fail any more.
	was := 0
	if h != nil {
		was = h.n
	}
	more := len(c.Records) - was
	if more > 0 && !p.t.reserve(more) {
		return fmt.Errorf("merge %d lines of history %v: %w", len(c.Records), c.Name, ErrFull)
	}
	ls, err := c.lines(now)
	if err != nil {
		p.t.release(max(more, 0))
		return err
	}
	p.t.release(was + max(more, 0) - ls.n) // some may have been fresh
	if h == nil {
		h = &history{name: c.Name}
		p.others = append(p.others, h)
	}
	p.t.bytes.Add(ls.bytes() - h.bytes())
	h.lines, h.seq = ls, c.Seq
	p.fertile()
	return nil
}

// lines makes the copy's lines as they are at now.
func (c *Copy) lines(now Instant) (lines, error) {
	var ls lines
	for i := range c.Records {
		l, ok := c.Records[i].line(now)
		if !ok || ls.find(l.id, l.family()) != nil {
			return ls, fmt.Errorf("record %d of history %v: %w", i, c.Name, ErrBadRecord)
		}
		if now >= l.fresh() {
			continue
		}
		if ls.a == nil {
			ls.grow(len(c.Records))
		}
		ls.grow(1)
		*ls.insert(l.id, l.kind()) = l
	}
	return ls, nil
}

// line turns the record's durations into instants; false if it is not one that Export makes.
func (r *Record) line(now Instant) (line, bool) {
	l := line{id: r.ID, clock: r.Clock & (denyingMask | kindMask), marks: r.Marks}
	left, aux, w := Instant(r.Clock>>freshShift), r.Clock>>auxShift&0xff, r.ID.Window()
	k := l.kind()
	if w < MinWindow || w > MaxWindow && (w != Month || k != fixed) {
		return l, false
	}
	span := w.micros()
	l.setFresh(now + left)
	last := now + left - span
	ok := left <= span
	switch k {
	case exact:
		ok = ok && aux <= maxExact && l.exactArrive(last, aux)
	case slots1, slots2, slots4:
		l.slotsArrive(last, aux)
	case fixed:
		ok = l.fixedArrive(now)
	case token:
		since := Instant(r.Marks[2])
		ok = l.marks[0] < 1<<40 && l.marks[1] < uint64(span) && 0 <= since && since <= maxFresh
		l.marks[2], l.marks[3] = uint64(now), uint64(now-since)
	default:
		ok = false
	}
	return l, ok
}

func (l *line) exactArrive(last Instant, n uint64) bool {
	shift := exactShift(l.span())
	units := exactUnits(last, shift)
	before := uint32(1<<31 - 1)
	for i := range n {
		age := l.exactMark(i)
		if age > before {
			return false
		}
		before = age
		l.setExactMark(i, uint32(units)-age)
	}
	l.setAux(n)
	return true
}

// slotsArrive lays the slots out on a grid of ours whose phase is that of the other, rounded up. The last slot may then begin
// behind the last hit, by less than 1/256 of a slot; its hits go into the slot of the last hit, from which they leave with
// the line itself.
func (l *line) slotsArrive(last Instant, into uint64) {
	k, span := l.kind(), uint64(l.span())
	g := gridOf(k, span, 0)
	begin := last - Instant(into*g.width>>8)
	off := (uint64(begin + bias)) % g.width
	phase := (off<<8 + g.width - 1) / g.width
	phase &= 0xff // 256: the next slot's beginning
	var buf [40]hit
	h := buf[:0]
	for i := range g.n {
		if v := g.get(&l.marks, i); v > 0 {
			h = append(h, hit{min(last, begin+Instant(g.width)*Instant(i+2-g.n)-1), v})
		}
	}
	l.lay(k, phase, last, h)
}

// fixedArrive keeps an end that is not aligned to our clock, and with it the line until our boundary.
func (l *line) fixedArrive(now Instant) bool {
	until, since := Instant(l.marks[1]), Instant(l.marks[2])
	most := 2 * l.span()
	if until < -most || until > most || since < -most || since > most {
		return false
	}
	end := now + until
	l.marks[1], l.marks[2] = uint64(end), uint64(now-since)
	fresh := end
	if start, next := l.id.Window().around(end); start != end {
		fresh = next
	}
	l.setFresh(fresh)
	return true
}
