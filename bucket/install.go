package bucket

// What was prepared is taken in here, in one of three ways; none of them can fail.

// Replace drops all that is here and puts in what arrived, which is whole: the partition is then as the one that was exported, its own history and
// its count of changes included, until SetHistory begins another. Gate and epoch stay.
func (p *Partition) Replace(pr *Prepared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr.use(p) {
		p.replace(pr)
	}
}

func (p *Partition) replace(pr *Prepared) {
	p.release(p.clear())
	put := 0
	for i, c := range pr.copies {
		h := history{lines: c.lines, name: c.name, seq: c.seq}
		put += h.n
		p.t.bytes.Add(h.bytes())
		if i == 0 {
			p.own = h
		} else {
			p.others = append(p.others, &h)
		}
	}
	p.past = pr.past
	p.setSeq(pr.seq)
	p.copied = true
	p.settle(pr, put)
	p.fertile()
}

// Apply takes changes in, line by line, in the histories of their names. Older ones than what is here change nothing, and none
// change anything twice. Changes that are whole replace what is here.
func (p *Partition) Apply(pr *Prepared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !pr.use(p):
		return
	case pr.seq < p.own.seq:
		p.settle(pr, 0)
		return
	case pr.whole && pr.seq > p.own.seq:
		p.replace(pr)
		return
	}
	put, newer := 0, pr.seq > p.own.seq
	for _, c := range pr.copies {
		h := p.historyNamed(c.name)
		if h == nil {
			h = &history{name: c.name}
			p.others = append(p.others, h)
		}
		h.seq = max(h.seq, c.seq)
		for l := range c.all {
			put += p.applyLine(h, l, pr.now >= l.fresh(), newer)
		}
	}
	p.setSeq(pr.seq)
	p.settle(pr, put)
	p.fewer()
	p.fertile()
}

// applyLine returns how many lines it added. At the same count of changes a line that is here is as it came: only lines that were left out
// then (short windows) are new.
func (p *Partition) applyLine(h *history, l *line, fresh, newer bool) int {
	is := h.find(l.id, l.family())
	switch {
	case is == nil && !fresh:
		*p.insertIn(h, l.id, l.kind()) = *l
		return 1
	case is == nil || !newer:
	case fresh:
		h.removeLine(is)
		p.release(1)
	default:
		*is = *l
	}
	return 0
}

// Absorb merges what arrived into a partition that has a history of its own: a copy of a history that is here replaces it if it is newer,
// and histories of other names are added. Copies of the own history, and late ones of past histories, are ignored; so are
// lines that are not whole. If there are too many histories then, the oldest are folded; see fold.go.
func (p *Partition) Absorb(pr *Prepared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !pr.use(p) {
		return
	}
	put, took := 0, false
	for _, c := range pr.copies {
		if !pr.whole || c.name == p.own.name || c.lines.n == 0 || c.seq <= p.pastSeq(c.name) {
			continue
		}
		h := p.historyNamed(c.name)
		if h == nil {
			h = &history{name: c.name}
			p.others = append(p.others, h)
		} else if h.seq >= c.seq {
			continue
		}
		p.release(h.n)
		p.t.bytes.Add(c.lines.bytes() - h.bytes())
		h.lines, h.seq = c.lines, c.seq
		put += h.n
		took = true
	}
	p.settle(pr, put)
	if !took {
		return
	}
	for _, x := range pr.past {
		if x.Seq == folded && p.historyNamed(x.Name) == nil {
			p.addPast(x)
		}
	}
	p.fewer()
	p.setSeq(p.own.seq + 1)
	p.whole = true
	p.fertile()
}
