package bucket

import "unsafe"

// In a table of some size nearly every line is far from the processor: to find one takes three reads from memory, each of which needs what
// the one before has read, and the decision itself takes a tenth of the time. One check cannot help that. Of a batch, the
// reads can be under way together: while the first line comes, so do the others.

// A Place is where a line is going to be looked for.
type Place struct {
	Partition int
	Key       uint64
}

// MostExpected is how many places are worth naming at once: more, and the first have been pushed out again before they are used.
const MostExpected = 16

// Expect begins to bring the lines of these places near, and waits for nothing. It changes nothing but how long it takes to find them. It may be called from many
// goroutines.
//
// Each round asks for what the round before has asked for the address of. The partition's lock is taken to read where its lines are; where
// somebody has it, the partition is near, and so perhaps are its lines.
func (t *Table) Expect(places []Place) {
	for i := range places {
		p := &t.parts[places[i].Partition]
		for line := range uintptr(partitionLines) {
			prefetch(unsafe.Add(unsafe.Pointer(p), line*cacheLine))
		}
	}
	for i := range places {
		if p := &t.parts[places[i].Partition]; p.mu.TryLock() {
			p.own.expectSegment(places[i].Key)
			p.mu.Unlock()
		}
	}
	for i := range places {
		if p := &t.parts[places[i].Partition]; p.mu.TryLock() {
			p.own.expect(places[i].Key)
			p.mu.Unlock()
		}
	}
}

const (
	cacheLine      = 64
	partitionLines = 3 // of a partition that a check touches
)

// expectSegment begins to bring the pointer to the segment of a key's home.
func (t *lines) expectSegment(key uint64) {
	if t.n > 0 {
		prefetch(unsafe.Pointer(&t.segs[t.home(key)/segLines]))
	}
}

// expect begins to bring a key's home.
func (t *lines) expect(key uint64) {
	if t.n > 0 {
		prefetch(unsafe.Pointer(t.at(t.home(key))))
	}
}
