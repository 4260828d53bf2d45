package bucket

import (
	"errors"
	"time"
)

// An Instant is a time in microseconds since the Unix epoch, by the clock of the node that holds the line. Instants
// never travel between nodes; durations do.
type Instant int64

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d/time.Microsecond) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Microsecond }

var (
	// ErrNotHeld is what a partition answers whose gate is shut: this node does not decide for it.
	ErrNotHeld = errors.New("bucket: partition not held here")
	// ErrFrozen is what a partition answers while it is being handed over: ask again in a moment.
	ErrFrozen = errors.New("bucket: partition frozen for a handoff")
)

// A Gate says whether a partition may be spent from.
type Gate uint8

const (
	Shut   Gate = iota // another node decides; Take answers ErrNotHeld
	Open               // this node decides
	Frozen             // on its way to another node; Take answers ErrFrozen
)

// A Want is one limit of a check and the line it is counted on.
type Want struct {
	ID    ID
	Limit Limit
	// Shadow: counted and reported, never denies.
	Shadow bool
	// CountDenied: attempts past the limit are counted on a line of their own.
	CountDenied bool
}

// A Receipt names the slot that a hit went into, so that giving it back takes it out of there. It means something
// only to the node that made it; 0 names no slot.
type Receipt uint64

// An Outcome is what a partition answers. Take and its siblings overwrite all of it but Each.
type Outcome struct {
	Allowed bool
	// Never: more hits than the limit can ever allow at once.
	Never bool
	// Full: the table had no room for a new line; nothing was spent, and Allowed is false. What to answer is on_full's.
	Full bool
	// By is the index of the deciding want, -1 where there is none: denied, the longest wait; allowed, the least
	// remaining, ties to the later reset.
	By int
	// State is that of the deciding want.
	State
	Receipt Receipt
	// Shadowed has bit i set where shadow want i would have denied.
	Shadowed uint64
	// Each is filled with the state of every want if it is as long as the wants.
	Each []State
}

// A State is how one limit stands after a check.
type State struct {
	Limit     uint32 // COUNT, or burst for a token bucket
	Remaining uint32 // hits that would be allowed now
	// Current is the hits that count now, with CountDenied the denied attempts of the window too.
	Current uint64
	// Reset is the time until Remaining next grows; 0 where nothing is spent. Never longer than the window.
	Reset time.Duration
	// Retry is the time until the same check would pass; 0 where it passed, or never will.
	Retry time.Duration
}

// A Table holds the lines of one node.
type Table struct{}

// A Config is what a table is made from.
type Config struct {
	// Partitions is how many partitions there are; the ring says (4093).
	Partitions int
	// MaxLines bounds the lines of the whole table, copies included. Default 8,388,608 (about 670 MB).
	MaxLines int
}

// NewTable returns an empty table whose partitions are all shut.
func NewTable(c Config) *Table { panic("stub") }

// Partition returns partition i, from 0.
func (t *Table) Partition(i int) *Partition { panic("stub") }

// Expire drops the lines that are fresh again in the next n partitions, going round, and says how many lines it
// dropped. It holds one partition's lock at a time.
func (t *Table) Expire(now Instant, n int) int { panic("stub") }

// Stats are counters for metrics; they only rise, but for Lines.
type Stats struct {
	Lines   int64  // lines now
	Bytes   int64  // memory of all lines, used or not
	Expired uint64 // lines dropped because they were fresh
	Evicted uint64 // lines dropped before they were fresh, for want of room
	Full    uint64 // checks that found no room
}

// Stats returns the table's counters.
func (t *Table) Stats() Stats { panic("stub") }

// A Partition is the unit of locking.
type Partition struct{}

// Take decides one check: hits > 0 spends them in every want or in none; 0 peeks: it says what one hit would be told
// and spends nothing. All wants have the same ID.Key, and there are 1 to MaxWants of them.
func (p *Partition) Take(now Instant, wants []Want, hits uint32, out *Outcome) error { panic("stub") }

// TakeUpTo decides `times` checks of `hits` each, as that many calls of Take in a row would, and returns how many of
// them were allowed. granted is what the last one allowed was told, denied what the first one denied was.
// A folded batch of equal checks and a lease are taken this way.
func (p *Partition) TakeUpTo(now Instant, wants []Want, hits, times uint32, granted, denied *Outcome) (uint32, error) {
	panic("stub")
}

// Give gives hits back, never below zero. A receipt takes them out of the slot they went into; without one they leave
// the oldest.
func (p *Partition) Give(now Instant, wants []Want, hits uint32, r Receipt, out *Outcome) error {
	panic("stub")
}

// MaxWants bounds the limits of one check: Outcome.Shadowed has a bit for each.
const MaxWants = 64

// SetState opens, freezes or shuts the partition, and sets its epoch, under the lock that Take spends under.
func (p *Partition) SetState(g Gate, epoch uint64) { panic("stub") }

// Epoch returns the partition's epoch and gate.
func (p *Partition) Epoch() (uint64, Gate) { panic("stub") }

// Len returns how many lines the partition has.
func (p *Partition) Len() int { panic("stub") }

// Reset drops every line of the partition and returns how many there were.
func (p *Partition) Reset() int { panic("stub") }
