package bucket

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func lend(t testing.TB, p *Partition, now Instant, hits uint32, most time.Duration, wants ...Want) (uint32, Instant, Outcome) {
	t.Helper()
	var out Outcome
	n, term, err := p.Lend(now, wants, hits, most, &out)
	if err != nil {
		t.Fatal(err)
	}
	if (n == 0) != (term == 0) || (n == 0) != (out.Receipt == 0) || n > hits || term > most || !out.Allowed {
		t.Fatalf("%d hits for %v: %+v", n, term, out)
	}
	return n, now.Add(term), out
}

// A lender is a random timeline in which hits are taken and lent, and what is lent is handed out at any moment of its term. The model
// keeps when each hit was taken or handed out, and not when it was lent.
type lender struct {
	t     testing.TB
	r     *rand.Rand
	p     *Partition
	now   Instant // as the clock says
	real  Instant // as time goes
	back  bool
	specs []spec
	truth [][]tokens // per spec: what was taken or handed out
	most  []uint64   // the largest COUNT or burst that was ever asked with
	loans []loan
	taken []takenHits
	log   []string
}

type loan struct {
	hits uint32
	end  Instant // in real time
	r    Receipt
}

func newLender(t testing.TB, r *rand.Rand) *lender {
	h := &lender{t: t, r: r, p: open(100), back: r.IntN(5) == 0}
	h.now = noon + Instant(r.Int64N(int64(day)*1000))
	h.real = h.now
	for i := range 1 + r.IntN(3) {
		l := Limit{Algorithm: []Algorithm{SlidingWindow, TokenBucket, FixedWindow}[r.IntN(3)], Window: []Window{100, 1000, 2000, 10_000, 60_000}[r.IntN(5)] + Window(i)}
		if l.Algorithm == FixedWindow && h.back {
			l.Algorithm = SlidingWindow // which window is whose then, only the line knows
		}
		var s spec
		for range 1 + r.IntN(2)*r.IntN(3) {
			m := l
			m.Count = LeaseMinCount + uint32(r.IntN([]int{100, 3000, 70000, 200000}[r.IntN(4)]))
			if l.Algorithm == TokenBucket {
				m.Burst = m.Count + uint32(r.IntN(int(m.Count)))
			}
			s.limits = append(s.limits, m)
			if l.Algorithm == TokenBucket {
				break // what refills is COUNT's, and the model has one
			}
		}
		h.specs = append(h.specs, s)
	}
	h.truth, h.most = make([][]tokens, len(h.specs)), make([]uint64, len(h.specs))
	return h
}

func (h *lender) wants() []Want {
	var ws []Want
	for i, s := range h.specs {
		w := want(s.limits[h.r.IntN(len(s.limits))], "k")
		h.most[i] = max(h.most[i], uint64(w.Limit.Most()))
		ws = append(ws, w)
	}
	return ws
}

func (h *lender) pass() {
	span := h.specs[h.r.IntN(len(h.specs))].limits[0].Window.micros()
	var d Instant
	switch h.r.IntN(9) {
	case 0, 1:
	case 2, 3:
		d = Instant(h.r.Int64N(2000))
	case 4, 5:
		d = Instant(h.r.Int64N(int64(span / 40)))
	case 6:
		d = Instant(h.r.Int64N(int64(span / 4)))
	case 7:
		d = span - 2 + Instant(h.r.Int64N(5))
	case 8:
		if len(h.loans) > 0 { // to the end of a loan, or just before
			d = max(0, h.loans[h.r.IntN(len(h.loans))].end-h.real-Instant(h.r.IntN(2)))
		}
	}
	if h.back && h.r.IntN(8) == 0 {
		h.now -= d // the clock jumps; no time goes by. Receipts from before the jump name a time that is yet to come
		h.taken = nil
		for i := range h.loans {
			h.loans[i].r = 0
		}
		return
	}
	h.now, h.real = h.now+d, h.real+d
}

func (h *lender) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\n%s", strings.Join(h.log[max(0, len(h.log)-15):], "\n"), fmt.Sprintf(format, args...))
}

func (h *lender) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("%d %d: ", h.real, h.now-noon)+fmt.Sprintf(format, args...))
}

// admitted notes hits that somebody was allowed, and judges.
func (h *lender) admitted(n uint32) {
	for i, s := range h.specs {
		h.truth[i] = append(h.truth[i], tokens{h.real, int64(n)})
		if got := h.spent(i, s.limits[0]); got > h.most[i] {
			h.fail("over: %d of %d under %v", got, h.most[i], s.limits[0])
		}
	}
}

// spent is what an ideal line has that knew each moment.
func (h *lender) spent(i int, l Limit) uint64 {
	span := l.Window.micros()
	from := h.real - span + 1
	switch l.Algorithm {
	case TokenBucket:
		var level int64
		at := h.real
		for _, x := range h.truth[i] {
			level = max(0, level-int64(x.at-min(at, x.at))*int64(l.Count)) + x.n*int64(span)
			at = x.at
		}
		level = max(0, level-int64(h.real-at)*int64(l.Count))
		return uint64((level + int64(span) - 1) / int64(span))
	case FixedWindow:
		from = h.real / span * span
	}
	var n int64
	for _, x := range h.truth[i] {
		if x.at >= from {
			n += x.n
		}
	}
	return uint64(n)
}

// forget takes hits that were admitted at a time out again.
func (h *lender) forget(at Instant, n uint32) {
	for i := range h.truth {
		for j := range h.truth[i] {
			if x := &h.truth[i][j]; x.at == at && x.n == int64(n) {
				x.n = 0
				break
			}
		}
	}
}

func (h *lender) step() {
	h.pass()
	ws := h.wants()
	n := 1 + h.r.Uint32N(ws[0].Limit.Count/[]uint32{1, 4, 50, 1000}[h.r.IntN(4)])
	var out Outcome
	switch h.r.IntN(8) {
	case 0, 1:
		if err := h.p.Take(h.now, ws, n, &out); err != nil {
			h.fail("%v", err)
		}
		h.note("take %d of %s: %+v", n, show(ws), out)
		if out.Allowed {
			h.admitted(n)
			h.taken = append(h.taken, takenHits{r: out.Receipt, hits: n, when: h.real})
		}
	case 2, 3:
		got, end, out := lend(h.t, h.p, h.now, n, time.Duration(h.r.Int64N(int64(600*time.Millisecond))), ws...)
		h.note("lend %d of %d of %s until %d: %+v", got, n, show(ws), end-noon, out)
		if got > 0 {
			h.loans = append(h.loans, loan{got, h.real + end - h.now, out.Receipt})
		}
	case 4, 5, 6: // at the borrower
		if len(h.loans) == 0 {
			return
		}
		i := h.r.IntN(len(h.loans))
		l := &h.loans[i]
		if k := min(l.hits, 1+h.r.Uint32N(l.hits+1)); h.real <= l.end && k > 0 && h.r.IntN(4) > 0 {
			l.hits -= k
			h.note("hand out %d of a loan until %d", k, l.end)
			h.admitted(k)
			return
		}
		if h.real < l.end && h.r.IntN(4) > 0 {
			return
		}
		if l.r != 0 && l.hits > 0 {
			h.p.Give(h.now, ws, l.hits, l.r, &out)
			h.note("give %d of the loan until %d back: %+v", l.hits, l.end, out)
		}
		h.loans = append(h.loans[:i], h.loans[i+1:]...)
	case 7:
		if len(h.taken) == 0 {
			return
		}
		i := h.r.IntN(len(h.taken))
		k := h.taken[i]
		h.taken = append(h.taken[:i], h.taken[i+1:]...)
		h.p.Give(h.now, ws, k.hits, k.r, &out)
		h.forget(k.when, k.hits)
		h.note("undo %d of %d: %+v", k.hits, k.when, out)
	}
	if uint64(out.Limit) < out.Current && out.By >= 0 && len(h.specs[out.By].limits) == 1 && out.Allowed {
		h.fail("allowed with %d of %d spent", out.Current, out.Limit)
	}
	for i, w := range ws { // nothing that counts is unknown to the line, whatever is still to be handed out
		if w.Limit.Most() > 0 {
			out := take(h.t, h.p, h.now, 0, w)
			if got := h.spent(i, w.Limit); out.Current < got {
				h.fail("want %d: %d spent, the line knows of %d", i, got, out.Current)
			}
		}
	}
}

// Law: what is lent may be handed out at any moment of its term, and no window, nor bucket, ever has more than its limit.
func TestLentHitsAreNeverOver(t *testing.T) {
	lent := 0
	for seed := range histories(6000) {
		h := newLender(t, rand.New(rand.NewPCG(uint64(seed), 9)))
		h.log = append(h.log, fmt.Sprintf("seed %d", seed))
		for range 150 {
			h.step()
		}
		lent += strings.Count(strings.Join(h.log, ""), "hand out")
	}
	if lent < 1000 {
		t.Fatalf("only %d times was something handed out", lent)
	}
}

// What comes back right after the term leaves what was handed out.
func TestWhatIsNotHandedOutComesBack(t *testing.T) {
	for _, l := range []Limit{
		sliding(1000, 19*time.Second), sliding(100_000, 9*time.Second), sliding(5000, 10*time.Second).with(FixedWindow, 0),
		sliding(5000, 10*time.Second).with(TokenBucket, 6000),
	} {
		for _, before := range []uint32{0, 1, 500} {
			for _, early := range []Instant{0, 3000} {
				p, w := open(10), want(l, "k")
				now := noon + 1234
				if before > 0 {
					allowed(t, p, now, before, w)
				}
				got, end, out := lend(t, p, now, 300, 150*time.Millisecond, w)
				if got != 300 || end <= now+140_000 || out.Current < uint64(before)+300 {
					t.Fatalf("%v: %d until %d: %+v", l, got, end-now, out)
				}
				other := allowed(t, p, now+50_000, 7, w).Receipt
				least := uint64(before) + 107
				most := least
				if l.Algorithm == TokenBucket { // 5000 in 10 s are 75 in the term
					least, most = 107+max(75, uint64(before))-75, uint64(before)+107+75
				}
				out = give(t, p, end-early, 200, out.Receipt, w)
				if out.Current < least || out.Current > most {
					t.Errorf("%v: of %d and 300 lent, 200 of which came back, and 7, %d count, not %d to %d", l, before, out.Current, least, most)
				}
				out = give(t, p, end, 7, other, w)
				if l.Algorithm != TokenBucket && out.Current != least-7 || out.Current < least-7 {
					t.Errorf("%v: after giving back 7, %d count, not %d", l, out.Current, least-7)
				}
			}
		}
	}
}

func TestALoanEndsWithItsSlotOrWindow(t *testing.T) {
	for _, l := range []Limit{sliding(1000, 19*time.Second), sliding(100_000, 9*time.Second), sliding(1000, time.Second).with(FixedWindow, 0)} {
		for _, used := range []bool{false, true} {
			p, w := open(10), want(l, "k")
			if used {
				allowed(t, p, noon, 1, w)
			}
			for _, c := range []struct{ before, term Instant }{{200_000, 100_000}, {100_000, 99_999}, {5001, 5000}, {5000, 0}, {1, 0}} {
				now := noon + second - c.before
				if l.Algorithm == SlidingWindow {
					now -= bias % second // slots are a second wide, counted from there
				}
				_, end, _ := lend(t, p, now, 1, 100*time.Millisecond, w)
				if end-now != c.term {
					t.Errorf("%v, %d µs before the end: lent for %d µs, not %d", l, c.before, end-now, c.term)
				}
			}
		}
	}
}

func TestNothingIsLentOf(t *testing.T) {
	ok := sliding(1000, 20*time.Second)
	fresh := func(change func(*Want)) func(p *Partition) []Want {
		return func(*Partition) []Want {
			w := want(ok, "k")
			change(&w)
			return []Want{w}
		}
	}
	for name, c := range map[string]func(p *Partition) []Want{
		"a shadow":         fresh(func(w *Want) { w.Shadow = true }),
		"counted attempts": fresh(func(w *Want) { w.CountDenied = true }),
		"a small COUNT":    fresh(func(w *Want) { w.Limit.Count-- }),
		"a small COUNT beside": func(*Partition) []Want {
			return []Want{want(ok, "k"), want(sliding(999, time.Hour), "k")}
		},
		"exact times": func(p *Partition) []Want {
			allowed(t, p, noon, 1, want(sliding(10, 20*time.Second), "k"))
			return []Want{want(ok, "k")}
		},
		"two histories": func(p *Partition) []Want {
			allowed(t, p, noon, 1, want(ok, "k"))
			p.SetHistory(Name{Epoch: 3})
			return []Want{want(ok, "k")}
		},
		"nothing": func(p *Partition) []Want {
			allowed(t, p, noon, 1000, want(ok, "k"))
			return []Want{want(ok, "k")}
		},
		"a slot that is over": func(p *Partition) []Want {
			allowed(t, p, noon+10*second, 1, want(ok, "k"))
			return []Want{want(ok, "k")}
		},
		"a window that is over": func(p *Partition) []Want {
			w := want(ok.with(FixedWindow, 0), "k")
			allowed(t, p, noon+25*second, 1, w)
			return []Want{w}
		},
		"a short window": func(*Partition) []Want {
			return []Want{want(sliding(1000, 100*time.Millisecond).with(TokenBucket, 1000), "k")}
		},
	} {
		p := open(10)
		ws := c(p)
		before := clone(p)
		if n, _, out := lend(t, p, noon+second/2, 1, time.Second, ws...); n > 0 || p.Len() != before.Len() {
			t.Errorf("%s: %d were lent: %+v", name, n, out)
		}
		if out := take(t, p, noon+second/2, 0, ws...); out.Current != take(t, before, noon+second/2, 0, ws...).Current {
			t.Errorf("%s: something was spent: %+v", name, out)
		}
	}
	p := open(10)
	if n, _, out := lend(t, p, noon, 0, time.Second, want(ok, "k")); n > 0 || p.Len() > 0 {
		t.Errorf("%d of 0: %+v", n, out)
	}
	if n, _, out := lend(t, p, noon, 5000, time.Second, want(ok, "k"), want(sliding(2000, time.Hour), "k")); n != 1000 || out.Remaining != 0 || out.By != 0 {
		t.Errorf("%d: %+v", n, out)
	}
	denied(t, p, noon, 1, want(ok, "k"))
	p.SetState(Frozen, 1)
	if _, _, err := p.Lend(noon, []Want{want(ok, "k")}, 1, time.Second, &Outcome{}); err != ErrFrozen {
		t.Errorf("frozen: %v", err)
	}
	if _, _, err := p.Lend(noon, nil, 1, time.Second, &Outcome{}); err != ErrBadWants {
		t.Errorf("no wants: %v", err)
	}
}

// A bucket that is full when hits are lent gets nothing back for those that are handed out at the end of the term, and what is taken besides
// meanwhile is within burst.
func TestALoanFromAFullBucket(t *testing.T) {
	l := sliding(1000, time.Second).with(TokenBucket, 1000)
	p, w := open(10), want(l, "k")
	now := noon >> lentShift << lentShift
	got, end, out := lend(t, p, now, 1000, time.Second, w)
	if end-now > 50_000 || end-now < 40_000 || got != 1000-uint32((end-now+999)/1000) || out.Remaining != 0 {
		t.Fatalf("%d for %d µs: %+v", got, end-now, out)
	}
	denied(t, p, now, 1, w)
	if out := take(t, p, end, 0, w); out.Current != uint64(got) {
		t.Fatalf("%+v", out)
	}
	// Under a raised COUNT nothing more comes back until then: all of it may be handed out at the end.
	for _, when := range []Instant{end - 1, end, end + 10} {
		p := open(10)
		got, end, _ := lend(t, p, now, 900, time.Second, w)
		allowed(t, p, when, 1, want(sliding(1e6, time.Second).with(TokenBucket, 1e6), "k"))
		if out := take(t, p, end, 0, w); when <= end && out.Current < uint64(got)+1 || out.Current < uint64(got)-9 {
			t.Errorf("%d µs after the end: of %d lent and one taken, %d count", when-end, got, out.Current)
		}
	}
}

// Copies of a line of which hits are lent count them a window from the end of the term, as the line does.
func TestCopiesOfLentHits(t *testing.T) {
	for _, l := range []Limit{sliding(1000, 19*time.Second), sliding(100_000, 9*time.Second)} {
		for _, shift := range []Instant{0, 12345, 10 * minute} {
			p, w := open(10), want(l, "k")
			got, end, _ := lend(t, p, noon, 100, 200*time.Millisecond, w)
			q := open(10)
			half := noon + (end-noon)/2
			q.Replace(prepare(t, q, half+shift, p.Whole(half, true)))
			last := end + l.Window.micros() - 1
			if out := take(t, q, last+shift, 0, w); out.Current != uint64(got) {
				t.Errorf("%v: of %d lent, %d count at the end of their window", l, got, out.Current)
			}
			if out := take(t, q, last+1+shift, 0, w); out.Current != 0 {
				t.Errorf("%v: of %d lent, %d count after their window", l, got, out.Current)
			}
		}
	}
}

func TestLendAllocatesNothing(t *testing.T) {
	p := open(100)
	ws := []Want{
		want(sliding(1e6, time.Minute), "k"), want(sliding(1e6, time.Hour).with(FixedWindow, 0), "k"), want(sliding(1e6, time.Minute).with(TokenBucket, 1e6), "k"),
	}
	out := Outcome{Each: make([]State, 3)}
	now := noon
	p.Lend(now, ws, 10, time.Second, &out)
	if n := testing.AllocsPerRun(1000, func() {
		now += 1000
		n, _, _ := p.Lend(now, ws, 10, 200*time.Millisecond, &out)
		p.Give(now, ws, n, out.Receipt, &out)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A window's end that came from another clock is not aligned to ours. What was lent in it must not be given back to the window after, also
// if a check of that one, decided late, has an instant from before it began.
func TestRestOfALoanAndTheNextFixedWindow(t *testing.T) {
	p, w := open(10), want(sliding(1000, time.Second).with(FixedWindow, 0), "k")
	allowed(t, p, noon, 1, w)
	q := open(10)
	q.Replace(prepare(t, q, noon+300_000, p.Whole(noon, true)))
	q.SetState(Open, 2)
	n, _, out := lend(t, q, noon+1_100_000, 200, 200*time.Millisecond, w)
	if n == 0 {
		t.Fatal("nothing was lent")
	}
	allowed(t, q, noon+1_301_000, 1, w)
	allowed(t, q, noon+1_298_500, 1, w)
	allowed(t, q, noon+1_302_000, 998, w)
	give(t, q, noon+1_310_000, n, out.Receipt, w)
	denied(t, q, noon+1_311_000, 1, w)
}
