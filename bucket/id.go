package bucket

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// An ID names one line. Key comes from the key's bytes alone, so that all limits on one key meet in one partition;
// Line holds the window (upper 36 bits) and 28 bits that stand for everything else that tells one line from another:
// the rest of the key's hash, policy, rule and algorithm. COUNT and burst are not in it, so a raised limit
// works on the live line. The key's own bytes never leave the node that was asked.
type ID struct {
	Key  uint64
	Line uint64
}

// Partition returns the partition that the line belongs to, of n.
func (id ID) Partition(n int) int { return int(id.Key % uint64(n)) }

// Window returns the window of the line's limit.
func (id ID) Window() Window { return Window(id.Line >> restBits) }

// Attempts returns the ID of the line that counts the denied attempts beside this one (`count_denied`).
func (id ID) Attempts() ID { return ID{id.Key, id.Line ^ attemptsMark} }

const (
	restBits     = 28
	restMask     = 1<<restBits - 1
	attemptsMark = 0x5a5a5a5
)

// A KeyHash is what a key is known by inside the cluster: 128 bits of SipHash-2-4 under the cluster's hash key.
type KeyHash struct {
	// Key picks the partition and is the first half of every ID of this key.
	Key  uint64
	rest uint64
}

// Partition returns the partition that the key belongs to, of n.
func (k KeyHash) Partition(n int) int { return int(k.Key % uint64(n)) }

// ID returns the line that a limit of this window and scope has for the key. Scope comes from [Scope].
func (k KeyHash) ID(w Window, scope uint64) ID {
	// The multiplication spreads every bit of both hashes over the 28 that are kept.
	x := (k.rest ^ scope) * 0x9e3779b97f4a7c15
	return ID{k.Key, uint64(w)<<restBits | x>>(64-restBits)}
}

// A Hasher hashes keys under the cluster's hash key. SipHash, because callers choose their keys: without the hash key
// nobody can make up keys that meet in one partition. Its methods may be called from many goroutines.
type Hasher struct{ k0, k1 uint64 }

// NewHasher returns the hasher for a cluster's hash key, of any length; every node of a cluster must have the same
// one. An empty key means the public constant.
func NewHasher(hashKey []byte) Hasher {
	if len(hashKey) == 0 {
		hashKey = []byte("stint: the public hash key")
	}
	a, b := siphash.Hash128(0x7374696e74, 1, hashKey)
	return Hasher{a, b}
}

// Key hashes a key.
func (h Hasher) Key(key []byte) KeyHash {
	a, b := siphash.Hash128(h.k0, h.k1, key)
	return KeyHash{a, b}
}

// Fingerprint tells two hash keys apart without giving either away; peers whose fingerprints differ refuse each other.
func (h Hasher) Fingerprint() uint64 {
	return siphash.Hash(h.k0, h.k1, []byte("fingerprint"))
}

// Scope hashes what a line's identity has beside the key: policy and rule (for limits that came with the request,
// "" and "inline"), window and algorithm. It is the same on every node and is computed once per limit, not per check.
func Scope(policy, rule string, w Window, a Algorithm) uint64 {
	b := make([]byte, 0, 64)
	b = binary.AppendUvarint(b, uint64(len(policy)))
	b = append(b, policy...)
	b = binary.AppendUvarint(b, uint64(len(rule)))
	b = append(b, rule...)
	b = binary.AppendUvarint(b, uint64(w))
	b = append(b, byte(a))
	return siphash.Hash(0x7374696e74, 2, b)
}
