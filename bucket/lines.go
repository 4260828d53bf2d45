package bucket

import "math/bits"

// A lines is the hash table of a partition: the lines themselves, in one row of places, in the order of their IDs with gaps
// between. A line's home is the high part of Key × size, which rises with Key, and it lies at its home or behind
// it with no gap in between. So the lines of one key lie together, a look-up walks only over smaller IDs, and a miss ends at the
// first larger one. There are no tombstones: what is removed, the rest of its cluster moves back over.
//
// Instead of wrapping round, the row goes on past its last home. It is made of segments of 2 KiB. At 7/8 full it gets a sixteenth
// more of them, and its lines are spread over the row where they are: nothing is copied elsewhere, so growing leaves no garbage, which would be
// several times the table's size before it is full. A line costs 64/0.85 = 75 bytes on average, and 1.5 % for the end of the row.
//
// Homes come from a keyed hash, so nobody without the hash key can make clusters of different keys. The lines of *one*
// key do share a home, and a caller may name any number of windows: hence look-ups leap in a long cluster, and a
// key has at most maxKeyLines lines.
type lines struct {
	segs []*segment // the last place is always empty
	size uint64     // homes
	n    int        // lines
}

// segLines is how many lines a segment has: few enough that a partition with few lines costs little.
const segLines = 32

type segment [segLines]line

// maxKeyLines bounds the lines of one key, and with it what one insertion moves (256 KiB, some 10 µs). A policy has at
// most 1,000 rules.
const maxKeyLines = 4096

const lineBytes = 64

// places returns how many there are.
func (t *lines) places() int { return len(t.segs) * segLines }

func (t *lines) at(i int) *line { return &t.segs[uint(i)/segLines][uint(i)%segLines] }

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
	for end := i + 8; t.at(i).before(id); {
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
	for i+step < t.places() && t.at(i+step-1).before(id) {
		i += step
		step *= 2
	}
	for ; step > 0; step /= 2 {
		for i+step <= t.places()-1 && t.at(i+step-1).before(id) {
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
		l := t.at(i)
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
		for !t.at(end).empty() {
			end++
		}
		if end == t.places()-1 {
			t.spread(t.size, 2*(uint64(t.places())-t.size))
			continue
		}
		t.up(i, end)
		l := t.at(i)
		*l = line{id: id, clock: uint64(k)}
		t.n++
		return l
	}
}

// remove drops the line at i and moves the rest of its cluster back.
func (t *lines) remove(i int) {
	end := i + 1
	for l := t.at(end); !l.empty() && t.home(l.id.Key) < end; l = t.at(end) {
		end++
	}
	t.down(i, end-1)
	*t.at(end - 1) = line{}
	t.n--
}

// up moves the lines from i on one place up, over the one at end.
func (t *lines) up(i, end int) {
	for end > i {
		s, e := t.segs[end/segLines], end%segLines
		if e == 0 {
			s[0] = *t.at(end - 1)
			end--
			continue
		}
		from := max(0, e-(end-i))
		copy(s[from+1:e+1], s[from:e])
		end -= e - from
	}
}

// down moves the lines behind i, to end, one place down, over the one at i.
func (t *lines) down(i, end int) {
	for i < end {
		s, from := t.segs[i/segLines], i%segLines
		if from == segLines-1 {
			s[from] = *t.at(i + 1)
			i++
			continue
		}
		e := min(segLines-1, from+end-i)
		copy(s[from:e], s[from+1:e+1])
		i += e - from
	}
}

// removeLine drops the line, which is one of these.
func (t *lines) removeLine(l *line) {
	for i := t.search(l.id); ; i++ {
		if t.at(i) == l {
			t.remove(i)
			return
		}
	}
}

// grow makes room for k more lines.
func (t *lines) grow(k int) {
	n := uint64(t.n + k)
	if t.segs != nil && n <= t.size-t.size/8 {
		return
	}
	size := max(t.size+t.size/16, n+n/6)
	t.spread(size, slack(size))
}

// slack is how many places there are behind the last home; more if that is too few.
func slack(size uint64) uint64 { return 4 + size/64 }

// segmentsFor returns how many segments that many homes take, with the places behind them.
func segmentsFor(size, slack uint64) int { return int((size + slack + segLines - 1) / segLines) }

// spread lays the lines out over at least that many homes, and at least that many places behind them. It moves them to the end of the row
// first and from there to their places: none of them goes to a place behind the one where it waits.
func (t *lines) spread(size, slack uint64) {
	for {
		k := segmentsFor(size, slack)
		for len(t.segs) < k {
			t.segs = append(t.segs, new(segment))
		}
		to := t.places()
		for i := to - 1; i >= 0; i-- {
			if l := t.at(i); !l.empty() {
				if to--; to != i {
					*t.at(to) = *l
					*l = line{}
				}
			}
		}
		t.size = uint64(k*segLines) - slack
		if t.place(to, k*segLines-1) {
			clear(t.segs[k:])
			t.segs = t.segs[:k]
			return
		}
		slack *= 2
	}
}

// place moves the lines that wait from i on to their places before end; false if they do not fit, and some wait on.
func (t *lines) place(i, end int) bool {
	next := 0
	for ; i < t.places(); i++ {
		l := t.at(i)
		if next = max(next, t.home(l.id.Key)); next >= end || next > i {
			return false
		}
		if next != i {
			*t.at(next) = *l
			*l = line{}
		}
		next++
	}
	return true
}

// tableFrom returns the table of lines that are in order.
func tableFrom(a []line) lines {
	var t lines
	if len(a) == 0 {
		return t
	}
	size := uint64(len(a) + len(a)/6)
	k := segmentsFor(size, slack(size))
	for range k {
		t.segs = append(t.segs, new(segment))
	}
	for i := range a {
		*t.at(t.places() - len(a) + i) = a[i]
	}
	t.n = len(a)
	t.spread(size, slack(size))
	return t
}

// sweep removes all lines that drop says in one pass, and returns how many there were.
func (t *lines) sweep(drop func(*line) bool) int {
	n, next := 0, 0
	for i := range t.places() {
		l := t.at(i)
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
			*t.at(to) = *l
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
	for i := t.search(ID{key, 0}); !t.at(i).empty() && t.at(i).id.Key == key; i++ {
		n++
	}
	return n
}

// bytes returns the memory of the lines, used or not.
func (t *lines) bytes() int64 { return int64(t.places()) * lineBytes }
