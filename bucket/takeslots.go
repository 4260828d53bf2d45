package bucket

// takeSlots decides on a line with slots where it is, without a copy that what has left is taken out of. It nearly always has seen the slot that now is
// in, or the one before: then nothing has left, or only what was in now's place in the ring. It answers nothing, and has changed nothing, where
// the line wants another layout.
//
// What has left stays in the ring until something is spent: should the clock go back, it counts again.
func (p *Partition) takeSlots(now Instant, w *Want, l *line, n uint64, out *Outcome) bool {
	g := l.grid()
	m, fresh, span := &l.marks, l.fresh(), l.span()
	last := fresh - span
	cur := g.slot(max(now, last))
	// there is how many hits are in cur, gone how many slots came round, if more than cur, whose place is overwritten anyway.
	var used, there, gone uint64
	switch {
	case last >= g.start(cur):
		used, there = g.sum(m), g.get(m, cur)
	case now >= fresh:
		return false
	case last >= g.start(cur-1):
		used = g.sum(m) - g.get(m, cur)
	default:
		gone = cur - g.slot(last)
		used = g.left(m, cur, gone)
	}
	most := uint64(w.Limit.Count)
	fits := used+n <= most
	if fits {
		if there += n; there > g.max() {
			return false // COUNT was raised
		}
		if gone > 0 {
			g.pass(m, cur-gone, cur)
		}
		g.put(m, cur, there)
		if now > last {
			fresh = min(now+span, maxFresh)
			l.setFresh(fresh)
		}
		if used += n; used >= most {
			l.deny()
		} else {
			l.relent()
			p.fertile()
		}
		p.change(l)
		out.Receipt = receipt(now, p.epoch)
	} else {
		p.deny(l)
		out.Receipt = 0
	}
	out.Allowed, out.Never, out.Full = fits, n > most, false
	out.By, out.Shadowed = 0, 0
	out.Limit, out.Remaining, out.Current = uint32(most), uint32(subSat(most, used)), used
	out.Reset, out.Retry = 0, 0
	if used == 0 {
		return true
	}
	need := uint64(1)
	if used > most {
		need = used - most + 1
	}
	var at Instant
	if used == there { // hits come in bursts: then the search would go once round the ring, to where it is clear that it ends
		at = min(g.leaves(cur), fresh)
	} else {
		at = g.wait(m, cur, need, fresh)
	}
	out.Reset = within(at-now, span)
	if !fits && n <= most {
		out.Retry = out.Reset
		if again := used + n - most; again != need {
			out.Retry = within(g.wait(m, cur, again, fresh)-now, span)
		}
	}
	return true
}
