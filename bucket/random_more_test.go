package bucket

import "fmt"

// takeUpTo is compared with Take, again and again.
func (h *timeline) takeUpTo(ws []Want) {
	n, times := h.hits(ws), 1+uint32(h.r.IntN(20))
	other := clone(h.p)
	var want uint32
	granted, denied := h.outcome(ws), h.outcome(ws)
	var first, last Outcome
	for range times {
		o := h.outcome(ws)
		other.Take(h.clock(), ws, n, &o)
		h.judge(ws, n, o)
		if o.Allowed {
			want, last = want+1, o
			for i, w := range ws {
				if o.Shadowed&(1<<i) == 0 {
					h.lines[i].spend(h.now, w.Limit, uint64(n))
				}
			}
		} else if first.Each == nil {
			first = o
		}
	}
	got, err := h.p.TakeUpTo(h.clock(), ws, n, times, &granted, &denied)
	h.log = append(h.log, fmt.Sprintf("%d take up to %d times %d of %s: %d\n  %+v\n  %+v", h.now, times, n, show(ws), got, granted, denied))
	if err != nil || got != want {
		h.fail("TakeUpTo: %d, %v; Take: %d", got, err, want)
	}
	if got > 0 && !sameOutcome(granted, last) {
		h.fail("granted %+v\nwant    %+v", granted, last)
	}
	if got < times && !sameOutcome(denied, first) {
		h.fail("denied %+v\nwant   %+v", denied, first)
	}
	for i := range h.p.own.places() {
		a, b := *h.p.own.at(i), *other.own.at(i)
		if a != b {
			h.fail("line %d is %+v\nwant %+v", i, a, b)
		}
	}
	h.taken = nil
	h.p.Take(h.clock(), ws, 0, &granted)
	h.compare(ws, granted.Each)
}

// shorter compares out with what is answered where not every want is to be told: a check of one want is decided in other ways then (takeOne).
func (h *timeline) shorter(before *Partition, ws []Want, n uint32, out Outcome) {
	other := clone(before)
	var o Outcome
	if err := other.Take(h.clock(), ws, n, &o); err != nil {
		h.fail("%v", err)
	}
	if out.Each = nil; !sameOutcome(o, out) {
		h.fail("without Each: %+v", o)
	}
	if h.p.own.places() != other.own.places() {
		h.fail("without Each: %d places, want %d", other.own.places(), h.p.own.places())
	}
	for i := range h.p.own.places() {
		if a, b := *other.own.at(i), *h.p.own.at(i); a != b {
			h.fail("without Each: line %d is %+v\nwant %+v", i, a, b)
		}
	}
}

func (t *lines) clone() lines {
	c := *t
	c.segs = nil
	for _, s := range t.segs {
		s := *s
		c.segs = append(c.segs, &s)
	}
	return c
}

// clone copies a partition into a table of its own.
func clone(p *Partition) *Partition {
	t := NewTable(Config{Partitions: 1, MaxLines: int(p.t.max)})
	q := t.Partition(0)
	q.gate, q.epoch = p.gate, p.epoch
	q.own, q.past = p.own, p.past
	q.own.lines = p.own.clone()
	for _, h := range p.others {
		o := *h
		o.lines = h.clone()
		q.others = append(q.others, &o)
	}
	t.lines.Store(p.t.lines.Load())
	t.bytes.Store(p.t.bytes.Load())
	return q
}
