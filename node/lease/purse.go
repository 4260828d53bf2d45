package lease

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

const (
	// MinCount is the least COUNT that is lent from: below it `remaining` is exact on every node.
	MinCount = bucket.LeaseMinCount
	// MaxWants is how many limits a check may have to be answered from a purse. More are asked of the holder: a bound on memory, as
	// nobody has so many on one key.
	MaxWants = 8
	// Term is the longest that a loan lasts: a hundred times a round trip, and a fifth of what a refund may take to show.
	Term = 200 * time.Millisecond
	// DenialTerm is the longest that a denial is believed.
	DenialTerm = time.Second
	// Entries is how many shapes a purse has by default: 4 MB if all are in use.
	Entries = 8192

	ways = 8 // entries of a set, one byte of tags each
)

// A Purse is what a node was lent, and which denials it has heard. Its methods may be called from many goroutines; each takes the
// lock of one set for some tens of nanoseconds, and none calls out under it. In steady state nothing allocates.
type Purse struct {
	sets []atomic.Pointer[set] // nil until it is needed
	tags []atomic.Uint64       // by set: a byte for each entry, 0 where that is free
	lent []atomic.Uint64       // a bit for each set that may have a loan
	heat heat

	closed atomic.Bool
	drops  atomic.Uint32 // how often it was dropped
	rests  rests
	stats  counters
}

// A set has the entries of the keys that fall into it: all shapes of a key are in one set.
type set struct {
	mu      sync.Mutex // protects following
	entries [ways]entry
}

// An entry is one shape of a check.
type entry struct {
	wants   []bucket.Want // empty: the entry is free; its memory is used again
	touched bucket.Instant
	loan    loan
	denial  denial
	demand  demand
}

// From says which hold an answer came from.
type From struct {
	Holder string
	Epoch  uint64
}

// New returns a purse for about so many shapes; 0 is Entries.
func New(entries int) *Purse {
	if entries <= 0 {
		entries = Entries
	}
	n := 1
	for n*ways < entries {
		n *= 2
	}
	return &Purse{sets: make([]atomic.Pointer[set], n), tags: make([]atomic.Uint64, n), lent: make([]atomic.Uint64, (n+63)/64)}
}

// set returns the place of a key's set.
func (p *Purse) set(key uint64) int { return int(key >> 40 & uint64(len(p.sets)-1)) }

// tag returns a key's byte, never 0.
func tag(key uint64) uint64 { return key>>32&0x7f | 0x80 }

const eachByte = 0x0101010101010101

// Has reports whether there may be something for a key. It costs little where there is not.
func (p *Purse) Has(key uint64) bool {
	x := p.tags[p.set(key)].Load() ^ tag(key)*eachByte
	return (x-eachByte)&^x&(eachByte<<7) != 0
}

// An Answer says whether a purse answered a check.
type Answer uint8

const (
	Nothing Answer = iota // the holder must be asked
	Lent                  // allowed, from a loan
	Denied                // denied, as the holder did
)

// Answer answers a check of hits > 0, if it can, from a loan before a denial: it fills in out as bucket.Partition.Take does, with the states of all wants where
// out.Each is as long as they are, and from. Else it says Nothing, and perhaps how many hits the check that now goes to the holder should
// wish to borrow: a loan is about to end, and this check is to fetch the next.
func (p *Purse) Answer(now bucket.Instant, wants []bucket.Want, hits uint32, out *bucket.Outcome, from *From) (a Answer, borrow uint32) {
	s := p.sets[p.set(wants[0].ID.Key)].Load()
	if s == nil {
		return Nothing, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(wants)
	if e == nil {
		return Nothing, 0
	}
	e.touched = max(e.touched, now)
	each := len(out.Each) == len(wants)
	d := &e.denial
	refused := d.says(now, hits)
	if l := &e.loan; l.left >= hits && now < l.ends {
		mute := each && len(l.outcome.Each) != len(wants)
		// Where the holder is known to say no there is nothing to be fetched.
		if mute || !refused && (now >= l.renew || l.left-hits < l.granted/renewAt) {
			if borrow = e.wish(now, hits); borrow > 0 {
				e.demand.add(now, hits)
				p.stats.asked.Add(1)
			}
			if borrow > 0 || mute {
				return Nothing, borrow
			}
		}
		p.use(now, e, hits, out, from)
		return Lent, 0
	}
	if refused && (!each || len(d.outcome.Each) == len(wants)) {
		d.tell(now, out)
		*from = d.from
		p.stats.denied.Add(1)
		return Denied, 0
	}
	return Nothing, 0
}

// use answers a check from an entry's loan, which covers it.
func (p *Purse) use(now bucket.Instant, e *entry, hits uint32, out *bucket.Outcome, from *From) {
	e.demand.add(now, hits)
	e.loan.left -= hits
	e.loan.tell(now, out)
	*from = e.loan.from
	p.stats.spent.Add(uint64(hits))
}

// Use answers a check from a loan, if that covers it: for one that was to fetch the next loan and was denied by the holder.
func (p *Purse) Use(now bucket.Instant, wants []bucket.Want, hits uint32, out *bucket.Outcome, from *From) bool {
	s := p.sets[p.set(wants[0].ID.Key)].Load()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(wants)
	if e == nil || e.loan.left < hits || now >= e.loan.ends || len(out.Each) == len(wants) && len(e.loan.outcome.Each) != len(wants) {
		return false
	}
	p.use(now, e, hits, out, from)
	return true
}

// Denied reports whether a check of hits > 0 is sure to be denied, as Answer does, but takes nothing where it is not.
func (p *Purse) Denied(now bucket.Instant, wants []bucket.Want, hits uint32, out *bucket.Outcome, from *From) bool {
	s := p.sets[p.set(wants[0].ID.Key)].Load()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(wants)
	if e == nil || !e.denial.says(now, hits) || e.loan.left >= hits && now < e.loan.ends {
		return false
	}
	e.denial.tell(now, out)
	*from = e.denial.from
	p.stats.denied.Add(1)
	return true
}

// find returns the entry of a shape, nil if there is none.
func (s *set) find(wants []bucket.Want) *entry {
	for i := range s.entries {
		if e := &s.entries[i]; same(e.wants, wants) {
			return e
		}
	}
	return nil
}

// same reports whether two checks have one shape: the order of the wants counts, as By is an index into them.
func same(a, b []bucket.Want) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// open locks the set of a shape and returns it with the shape's entry, which is made if it is not there.
func (p *Purse) open(now bucket.Instant, wants []bucket.Want) (*set, *entry) {
	k := p.set(wants[0].ID.Key)
	s := p.sets[k].Load()
	if s == nil {
		s = new(set)
		if !p.sets[k].CompareAndSwap(nil, s) {
			s = p.sets[k].Load()
		}
	}
	s.mu.Lock()
	e := s.find(wants)
	if e == nil {
		i := s.victim(now)
		e = &s.entries[i]
		p.free(now, k, i, e)
		e.wants = append(e.wants, wants...)
		p.retag(k, i, tag(wants[0].ID.Key))
		p.stats.entries.Add(1)
	}
	e.touched = max(e.touched, now)
	return s, e
}

// victim returns the place of a free entry, or of the one that is missed least: a live loan is worth more than a denial, and a denial more than what
// is over; of equals, the one that was used longest ago goes.
func (s *set) victim(now bucket.Instant) int {
	best, worth := 0, 4
	for i := range s.entries {
		e := &s.entries[i]
		w := 1
		switch {
		case len(e.wants) == 0:
			w = 0
		case e.loan.left > 0 && now < e.loan.ends:
			w = 3
		case e.denial.hits > 0 && now < e.denial.until:
			w = 2
		}
		if w < worth || w == worth && e.touched < s.entries[best].touched {
			best, worth = i, w
		}
	}
	return best
}

// free empties an entry, which gives its loan back.
func (p *Purse) free(now bucket.Instant, k, i int, e *entry) {
	if len(e.wants) == 0 {
		return
	}
	if e.loan.left > 0 && now < e.loan.ends || e.denial.hits > 0 && now < e.denial.until {
		p.stats.evicted.Add(1)
	}
	p.end(e)
	loaned, refused := e.loan.outcome.Each[:0], e.denial.outcome.Each[:0]
	*e = entry{wants: e.wants[:0]}
	e.loan.outcome.Each, e.denial.outcome.Each = loaned, refused
	p.retag(k, i, 0)
	p.stats.entries.Add(-1)
}

// retag sets an entry's byte. The set is locked.
func (p *Purse) retag(k, i int, tag uint64) {
	shift := 8 * i
	p.tags[k].Store(p.tags[k].Load()&^(0xff<<shift) | tag<<shift)
}

// mayBeDenied and mayBeLent say whether a check is of a kind that a purse answers.

func mayBeDenied(wants []bucket.Want) bool {
	if len(wants) > MaxWants {
		return false
	}
	for i := range wants {
		if wants[i].Shadow || wants[i].CountDenied {
			return false // each of them is counted
		}
	}
	return true
}

func mayBeLent(wants []bucket.Want) bool {
	if len(wants) > MaxWants {
		return false
	}
	for i := range wants {
		if w := &wants[i]; w.Limit.Count < MinCount || w.Shadow || w.CountDenied {
			return false
		}
	}
	return true
}
