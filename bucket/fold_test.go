package bucket

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// folding is a partition whose other histories were spent at random, and a copy of it in which the two oldest are folded.
func folding(t testing.TB, seed uint64, others int) (apart, together *Partition, now Instant) {
	apart, now = open(1000), noon+110*second
	for n := range uint64(others) {
		s := newSource(seed, Name{Epoch: n + 1})
		s.now = now - 40*second - Instant(s.r.Int64N(int64(40*second)))
		for range 40 {
			if s.spend(1); s.now > now-2*second {
				break
			}
		}
		allowed(t, s.p, s.now, 1, want(sliding(1, time.Hour), "x")) // one that counts still
		at := s.now + Instant(s.r.Int64N(int64(now-s.now)))
		merge(t, apart, at, s.export(t, at))
	}
	r := rand.New(rand.NewPCG(seed, 8))
	apart.SetHistory(Name{Epoch: 9})
	for range r.IntN(8) {
		w := lawWants[r.IntN(len(lawWants))]
		take(t, apart, now, 1+r.Uint32N(w.Limit.Count/5), w)
	}
	together = clone(apart)
	together.foldOldest()
	return apart, together, now
}

// Two histories in one count what they counted apart: never less, and no hit for longer than a slot more.
func TestFoldedHistoriesCountAsApart(t *testing.T) {
	for seed := range uint64(histories(120)) {
		apart, together, now := folding(t, seed, 2+int(seed%2))
		if a, b := len(apart.others)-1, len(together.others); a != b {
			t.Fatalf("%d other histories, want %d", b, a)
		}
		if n := together.t.Stats().Lines; n != int64(together.Len()) {
			t.Fatalf("%d lines are counted, %d there", n, together.Len())
		}
		for _, w := range lawWants {
			span := w.ID.Window().micros()
			late := coarsest(together, w) + 1
			// What counts in slots is rounded to a slot's end, which the microseconds of 39 slots do not hit.
			const round = 40
			for at := now; at < now+2*span; at += span / 97 {
				got, later := take(t, together, at, 0, w).Current, take(t, apart, at+round, 0, w).Current
				before := take(t, apart, at-late, 0, w).Current
				switch w.Limit.Algorithm {
				case TokenBucket:
					later = take(t, apart, at, 0, w).Current
					before = later + 1 // a part of a token, rounded up
				case FixedWindow:
					before = take(t, apart, at, 0, w).Current
				}
				if got < later || got > before {
					t.Fatalf("seed %d: %v: %v later %d are used, apart %d, and a slot before %d", seed, w.Limit, at-now, got, later, before)
				}
			}
		}
	}
}

// coarsest is the widest slot, or unit, that the want's lines have.
func coarsest(p *Partition, w Want) Instant {
	wide := Instant(1)
	for _, l := range p.linesOf(w.ID, w.Limit.Algorithm.family(), nil) {
		switch l.kind() {
		case slots1, slots2, slots4:
			wide = max(wide, Instant(l.grid().width))
		}
	}
	return wide
}

// Against every hit's time: never over, whatever the layouts, grids and clocks.
func TestFoldingIsNeverOver(t *testing.T) {
	for seed := range uint64(histories(1000)) {
		r := rand.New(rand.NewPCG(seed, 6))
		counts := []uint32{8, 200, 5000, 1e6}
		limit := func() Limit { return sliding(counts[r.IntN(len(counts))], time.Minute) }
		truth := dumbSliding{span: minute}
		end := noon + 50*second
		p := open(100)
		for n := range uint64(2) {
			s := newSource(seed, Name{Epoch: n + 1})
			for at := noon; at <= end; at += Instant(r.Int64N(int64(20 * second))) {
				w := want(limit(), "k")
				n := 1 + r.Uint32N(w.Limit.Count/2)
				if take(t, s.p, at, n, w).Allowed {
					truth.truth = append(truth.truth, hit{at, uint64(n)})
				}
			}
			merge(t, p, end, s.export(t, end))
		}
		p.foldOldest()
		for at := end; at < end+2*minute; at += minute / 61 {
			// The model's own `used` takes what comes later for a clock that went back; here nothing does.
			if used, least := take(t, p, at, 0, want(limit(), "k")).Current, truth.truth.after(at-minute); used < least {
				t.Fatalf("seed %d: %v after the last hit %d are used, and %d were spent", seed, at-end, used, least)
			}
		}
	}
}

// A fifth claim is never refused: it folds, and all counts on.
func TestAFifthHistoryFoldsTheOldest(t *testing.T) {
	p := open(10)
	w := want(sliding(100, time.Minute), "k")
	var copies []*Lines
	for i := range uint64(12) {
		p.SetHistory(Name{Epoch: i + 1, Start: i})
		if out := allowed(t, p, noon+Instant(i), 1, w); out.Current != i+1 {
			t.Fatalf("%d are used after %d claims", out.Current, i+1)
		}
		if hs := p.Histories(); len(hs) > maxHistories || hs[0].Name.Epoch != i+1 {
			t.Fatalf("%v", hs)
		}
		copies = append(copies, p.Snapshot(noon+Instant(i), true))
	}
	if n := p.t.Stats().Folded; n != 8 {
		t.Errorf("%d were folded", n)
	}
	if n := len(p.Snapshot(noon, true).Past); n != maxPast {
		t.Errorf("%d past histories are known, want the last %d", n, maxPast)
	}
	// Copies of what was folded of late come to nothing, though they come with a higher sequence.
	for _, ls := range copies[8:] {
		for i := range ls.Histories {
			ls.Histories[i].Seq += 100
		}
		ls.Histories = slices.DeleteFunc(ls.Histories, func(c Copy) bool { return p.historyNamed(c.Name) != nil })
		before := p.Seq()
		p.Absorb(prepare(t, p, noon+second, ls))
		if out := take(t, p, noon+second, 0, w); out.Current != 12 || p.Seq() != before {
			t.Fatalf("%d are used after a late copy", out.Current)
		}
	}
	// And what it was folded into goes on with the partition, with the names.
	q := open(10)
	q.Replace(prepare(t, q, noon, p.Whole(noon, true)))
	if a, b := take(t, q, noon, 0, w).Current, len(q.past); a != 12 || b != maxPast {
		t.Errorf("%d are used after a handoff, %d past histories known", a, b)
	}
}

// What two members folded, each for itself, is one history to both, and the one of them that has more in it is the newer.
func TestTheSameFoldIsOneHistory(t *testing.T) {
	w := want(sliding(100, time.Minute), "k")
	member := func(hits ...uint32) *Partition {
		p := open(10)
		for i, n := range hits {
			s := open(10)
			s.SetHistory(Name{Epoch: uint64(i) + 1, Start: 7})
			for range n {
				allowed(t, s, noon, 1, w)
			}
			p.Absorb(prepare(t, p, noon, s.Snapshot(noon, true)))
		}
		p.foldOldest()
		p.SetHistory(Name{Epoch: 9, Start: uint64(hits[0])})
		return p
	}
	for _, more := range [][]uint32{{5, 1, 1}, {1, 5, 1}} {
		p, q := member(1, 1, 1), member(more...)
		for range 2 {
			p.Absorb(prepare(t, p, noon, q.Snapshot(noon, true)))
			q.Absorb(prepare(t, q, noon, p.Snapshot(noon, true)))
		}
		a, b := take(t, p, noon, 0, w).Current, take(t, q, noon, 0, w).Current
		if a != 7 || b != 7 {
			t.Errorf("%v: %d and %d are used, in %v and %v", more, a, b, p.Histories(), q.Histories())
		}
	}
}

// Merging eight histories at once leaves four, and the sum.
func TestAbsorbingManyFolds(t *testing.T) {
	w := want(sliding(1000, time.Minute), "k")
	side := func(first uint64) *Partition {
		p := open(10)
		for i := range uint64(4) {
			p.SetHistory(Name{Epoch: first + i})
			allowed(t, p, noon, 10, w)
		}
		return p
	}
	p, q := side(1), side(11)
	q.Absorb(prepare(t, q, noon, p.Snapshot(noon, true)))
	if out := take(t, q, noon, 0, w); out.Current != 80 || len(q.Histories()) != maxHistories || q.t.Stats().Lines != int64(q.Len()) {
		t.Fatalf("%d are used, in %v", out.Current, q.Histories())
	}
	if ls := q.Changes(noon, false); !ls.Whole || ls.Len() != q.Len() {
		t.Errorf("the changes are %d lines of %d", ls.Len(), q.Len())
	}
	if ls := q.Changes(noon, false); ls.Whole || ls.Len() != 0 {
		t.Errorf("and then %d", ls.Len())
	}
}

// The hits of the newer line leave when they would have: its grid stays.
func TestFoldingKeepsTheNewerGrid(t *testing.T) {
	w := want(sliding(200, time.Minute), "k")
	p := open(10)
	for n, at := range []Instant{noon + 20*second, noon} {
		s := open(10)
		s.SetHistory(Name{Epoch: uint64(n) + 1})
		allowed(t, s, at, 30, w)
		merge(t, p, noon+30*second+7*Instant(n)*100000, export(t, s, noon+30*second, Name{Epoch: uint64(n) + 1}))
	}
	newer := p.others[0].find(w.ID, slidingFamily).aux()
	if newer == p.others[1].find(w.ID, slidingFamily).aux() {
		t.Fatal("the grids are the same from the start")
	}
	p.foldOldest()
	if aux := p.others[0].find(w.ID, slidingFamily).aux(); aux != newer {
		t.Errorf("the grid is at %d, not at %d", aux, newer)
	}
}

// A denying line stays that when it is folded with one that is not.
func TestFoldedLinesDeny(t *testing.T) {
	for _, count := range []uint32{5, 20} {
		for denying := range 2 {
			q := open(3)
			for n := range 2 {
				p := open(2)
				p.SetHistory(Name{Epoch: uint64(n) + 1})
				hits := uint32(1)
				if n == denying {
					hits = count
				}
				allowed(t, p, noon, hits, want(sliding(count, time.Minute), "k"))
				merge(t, q, noon, export(t, p, noon, Name{Epoch: uint64(n) + 1}))
			}
			q.foldOldest()
			for i := range 5 {
				take(t, q, noon+second, 1, want(sliding(5, time.Minute), string(rune('a'+i)))) // later fresh than the denying one
			}
			denied(t, q, noon+second, 1, want(sliding(count, time.Minute), "k"))
		}
	}
}

// Once the lines of another history are fresh it is gone, with one sweep; only what is newer brings it back.
func TestAnEmptyHistoryIsForgotten(t *testing.T) {
	p := open(10)
	w := want(sliding(10, time.Minute), "k")
	p.SetHistory(Name{Epoch: 1})
	allowed(t, p, noon, 1, w)
	old := p.Snapshot(noon, true)
	allowed(t, p, noon, 1, w)
	p.SetHistory(Name{Epoch: 2})
	p.t.Expire(noon+minute, 1)
	if hs := p.Histories(); len(hs) != 1 {
		t.Fatalf("%v", hs)
	}
	p.Absorb(prepare(t, p, noon+minute, old))
	if hs := p.Histories(); len(hs) != 1 {
		t.Fatalf("an old copy is back: %v", hs)
	}
	old.Histories[0].Seq = 100
	p.Absorb(prepare(t, p, noon+minute, old))
	if out := take(t, p, noon+minute, 0, w); out.Current != 1 {
		t.Fatalf("%+v", out)
	}
}

// Without a receipt, and with one from before a claim, the oldest hits leave, in whatever history they are.
func TestGivingBackAfterAClaim(t *testing.T) {
	for _, l := range []Limit{sliding(10, time.Minute), sliding(100, time.Minute), sliding(100, time.Minute).with(FixedWindow, 0)} {
		p := open(10)
		w := want(l, "k")
		p.SetHistory(Name{Epoch: 1})
		out := allowed(t, p, noon, 4, w)
		p.SetState(Open, 2)
		p.SetHistory(Name{Epoch: 2})
		if o := give(t, p, noon+second, 1, out.Receipt, w); o.Current != 3 {
			t.Fatalf("%v: nothing spent here yet: %d are used, not 3", l, o.Current)
		}
		mine := allowed(t, p, noon+second, 5, w)
		if o := give(t, p, noon+second, 1, mine.Receipt, w); o.Current != 7 {
			t.Fatalf("%v: %d are used, not 7", l, o.Current)
		}
		if hs := p.Histories(); hs[1].Lines != 1 {
			t.Fatalf("%v: a receipt's hits left another history: %v", l, hs)
		}
		if o := give(t, p, noon+second, 5, 0, w); o.Current != 2 {
			t.Fatalf("%v: %d are used, not 2", l, o.Current)
		}
		if o := give(t, p, noon+second, 5, 0, w); o.Current != 0 {
			t.Fatalf("%v: %d are used, not 0", l, o.Current)
		}
		allowed(t, p, noon+second, uint32(l.Count), w)
	}
}
