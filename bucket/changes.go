package bucket

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Who keeps a copy of a partition for a crash is sent what changed, every few milliseconds. So each line has a bit: changed
// since the lines were last exported. To find those lines without a walk over all, the partition has a small map beside: a bit for each of
// 256 ranges of keys, set where a line of the range changed. Lines lie in the order of their keys (lines.go), so a range is a few
// lines that lie together, and the map need not be told when lines move.
//
// A line of a window below BackupMinWindow has no part in that: it never counts as changed, and spending on it does not
// raise the count of changes. Neither do attempts.

// BackupMinWindow is the shortest window whose lines are copied for a crash: a shorter one is nearly over before anybody has noticed the
// crash, and its lines change so often that they would be most of what is sent. A handoff brings them all the same.
const BackupMinWindow = 5 * time.Second

// shortLine is greater than the Line of every ID of a window below BackupMinWindow, and than that of no other.
const shortLine = uint64(BackupMinWindow/time.Millisecond) << restBits

func (id ID) short() bool { return id.Line < shortLine }

// tellWithin is how long a changed line is kept after it is fresh, where a copy is to hear of it: longer than changes that were not
// acknowledged take to be sent again.
const tellWithin = Instant(5 * time.Second / time.Microsecond)

// rangeBits: 256 ranges of keys, about eight lines each where the table has 8 million lines.
const rangeBits = 8

// A ranges has a bit for each range of keys.
type ranges [1 << rangeBits / 64]uint64

func (r *ranges) set(key uint64) { r[key>>(64-rangeBits+6)] |= 1 << (key >> (64 - rangeBits) & 63) }

// each calls f with the first and last key of every range that is set.
func (r *ranges) each(f func(first, last uint64)) {
	for i, w := range r {
		for ; w != 0; w &= w - 1 {
			first := uint64(i*64+bits.TrailingZeros64(w)) << (64 - rangeBits)
			f(first, first|(1<<(64-rangeBits)-1))
		}
	}
}

// Seq returns the partition's count of changes: it rises with every change that a copy should have. It takes the partition's lock
// only if something changed since the lines were last exported: while nothing is marked, the next change is one that marks.
func (p *Partition) Seq() uint64 {
	if k := p.known.Load(); k > 0 {
		return k - 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ranges == (ranges{}) {
		p.known.Store(p.own.seq + 1)
	} else {
		p.t.changed.set(p.index)
	}
	return p.own.seq
}

// Changed sets a bit in to, which has a word for each 64 partitions, for every partition whose gate is not shut, and whose Seq may have
// changed or whose gate was set since Changed was last called, and clears the others. One goroutine may call it, and is to ask for Seq then: until it is
// asked, a partition need not be named again.
//
// A change clears known first and sets the bit then; Changed takes the bit first, and known is looked at then. So what changes in between is
// either seen by this Seq or named by the next Changed.
func (t *Table) Changed(to []uint64) {
	for i := range t.changed {
		to[i] = 0
		if t.changed[i].Load() != 0 {
			to[i] = t.changed[i].Swap(0)
		}
	}
}

// A partitionSet has a bit for each partition.
type partitionSet []atomic.Uint64

func (s partitionSet) set(i uint32) {
	if w, bit := &s[i/64], uint64(1)<<(i%64); w.Load()&bit == 0 {
		w.Or(bit)
	}
}

// SetSeq makes the count of changes go on from seq. It never lowers it.
func (p *Partition) SetSeq(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setSeq(max(p.own.seq, seq))
}

func (p *Partition) setSeq(seq uint64) {
	p.own.seq = seq
	p.unknown()
}

// unknown is when the count of changes is not as it was when it was last asked for. Nobody asks for it while the gate is shut.
func (p *Partition) unknown() {
	p.known.Store(0)
	if p.gate != Shut {
		p.t.changed.set(p.index)
	}
}

// change notes that the line is not as it was last exported. It is part of every take, and small enough to be inlined.
func (p *Partition) change(l *line) {
	if l.id.Line >= shortLine {
		p.own.seq++
		if l.clock&changedMask == 0 {
			p.mark(l)
		}
	}
}

func (p *Partition) mark(l *line) {
	l.clock |= changedMask
	p.unknown()
	p.ranges.set(l.id.Key)
	if l.kind() != token || len(p.others) == 0 {
		return
	}
	// The histories of a token bucket are served in turn: only as of one instant do copies of them add up.
	var buf [maxHistories]*line
	for _, m := range p.linesOf(l.id, tokenFamily, buf[:0]) {
		m.clock |= changedMask
	}
}

// deny notes that the line denies, which keeps it under memory pressure, here and in a copy.
func (p *Partition) deny(l *line) {
	if !l.denying() {
		l.deny()
		p.change(l)
	}
}

// told reports whether a copy is to hear of the line's changes.
func (p *Partition) told(l *line) bool { return p.copied && !l.id.short() && l.kind() != attempts }

// unsaid reports whether a copy has yet to hear of a line that counts no more.
func (p *Partition) unsaid(l *line, now Instant) bool {
	return p.copied && l.changed() && now < l.fresh()+tellWithin
}

// linesOf appends the lines that all histories have of an ID.
func (p *Partition) linesOf(id ID, f family, to []*line) []*line {
	if l := p.own.find(id, f); l != nil {
		to = append(to, l)
	}
	for _, h := range p.others {
		if l := h.find(id, f); l != nil {
			to = append(to, l)
		}
	}
	return to
}
