package peer

import (
	"bytes"
	"encoding/binary"

	"github.com/stint-limiter/stint/bucket"
)

// A batch is what a lane sends next: the bytes of one HTTP request, and who waits for which entry.
//
// Folding: asks alike are one entry with a number of times. Alike means the same bytes in all but the time left and the wish to borrow: the
// same partition, epoch, lines, limits, flags and hits; and only spending folds (hits > 0), without receipt, without
// states of all wants, and never more hits than a limit can ever allow, which are denied one by one for good.
//
// An ask folds only with the latest entry of its key. Were it folded into an earlier one, it would overtake what lies
// between:
//
//	ask 1: spend 1 of k under 10/1m    → entry 0
//	ask 2: give 1 back to k            → entry 1
//	ask 3: spend 1 of k under 10/1m    → entry 2, and not entry 0: at 10 of 10 it must come after the give-back
//
// The asks of an entry are a chain through next, in the order in which they came, and are answered in that order.
type batch struct {
	buf     []byte // HTTP head, MAC, frame
	entries []folded
	next    []int32 // by the ask's place in the lane's flight, from base: the next ask of its entry, or -1
	base    int
	most    int   // entries that it may have
	latest  int64 // latest deadline of its asks
	asks    int

	index []foldSlot // open hash table: the latest entry of each key
	gen   uint32     // of the slots that are in use, so that nothing has to be cleared between batches
	mask  uint32
}

type folded struct {
	key         uint64
	at          int32 // where it starts in buf
	first, last int32 // places in flight
	times       uint32
	hits        uint32 // for what is handed back of a fold; 0 if it does not fold
	wants       uint8
	each        bool
	countDenied uint64
}

type foldSlot struct {
	gen   uint32
	entry int32
}

// reset begins a batch of at most so many entries, whose asks are those of a flight from base on, at most n; buf has what comes before
// the entries.
func (b *batch) reset(buf []byte, base, n, most int) {
	b.buf, b.entries, b.next = buf, b.entries[:0], b.next[:0]
	b.base, b.most, b.latest, b.asks = base, most, 0, 0
	size := 16
	for size < 2*min(n, MaxEntries) {
		size *= 2
	}
	if size > len(b.index) {
		b.index, b.gen = make([]foldSlot, size), 0
	}
	b.mask = uint32(len(b.index) - 1)
	if b.gen++; b.gen == 0 {
		clear(b.index)
		b.gen = 1
	}
}

// skip says that the ask at this place is not in the batch.
func (b *batch) skip() { b.next = append(b.next, -1) }

// add puts the next ask of the flight into the batch, folded if it can be. False: it is full, and the ask is not in it.
// frame is where the frame starts in buf.
func (b *batch) add(a *Ask, deadline int64, left uint16, frame int) bool {
	place := int32(b.base + len(b.next))
	key := a.Wants[0].ID.Key
	at := len(b.buf)
	b.buf = appendEntry(b.buf, a, left)
	slot := b.slot(key)
	fold := foldable(a)
	if slot.gen == b.gen && fold {
		e := &b.entries[slot.entry]
		if had := b.buf[e.at:]; e.hits != 0 && e.times < MaxTimes && alike(had, b.buf[at:]) {
			b.buf = b.buf[:at]
			e.times++
			setTimes(had, e.times)
			setLeft(had, left)
			setBorrow(had, borrowByte(a.Borrow))
			b.next[int(e.last)-b.base] = place
			b.next = append(b.next, -1)
			e.last = place
			b.asks++
			b.latest = max(b.latest, deadline)
			return true
		}
	}
	if len(b.entries) >= b.most || len(b.buf)-frame > MaxBatch {
		b.buf = b.buf[:at]
		return false
	}
	*slot = foldSlot{b.gen, int32(len(b.entries))}
	e := folded{key: key, at: int32(at), first: place, last: place, times: 1, wants: uint8(len(a.Wants)), each: a.Each}
	if fold {
		e.hits = uint32(a.Hits)
		for i := range a.Wants {
			if a.Wants[i].CountDenied {
				e.countDenied |= 1 << i
			}
		}
	}
	b.entries = append(b.entries, e)
	b.next = append(b.next, -1)
	b.asks++
	b.latest = max(b.latest, deadline)
	return true
}

// slot finds the place of a key in the index. The table is at least twice as large as a batch can have entries.
func (b *batch) slot(key uint64) *foldSlot {
	i := uint32(key*0x9e3779b97f4a7c15>>32) & b.mask
	for {
		s := &b.index[i]
		if s.gen != b.gen || b.entries[s.entry].key == key {
			return s
		}
		i = (i + 1) & b.mask
	}
}

func foldable(a *Ask) bool {
	if a.Hits <= 0 || a.Each { // only what gives back has a receipt
		return false
	}
	for i := range a.Wants {
		if a.Hits > int64(a.Wants[i].Limit.Most()) {
			return false
		}
	}
	return true
}

// alike compares an entry with one that was appended last: all but times, time left and borrow.
func alike(had, last []byte) bool {
	n := len(last)
	return len(had) >= n && binary.LittleEndian.Uint32(had) == binary.LittleEndian.Uint32(last) &&
		bytes.Equal(had[entryHits:n], last[entryHits:])
}

// handBack writes what the i-th ask of an entry is told. The first ones are granted. The holder says what the last of
// them was told; the ones before saw as much more left, and as much less spent, as was granted after them. Of the denied
// it says what the first was told; where attempts are counted, each one sees one more.
func (e *folded) handBack(i uint32, ans *Answer, out *bucket.Outcome) {
	each := out.Each
	if i < ans.Granted {
		*out = ans.Allowed
		if after := uint64(ans.Granted-1-i) * uint64(e.hits); after > 0 && out.By >= 0 {
			out.Remaining = uint32(min(uint64(out.Remaining)+after, uint64(out.Limit)))
			out.Current -= min(after, out.Current)
		}
	} else {
		*out = ans.Denied
		if before := uint64(i-ans.Granted) * uint64(e.hits); before > 0 && out.By >= 0 && e.countDenied>>out.By&1 != 0 {
			out.Current += before
		}
	}
	n := copy(each, out.Each)
	clear(each[n:])
	out.Each = each
}
