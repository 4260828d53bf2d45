package ring

import (
	"errors"
	"fmt"
	"slices"

	"github.com/buraksezer/consistent"
	"github.com/zeebo/xxh3"
)

// ErrNoMembers is returned for a ring of nobody.
var ErrNoMembers = errors.New("cannot build a ring without members")

// A Ring is the table of homes for one set of members. It never changes; its methods may be called from any number
// of goroutines and, [Ring.Backup] apart, neither lock nor allocate.
type Ring struct {
	id      ID
	names   []string // sorted, each once
	homes   []uint16 // by partition: an index into names
	counts  []int    // by member: of how many partitions it is the home
	backups []heirs  // by member: the homes without it
}

// New builds the ring of the named members. The order of the names and repeated ones do not matter. It fails on no
// names, more than MaxMembers, or a name that is not 1 to MaxName bytes long. It takes about 1 ms for 3 members, 3 ms for 16,
// 30 ms for 64 and seconds for 1000: build beside the way of a check, then swap.
func New(names []string) (*Ring, error) {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	if len(sorted) == 0 {
		return nil, ErrNoMembers
	}
	if len(sorted) > MaxMembers {
		return nil, fmt.Errorf("cannot build a ring of %d members: at most %d are possible", len(sorted), MaxMembers)
	}
	for _, name := range sorted {
		if len(name) == 0 || len(name) > MaxName {
			return nil, fmt.Errorf("cannot build a ring with a member called %q: a name has 1 to %d bytes", name, MaxName)
		}
	}
	r := &Ring{
		id:      idOf(sorted),
		names:   sorted,
		homes:   homes(sorted, -1),
		counts:  make([]int, len(sorted)),
		backups: make([]heirs, len(sorted)),
	}
	for _, h := range r.homes {
		r.counts[h]++
	}
	return r, nil
}

// ID returns the ring's ID.
func (r *Ring) ID() ID { return r.id }

// Names returns the members' names, sorted. The slice is the ring's own and must not be changed.
func (r *Ring) Names() []string { return r.names }

// Index returns where a name stands in Names, or -1.
func (r *Ring) Index(name string) int {
	if i, ok := slices.BinarySearch(r.names, name); ok {
		return i
	}
	return -1
}

// Home returns the name of the home of partition p, which must be 0 to Partitions-1.
func (r *Ring) Home(p int) string { return r.names[r.homes[p]] }

// HomeIndex returns the home of partition p as an index into Names.
func (r *Ring) HomeIndex(p int) int { return int(r.homes[p]) }

// Of returns the partitions that the named member is home to, in order; none for a stranger.
func (r *Ring) Of(name string) []int {
	i := r.Index(name)
	if i < 0 {
		return nil
	}
	of := make([]int, 0, r.counts[i])
	for p, h := range r.homes {
		if int(h) == i {
			of = append(of, p)
		}
	}
	return of
}

// Count returns how many partitions the named member is home to; 0 for a stranger.
func (r *Ring) Count(name string) int {
	i := r.Index(name)
	if i < 0 {
		return 0
	}
	return r.counts[i]
}

// A point is a member as the library sees it. It remembers its index, so that copying the table needs no look-ups
// by name.
type point struct {
	name  string
	index uint16
}

func (p point) String() string { return p.name }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxh3.Hash(b) }

// homes builds the table for sorted names, leaving out the member at index without (-1: nobody). The indices in it
// are those in names.
func homes(names []string, without int) []uint16 {
	members := make([]consistent.Member, 0, len(names))
	for i, name := range names {
		if i != without {
			members = append(members, point{name, uint16(i)})
		}
	}
	c := consistent.New(members, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    Partitions,
		ReplicationFactor: ReplicationFactor,
		Load:              Load,
	})
	table := make([]uint16, Partitions)
	for p := range table {
		table[p] = c.GetPartitionOwner(p).(point).index
	}
	return table
}
