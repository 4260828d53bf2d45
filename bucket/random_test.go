package bucket

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A history is a random timeline on one key: some limits, and what was done to them. It is run on a partition and on
// the model beside it, and every answer is compared.
type timeline struct {
	t      testing.TB
	r      *rand.Rand
	p      *Partition
	now    Instant
	back   bool    // the clock may jump back
	shift  Instant // how much the node's clock is ahead
	moving bool    // the partition is handed over
	claims bool    // new histories are begun
	moves  int
	loose  bool // and hits were given back since, so that only "never over" is judged
	specs  []spec
	lines  []dumb
	taken  []takenHits
	log    []string
}

// A spec is a limit with the COUNTs and bursts that it has by turns.
type spec struct {
	limits []Limit
	shadow bool
}

type takenHits struct {
	r    Receipt
	at   []Instant // per limit; -1: not spent there
	hits uint32
	when Instant
}

var windows = []Window{100, 1000, 60 * 1000, 60 * 60 * 1000, day, week, MaxWindow}

func randomSpec(r *rand.Rand) spec {
	s := spec{shadow: r.IntN(6) == 0}
	l := Limit{Algorithm: Algorithm(r.IntN(5) % 3), Window: windows[r.IntN(len(windows))]}
	if r.IntN(4) == 0 {
		l.Window = MinWindow + Window(r.Int64N(int64(Window(1)<<(7+r.IntN(29)))))
		l.Window = min(l.Window, MaxWindow)
	}
	if l.Algorithm == FixedWindow && r.IntN(4) == 0 {
		l.Window = Month
	}
	for range 1 + r.IntN(4)/3*2 {
		m := l
		m.Count = 1 + uint32(r.IntN([]int{3, 10, 30, 255, 700, 70000}[r.IntN(6)]))
		if m.Algorithm == TokenBucket {
			m.Burst = m.Count + uint32(r.IntN(int(m.Count)+3))
		}
		s.limits = append(s.limits, m)
	}
	return s
}

func newTimeline(t testing.TB, r *rand.Rand) *timeline {
	h := &timeline{t: t, r: r, p: open(100), back: r.IntN(4) == 0, moving: r.IntN(2) == 0}
	h.moving = h.moving && !h.back // a copy carries no clock that went back: it begins at the last hit
	h.claims = h.moving && r.IntN(2) == 0
	h.now = noon + Instant(r.Int64N(int64(400*24*hour)))
	for range 1 + r.IntN(6)/3*r.IntN(3) {
		s := randomSpec(r)
		if s.limits[0].Algorithm == TokenBucket && h.moving {
			s.limits = s.limits[:1] // a copy has got its tokens back at the COUNT it was written under
		}
		if slices.ContainsFunc(h.specs, func(o spec) bool {
			return o.limits[0].Window == s.limits[0].Window && o.limits[0].Algorithm == s.limits[0].Algorithm
		}) {
			continue
		}
		var counts []uint32
		for _, l := range s.limits {
			counts = append(counts, l.Count)
		}
		h.specs = append(h.specs, s)
		h.lines = append(h.lines, newDumb(s.limits[0], strictness(s.limits[0].Window, counts...)))
	}
	return h
}

func (h *timeline) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\n%s", strings.Join(append(h.log[:1:1], h.log[max(1, len(h.log)-12):]...), "\n"), fmt.Sprintf(format, args...))
}

// wants picks a limit of each spec.
func (h *timeline) wants() []Want {
	var ws []Want
	for _, s := range h.specs {
		w := want(s.limits[h.r.IntN(len(s.limits))], "k")
		w.Shadow = s.shadow
		ws = append(ws, w)
	}
	return ws
}

// pass lets some time pass: often none or little, at times about a window.
func (h *timeline) pass() {
	span := h.specs[h.r.IntN(len(h.specs))].limits[0].Window.micros()
	var d Instant
	switch h.r.IntN(8) {
	case 0, 1:
	case 2:
		d = 1 + Instant(h.r.Int64N(1000))
	case 3, 4:
		d = Instant(h.r.Int64N(int64(span / 20)))
	case 5:
		d = Instant(h.r.Int64N(int64(span / 2)))
	case 6:
		d = span - 2 + Instant(h.r.Int64N(5))
	case 7:
		d = Instant(h.r.Int64N(int64(span) * 2))
	}
	if h.back && h.r.IntN(6) == 0 {
		d = -d
		h.taken = nil // a receipt from before the jump names a time that is yet to come
	}
	h.now = max(h.now+d, 0)
}

func (h *timeline) hits(ws []Want) uint32 {
	n := uint32(1)
	if h.r.IntN(2) == 0 {
		most := ws[h.r.IntN(len(ws))].Limit.Most()
		n = 1 + uint32(h.r.IntN(int(most)+1))
		if h.r.IntN(2) == 0 {
			n = 1 + n/8
		}
	}
	return n
}

func (h *timeline) step() {
	h.pass()
	ws := h.wants()
	switch h.r.IntN(11) {
	case 10:
		h.move()
	case 0:
		h.peek(ws)
	case 1:
		h.give(ws)
	case 2:
		h.takeUpTo(ws)
	default:
		h.take(ws, h.hits(ws))
	}
}

func (h *timeline) take(ws []Want, n uint32) {
	before := clone(h.p)
	out := Outcome{Each: make([]State, len(ws))}
	if err := h.p.Take(h.clock(), ws, n, &out); err != nil {
		h.fail("%v", err)
	}
	h.log = append(h.log, fmt.Sprintf("%d take %d of %s: %+v", h.now, n, show(ws), out))
	h.shorter(before, ws, n, out)
	h.judge(ws, n, out)
	if !out.Allowed {
		h.retry(before, ws, n, out)
		return
	}
	if len(h.taken) < 100 {
		h.taken = append(h.taken, takenHits{r: out.Receipt, hits: n, when: h.now})
	}
	k := takenHits{}
	for i, w := range ws {
		if out.Shadowed&(1<<i) == 0 {
			k.at = append(k.at, h.lines[i].spend(h.now, w.Limit, uint64(n)))
		} else {
			k.at = append(k.at, -1)
		}
	}
	if len(h.taken) > 0 {
		h.taken[len(h.taken)-1].at = k.at
	}
	h.compare(ws, out.Each)
}

func show(ws []Want) string {
	var s []string
	for _, w := range ws {
		s = append(s, w.Limit.String())
		if w.Shadow {
			s[len(s)-1] += " shadow"
		}
	}
	return strings.Join(s, ", ")
}

func (h *timeline) used(i int, l Limit) (least, most uint64) {
	least, most = h.lines[i].used(h.now, l)
	if l.Algorithm == TokenBucket && h.moves > 0 {
		// Several histories are served one after the other, each to the µs rounded up.
		most += 1 + 4*uint64(l.Count)/uint64(l.Window.micros())
	}
	if h.loose {
		most = 1 << 40
	}
	return least, most
}

// judge says whether the decision is one that the model allows.
func (h *timeline) judge(ws []Want, n uint32, out Outcome) {
	must, may := false, false // deny
	for i, w := range ws {
		least, most := h.used(i, w.Limit)
		over := least+uint64(n) > uint64(w.Limit.Most())
		strict := most+uint64(n) > uint64(w.Limit.Most())
		if w.Shadow {
			if s := out.Shadowed&(1<<i) != 0; s && !strict || !s && over {
				h.fail("shadow want %d: %v; used %d to %d", i, s, least, most)
			}
			continue
		}
		if out.Allowed && over {
			h.fail("over: want %d has %d used, and %d were admitted", i, least, n)
		}
		must, may = must || over, may || strict
	}
	if !out.Allowed && !may || out.Allowed && must {
		h.fail("decided %v; the model must deny %v, may %v", out.Allowed, must, may)
	}
	if out.Full {
		h.fail("full")
	}
	if out.Allowed {
		return
	}
	d := ws[out.By]
	if d.Shadow || out.Never != (n > d.Limit.Most()) || out.Never && out.Retry != 0 || !out.Never && out.Retry <= 0 {
		h.fail("decided by %d", out.By)
	}
	for i, s := range out.Each {
		if !ws[i].Shadow && !out.Never && s.Retry > out.Retry {
			h.fail("want %d has a longer wait than want %d", i, out.By)
		}
	}
}

// compare says whether the states after an operation are those of the model.
func (h *timeline) compare(ws []Want, each []State) {
	for i, w := range ws {
		least, most := h.used(i, w.Limit)
		if s := each[i]; s.Current < least || s.Current > most || uint64(s.Remaining) != subSat(uint64(w.Limit.Most()), s.Current) {
			h.fail("want %d: %+v; the model has %d to %d used", i, s, least, most)
		}
	}
}

// retry says whether the check would pass at the moment it was told to come back, and not before.
func (h *timeline) retry(before *Partition, ws []Want, n uint32, out Outcome) {
	if h.back || out.Never {
		return
	}
	if d := ws[out.By].Limit; d.Algorithm != TokenBucket && (out.Retry > d.Window.Longest() || out.Reset > out.Retry) {
		h.fail("a wait of %v, a reset of %v", out.Retry, out.Reset)
	}
	at := h.clock() + Instant(out.Retry/time.Microsecond)
	if at > maxInstant {
		return
	}
	for i, w := range ws {
		if w.Shadow {
			continue
		}
		var o Outcome
		if err := clone(before).Take(at, ws[i:i+1], n, &o); err != nil || !o.Allowed {
			h.fail("want %d is denied at the moment of the retry: %+v", i, o)
		}
	}
	var o Outcome
	if clone(before).Take(at-1, ws, n, &o); o.Allowed {
		h.fail("allowed a moment before the retry")
	}
}

func (h *timeline) peek(ws []Want) {
	before := clone(h.p)
	out := Outcome{Each: make([]State, len(ws))}
	h.p.Take(h.clock(), ws, 0, &out)
	h.log = append(h.log, fmt.Sprintf("%d peek %s: %+v", h.now, show(ws), out))
	if !slices.EqualFunc(before.own.segs, h.p.own.segs, func(a, b *segment) bool { return *a == *b }) {
		h.fail("a peek changed a line")
	}
	h.judge(ws, 1, out)
	h.compare(ws, out.Each)
	if h.back {
		return
	}
	for i, w := range ws {
		s := out.Each[i]
		if (s.Current == 0) != (s.Reset == 0) {
			h.fail("want %d: %+v", i, s)
		}
		if s.Reset == 0 {
			continue
		}
		at := h.clock() + Instant(s.Reset/time.Microsecond)
		if at > maxInstant {
			continue
		}
		var o Outcome
		if clone(before).Take(at, []Want{w}, 0, &o); o.By >= 0 && o.Remaining <= s.Remaining {
			h.fail("want %d: remaining %d at its reset, no more than %d", i, o.Remaining, s.Remaining)
		}
		if clone(before).Take(at-1, []Want{w}, 0, &o); o.By >= 0 && o.Remaining > s.Remaining {
			h.fail("want %d: remaining grew before its reset", i)
		}
	}
}

func (h *timeline) give(ws []Want) {
	h.loose = h.loose || h.back
	out := Outcome{Each: make([]State, len(ws))}
	if h.r.IntN(3) > 0 && len(h.taken) > 0 {
		i := h.r.IntN(len(h.taken))
		k := h.taken[i]
		h.taken = slices.Delete(h.taken, i, i+1)
		for i, at := range k.at {
			if at < 0 {
				continue // a shadow want that would have denied: nothing to give
			}
			if d, ok := h.lines[i].(*dumbToken); ok {
				if len(h.specs[i].limits) > 1 && k.when < d.at {
					continue // what came back of itself meanwhile was under COUNTs that the line does not remember
				}
				d.sums = d.sums || len(h.p.others) > 0
			}
			h.p.Give(h.clock(), ws[i:i+1], k.hits, k.r, &Outcome{})
			h.lines[i].give(h.now, k.when, at, ws[i].Limit, uint64(k.hits))
		}
		h.p.Give(h.clock(), ws, 0, 0, &out)
		h.log = append(h.log, fmt.Sprintf("%d give %d of %d back to %s: %+v", h.now, k.hits, k.when, show(ws), out))
	} else if len(h.p.others) == 0 || !slices.ContainsFunc(ws, func(w Want) bool { return w.Limit.Algorithm == TokenBucket }) {
		// Of a token bucket a give-back reaches the own history only; the model has but one.
		n := h.hits(ws)
		h.p.Give(h.clock(), ws, n, 0, &out)
		h.log = append(h.log, fmt.Sprintf("%d give %d back to %s: %+v", h.now, n, show(ws), out))
		for i, w := range ws {
			h.lines[i].give(h.now, -1, -1, w.Limit, uint64(n))
		}
		h.taken = nil // their hits may be gone
	}
	if h.p.Take(h.clock(), ws, 0, &out); true {
		h.compare(ws, out.Each)
	}
}

func (h *timeline) clock() Instant { return h.now + h.shift }

// move hands the partition over to a node with another clock, or begins a new history, as a claim does. To the model neither
// happens: what was spent stays spent, in one copy.
func (h *timeline) move() {
	if h.r.IntN(3) > 0 || !h.moving {
		return
	}
	h.moves++
	h.taken = nil
	if h.claims && h.r.IntN(2) == 0 {
		h.p.SetHistory(Name{Epoch: uint64(h.moves)})
		h.log = append(h.log, fmt.Sprintf("%d claim", h.now))
		return
	}
	q := open(100)
	q.SetState(Open, uint64(h.moves))
	shift := h.shift
	if !slices.ContainsFunc(h.specs, func(s spec) bool { return s.limits[0].Algorithm == FixedWindow }) {
		shift = Instant(h.r.Int64N(int64(10 * minute)))
	}
	q.Replace(prepare(h.t, q, h.now+shift, h.p.Whole(h.clock(), true)))
	h.log = append(h.log, fmt.Sprintf("%d hand over %d of %d lines to a clock %d ahead: %+v", h.now, q.Len(), h.p.Len(), shift, h.p.Histories()))
	h.p, h.shift = q, shift
	for i, s := range h.specs {
		if d, ok := h.lines[i].(*dumbSliding); ok {
			d.strict += strictness(s.limits[0].Window, 1) + (d.span+8)/9/128 + 2
			d.until++
		}
	}
}

func (h *timeline) outcome(ws []Want) Outcome { return Outcome{Each: make([]State, len(ws))} }

func sameOutcome(a, b Outcome) bool {
	each := slices.Equal(a.Each, b.Each)
	a.Each, b.Each = nil, nil
	return each && fmt.Sprint(a) == fmt.Sprint(b)
}

func TestAgainstModel(t *testing.T) {
	for seed := range histories(12000) {
		h := newTimeline(t, rand.New(rand.NewPCG(uint64(seed), 1)))
		h.log = append(h.log, fmt.Sprintf("seed %d", seed))
		for i := 0; i < 60 && h.now < 4e15; i++ { // until 2096: instants end in 2112
			h.step()
		}
		if n := h.p.t.Stats().Lines; n != int64(h.p.Len()) {
			h.fail("%d lines are counted, %d there", n, h.p.Len())
		}
	}
}
