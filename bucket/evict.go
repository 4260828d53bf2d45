package bucket

import (
	"math"
	"sync/atomic"
)

// A full table makes room for a new line by dropping one: a fresh line, else attempts, else the line nearest to fresh
// that is not denying. Law: memory pressure never resets a line that denies. So a flood of new keys can make a caller that
// is within its limit start afresh, which is counted, but never lets one through that was told no.
//
// It looks in the partition of the new line first, then in the others, going round, with TryLock: two takes that make
// room in each other's partitions would else wait for each other. A look ends after 64 lines that showed something to
// drop; only where there is nothing does it walk on. Then it notes until when there will be nothing (the first instant at
// which a line here becomes fresh), for the partition and, after a whole round, for the table: a flood against a
// table of denying lines looks once, not once per key. The note is taken back when a line stops denying.
//
// Nor does one key wait for all lines to be looked at: after evictWalk of them it is told that the table is full, and the next one
// looks at others, for those have their note.
//
// The sequence that the table's note must survive: A walks round and finds nothing; meanwhile B, in a partition that A
// has passed, stops denying, and clears the note, which is not set yet; A sets it. So B also raises `changes`, and A, which read
// that before it set out, takes the note back if it changed.
type room struct {
	hand    atomic.Uint64 // the partition where the next round begins
	barren  atomic.Int64  // nothing to drop in any partition until this instant
	changes atomic.Uint64
}

// evictSample is how many lines are looked at where each look finds something: the one nearest to fresh of 64 is in
// the nearest thirtieth of all with probability 0.9.
const evictSample = 64

// evictWalk is at how many lines of other partitions one check looks: some 50 µs' worth.
const evictWalk = 1 << 13

// makeRoom counts k lines that are about to be made in p, dropping others if need be; false: there is no room.
func (p *Partition) makeRoom(now Instant, wants []Want, k int) bool {
	if int64(k) > p.t.max {
		return false
	}
	for p.lenLocked()+k > MaxPartitionLines {
		if n, _ := p.evict(now, wants); n == 0 {
			return false
		}
	}
	// Each turn drops at least one line, but others may take the room first.
	for range k + 100 {
		if p.t.reserve(k) {
			return true
		}
		if n, _ := p.evict(now, wants); n == 0 && p.t.evictElsewhere(now, p) == 0 {
			return false
		}
	}
	return false
}

// fertile takes the notes back that there is nothing to drop: a line was made, or stopped denying.
func (p *Partition) fertile() {
	if p.barren == 0 {
		return
	}
	p.barren = 0
	p.t.room.changes.Add(1)
	p.t.room.barren.Store(0)
}

// evictElsewhere drops lines of another partition and returns how many.
func (t *Table) evictElsewhere(now Instant, p *Partition) int {
	if now < Instant(t.room.barren.Load()) {
		return 0
	}
	changes := t.room.changes.Load()
	until, whole, walk := Instant(math.MaxInt64), true, evictWalk
	start := t.room.hand.Load()
	for i := range uint64(len(t.parts)) {
		at := (start + i) % uint64(len(t.parts))
		q, barren := &t.parts[at], p.barren
		if q != p {
			if !q.mu.TryLock() {
				whole = false
				continue
			}
			n, seen := q.evict(now, nil)
			barren = q.barren
			q.mu.Unlock()
			if n > 0 {
				t.room.hand.Store(at)
				return n
			}
			if walk -= seen; walk <= 0 {
				return 0
			}
		}
		if barren == 0 {
			whole = false
		}
		until = min(until, barren)
	}
	if whole {
		t.room.barren.Store(int64(until))
		if t.room.changes.Load() != changes {
			t.room.barren.Store(0)
		}
	}
	return 0
}

// evict drops fresh lines, or else the one that can best be spared, and returns how many, and how many it looked at. It spares the lines of
// wants.
func (p *Partition) evict(now Instant, wants []Want) (dropped, seen int) {
	if now < p.barren || p.gate == Frozen || p.pending > 0 { // frozen lines are on their way as they are
		return 0, 0
	}
	v := eviction{p: p, now: now, wants: wants, until: math.MaxInt64}
	v.look(&p.own.lines, &p.hand)
	for i := 0; i < len(p.others) && !v.enough(); i++ {
		v.look(&p.others[i].lines, &p.hand)
	}
	switch {
	case v.dropped > 0:
		p.t.expired.Add(uint64(v.dropped))
	case v.best != nil:
		v.in.removeLine(v.best)
		p.t.evicted.Add(1)
		v.dropped = 1
	case !v.spared:
		p.barren = v.until
	}
	p.release(v.dropped)
	return v.dropped, v.seen
}

// An eviction is one look for lines to drop.
type eviction struct {
	p     *Partition
	now   Instant
	wants []Want

	seen    int
	dropped int
	spared  bool // a line of wants was passed over: what was found is not all there is
	until   Instant
	best    *line
	in      *lines
}

func (v *eviction) enough() bool { return v.seen >= evictSample && (v.dropped > 0 || v.best != nil) }

func (v *eviction) look(t *lines, hand *int) {
	for c := 0; c < t.places() && !v.enough(); c++ {
		if *hand++; *hand >= t.places() {
			*hand = 0
		}
		i := *hand
		for l := t.at(i); !l.empty() && v.p.gone(l, v.now) && !v.wanted(l); {
			// Removing moves the next line here, and best may have moved too; but nothing is evicted
			// once something was dropped.
			t.remove(i)
			v.dropped++
			v.seen++
		}
		l := t.at(i)
		if l.empty() {
			continue
		}
		v.seen++
		switch {
		case v.wanted(l):
			v.spared = true
		case l.denying():
			v.until = min(v.until, l.fresh())
		case v.best == nil || l.sooner(v.best):
			v.best, v.in = l, t
		}
	}
}

// sooner says that l is to be dropped rather than m.
func (l *line) sooner(m *line) bool {
	if a, b := l.kind() == attempts, m.kind() == attempts; a != b {
		return a
	}
	return l.fresh() < m.fresh()
}

func (v *eviction) wanted(l *line) bool {
	for i := range v.wants {
		if v.wants[i].ID == l.id {
			return true
		}
	}
	return false
}
