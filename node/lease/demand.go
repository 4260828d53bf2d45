package lease

import (
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
)

// How often a shape is asked for is counted in intervals of 131 ms, about a term.
const intervalBits = 17

func interval(now bucket.Instant) uint32 { return uint32(now >> intervalBits) }

const (
	// hot is how many checks of a shape must go to the holder within an interval before a loan is wished for: with fewer, giving back costs
	// about as much as is saved.
	hot = 4
	// mostWish is the largest: as many as a node is asked for in a term, at the best of times, a few times over.
	mostWish = 1 << 24
)

// heat finds the shapes that are asked for often, in a fixed number of slots, which shapes share by chance. A slot has 16 bits that tell shapes apart, an
// interval, and a count. Of the shapes in one slot the one that most checks are of wins, as in a majority vote: each check of another takes one off, and who
// finds none takes its place. So a flood of keys that are asked for once each looks hot nowhere. Counts that are lost, where two
// goroutines write at once, do no harm.
type heat struct {
	slots [heatSlots]atomic.Uint32
}

const (
	heatSlots = 1 << 14
	mostHeat  = 1<<8 - 1
)

// add counts a check and returns how many there were of its shape in this interval, about.
func (h *heat) add(now bucket.Instant, wants []bucket.Want) uint32 {
	x := (wants[0].ID.Key ^ wants[0].ID.Line) * 0x9e3779b97f4a7c15
	slot := &h.slots[x>>50&(heatSlots-1)]
	mine := uint32(x>>34)<<16 | interval(now)&0xff<<8
	v := slot.Load()
	n := v & mostHeat
	switch {
	case v&^mostHeat == mine:
		n = min(n+1, mostHeat)
	case v&0xff00 == mine&0xff00 && n > 1:
		slot.Store(v - 1)
		return 0
	default:
		n = 1
	}
	slot.Store(mine | n)
	return n
}

// demand is how much of a shape is asked for at this node, from loans and of the holder.
type demand struct {
	at        uint32         // the interval that now is
	now, last uint32         // hits in it, and in the one before
	asking    bucket.Instant // until then a wish is on its way
	quiet     bucket.Instant // until then nothing is wished for
}

func (d *demand) add(now bucket.Instant, hits uint32) {
	switch at := interval(now); {
	case at == d.at+1:
		d.at, d.last, d.now = at, d.now, 0
	case at > d.at:
		d.at, d.last, d.now = at, 0, 0
	}
	d.now += min(hits, mostWish, ^uint32(0)-d.now)
}

// Want says how many hits a check of hits > 0 that is about to be sent to the holder should wish to borrow; 0: none. now is the instant at
// which it is sent.
func (p *Purse) Want(now bucket.Instant, wants []bucket.Want, hits uint32) uint32 {
	if !mayBeLent(wants) || p.closed.Load() {
		return 0
	}
	n := p.heat.add(now, wants)
	known := p.Has(wants[0].ID.Key)
	if n < hot && !known {
		return 0
	}
	var s *set
	var e *entry
	if n >= hot {
		s, e = p.open(now, wants)
		defer s.mu.Unlock()
		if e.demand.at == 0 {
			e.demand.add(now, min(n-1, mostWish/hits)*hits)
		}
	} else {
		if s = p.sets[p.set(wants[0].ID.Key)].Load(); s == nil {
			return 0
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if e = s.find(wants); e == nil {
			return 0
		}
	}
	e.demand.add(now, hits)
	wish := e.wish(now, hits)
	if wish > 0 {
		p.stats.asked.Add(1)
	}
	return wish
}

// wish is how many hits should be borrowed: what was asked for in an interval and a little more, or, where the last loan is gone before its time, a
// multiple of that. 0: this is not asked for often any more, somebody is asking already, or the holder has just lent nothing.
func (e *entry) wish(now bucket.Instant, hits uint32) uint32 {
	d := &e.demand
	if now < d.asking || now < d.quiet || uint64(d.last)+uint64(d.now) < hot*uint64(hits) {
		return 0
	}
	d.asking = now.Add(askTime)
	n := uint64(max(d.last, d.now))
	n += n / 4
	if l := &e.loan; l.granted > 0 && now < l.ends && l.left < hits+l.granted/renewAt {
		times := uint64(2)
		if l.ends.Sub(now) > Term/2 {
			times = 4
		}
		n = max(n, times*uint64(l.granted))
	}
	return uint32(min(max(n, leastSlice, leastChecks*uint64(hits)), mostWish))
}
