package bucket

// A sliding line changes its layout one way, towards coarser, until it is fresh: when COUNT was raised on the live line, or when copies
// are laid out on another grid. Each hit then goes to the latest time that it may have had, so that none leaves
// early; at worst it stays for one slot of the finer layout longer.

// A hit is some hits that were spent at the same time, at the latest.
type hit struct {
	at Instant
	n  uint64
}

// hits lists what a sliding line has, oldest first, each with the latest time that it may have been spent at.
func (l *line) hits(now Instant, buf *[40]hit) []hit {
	h := buf[:0]
	span := l.span()
	last := l.fresh() - span
	if l.kind() == exact {
		for i, n := l.exactLeft(now), l.aux(); i < n; i++ {
			h = append(h, hit{l.exactTime(i, last, exactShift(span)), 1})
		}
		return h
	}
	var v view
	l.view(&v, now)
	for s := v.cur - (v.g.n() - 1); s <= v.cur; s++ {
		if n := v.g.get(&v.m, s); n > 0 {
			h = append(h, hit{min(last, v.g.start(s+1)-1), n})
		}
	}
	return h
}

// convert lays the line out as k, or coarser if its counts want that, with the grid at phase aux. Every hit goes to the
// latest time that it may have had, so that none leaves early.
func (l *line) convert(k kind, aux uint64) {
	var buf [40]hit
	last := l.fresh() - l.span()
	h := l.hits(last, &buf)
	l.lay(k, aux, last, h)
}

func (l *line) lay(k kind, aux uint64, last Instant, h []hit) {
	span := l.span()
again:
	for {
		g := gridOf(k, uint64(span), aux)
		var m [5]uint64
		newest := g.slot(last)
		for _, x := range h {
			s := g.slot(x.at)
			if s+g.n() <= newest {
				continue
			}
			v := addSat(g.get(&m, s), x.n)
			if v > g.max() {
				if g.lg > 1 {
					k, aux = k+1, 0
					continue again
				}
				v = g.max()
			}
			g.put(&m, s, v)
		}
		flags := l.clock & denyingMask
		l.clock = uint64(k) | flags | aux<<auxShift
		l.marks = m
		l.setFresh(last + span)
		return
	}
}
