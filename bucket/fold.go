package bucket

import (
	"math/bits"
	"slices"
)

// A partition that was claimed again and again within one window, or that a split left with more histories than it may have, folds
// the two oldest of the others into one, line by line. Laws, against the two lines apart:
//
//   - Nothing that counts leaves sooner.
//   - Windows count no hit for longer than one slot more, of the layout that the line has then. Ten hits and fewer stay exact.
//   - Two fixed windows that ran at the same time become one, which ends with the later of the two; they end at
//     the same time but for the skew of the two holders' clocks. Of two that did not, the earlier one is over.
//   - A token bucket is exact, but for what the older history got back until the later one was written: that is taken off at the COUNT
//     the older one was last written under, as in a Record.
//
// The result has a name that follows from the two, so that nodes which fold the same histories agree on it. The names
// of the two are remembered as past: a later copy of either has in it what is already counted here, and is ignored. What it alone had
// is not counted then: that is the price of a fifth history.

// foldOldest folds the two others with the lowest names.
func (p *Partition) foldOldest() {
	slices.SortFunc(p.others, func(a, b *history) int { return a.name.compare(b.name) })
	a, b := p.others[0], p.others[1]
	past := []Past{{a.name, folded}, {b.name, folded}}
	name := foldedName(a.name, b.name)
	to, from := b, a
	if from.n > to.n {
		to, from = from, to
	}
	gone := 0
	for i := range from.places() {
		switch l := from.at(i); {
		case l.empty():
		case l.kind() == attempts:
			gone++
		default:
			m := to.find(l.id, l.family())
			if m == nil {
				*p.insertIn(to, l.id, l.kind()) = *l
				continue
			}
			p.foldLine(m, l)
			gone++
		}
	}
	p.release(gone)
	p.t.bytes.Add(-from.bytes())
	to.name, to.seq = name, addSat(a.seq, b.seq)
	p.others = slices.DeleteFunc(p.others, func(h *history) bool { return h == from })
	p.addPast(past...)
	p.t.folded.Add(1)
	p.whole = true
	p.fertile()
}

// foldedName is the name of two histories in one: as old as the later of them, and nobody's start ID.
func foldedName(a, b Name) Name {
	x := (a.Epoch+1)*0x9e3779b97f4a7c15 ^ a.Start
	x = bits.RotateLeft64(x*0xbf58476d1ce4e5b9, 31) ^ (b.Epoch+1)*0x94d049bb133111eb ^ b.Start
	return Name{max(a.Epoch, b.Epoch), x * 0x9e3779b97f4a7c15}
}

// foldLine adds what l counts to m. Both are still in their histories.
func (p *Partition) foldLine(m, l *line) {
	flags := (m.clock | l.clock) & denyingMask
	switch m.kind() {
	case fixed:
		m.foldFixed(l)
	case token:
		p.foldToken(m, l)
	default:
		m.foldSliding(l)
	}
	m.clock |= flags
}

func (l *line) foldSliding(o *line) {
	var a, b [40]hit
	span := l.span()
	newer := l
	if o.fresh() > l.fresh() {
		newer = o
	}
	last := newer.fresh() - span
	h := append(l.hits(l.fresh()-span, &a), o.hits(o.fresh()-span, &b)...)
	k := max(l.kind(), o.kind())
	if k == exact {
		h = slices.DeleteFunc(h, func(x hit) bool { return x.at+span <= last })
	}
	if k == exact && len(h) <= maxExact {
		slices.SortFunc(h, func(x, y hit) int { return int(x.at - y.at) })
		l.clear(exact)
		for i, x := range h {
			l.setExactMark(uint64(i), uint32(exactUnits(x.at, exactShift(span))))
		}
		l.setAux(uint64(len(h)))
		l.setFresh(last + span)
		return
	}
	aux := uint64(0)
	if newer.kind() == k { // on the newer line's own grid its hits stay where they are
		aux = newer.aux()
	}
	l.lay(max(k, slots1), aux, last, h)
}

func (l *line) foldFixed(o *line) {
	a, b := *l, *o
	if a.fixedEnd() > b.fixedEnd() {
		a, b = b, a
	}
	if Instant(b.marks[2]) < a.fixedEnd() {
		b.marks[0] = addSat(a.marks[0], b.marks[0])
		b.marks[2] = uint64(min(Instant(a.marks[2]), Instant(b.marks[2])))
	}
	b.setFresh(max(a.fresh(), b.fresh()))
	*l = b
}

// foldToken makes one line of two, written when the later one was: with the later one's tokens, and with as many of the older one's that
// all lines which were written by then take as long to get back as they did.
func (p *Partition) foldToken(m, l *line) {
	a, b := *l, *m
	if Instant(a.marks[2]) > Instant(b.marks[2]) {
		a, b = b, a
	}
	at := Instant(b.marks[2])
	var buf [maxHistories]*line
	var besides []*line
	for _, x := range p.linesOf(l.id, tokenFamily, buf[:0]) {
		if x != l && x != m && Instant(x.marks[2]) <= at {
			besides = append(besides, x)
		}
	}
	without := max(bucketEnd(besides)-at, 0)
	with := max(bucketEnd(append(besides, &a))-at, 0)
	lasts := a.fresh() - Instant(a.marks[2])
	left := min(with-without, lasts)
	if left > 0 {
		span := uint64(b.span())
		whole, frac := share(a.marks[0], a.marks[1], left, lasts, span)
		if frac += b.marks[1]; frac >= span {
			whole, frac = whole+1, frac-span
		}
		b.marks[0], b.marks[1] = addSat(b.marks[0], whole), frac
		b.marks[3] = uint64(min(Instant(a.marks[3]), Instant(b.marks[3])))
		b.setFresh(b.fresh() + left)
	}
	*m = b
}
