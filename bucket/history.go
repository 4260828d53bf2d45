package bucket

import (
	"cmp"
	"slices"
)

// A Name names a history: the epoch and start ID of whoever claimed the partition and began it. A history goes on under
// its name when the partition is handed over. The zero Name is that of a partition nobody has named.
type Name struct{ Epoch, Start uint64 }

func (n Name) compare(o Name) int {
	return cmp.Or(cmp.Compare(n.Epoch, o.Epoch), cmp.Compare(n.Start, o.Start))
}

// A history is what was spent in a partition since it was claimed.
type history struct {
	lines
	name Name
	// seq rises with every change. That of the own history is the partition's count of changes, which goes on when another history
	// becomes the own one: so it may rise without a change, but never stays with one.
	seq uint64
}

// maxHistories is how many histories a partition may have: its own, and three that are not yet merged with it.
const maxHistories = 4

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
// history goes on), else a new one (a claim). What was the own history counts on as a copy. Where that would be a fifth history, the
// two oldest others are folded into one; see fold.go.
func (p *Partition) SetHistory(name Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own.name == name {
		return
	}
	was := p.own
	p.own = history{name: name, seq: was.seq}
	if i := slices.IndexFunc(p.others, func(h *history) bool { return h.name == name }); i >= 0 {
		p.own = *p.others[i]
		p.own.seq = max(p.own.seq, was.seq)
		p.others = slices.Delete(p.others, i, i+1)
	}
	p.setSeq(p.own.seq)
	if was.n > 0 {
		p.others = append(p.others, &was)
		p.fewer()
	} else {
		p.forget(&was)
	}
	p.whole = true
}

// A Past is a history that a partition no longer has: it was folded into another one, or all its lines became fresh. A copy of
// it that comes late, and is not newer than Seq, is ignored.
type Past struct {
	Name Name
	Seq  uint64 // folded: the largest there is, for a newer copy would count the older part once more
}

// maxPast bounds what is remembered of past histories. A late copy is one that was on its way, or with a member that was cut off; with
// four histories at a time, eight reach well back before those.
const maxPast = 8

const folded = 1<<64 - 1

func (p *Partition) addPast(past ...Past) {
	for _, x := range past {
		if x.Name == (Name{}) || x.Seq <= p.pastSeq(x.Name) {
			continue
		}
		p.past = slices.DeleteFunc(p.past, func(y Past) bool { return y.Name == x.Name })
		if len(p.past) == maxPast {
			p.past = slices.Delete(p.past, 0, 1)
		}
		p.past = append(p.past, x)
	}
}

// pastSeq returns how far a past history had come; 0 if it is not one.
func (p *Partition) pastSeq(name Name) uint64 {
	for _, x := range p.past {
		if x.Name == name {
			return x.Seq
		}
	}
	return 0
}

// historyNamed returns the history, or nil.
func (p *Partition) historyNamed(name Name) *history {
	if p.own.name == name {
		return &p.own
	}
	for _, h := range p.others {
		if h.name == name {
			return h
		}
	}
	return nil
}

// forget remembers an empty history as past, after it was taken out.
func (p *Partition) forget(h *history) {
	p.t.bytes.Add(-h.bytes())
	p.addPast(Past{h.name, h.seq})
}

// forgetEmpty takes out the other histories that have no lines. A partition with one history is faster.
func (p *Partition) forgetEmpty() {
	p.others = slices.DeleteFunc(p.others, func(h *history) bool {
		if h.n == 0 {
			p.forget(h)
		}
		return h.n == 0
	})
}

// fewer makes the other histories few enough.
func (p *Partition) fewer() {
	if len(p.others) >= maxHistories {
		p.forgetEmpty()
	}
	for len(p.others) >= maxHistories {
		p.foldOldest()
	}
}
