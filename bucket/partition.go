package bucket

import (
	"errors"
	"sync"
	"sync/atomic"
)

var (
	// ErrNotHeld is what a partition answers whose gate is shut: this node does not decide for it.
	ErrNotHeld = errors.New("bucket: partition not held here")
	// ErrFrozen is what a partition answers while it is being handed over: ask again in a moment.
	ErrFrozen = errors.New("bucket: partition frozen for a handoff")
	// ErrBadWants is what a partition answers to wants that a caller should have checked: none, more than MaxWants, of
	// several keys, or with a limit that Parse would refuse or that is not of its line's window. Nothing is spent.
	ErrBadWants = errors.New("bucket: wants must be 1 to 64 valid limits on lines of one key; check them before they come here")
)

// A Gate says whether a partition may be spent from.
type Gate uint8

const (
	Shut   Gate = iota // another node decides; Take answers ErrNotHeld
	Open               // this node decides
	Frozen             // on its way to another node; Take answers ErrFrozen
)

// A Partition is the unit of locking. It has the lines of its keys, in up to four histories of which it writes one, and the
// gate and epoch under which it may be spent from, all under one mutex: whoever shuts the gate knows that nothing is spent after.
//
//	        SetState        SetState
//	Shut ───────────▶ Open ◀────────▶ Frozen        and from each back to Shut
//
// Who holds a partition, and why, is not decided here.
type Partition struct {
	// The first two cache lines are what a check touches beside its line; the third too, where the line was as it was last exported.
	mu     sync.Mutex // protects following fields
	gate   Gate
	whole  bool // more changed than ranges can say
	copied bool // there is a copy, or was: changes are asked for
	epoch  uint64
	own    history
	// others are copies that have not been merged into one history with own, and that count as well.
	others []*history
	// barren is an instant until which nothing here can be evicted, 0 where that is not known. See evict.go.
	barren Instant
	t      *Table

	// What a copy elsewhere has yet to hear of; see changes.go.
	known  atomic.Uint64 // own.seq plus 1 while it stays, else 0; changed under mu, read without
	ranges ranges        // where changed lines are
	index  uint32        // its number

	past     []Past
	pending  int // how many Prepareds wait to be used
	withheld int // lines that left since, whose room the Prepareds may need
	hand     int // where the next look for something to evict begins
	ts       []tally

	_ [8]byte // so that no two partitions share a cache line
}

// SetState opens, freezes or shuts the partition, and sets its epoch, under the lock that Take spends under: once
// it returns nobody spends under the old state.
func (p *Partition) SetState(g Gate, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate, p.epoch = g, epoch
	p.unknown()
}

// Epoch returns the partition's epoch and gate.
func (p *Partition) Epoch() (uint64, Gate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch, p.gate
}

// Len returns how many lines the partition has, of all histories.
func (p *Partition) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lenLocked()
}

func (p *Partition) lenLocked() int {
	n := p.own.n
	for _, h := range p.others {
		n += h.n
	}
	return n
}

// Reset drops every line of the partition and every other history, and returns how many lines there were. Gate,
// epoch and the name of its own history stay.
func (p *Partition) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, past := p.own.name, p.past
	n := p.clear()
	p.own.name, p.past = name, past
	p.release(n)
	return n
}

// Clear drops every line and every history, the own one and what is known of past ones included: the partition is as if it had never been here. It
// returns how many lines there were. Gate, epoch and the count of changes stay.
func (p *Partition) Clear() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.clear()
	p.release(n)
	return n
}

// clear leaves it to the caller to count the lines off.
func (p *Partition) clear() int {
	n := 0
	for h := range p.histories {
		n += h.n
		p.t.bytes.Add(-h.bytes())
	}
	p.own, p.others, p.past = history{seq: p.own.seq}, nil, nil
	p.setSeq(p.own.seq + 1)
	p.ranges, p.whole, p.copied = ranges{}, false, false
	p.fertile()
	return n
}

// ready returns why the partition may not be spent from.
func (p *Partition) readyLocked() error {
	switch p.gate {
	case Open:
		return nil
	case Frozen:
		return ErrFrozen
	}
	return ErrNotHeld
}

func checkWants(wants []Want) error {
	if len(wants) == 0 || len(wants) > MaxWants {
		return ErrBadWants
	}
	for i := range wants {
		w := &wants[i]
		if w.ID.Key != wants[0].ID.Key || w.ID.Window() != w.Limit.Window || !w.Limit.Valid() {
			return ErrBadWants
		}
	}
	return nil
}

// MaxWants bounds the limits of one check: Outcome.Shadowed has a bit for each.
const MaxWants = 64
