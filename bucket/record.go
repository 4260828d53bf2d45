package bucket

import "math/bits"

// A Record is one line of a copy: eight words of 64 bits, to be sent as they are. Clock is, from the top: 52 bits, the µs until the
// line is fresh, from when it was exported; 8 bits aux; 1 bit denying; 3 bits kind. By kind:
//
//   - exact: aux marks; each is how long before the last hit, in the window's units, rounded down; so no hit is older
//     on arrival than it was.
//   - slots: aux is how far into its slot the last hit was, in 256ths, rounded down, and the slots are in order, that
//     of the last hit at the end. Where hits are lent the last is yet to come, by a slot at most.
//   - fixed: hits; µs until the window ends (less than 0: it has, but its end is remembered); µs since it began.
//   - token: whole tokens; fraction; µs since the bucket was full. What came back until the export is taken off, at
//     the COUNT that the line was last written under.
//
// A line denied last stays one that is not evicted. A record that is fresh already says that the line counts no more.
type Record struct {
	ID    ID
	Clock uint64
	Marks [5]uint64
}

const recordAuxShift = 4

func (r *Record) kind() kind     { return kind(r.Clock & kindMask) }
func (r *Record) left() Instant  { return Instant(r.Clock >> freshShift) }
func (r *Record) family() family { return families[r.Clock&kindMask] }

// record returns the line as it is at now, in durations.
func (p *Partition) record(l *line, now Instant) Record {
	if p.gone(l, now) {
		return Record{ID: l.id, Clock: uint64(l.kind())}
	}
	r := l.record(now)
	if l.kind() == token {
		p.tokenRecord(l, now, &r)
	}
	return r
}

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
		var v view
		l.view(&v, now)
		g := v.g
		if now < last-Instant(g.width) {
			now = last // a clock that went back; nearer, hits are lent until the last
		}
		newest := g.slot(last)
		r.Marks = g.turned(&v.m, newest+1)
		aux = uint64(last-g.start(newest)) << 8 / g.width
	case fixed:
		r.Marks = [5]uint64{l.marks[0], uint64(l.fixedEnd() - now), uint64(now - Instant(l.marks[2]))}
	}
	r.Clock = uint64(max(l.fresh()-now, 0))<<freshShift | aux<<recordAuxShift | l.clock&(denyingMask|kindMask)
	return r
}

// tokenRecord takes off what came back. The bucket serves its histories one after the other (see sum.go), each for as long as
// its tokens take at the COUNT that its line was written under; so a copy says what is left of it in its turn, and copies
// of buckets that ran apart, each refilling, add up to what is left of each.
func (p *Partition) tokenRecord(l *line, now Instant, r *Record) {
	var buf [maxHistories]*line
	ls := p.linesOf(l.id, tokenFamily, buf[:0])
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
	whole, frac := share(l.marks[0], l.marks[1], left, lasts, uint64(l.span()))
	r.Marks = [5]uint64{whole, frac, uint64(max(now-Instant(l.marks[3]), 0))}
	r.Clock = r.Clock&(1<<freshShift-1) | uint64(max(left, 0))<<freshShift
}

// share returns a/b of the tokens, rounded up; a is at most b.
func share(whole, frac uint64, a, b Instant, span uint64) (uint64, uint64) {
	if a <= 0 {
		return 0, 0
	}
	x, y := uint64(a), uint64(b)
	hi, lo := bits.Mul64(whole, x)
	whole, rest := bits.Div64(hi, lo, y)
	hi, lo = bits.Mul64(rest, span)
	hi2, lo2 := bits.Mul64(frac, x)
	lo, c := bits.Add64(lo, lo2, 0)
	lo, c2 := bits.Add64(lo, y-1, 0)
	frac, _ = bits.Div64(hi+hi2+c+c2, lo, y)
	if frac >= span {
		whole, frac = whole+1, frac-span
	}
	return whole, frac
}

// line turns the record's durations into instants; false if it is not one that is exported.
func (r *Record) line(now Instant) (line, bool) {
	l := line{id: r.ID, clock: r.Clock & (denyingMask | kindMask), marks: r.Marks}
	left, aux, w := r.left(), r.Clock>>recordAuxShift&0xff, r.ID.Window()
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
		// Hits that are lent until a moment yet to come leave a window after it.
		if g := gridOf(k, uint64(span), 0); left > span && left <= span+Instant(g.width) {
			ok = true
		}
		l.slotsArrive(last, aux)
	case fixed:
		ok = l.fixedArrive(now)
	case token:
		since := Instant(r.Marks[2])
		ok = l.marks[0] < 1<<40 && l.marks[1] < uint64(span) && 0 <= since && since <= maxFresh
		l.marks[2], l.marks[3] = uint64(now), uint64(now-since)
		l.tokenShallow(now)
	default:
		ok = false
	}
	if ok && left == 0 {
		l = line{id: l.id, clock: uint64(k)} // it counts no more; a fixed window's boundary here is of no matter then
		l.setFresh(now)
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
// behind the last hit, by less than 1/128 of a slot; its hits go into the slot of the last hit, from which they leave with
// the line itself.
func (l *line) slotsArrive(last Instant, into uint64) {
	k, span := l.kind(), uint64(l.span())
	g := gridOf(k, span, 0)
	begin := last - Instant(into*g.width>>8)
	off := (uint64(begin + bias)) % g.width
	phase := (off<<phaseBits + g.width - 1) / g.width
	phase &= auxMask // one more: the next slot's beginning
	if !l.slotsTurn(phase, last, begin) {
		l.slotsLay(g, phase, last, begin)
	}
}

// slotsTurn does it where each slot becomes one of ours, which is mostly: the ring is turned, no slot need be looked at.
func (l *line) slotsTurn(phase uint64, last, begin Instant) bool {
	span := l.span()
	g := gridOf(l.kind(), uint64(span), phase)
	s := g.slot(last)
	if g.slot(begin-1) != s-1 {
		return false
	}
	// Slot s+1 is where the ring begins, so ours begins where the ring has come round by that: a multiple of its length, less s+1.
	l.marks = g.turned(&l.marks, (g.n()-1)*(s+1))
	l.clock = l.clock&(denyingMask|kindMask) | phase<<auxShift
	l.setFresh(last + span)
	return true
}

func (l *line) slotsLay(g grid, phase uint64, last, begin Instant) {
	var buf [40]hit
	h := buf[:0]
	for i := range g.n() {
		if v := g.get(&l.marks, i); v > 0 {
			h = append(h, hit{min(last, begin+Instant(g.width)*Instant(i+2-g.n())-1), v})
		}
	}
	l.lay(l.kind(), phase, last, h)
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
