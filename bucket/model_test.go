package bucket

import (
	"math/big"
	"slices"
	"time"
)

// The dumb model: it keeps every hit's time and counts. There is one per line. Where the real thing is allowed to be
// stricter (slots), the model says between what and what the count may be: `least` is the truth, which never may be
// exceeded, and `most` is what a hit that stays one slot too long would make of it.

type dumb interface {
	// used returns the least and the most that may be counted at now.
	used(now Instant, l Limit) (least, most uint64)
	spend(now Instant, l Limit, n uint64) Instant
	// give takes n hits back that were taken when the clock said `when`, and were counted at `at`; -1: the oldest.
	give(now, when, at Instant, l Limit, n uint64)
}

func newDumb(l Limit, strict Instant) dumb {
	switch l.Algorithm {
	case FixedWindow:
		return &dumbFixed{w: l.Window}
	case TokenBucket:
		return &dumbToken{span: int64(l.Window) * 1000, spent: new(big.Int)}
	}
	return &dumbSliding{span: Instant(l.Window) * 1000, strict: strict}
}

// dumbSliding has two lists, for giving back without a receipt takes the oldest: the oldest that count in truth from
// the one, the oldest that may still be counted from the other.
type dumbSliding struct {
	span, strict Instant
	truth, late  dumbHits
	// until is when nothing at all counts any more: one window after the last hit, slot or no slot. Once the last hit
	// was given back, only the slot of the one before is known, not its moment.
	until Instant
}

// dumbHits is every hit's time; those of one time are together.
type dumbHits []hit

func (d dumbHits) after(t Instant) uint64 {
	n := uint64(0)
	for _, h := range d {
		if h.at > t {
			n += h.n
		}
	}
	return n
}

func (d dumbHits) newest(now Instant) Instant {
	for _, h := range d {
		now = max(now, h.at)
	}
	return now
}

// drop takes n hits out, of those at `at` if at >= 0, else the oldest after past.
func (d *dumbHits) drop(at, past Instant, n uint64) {
	for i := range *d {
		if h := &(*d)[i]; h.at == at || at < 0 && h.at > past {
			k := min(n, h.n)
			h.n -= k
			n -= k
		}
	}
	*d = slices.DeleteFunc(*d, func(h hit) bool { return h.n == 0 })
}

func (d *dumbSliding) used(now Instant, _ Limit) (least, most uint64) {
	least = d.truth.after(d.truth.newest(now) - d.span)
	late := d.late.newest(now)
	most = d.late.after(late - d.span - d.strict)
	if now >= d.until {
		most = 0
	}
	return least, most
}

func (d *dumbSliding) spend(now Instant, _ Limit, n uint64) Instant {
	if now >= d.until {
		d.late = nil
	}
	now = d.late.newest(now)
	d.until = now + d.span
	d.truth = append(d.truth, hit{now, n})
	d.late = append(d.late, hit{now, n})
	d.late = slices.DeleteFunc(d.late, func(h hit) bool { return h.at <= now-d.span-d.strict })
	d.truth = slices.DeleteFunc(d.truth, func(h hit) bool { return h.at <= now-d.span })
	return now
}

func (d *dumbSliding) give(now, when, at Instant, _ Limit, n uint64) {
	truth, late := d.truth.newest(now)-d.span, d.late.newest(now)-d.span
	if at >= 0 && when <= late || now >= d.until {
		return
	}
	d.truth.drop(at, truth, n)
	d.late.drop(at, late-d.strict, n)
	d.until = min(d.until, d.late.newest(0)+d.span+d.strict)
	if _, most := d.used(now, Limit{}); most == 0 {
		d.truth, d.late = nil, nil // nothing is left to remember
	}
}

// dumbFixed counts the hits of the calendar's window that the last hit was in.
type dumbFixed struct {
	w    Window
	hits uint64
	from Instant
	end  Instant
}

func (d *dumbFixed) used(now Instant, _ Limit) (least, most uint64) {
	if now >= d.end {
		return 0, 0
	}
	return d.hits, d.hits
}

func (d *dumbFixed) spend(now Instant, _ Limit, n uint64) Instant {
	if now >= d.end {
		d.hits, d.from, d.end = 0, now, dumbBoundary(d.w, now)
	}
	d.hits += n
	begin := d.end - d.w.micros()
	if d.w == Month {
		begin = Instant(time.UnixMicro(int64(d.end)).UTC().AddDate(0, -1, 0).UnixMicro())
	}
	d.from = min(d.from, max(now, begin)) // a clock that is behind
	return max(now, d.from)
}

func (d *dumbFixed) give(now, when, at Instant, _ Limit, n uint64) {
	if now < d.end && (at < 0 || when >= d.from) {
		d.hits = subSat(d.hits, n)
	}
}

// dumbBoundary finds the next boundary with the time package, by steps for the calendar.
func dumbBoundary(w Window, now Instant) Instant {
	t := time.UnixMicro(int64(now)).UTC()
	switch w {
	case Month:
		t = t.AddDate(0, 0, 1).Truncate(24 * time.Hour)
		for t.Day() != 1 {
			t = t.AddDate(0, 0, 1)
		}
	case day:
		t = t.Truncate(24*time.Hour).AddDate(0, 0, 1)
	case week:
		t = t.Truncate(24*time.Hour).AddDate(0, 0, 1)
		for t.Weekday() != time.Monday {
			t = t.AddDate(0, 0, 1)
		}
	default:
		span := Instant(w) * 1000
		return (now/span + 1) * span
	}
	return Instant(t.UnixMicro())
}

// dumbToken has levels of any precision, in parts of a token of which there are as many as µs in the window. spent is the most
// that may be missing: what was given back by a receipt while something else was spent meanwhile is not taken off. ideal is every
// spend, and what is missing if those that were given back had never been.
type dumbToken struct {
	span  int64
	spent *big.Int
	at    Instant
	from  Instant // since when it has not been full
	full  Instant // when it will be, at the COUNT it was last written under
	ideal []tokens
	apart bool // ideal may be less than spent
	sums  bool // something was given back while other histories counted too: the line was written for that
}

// tokens are some that were spent at a time; less than 0: that were given back, the oldest.
type tokens struct {
	at Instant
	n  int64
}

func (d *dumbToken) level(now Instant, l Limit) *big.Int {
	if now >= d.full {
		return new(big.Int)
	}
	return drained(d.spent, now-d.at, l.Count)
}

// drained returns what is left after some µs.
func drained(level *big.Int, after Instant, count uint32) *big.Int {
	back := new(big.Int).Mul(big.NewInt(int64(max(after, 0))), big.NewInt(int64(count)))
	back.Sub(level, back)
	if back.Sign() < 0 {
		return new(big.Int)
	}
	return back
}

// never returns the level of an ideal bucket from which the hits of ideal were taken.
func (d *dumbToken) never(now Instant, l Limit) *big.Int {
	level, at := new(big.Int), Instant(0)
	for _, x := range d.ideal {
		level = drained(level, x.at-at, l.Count)
		at = x.at
		if level.Add(level, new(big.Int).Mul(big.NewInt(x.n), big.NewInt(d.span))); level.Sign() < 0 {
			level.SetInt64(0)
		}
	}
	return drained(level, now-at, l.Count)
}

// ceilDiv is a/b rounded up.
func ceilDiv(a *big.Int, b int64) *big.Int {
	q, r := new(big.Int).QuoRem(a, big.NewInt(b), new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

func (d *dumbToken) used(now Instant, l Limit) (least, most uint64) {
	n := ceilDiv(d.level(now, l), d.span).Uint64()
	if d.apart {
		return min(n, ceilDiv(d.never(now, l), d.span).Uint64()), n
	}
	return n, n
}

func (d *dumbToken) write(now Instant, l Limit, level *big.Int) {
	d.spent, d.at = level, now
	d.full = now + Instant(ceilDiv(level, int64(l.Count)).Int64())
}

func (d *dumbToken) spend(now Instant, l Limit, n uint64) Instant {
	level := d.level(now, l)
	if now < d.full {
		now = max(now, d.at)
	}
	if level.Sign() == 0 {
		d.from = now
		d.ideal, d.apart = nil, false
	}
	d.sums = false
	d.ideal = append(d.ideal, tokens{now, int64(n)})
	d.write(now, l, level.Add(level, new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(d.span))))
	return now
}

func (d *dumbToken) give(now, when, at Instant, l Limit, n uint64) {
	if now >= d.full || at >= 0 && when < d.from {
		return
	}
	if at < 0 {
		d.ideal = append(d.ideal, tokens{max(now, d.at), -int64(n)})
	} else {
		for i := range d.ideal {
			if x := &d.ideal[i]; x.at == at && x.n == int64(n) {
				x.n = 0
				break
			}
		}
		if when < d.at || d.sums {
			d.apart = true
			return
		}
	}
	now = max(now, d.at)
	n = min(n, 1<<40)
	less := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(d.span))
	if level := d.level(now, l); level.Cmp(less) <= 0 {
		*d = dumbToken{span: d.span, spent: new(big.Int)} // nothing is left to remember
		return
	}
	d.write(d.at, l, d.spent.Sub(d.spent, less)) // it stays the moment at which something was last spent
}

// strictness is how much longer than its window a hit may count on a line that saw these COUNTs.
func strictness(w Window, counts ...uint32) Instant {
	span := Instant(w) * 1000
	lo, hi := slots4, empty
	for _, c := range counts {
		k := slidingKind(uint64(c))
		lo, hi = min(lo, k), max(hi, k)
	}
	if len(counts) > 1 {
		hi = max(hi, slots1)
	}
	s := Instant(0)
	for k := lo; k <= hi; k++ {
		switch k {
		case exact:
			s += 1<<exactShift(span) - 1
		case slots1:
			s += (span + 38) / 39
		case slots2:
			s += (span + 18) / 19
		case slots4:
			s += (span + 8) / 9
		}
	}
	return s
}
