package bucket

import (
	"errors"
	"fmt"
	"slices"
)

var (
	// ErrFull: the lines would be more than the table, or one partition, may have.
	ErrFull = errors.New("bucket: no room for the lines; the table is at its max-lines, or the partition at 65,536")
	// ErrHistories: lines of more histories than a partition ever has.
	ErrHistories = errors.New("bucket: lines of more than four histories, which no export makes; were they sent by another version?")
	// ErrBadRecord: a record, or an order of records, that is not exported.
	ErrBadRecord = errors.New("bucket: a record that no export makes; was it sent by another version?")
)

// A Prepared is what arrived, with everything checked and the room for it reserved, so that taking it in cannot fail. It must come to one of
// Replace, Apply, Absorb and Discard; whatever is done with it after that does nothing. One goroutine may use it.
type Prepared struct {
	p      *Partition // nil: used
	now    Instant
	seq    uint64
	whole  bool
	copies []prepared
	past   []Past
	room   int // lines that are reserved
}

// A prepared is one history of it: a table if the lines are whole, else the lines that changed.
type prepared struct {
	name    Name
	seq     uint64
	lines   lines
	changes []line // those that are fresh are to be dropped
}

// Prepare makes the lines aside as they are at now, and reserves the room for them: for Replace and Apply while the partition is
// shut, for Absorb while it is not. Until the Prepared is used, what leaves the partition makes no room elsewhere. Errors are ErrFull,
// ErrHistories and ErrBadRecord.
func (p *Partition) Prepare(now Instant, ls *Lines) (*Prepared, error) {
	pr := new(Prepared)
	if err := p.PrepareIn(pr, now, ls); err != nil {
		return nil, err
	}
	return pr, nil
}

// PrepareIn is Prepare with the memory of a Prepared that was used. After an error it counts as used.
func (p *Partition) PrepareIn(pr *Prepared, now Instant, ls *Lines) error {
	if pr.p != nil {
		panic("bucket: a Prepared was to be made of one that was not used yet")
	}
	now = clamp(now)
	if len(ls.Histories) > maxHistories {
		return fmt.Errorf("prepare lines of %d histories: %w", len(ls.Histories), ErrHistories)
	}
	if n := ls.Len(); n > MaxPartitionLines {
		return fmt.Errorf("prepare %d lines: %w", n, ErrFull)
	}
	if !ls.Whole {
		p.expect(ls)
	}
	past := slices.Clone(ls.Past[:min(len(ls.Past), maxPast)]) // it becomes the partition's
	*pr = Prepared{now: now, seq: ls.Seq, whole: ls.Whole, past: past, copies: pr.copies[:0]}
	for i := range ls.Histories {
		c := &ls.Histories[i]
		if slices.ContainsFunc(pr.copies, func(o prepared) bool { return o.name == c.Name }) {
			return fmt.Errorf("prepare history %v twice: %w", c.Name, ErrBadRecord)
		}
		x := pr.add(c)
		var err error
		if ls.Whole {
			var list []line
			if list, err = c.list(nil, now, true); err == nil {
				x.lines = tableFrom(list) // it becomes the partition's
			}
		} else {
			x.changes, err = c.list(x.changes[:0], now, false)
		}
		if err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := pr.len(); !pr.whole && p.lenLocked()+n <= MaxPartitionLines && p.t.reserve(n) {
		// As if all of them were new. To look which are would take as long as to take them in, which gives back what was too much.
		pr.p, pr.room = p, n
		p.pending++
		return nil
	}
	more, total := p.roomFor(pr)
	if total > MaxPartitionLines {
		p.expireLocked(now)
		more, total = p.roomFor(pr)
	}
	if total > MaxPartitionLines || more > 0 && !p.t.reserve(more) {
		return fmt.Errorf("prepare %d lines beside %d: %w", ls.Len(), p.lenLocked(), ErrFull)
	}
	pr.p, pr.room = p, more
	p.pending++
	return nil
}

// mostPrepared is how many lines are brought near while they are prepared. More come with few messages.
const mostPrepared = 64

// expect brings the lines near that changes will be put in, while these are being prepared.
func (p *Partition) expect(ls *Lines) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range ls.Histories {
		c := &ls.Histories[i]
		if h := p.historyNamed(c.Name); h != nil {
			for j := range c.Records[:min(len(c.Records), mostPrepared)] {
				h.expect(c.Records[j].ID.Key)
			}
		}
	}
}

// add adds a history without lines, in the memory of one that was there before.
func (pr *Prepared) add(c *Copy) *prepared {
	n := len(pr.copies)
	if n == cap(pr.copies) {
		pr.copies = append(pr.copies, prepared{})
	} else {
		pr.copies = pr.copies[:n+1]
	}
	x := &pr.copies[n]
	*x = prepared{name: c.Name, seq: c.Seq, changes: x.changes[:0]}
	return x
}

// list appends the lines as they are at now, in their order; without those that are fresh if the copy is whole.
func (c *Copy) list(list []line, now Instant, whole bool) ([]line, error) {
	list = slices.Grow(list, len(c.Records))
	run := 0 // lines of one key
	for i := range c.Records {
		r := &c.Records[i]
		l, ok := r.line(now)
		if i > 0 {
			if before := &c.Records[i-1]; before.ID.Key == r.ID.Key {
				run++
				ok = ok && before.ID.Line <= r.ID.Line && run < maxKeyLines
			} else {
				run = 0
				ok = ok && before.ID.Key < r.ID.Key
			}
		}
		for j := i - 1; ok && j >= 0 && c.Records[j].ID == r.ID; j-- {
			ok = c.Records[j].family() != r.family()
		}
		if !ok {
			return nil, fmt.Errorf("record %d of history %v: %w", i, c.Name, ErrBadRecord)
		}
		if !whole || now < l.fresh() {
			list = append(list, l)
		}
	}
	return list, nil
}

// roomFor returns how many lines more the table will count once pr was used, and how many the partition will have.
func (p *Partition) roomFor(pr *Prepared) (more, total int) {
	have, n := p.lenLocked(), pr.len()
	credit := p.pending == 0                                // else what is here may have been counted on already
	if !pr.whole || p.gate == Shut && pr.seq == p.own.seq { // Apply, line by line
		for _, c := range pr.copies {
			more += c.missing(p.historyNamed(c.name))
		}
		total = have + more
	}
	switch {
	case !pr.whole:
		return more, total
	case p.gate == Shut: // Replace
		if credit {
			return max(more, n-have), max(total, n)
		}
		return max(more, n), max(total, n)
	}
	total = have
	for _, c := range pr.copies {
		old := 0
		if h := p.historyNamed(c.name); h != nil && credit {
			old = h.n
		}
		more += max(0, c.lines.n-old)
		total += max(0, c.lines.n-old)
	}
	return more, total
}

// missing returns how many of the lines h does not have.
func (x *prepared) missing(h *history) int {
	k := 0
	for l := range x.all {
		if h == nil || h.find(l.id, l.family()) == nil {
			k++
		}
	}
	return k
}

func (x *prepared) all(yield func(*line) bool) {
	for i := range x.changes {
		if !x.changes[i].empty() && !yield(&x.changes[i]) {
			return
		}
	}
	for i := range x.lines.places() {
		if l := x.lines.at(i); !l.empty() && !yield(l) {
			return
		}
	}
}

func (pr *Prepared) len() int {
	n := 0
	for _, c := range pr.copies {
		n += c.lines.n + len(c.changes)
	}
	return n
}

// use begins to take pr in, under the lock; false: it was used.
func (pr *Prepared) use(p *Partition) bool {
	ok := pr.p == p
	pr.p = nil
	return ok
}

// settle counts the lines that pr put in.
func (p *Partition) settle(pr *Prepared, put int) {
	d := put - pr.room
	if p.pending--; p.pending == 0 {
		d -= p.withheld
		p.withheld = 0
	}
	p.t.lines.Add(int64(d))
}

// release counts k lines fewer; in the table only once no Prepared may still need their room.
func (p *Partition) release(k int) {
	if p.pending > 0 {
		p.withheld += k
		return
	}
	p.t.release(k)
}

// Discard gives the room back. It may be called on nil, and after pr was used.
func (pr *Prepared) Discard() {
	if pr == nil || pr.p == nil {
		return
	}
	p := pr.p
	p.mu.Lock()
	defer p.mu.Unlock()
	pr.use(p)
	p.settle(pr, 0)
}
