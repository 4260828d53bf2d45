package bucket

import (
	"fmt"
	"math/bits"
)

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
//   - token: whole tokens; fraction; µs since the bucket was full. What came back until the export is taken off, at
//     the COUNT that the line was last written under.
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
			r := l.record(now)
			if l.kind() == token {
				p.tokenRecord(l, now, &r)
			}
			c.Records = append(c.Records, r)
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

// tokenRecord takes off what came back. The bucket serves its histories one after the other (see sum.go), each for as long as
// its tokens take at the COUNT that its line was written under; so a copy says what is left of it in its turn, and copies
// of buckets that ran apart, each refilling, add up to what is left of each.
func (p *Partition) tokenRecord(l *line, now Instant, r *Record) {
	var t tally
	var buf [maxHistories]*line
	p.look(&Want{ID: l.id, Limit: Limit{Algorithm: TokenBucket}}, &t)
	ls := t.all(&buf)
	inOrder(ls)
	now = max(now, Instant(l.marks[2]))
	var end, lasts Instant
	for _, m := range ls {
		at := Instant(m.marks[2])
		lasts = m.fresh() - at
		end = max(end, at) + lasts
		if m == l {
			break
		}
	}
	left := min(end-now, lasts)
	whole, frac := share(l.marks[0], l.marks[1], uint64(left), uint64(lasts), uint64(l.span()))
	r.Marks = [5]uint64{whole, frac, uint64(max(now-Instant(l.marks[3]), 0))}
	r.Clock = r.Clock&(1<<freshShift-1) | uint64(max(left, 0))<<freshShift
}

// share returns a/b of the tokens, rounded up; a is at most b.
func share(whole, frac, a, b, span uint64) (uint64, uint64) {
	if int64(a) <= 0 {
		return 0, 0
	}
	hi, lo := bits.Mul64(whole, a)
	whole, rest := bits.Div64(hi, lo, b)
	hi, lo = bits.Mul64(rest, span)
	hi2, lo2 := bits.Mul64(frac, a)
	lo, c := bits.Add64(lo, lo2, 0)
	lo, c2 := bits.Add64(lo, b-1, 0)
	frac, _ = bits.Div64(hi+hi2+c+c2, lo, b)
	if frac >= span {
		whole, frac = whole+1, frac-span
	}
	return whole, frac
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
		last := l.fresh() - l.span()
		now = max(now, last)
		var v view
		l.view(&v, now)
		g := &v.g
		newest := g.slot(last)
		r.Marks = [5]uint64{}
		for s := v.cur - (g.n - 1); s <= newest; s++ {
			g.put(&r.Marks, g.n-1-(newest-s), g.get(&v.m, g.pos(s)))
		}
		aux = uint64(last-g.start(newest)) << 8 / g.width
	case fixed:
		r.Marks[1] = uint64(l.fixedEnd() - now)
		r.Marks[2] = uint64(now - Instant(l.marks[2]))
	}
	r.Clock = uint64(max(l.fresh()-now, 0))<<freshShift | aux<<auxShift | l.clock&(denyingMask|kindMask)
	return r
}
