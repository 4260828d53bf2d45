package bucket

import "slices"

// MaxPartitionLines bounds the lines of one partition, of all histories, so that a partition always fits into one message
// (4 MiB). It is 32 times what a partition has on average in a table of the default size. Beyond it new lines are
// refused as in a full table.
const MaxPartitionLines = 1 << 16

// Lines are what a partition has, or what changed in it, as of one instant, ready to travel: they have no instants, only durations.
type Lines struct {
	// Seq is the partition's count of changes that they go up to.
	Seq uint64
	// Whole: they are all that the partition has; else, what changed since the lines were exported before.
	Whole bool
	// Histories are at most four, the own history first, and each name once.
	Histories []Copy
	// Past are histories that the partition no longer has.
	Past []Past

	at Instant // of the export, by the exporting node's clock; 0 if they have travelled
}

// A Copy is a history, or a part of it.
type Copy struct {
	Name Name
	// Seq orders the copies of one history: the larger is the newer.
	Seq uint64
	// Records are in the order of their IDs.
	Records []Record
}

// Len returns how many lines there are.
func (ls *Lines) Len() int {
	n := 0
	for i := range ls.Histories {
		n += len(ls.Histories[i].Records)
	}
	return n
}

// First returns the place of the first of these lines in their partition.
func (ls *Lines) First(partition int) Place {
	for i := range ls.Histories {
		if rs := ls.Histories[i].Records; len(rs) > 0 {
			return Place{partition, rs[0].ID.Key}
		}
	}
	return Place{partition, 0}
}

// Whole exports all that the partition has as it is at now: all histories, without the lines that are fresh, without attempts, which
// nothing depends on, and without windows below BackupMinWindow unless short is true. A new round of changes begins:
// see Changes.
func (p *Partition) Whole(now Instant, short bool) *Lines {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wholeLocked(clamp(now), short)
}

func (p *Partition) wholeLocked(now Instant, short bool) *Lines {
	ls := p.exportAll(now, short)
	for h := range p.histories {
		for i := range h.places() {
			h.at(i).clock &^= changedMask
		}
	}
	p.ranges, p.whole, p.copied = ranges{}, false, true
	return ls
}

// Snapshot is Whole for who keeps no copy up to date with changes: it begins no new round.
func (p *Partition) Snapshot(now Instant, short bool) *Lines {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exportAll(clamp(now), short)
}

func (p *Partition) exportAll(now Instant, short bool) *Lines {
	ls := p.newLines(now)
	ls.Whole = true
	for h := range p.histories {
		c := Copy{Name: h.name, Seq: h.seq, Records: make([]Record, 0, h.n)}
		for i := range h.places() {
			l := h.at(i)
			if !l.empty() && l.kind() != attempts && (short || !l.id.short()) && !p.gone(l, now) {
				c.Records = append(c.Records, p.record(l, now))
			}
		}
		if len(c.Records) > 0 || h == &p.own {
			ls.Histories = append(ls.Histories, c)
		}
	}
	return ls
}

// Changes exports the lines that changed since the last call of Changes or Whole, of any history. Those that count no more are
// among them, so that who applies the changes drops them. With short, for the end of a handoff, all lines of windows below
// BackupMinWindow come too. Where histories were merged meanwhile it is everything: Lines.Whole says so.
func (p *Partition) Changes(now Instant, short bool) *Lines { return p.ChangesIn(nil, now, short) }

// ChangesIn is Changes with the memory of lines that nobody looks at any more; nil: there are none. It may return others.
func (p *Partition) ChangesIn(old *Lines, now Instant, short bool) *Lines {
	now = clamp(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.whole {
		return p.wholeLocked(now, short)
	}
	ls := old
	if ls == nil {
		ls = new(Lines)
	}
	ls.begin(p, now)
	for h := range p.histories {
		c := ls.add(h.name, h.seq)
		p.changesOf(h, now, short, &c.Records)
		if len(c.Records) == 0 && h != &p.own {
			ls.Histories = ls.Histories[:len(ls.Histories)-1]
		}
	}
	p.ranges = ranges{}
	return ls
}

func (p *Partition) changesOf(h *history, now Instant, short bool, to *[]Record) {
	if short {
		for i := range h.places() {
			l := h.at(i)
			if l.changed() || !l.empty() && l.id.short() && l.kind() != attempts && !p.gone(l, now) {
				*to = append(*to, p.record(l, now))
				l.clock &^= changedMask
			}
		}
		return
	}
	if h.n == 0 {
		return
	}
	p.ranges.each(func(first, _ uint64) { h.expect(first) })
	p.ranges.each(func(first, last uint64) {
		for i := h.search(ID{Key: first}); i < h.places(); i++ {
			l := h.at(i)
			if l.empty() {
				continue
			}
			if l.id.Key > last {
				break
			}
			if l.changed() {
				*to = append(*to, p.record(l, now))
				l.clock &^= changedMask
			}
		}
	})
}

func (p *Partition) newLines(now Instant) *Lines {
	return &Lines{Seq: p.own.seq, Past: slices.Clone(p.past), at: now}
}

// begin makes the lines those of a partition, with nothing in them.
func (ls *Lines) begin(p *Partition, now Instant) {
	ls.Seq, ls.Whole, ls.at = p.own.seq, false, now
	ls.Past, ls.Histories = append(ls.Past[:0], p.past...), ls.Histories[:0]
}

// add adds a history without records, in the memory of one that was there before.
func (ls *Lines) add(name Name, seq uint64) *Copy {
	n := len(ls.Histories)
	if n == cap(ls.Histories) {
		ls.Histories = append(ls.Histories, Copy{})
	} else {
		ls.Histories = ls.Histories[:n+1]
	}
	c := &ls.Histories[n]
	c.Name, c.Seq, c.Records = name, seq, c.Records[:0]
	return c
}

// Room returns how many records the lines have memory for, whoever asks whether it is worth keeping.
func (ls *Lines) Room() int {
	n := 0
	for i := range ls.Histories[:cap(ls.Histories)] {
		n += cap(ls.Histories[:cap(ls.Histories)][i].Records)
	}
	return n
}

// histories yields the own history first.
func (p *Partition) histories(yield func(*history) bool) {
	if !yield(&p.own) {
		return
	}
	for _, h := range p.others {
		if !yield(h) {
			return
		}
	}
}

// Unacknowledged makes the lines changed again: nobody has said to have received them. So they come with the next Changes, and
// the count of changes rises. A partition that is shut by now is left as it is: its changes are those of another holder.
func (p *Partition) Unacknowledged(ls *Lines) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate == Shut {
		return
	}
	p.setSeq(p.own.seq + 1)
	if ls.Whole {
		p.whole = true
		return
	}
	for i := range ls.Histories {
		c := &ls.Histories[i]
		h := p.historyNamed(c.Name)
		if h == nil {
			p.whole = true
			return
		}
		for j := range c.Records {
			p.unacknowledged(h, &c.Records[j], ls.at)
		}
	}
}

func (p *Partition) unacknowledged(h *history, r *Record, at Instant) {
	if r.ID.short() {
		return
	}
	l := h.find(r.ID, r.family())
	if l == nil {
		// It went meanwhile. A line with nothing spent stands for it until that was said; if there is no room, the copy
		// counts longer than it had to.
		if !p.copied || p.lenLocked() >= MaxPartitionLines || !p.t.reserve(1) {
			return
		}
		l = p.insertIn(h, r.ID, r.kind())
		l.setFresh(at)
	}
	p.mark(l)
}
