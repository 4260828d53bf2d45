package policy

import (
	"crypto/sha256"
	"encoding/hex"
)

// Secrets never travel: what is marked secret becomes `sha256:` and 16 hex digits at the door, before logs, peers and
// reports see it, and so does what is too long for a key. An e-mail address is guessable, so where the cluster has a hash
// key this is HMAC-SHA256 (RFC 2104) under it; without one it is plain SHA-256, as `sha256sum` would have it. 64 bits are enough to
// tell callers apart, and too few to be of use to anybody who wants to check guesses against more than one of them.

const (
	hashPrefix = "sha256:"
	hashedLen  = len(hashPrefix) + 16
)

// A secretHash is made once for each hash key. It allocates nothing beyond growing the slice it appends to.
type secretHash struct {
	keyed        bool
	inner, outer [sha256.BlockSize]byte
}

func newSecretHash(hashKey []byte) secretHash {
	var h secretHash
	if len(hashKey) == 0 {
		return h
	}
	if len(hashKey) > sha256.BlockSize {
		sum := sha256.Sum256(hashKey)
		hashKey = sum[:]
	}
	h.keyed = true
	copy(h.inner[:], hashKey)
	copy(h.outer[:], hashKey)
	for i := range h.inner {
		h.inner[i] ^= 0x36
		h.outer[i] ^= 0x5c
	}
	return h
}

// append appends the hash of dst[from:], which stays where it is.
func (h *secretHash) append(dst []byte, from int) []byte {
	end := len(dst)
	var sum [sha256.Size]byte
	if h.keyed {
		// The padded key and the message have to be side by side; the space after the message is free for that.
		dst = append(dst, h.inner[:]...)
		dst = append(dst, dst[from:end]...)
		sum = sha256.Sum256(dst[end:])
		var outer [sha256.BlockSize + sha256.Size]byte
		copy(outer[:], h.outer[:])
		copy(outer[sha256.BlockSize:], sum[:])
		sum = sha256.Sum256(outer[:])
		dst = dst[:end]
	} else {
		sum = sha256.Sum256(dst[from:])
	}
	dst = append(dst, hashPrefix...)
	return hex.AppendEncode(dst, sum[:8])
}
