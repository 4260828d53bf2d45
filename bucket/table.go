package bucket

import (
	"sync/atomic"
)

// A Table holds the lines of one node, in partitions. All its methods, and those of its partitions, may be called from any
// goroutine.
type Table struct {
	parts []Partition
	max   int64

	lines, bytes           atomic.Int64
	expired, evicted, full atomic.Uint64
	folded                 atomic.Uint64

	sweep   atomic.Uint64 // where Expire goes on
	changed partitionSet  // whose count of changes may have risen; see Changed
	room    room
}

// A Config is what a table is made from.
type Config struct {
	// Partitions is how many partitions there are; the ring says (4093).
	Partitions int
	// MaxLines bounds the lines of the whole table, copies included. Default 8,388,608 (about 640 MB).
	MaxLines int
}

// DefaultMaxLines is Config.MaxLines where it is 0.
const DefaultMaxLines = 8 << 20

// NewTable returns an empty table whose partitions are all shut.
func NewTable(c Config) *Table {
	if c.MaxLines <= 0 {
		c.MaxLines = DefaultMaxLines
	}
	t := &Table{parts: make([]Partition, max(1, c.Partitions)), max: int64(c.MaxLines)}
	for i := range t.parts {
		t.parts[i].t, t.parts[i].index = t, uint32(i)
	}
	t.changed = make(partitionSet, (len(t.parts)+63)/64)
	return t
}

// Partition returns partition i, from 0.
func (t *Table) Partition(i int) *Partition { return &t.parts[i] }

// Stats are counters for metrics; they only rise, but for Lines and Bytes.
type Stats struct {
	Lines   int64  // lines now
	Bytes   int64  // memory of all lines, used or not
	Expired uint64 // lines dropped because they were fresh
	Evicted uint64 // lines dropped before they were fresh, for want of room
	Full    uint64 // checks that found no room
	Folded  uint64 // times that two histories of a partition became one, for want of a fifth
}

// Stats returns the table's counters.
func (t *Table) Stats() Stats {
	return Stats{
		Lines:   t.lines.Load(),
		Bytes:   t.bytes.Load(),
		Expired: t.expired.Load(),
		Evicted: t.evicted.Load(),
		Full:    t.full.Load(),
		Folded:  t.folded.Load(),
	}
}

// reserve counts k lines that are about to be made, if there is room for all of them.
func (t *Table) reserve(k int) bool {
	if t.lines.Add(int64(k)) <= t.max {
		return true
	}
	t.lines.Add(-int64(k))
	return false
}

// release counts k lines fewer.
func (t *Table) release(k int) { t.lines.Add(-int64(k)) }
