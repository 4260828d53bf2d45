package hold_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/stint-limiter/stint/bucket"
)

// lines are what a node has of a partition: for each history, how often each key was hit. They are bucket's, made dumb: nothing
// ends, nothing is full, and a newer copy of a history replaces an older one.
type lines struct {
	own   bucket.Name
	past  map[bucket.Name]*past
	seq   uint64 // changes of the partition
	dirty changed
	sent  changed // with the last export
}

type past struct {
	seq uint64
	n   [2]int // by key
}

// changed says which keys of the own history were changed, and whether another history was.
type changed struct {
	keys   [2]bool
	others bool
}

// exported are lines on their way.
type exported struct {
	seq  uint64
	past []exportedPast // sorted by name
}

type exportedPast struct {
	name bucket.Name
	seq  uint64
	keys [2]bool // which of them are told
	n    [2]int
}

func (x *exported) String() string {
	s := fmt.Sprintf("seq %d", x.seq)
	for _, h := range x.past {
		s += fmt.Sprintf(" %d/%d@%d", h.name.Epoch, h.name.Start, h.seq)
		for k, told := range h.keys {
			if told {
				s += fmt.Sprintf(" %d", h.n[k])
			} else {
				s += " -"
			}
		}
	}
	return s
}

func newLines() *lines { return &lines{past: map[bucket.Name]*past{}} }

func (l *lines) names() []bucket.Name {
	return slices.SortedFunc(maps.Keys(l.past), func(a, b bucket.Name) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Start, b.Start))
	})
}

func (l *lines) total(key int) int {
	n := 0
	for _, h := range l.past {
		n += h.n[key]
	}
	return n
}

func (l *lines) totals() [2]int { return [2]int{l.total(0), l.total(1)} }

// common is how much of what these lines count the others count as well.
func (l *lines) common(o *lines, key int) int {
	n := 0
	for name, h := range l.past {
		if g := o.past[name]; g != nil {
			n += min(h.n[key], g.n[key])
		}
	}
	return n
}

func (l *lines) take(key int) {
	h := l.past[l.own]
	h.n[key]++
	h.seq++
	l.seq++
	l.dirty.keys[key] = true
}

func (l *lines) setHistory(name bucket.Name) {
	l.own = name
	if l.past[name] == nil {
		l.past[name] = &past{}
	}
}

func (l *lines) whole() *exported {
	l.dirty, l.sent = changed{}, changed{[2]bool{true, true}, true}
	return l.copy()
}

// copy is the whole, for a return: it leaves alone what is known to be changed.
func (l *lines) copy() *exported {
	x := &exported{seq: l.seq}
	for _, name := range l.names() {
		h := l.past[name]
		x.past = append(x.past, exportedPast{name, h.seq, [2]bool{true, true}, h.n})
	}
	return x
}

func (l *lines) changes() *exported {
	x := l.copy()
	l.dirty, l.sent = changed{}, l.dirty
	if !l.sent.others {
		x.past = slices.DeleteFunc(x.past, func(h exportedPast) bool { return h.name != l.own })
	}
	for k := range x.past {
		if h := &x.past[k]; h.name == l.own {
			h.keys = l.sent.keys
		}
	}
	return x
}

func (l *lines) unacknowledged() {
	for k := range l.sent.keys {
		l.dirty.keys[k] = l.dirty.keys[k] || l.sent.keys[k]
	}
	l.dirty.others = l.dirty.others || l.sent.others
	l.sent = changed{}
}

func (l *lines) clear() { *l = *newLines() }

// replace takes a whole copy in the place of everything.
func (l *lines) replace(x *exported) {
	l.clear()
	l.apply(x)
}

// apply takes changes in, and reports whether it could have them all.
func (l *lines) apply(x *exported) {
	for _, h := range x.past {
		g := l.past[h.name]
		if g == nil {
			g = &past{}
			l.past[h.name] = g
		}
		if h.seq < g.seq {
			continue
		}
		g.seq = h.seq
		for k := range h.n {
			if h.keys[k] {
				g.n[k] = h.n[k]
			}
		}
	}
	l.seq = max(l.seq, x.seq)
}

// absorb merges a whole copy into lines that are written; it says what of it must not be.
func (l *lines) absorb(x *exported) (wrong string) {
	for _, h := range x.past {
		g := l.past[h.name]
		switch {
		case g == nil:
			l.past[h.name] = &past{h.seq, h.n}
		case h.seq <= g.seq:
			continue
		case h.name == l.own:
			return fmt.Sprintf("history %v is written here, and a newer copy of it is returned: %v", h.name, x)
		default:
			g.seq, g.n = h.seq, h.n
		}
		l.seq++
		l.dirty.others = true
	}
	return ""
}
