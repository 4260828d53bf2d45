package transport

import (
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
)

// Applications send the same few limits with every check, as text. A LimitCache remembers what they mean, so that a
// hot check parses, folds and hashes nothing.
//
// It works like a processor's cache: a hash of the texts names a set of four slots, a new entry replaces one of them.
// Reading takes no lock and writing is one store, so callers who send a new limit every time cost themselves a parse
// each and the others at worst one now and then. A copy-on-write map would cost a copy of the map for each; a map
// with a lock would make every check of the node pass through it.

const (
	// LimitCacheSize bounds the entries of a LimitCache: a node sees tens of different limits, not thousands.
	LimitCacheSize = limitSets * limitWays
	limitSets      = 1024
	limitWays      = 4
	// maxLimitText is the longest limit that can be right; bucket.Parse refuses longer ones too.
	maxLimitText = 128
	// maxCachedTexts is the room for the texts of one entry: 16 limits of an ordinary length. Longer lists are parsed
	// each time, so an entry has at most this and 16 limits: the whole cache stays below 8 MiB.
	maxCachedTexts = 256
)

// A LimitCache turns lists of limit texts into limits. It may be used from many goroutines.
type LimitCache struct {
	seed  maphash.Seed
	turn  atomic.Uint32
	slots [limitSets][limitWays]atomic.Pointer[limitEntry]
}

// limitEntry is never changed once it is in a slot.
type limitEntry struct {
	hash   uint64
	texts  string // each with its length before it, so that no two lists read the same
	limits []Limit
}

// NewLimitCache returns an empty cache.
func NewLimitCache() *LimitCache { return &LimitCache{seed: maphash.MakeSeed()} }

// Limits returns the limits that the texts mean, 1 to MaxLimits of them, for a check that names its own: parsed, and
// folded to the strictest where two share a bucket. The slice is shared: it must not be changed. The texts are not
// kept. Errors name the index of the bad text and wrap the *bucket.ParseError. It allocates only for texts it has not
// seen of late.
func (c *LimitCache) Limits(texts [][]byte) ([]Limit, error) {
	if len(texts) == 0 || len(texts) > MaxLimits {
		return nil, fmt.Errorf("limits: %d of them; a check has 1 to %d", len(texts), MaxLimits)
	}
	var room [maxCachedTexts]byte
	key := room[:0]
	for _, t := range texts {
		if len(t) > maxLimitText || len(key)+1+len(t) > maxCachedTexts {
			return parseLimits(texts)
		}
		key = append(key, byte(len(t)))
		key = append(key, t...)
	}
	hash := maphash.Bytes(c.seed, key)
	set := &c.slots[hash%limitSets]
	for i := range set {
		if e := set[i].Load(); e != nil && e.hash == hash && e.texts == string(key) {
			return e.limits, nil
		}
	}
	limits, err := parseLimits(texts)
	if err != nil {
		return nil, err // not remembered: it is free to make up and nobody needs it to be fast
	}
	// An empty slot, else the next in turn. Two callers may put the same entry in two slots, or one of them over the
	// other's: each has its own answer already, and both are right.
	victim := &set[c.turn.Add(1)%limitWays]
	for i := range set {
		if set[i].Load() == nil {
			victim = &set[i]
			break
		}
	}
	victim.Store(&limitEntry{hash, string(key), limits})
	return limits, nil
}

func parseLimits(texts [][]byte) ([]Limit, error) {
	limits := make([]Limit, 0, len(texts))
	for i, t := range texts {
		if len(t) > maxLimitText {
			return nil, fmt.Errorf("limits[%d]: %d bytes; a limit is at most %d, such as 100/1m", i, len(t), maxLimitText)
		}
		l, err := bucket.Parse(string(t))
		if err != nil {
			var hint string
			if e, ok := err.(*bucket.ParseError); ok && e.Hint != "" {
				hint = " (" + e.Hint + ")"
			}
			return nil, fmt.Errorf("limits[%d]: %w%s", i, err, hint)
		}
		limits = append(limits, NewLimit("", Inline, l))
	}
	return FoldLimits(limits), nil
}
