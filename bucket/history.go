package bucket

import (
	"errors"
	"fmt"
	"slices"
)

// A Name names a history: the epoch and start ID of whoever claimed the partition and began it. A history goes on under
// its name when the partition is handed over. The zero Name is that of a partition nobody has named.
type Name struct{ Epoch, Start uint64 }

// A history is what was spent in a partition since it was claimed.
type history struct {
	lines
	name Name
	seq  uint64 // rises with every change
}

// maxHistories is how many histories a partition may have: its own, and three that are not yet merged with it.
const maxHistories = 4

var (
	// ErrHistories: a fifth history would be needed. The copies at hand must first be fresh or be dropped.
	ErrHistories = errors.New("bucket: a partition has four histories already; wait until one is fresh, or drop it")
	// ErrNoHistory: there is no history of that name.
	ErrNoHistory = errors.New("bucket: no history of that name here; see Histories")
)

// A Held says which history a partition has, and how far.
type Held struct {
	Name  Name
	Seq   uint64 // rises with every change of the history
	Lines int
}

// Histories lists what the partition has, its own history first.
func (p *Partition) Histories() []Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	hs := []Held{p.own.held()}
	for _, h := range p.others {
		hs = append(hs, h.held())
	}
	return hs
}

func (h *history) held() Held { return Held{h.name, h.seq, h.n} }

// SetHistory makes the history of that name the one that spending writes: the copy of it, if there is one (a handoff: the
// history goes on), else a new one (a claim). What was the own history counts on as a copy. The errors are ErrHistories.
func (p *Partition) SetHistory(name Name) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own.name == name {
		return nil
	}
	for _, h := range p.others {
		if h.name == name {
			p.own, *h = *h, p.own
			p.forgetEmpty(h)
			return nil
		}
	}
	if p.own.n == 0 {
		p.t.bytes.Add(-p.own.bytes())
	} else if p.roomForHistory() {
		was := p.own
		p.others = append(p.others, &was)
	} else {
		return fmt.Errorf("begin history %v: %w", name, ErrHistories)
	}
	p.own = history{name: name}
	return nil
}

// DropHistory forgets a copy. The own history cannot be dropped; see Reset.
func (p *Partition) DropHistory(name Name) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, h := range p.others {
		if h.name == name {
			p.t.release(h.n)
			p.t.bytes.Add(-h.bytes())
			p.others = slices.Delete(p.others, i, i+1)
			return nil
		}
	}
	return fmt.Errorf("drop history %v: %w", name, ErrNoHistory)
}

// roomForHistory reports whether there may be one more, and forgets those that are empty if need be. Until then an empty one
// is kept for its sequence: an older copy of it that arrives late is still known to be older.
func (p *Partition) roomForHistory() bool {
	if len(p.others) == maxHistories-1 {
		for _, h := range slices.Clone(p.others) {
			p.forgetEmpty(h)
		}
	}
	return len(p.others) < maxHistories-1
}

func (p *Partition) forgetEmpty(h *history) {
	if i := slices.Index(p.others, h); h.n == 0 {
		p.t.bytes.Add(-h.bytes())
		p.others = slices.Delete(p.others, i, i+1)
	}
}
