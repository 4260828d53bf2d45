package bucket

import (
	"math/bits"
	"slices"
)

// A lines is the hash table of a partition: the lines themselves, in one slice, in the order of their IDs with gaps
// between. A line's home is the high part of Key × size, which rises with Key, and it lies at its home or behind
// it with no gap in between. So the lines of one key lie together, a look-up walks only over smaller IDs, and a miss ends at the
// first larger one. There are no tombstones: what is removed, the rest of its cluster moves back over.
//
// Instead of wrapping round, the slice goes on past its last home. It is grown by a sixth at 7/8 full, to 0.75: a line
// costs 64/0.81 = 79 bytes on average, 86 at worst.
//
// Homes come from a keyed hash, so nobody without the hash key can make clusters of different keys. The lines of *one*
// key do share a home, and a caller may name any number of windows: hence look-ups leap in a long cluster, and a
// key has at most maxKeyLines lines.
type lines struct {
	a    []line // the last is always empty
	size uint64 // homes
	n    int    // lines
}

// maxKeyLines bounds the lines of one key, and with it what one insertion moves (256 KiB, some 10 µs). A policy has at
// most 1,000 rules.
const maxKeyLines = 4096

const lineBytes = 64

func (t *lines) home(key uint64) int {
	hi, _ := bits.Mul64(key, t.size)
	return int(hi)
}

func (l *line) before(id ID) bool {
	return !l.empty() && (l.id.Key < id.Key || l.id.Key == id.Key && l.id.Line < id.Line)
}

// search returns the place of the first line from the ID's home on that is not before it, or of the gap there.
func (t *lines) search(id ID) int {
	i := t.home(id.Key)
	for end := i + 8; t.a[i].before(id); {
		if i++; i == end {
			return t.leap(i, id)
		}
	}
	return i
}

// leap goes on from i with steps that double and then halve. Behind a gap there is no line before id (its home would be
// before the gap), so "is before id" holds up to the place sought and nowhere after.
func (t *lines) leap(i int, id ID) int {
	step := 1
	for i+step < len(t.a) && t.a[i+step-1].before(id) {
		i += step
		step *= 2
	}
	for ; step > 0; step /= 2 {
		for i+step <= len(t.a)-1 && t.a[i+step-1].before(id) {
			i += step
		}
	}
	return i
}

// find returns the line with this ID and family, or nil. The pointer holds until a line is inserted or removed.
func (t *lines) find(id ID, f family) *line {
	if t.n == 0 {
		return nil
	}
	for i := t.search(id); ; i++ {
		l := &t.a[i]
		if l.empty() || l.id != id {
			return nil
		}
		if l.family() == f {
			return l
		}
	}
}

// insert makes a line with this ID and kind; there must be none yet, and grow(1) before.
func (t *lines) insert(id ID, k kind) *line {
	for {
		i := t.search(id)
		end := i
		for !t.a[end].empty() {
			end++
		}
		if end == len(t.a)-1 {
			t.rebuild(t.size, 2*(uint64(len(t.a))-t.size))
			continue
		}
		copy(t.a[i+1:end+1], t.a[i:end])
		t.a[i] = line{id: id, clock: uint64(k)}
		t.n++
		return &t.a[i]
	}
}

// remove drops the line at i and moves the rest of its cluster back.
func (t *lines) remove(i int) {
	end := i + 1
	for !t.a[end].empty() && t.home(t.a[end].id.Key) < end {
		end++
	}
	copy(t.a[i:end-1], t.a[i+1:end])
	t.a[end-1] = line{}
	t.n--
}

// removeLine drops the line, which is one of these.
func (t *lines) removeLine(l *line) {
	for i := t.search(l.id); ; i++ {
		if &t.a[i] == l {
			t.remove(i)
			return
		}
	}
}

// grow makes room for k more lines.
func (t *lines) grow(k int) {
	n := uint64(t.n + k)
	if t.a != nil && n <= t.size-t.size/8 {
		return
	}
	size := max(4, t.size+t.size/6, n+n/6)
	t.rebuild(size, slack(size))
}

// slack is how many places there are behind the last home; more if that is too few.
func slack(size uint64) uint64 { return 4 + size/64 }

// rebuild moves all lines to a slice of that many homes and at least that many places behind them.
func (t *lines) rebuild(size, slack uint64) {
	old := *t
	for {
		// Grow rounds up to what the allocator hands out anyway.
		a := slices.Grow([]line(nil), int(size+slack))
		t.a = a[:cap(a)]
		t.size = uint64(len(t.a)) - slack
		if t.place(old.a) {
			return
		}
		slack *= 2
	}
}

// tableFrom returns the table of lines that are in order.
func tableFrom(a []line) lines {
	t := lines{a: a, n: len(a)}
	if len(a) > 0 {
		size := uint64(max(4, len(a)+len(a)/6))
		t.rebuild(size, slack(size))
	}
	return t
}

// place puts the lines of a, which are in order, into the empty table; false if they do not fit.
func (t *lines) place(a []line) bool {
	next := 0
	for i := range a {
		if a[i].empty() {
			continue
		}
		next = max(next, t.home(a[i].id.Key))
		if next >= len(t.a)-1 {
			return false
		}
		t.a[next] = a[i]
		next++
	}
	return true
}

// sweep removes all lines that drop says in one pass, and returns how many there were.
func (t *lines) sweep(drop func(*line) bool) int {
	n, next := 0, 0
	for i := range t.a {
		l := &t.a[i]
		if l.empty() {
			continue
		}
		if drop(l) {
			*l = line{}
			n++
			continue
		}
		// Removing moves lines only towards their homes: to is never behind i.
		if to := max(next, t.home(l.id.Key)); to < i {
			t.a[to] = *l
			*l = line{}
			next = to + 1
		} else {
			next = i + 1
		}
	}
	t.n -= n
	return n
}

// run returns how many lines the key has.
func (t *lines) run(key uint64) int {
	if t.n == 0 {
		return 0
	}
	n := 0
	for i := t.search(ID{key, 0}); !t.a[i].empty() && t.a[i].id.Key == key; i++ {
		n++
	}
	return n
}

// bytes returns the memory of the lines, used or not.
func (t *lines) bytes() int64 { return int64(len(t.a)) * lineBytes }
