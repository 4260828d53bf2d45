package ring

import (
	"encoding/binary"
	"strconv"

	"github.com/zeebo/xxh3"
)

// What every node of a cluster must agree on for its rings to be the same. They are fixed for a cluster's life.
const (
	// Partitions is how many parts the keys fall into. It is prime, so that hashes with a pattern still spread; at the
	// most members there can be, each is still home to four.
	Partitions = 4093
	// ReplicationFactor is how many points each member has on the circle. More points spread better and build slower.
	ReplicationFactor = 100
	// Load bounds how many partitions a member is home to: its even share times Load, rounded up. Nearer to 1 is more
	// even, and moves more partitions between survivors when the members change.
	Load = 1.1

	// MaxMembers bounds a ring. Building one sorts the whole circle once a member: 1000 members take seconds.
	MaxMembers = 1000
	// MaxName bounds a member's name, in bytes.
	MaxName = 64

	hashName = "xxh3"
	library  = "consistent-1.0.0"
)

// Constants writes the constants as words of the form name=value, for people and for peers, who compare it word by
// word to say which one differs. It is at most 100 bytes.
func Constants() string {
	return "partitions=" + strconv.Itoa(Partitions) +
		" factor=" + strconv.Itoa(ReplicationFactor) +
		" load=" + strconv.FormatFloat(Load, 'g', -1, 64) +
		" hash=" + hashName +
		" library=" + library
}

// Fingerprint is a hash of [Constants]: equal on nodes that can share a ring.
func Fingerprint() uint64 { return xxh3.HashString(Constants()) }

// An ID tells rings apart: a hash of the members' names and the constants. Two nodes with the same ID have the same
// homes. 0 is no ring's ID; nodes use it for "none yet".
type ID uint64

// String is the short form for people: 8 hex digits, the upper half.
func (id ID) String() string {
	const digits = "0123456789abcdef"
	var b [8]byte
	for i := range b {
		b[i] = digits[id>>(60-4*i)&15]
	}
	return string(b[:])
}

func idOf(names []string) ID {
	h := xxh3.New()
	var n [8]byte
	put := func(s string) {
		// The length goes first, so that no two lists of names write the same bytes.
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.WriteString(s)
	}
	put(Constants())
	for _, name := range names {
		put(name)
	}
	if id := ID(h.Sum64()); id != 0 {
		return id
	}
	return 1
}
