package policy

import (
	"encoding/binary"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// The rules that count a request by one key make one check of all their limits, and a check's limits must never change
// once they are made. Requests come in few kinds, so the combinations of rules are few: each is put together once and
// shared. What could be many, by paths that callers make up against a policy of many overlapping patterns, is put together
// anew beyond maxCombinations.

const maxCombinations = 1024 // at about 100 bytes a limit, 16 limits each: 1.6 MB a policy at the most

// A contribution is what one rule adds to the check of one key.
type contribution struct {
	rule     *runRule
	override int // -1: the rule's own limits
	key      int // in Plan.keys
	limits   []transport.Limit
}

// A combination is the check of several rules, but for its key.
type combination struct {
	limits  []transport.Limit
	mode    transport.Mode
	onSplit transport.OnSplit
	cut     bool // there were more limits than a check may have
}

type combinations struct {
	mu   sync.Mutex // protects adding
	made atomic.Pointer[map[string]*combination]
}

// get returns the combination of the contributions that belong to a key. scratch is memory to use.
func (c *combinations) get(all []contribution, key int, scratch []byte) (*combination, []byte) {
	scratch = scratch[:0]
	for i := range all {
		if all[i].key == key {
			scratch = binary.AppendUvarint(scratch, uint64(all[i].rule.index))
			scratch = binary.AppendUvarint(scratch, uint64(all[i].override+1))
		}
	}
	if made := c.made.Load(); made != nil {
		if found := (*made)[string(scratch)]; found != nil {
			return found, scratch
		}
	}
	var mine []contribution
	for i := range all {
		if all[i].key == key {
			mine = append(mine, all[i])
		}
	}
	fresh := newCombination(mine)
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.made.Load()
	if old != nil && len(*old) >= maxCombinations {
		return fresh, scratch
	}
	next := map[string]*combination{}
	if old != nil {
		maps.Copy(next, *old)
	}
	next[string(scratch)] = fresh
	c.made.Store(&next)
	return fresh, scratch
}

// newCombination puts the limits together, in the file's order. Where nobody can decide, one rule that says deny
// denies; while the cluster is split, the strictest word counts.
func newCombination(of []contribution) *combination {
	c := &combination{mode: transport.Allow}
	for i := range of {
		rule := of[i].rule
		for _, l := range of[i].limits {
			if len(c.limits) == bucket.MaxWants {
				c.cut = true
				break
			}
			c.limits = append(c.limits, l)
		}
		if rule.shadow {
			continue // it never denies, whoever is away
		}
		switch {
		case rule.mode == transport.Deny:
			c.mode = transport.Deny
		case rule.mode == transport.ByDefault && c.mode == transport.Allow:
			c.mode = transport.ByDefault // which may be deny
		}
		c.onSplit = max(c.onSplit, rule.onSplit) // they are in order: default, full, share, deny
	}
	return c
}
