package bucket

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A source spends at random and hands out copies of its history.
type source struct {
	p    *Partition
	name Name
	now  Instant
	r    *rand.Rand
}

func newSource(seed uint64, name Name) *source {
	p := open(1000)
	p.SetHistory(name)
	return &source{p: p, name: name, now: noon, r: rand.New(rand.NewPCG(seed, name.Epoch))}
}

var lawWants = []Want{
	want(sliding(8, time.Minute), "k"), want(sliding(200, time.Hour), "k"), want(sliding(5000, time.Second), "k"), want(sliding(1e5, time.Hour+time.Second), "k"),
	want(sliding(50, time.Minute).with(FixedWindow, 0), "k"), want(sliding(30, time.Minute).with(TokenBucket, 40), "k"),
}

func (s *source) spend(n int) {
	for range n {
		s.now += Instant(s.r.Int64N(int64(2 * second)))
		w := lawWants[s.r.IntN(len(lawWants))]
		var out Outcome
		s.p.Take(s.now, []Want{w}, 1+s.r.Uint32N(w.Limit.Count/4), &out)
	}
}

func (s *source) export(t testing.TB, now Instant) *Copy {
	t.Helper()
	return export(t, s.p, now, s.name)
}

// export copies one history.
func export(t testing.TB, p *Partition, now Instant, name Name) *Copy {
	t.Helper()
	ls := p.Snapshot(now, true)
	for i := range ls.Histories {
		if c := &ls.Histories[i]; c.Name == name {
			return c
		}
	}
	t.Fatalf("no history %v of %v", name, p.Histories())
	return nil
}

func prepare(t testing.TB, p *Partition, now Instant, ls *Lines) *Prepared {
	t.Helper()
	pr, err := p.Prepare(now, ls)
	if err != nil {
		t.Fatal(err)
	}
	return pr
}

func wholeOf(c *Copy) *Lines {
	return &Lines{Seq: c.Seq, Whole: true, Histories: []Copy{*c}}
}

// sum is what a partition says is used, want by want.
func sum(t testing.TB, p *Partition, now Instant) string {
	s := ""
	for _, w := range lawWants {
		o := take(t, p, now, 0, w)
		s += fmt.Sprintf("%v: %d used, reset %v; ", w.Limit, o.Current, o.Reset)
	}
	return s
}

func merge(t testing.TB, p *Partition, now Instant, cs ...*Copy) {
	t.Helper()
	for _, c := range cs {
		p.Absorb(prepare(t, p, now, wholeOf(c)))
	}
}

// The laws of merging: idempotent, the newest copy of a history whatever the order, and a sum over names in any order.
func TestMergeLaws(t *testing.T) {
	for seed := range uint64(histories(600)) {
		r := rand.New(rand.NewPCG(seed, 3))
		var all, newest []*Copy
		end := noon + 40*second
		for n := range uint64(1 + r.IntN(3)) {
			s := newSource(seed, Name{Epoch: n + 1, Start: seed})
			for range 1 + r.IntN(3) {
				s.spend(1 + r.IntN(10))
				// All are exported as of one instant, as if they came at once: only then is order all that differs.
				all = append(all, s.export(t, end))
			}
			newest = append(newest, all[len(all)-1])
		}
		want := open(1000)
		merge(t, want, end, newest...)
		for range 3 {
			got := open(1000)
			for _, i := range r.Perm(len(all)) {
				merge(t, got, end, all[i])
				if r.IntN(2) == 0 {
					merge(t, got, end, all[i])
				}
			}
			if a, b := sum(t, got, end), sum(t, want, end); a != b {
				t.Fatalf("seed %d: in another order\n%s\nnot\n%s", seed, a, b)
			}
			if got.Len() != want.Len() || got.t.Stats().Lines != int64(want.Len()) {
				t.Fatalf("seed %d: %d lines, %d counted, want %d", seed, got.Len(), got.t.Stats().Lines, want.Len())
			}
		}
	}
}

// What is used is the sum of what each history used: never less.
func TestMergedHistoriesAddUp(t *testing.T) {
	for seed := range uint64(histories(600)) {
		end := noon + 60*second
		p := open(1000)
		least := make([]uint64, len(lawWants))
		for n := range uint64(1 + seed%3) {
			s := newSource(seed, Name{Epoch: n + 1})
			s.spend(20)
			merge(t, p, end, s.export(t, end))
			for i, w := range lawWants {
				least[i] += take(t, s.p, end, 0, w).Current
			}
		}
		for i, w := range lawWants {
			got := take(t, p, end, 0, w).Current
			// A part of a token counts as one in each history, and once in the sum.
			if parts := uint64(0); got > least[i] || got < least[i] && (w.Limit.Algorithm != TokenBucket || got+2 < least[i]+parts) {
				t.Fatalf("seed %d: %v: %d used, the histories have %d", seed, w.Limit, got, least[i])
			}
		}
	}
}

// Being handed over k times, each time to another clock, makes a line stricter by less than k/100 of a slot, and never over.
func TestManyHandoffsKeepThePhase(t *testing.T) {
	const k = 50
	for seed := range uint64(histories(300)) {
		s := newSource(seed, Name{Epoch: 1})
		s.spend(30)
		p, r, shift := s.p, s.r, Instant(0)
		for range k {
			next := Instant(r.Int64N(int64(hour)))
			q := open(1000)
			merge(t, q, s.now+next, export(t, p, s.now+shift, s.name))
			q.SetHistory(s.name)
			p, shift = q, next
		}
		for _, w := range lawWants {
			if w.Limit.Algorithm == FixedWindow {
				continue // it is remembered until our boundary
			}
			// The slot of w's layout, of which k/100 and k microseconds is the allowance.
			late := strictness(w.Limit.Window, w.Limit.Count)*k/100 + k
			for at := s.now; at < s.now+2*w.ID.Window().micros(); at += w.ID.Window().micros() / 97 {
				moved, stayed := take(t, p, at+shift, 0, w).Current, take(t, s.p, at, 0, w).Current
				before := take(t, s.p, max(at-late, s.now), 0, w).Current
				if moved < stayed || moved > before {
					t.Fatalf("seed %d: %v: %v later %d used after %d handoffs, %d without, %d a little before", seed, w.Limit, at-s.now, moved, k, stayed, before)
				}
			}
		}
	}
}

// 60 spent, then 5 on each side of a split: 70, not 130.
func TestACommonPastCountsOnce(t *testing.T) {
	w := want(sliding(200, time.Hour), "k")
	holder := open(10)
	old := Name{Epoch: 1, Start: 11}
	holder.SetHistory(old)
	allowed(t, holder, noon, 60, w)
	backup := open(10)
	backup.Replace(prepare(t, backup, noon, holder.Whole(noon, false)))

	own := Name{Epoch: 2, Start: 22}
	backup.SetHistory(own)
	allowed(t, backup, noon+second, 5, w)
	allowed(t, holder, noon+second, 5, w)

	c := holder.Whole(noon+second, true)
	for range 2 {
		backup.Absorb(prepare(t, backup, noon+second, c))
		if out := take(t, backup, noon+second, 0, w); out.Current != 70 {
			t.Fatalf("%d counted, not 70", out.Current)
		}
	}
	if hs := backup.Histories(); len(hs) != 2 || hs[0].Name != own || hs[1].Name != old || hs[1].Lines != 1 {
		t.Fatalf("%+v", hs)
	}
	// Handed back with both histories, the old one goes on.
	holder.Replace(prepare(t, holder, noon+second, backup.Whole(noon+second, true)))
	if out := take(t, holder, noon+second, 0, w); out.Current != 70 {
		t.Fatalf("%d counted, not 70", out.Current)
	}
	denied(t, holder, noon+second, 131, w)
	allowed(t, holder, noon+second, 130, w)
}

func TestAMergeThatDoesNotFitChangesNothing(t *testing.T) {
	s := newSource(1, Name{Epoch: 1})
	s.spend(30)
	c := s.export(t, s.now)
	p := open(len(c.Records) + 1)
	a, b := want(sliding(5, time.Minute), "a"), want(sliding(5, time.Minute), "b")
	allowed(t, p, s.now, 1, a)
	allowed(t, p, s.now, 1, b)
	if _, err := p.Prepare(s.now, wholeOf(c)); !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	if p.Len() != 2 || len(p.Histories()) != 1 || p.t.Stats().Lines != 2 {
		t.Fatalf("%+v", p.t.Stats())
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	s := newSource(1, Name{Epoch: 1})
	s.spend(60)
	good := s.export(t, s.now)
	merge(t, open(100), s.now, good)
	for i, spoil := range []func(*Record){
		func(r *Record) { r.Clock &^= kindMask },
		func(r *Record) { r.Clock |= kindMask }, // attempts
		func(r *Record) { r.ID = ID{} },
		func(r *Record) {
			r.Clock = r.Clock&^kindMask&^(0xff<<recordAuxShift) | uint64(exact) | 11<<recordAuxShift
		},
		func(r *Record) { r.Clock = r.Clock&^kindMask | uint64(slots1) | uint64(maxFresh)<<freshShift },
		func(r *Record) {
			r.Clock = r.Clock&^kindMask | uint64(token)
			r.Marks = [5]uint64{1, uint64(hour) * 25, 0, 0, 0}
		},
		func(r *Record) { *r = good.Records[1] }, // twice
	} {
		c := *good
		c.Records = slices.Clone(good.Records)
		spoil(&c.Records[0])
		p := open(100)
		if _, err := p.Prepare(s.now, wholeOf(&c)); !errors.Is(err, ErrBadRecord) || p.Len() != 0 || p.t.Stats().Lines != 0 {
			t.Errorf("spoilt %d: %v, %+v", i, err, p.t.Stats())
		}
	}
}

// Whatever records arrive, nothing breaks, and what is accepted can be taken from, exported and merged again.
func FuzzMerge(f *testing.F) {
	s := newSource(7, Name{Epoch: 1})
	s.spend(60)
	c := export(f, s.p, s.now, s.name)
	for _, r := range c.Records {
		f.Add(r.ID.Line>>restBits, r.Clock, r.Marks[0], r.Marks[1], r.Marks[2], r.Marks[3], int64(noon))
	}
	f.Add(uint64(100), uint64(exact)|10<<recordAuxShift, uint64(1)<<63, uint64(0), uint64(0), uint64(0), int64(0))
	f.Add(uint64(Month), uint64(fixed)|1<<60, uint64(1)<<63, uint64(1)<<63, uint64(1)<<63, uint64(0), int64(-5))
	f.Fuzz(func(t *testing.T, window, clock, a, b, c, d uint64, now int64) {
		id := ID{Key: 5, Line: window<<restBits | 77}
		cp := &Copy{Name: Name{Epoch: 9}, Seq: 1, Records: []Record{{ID: id, Clock: clock, Marks: [5]uint64{a, b, c, d}}}}
		p := open(10)
		pr, err := p.Prepare(Instant(now), wholeOf(cp))
		if err != nil {
			if p.Len() != 0 || p.t.lines.Load() != 0 {
				t.Fatal("a refused copy left lines")
			}
			return
		}
		p.Absorb(pr)
		p.SetHistory(cp.Name)
		w := Want{ID: id, Limit: Limit{Count: 20, Window: id.Window(), Algorithm: Algorithm(families[clock&kindMask] - slidingFamily)}}
		if w.Limit.Algorithm == TokenBucket {
			w.Limit.Burst = 25
		}
		for _, at := range []Instant{Instant(now), Instant(now) + 1, Instant(now) + 50000, Instant(now) - 50000, maxFresh} {
			out := take(t, p, at, 1, w)
			if d := w.ID.Window().Longest(); w.Limit.Algorithm != TokenBucket && (out.Retry > d || out.Reset > d) || out.Retry < 0 || out.Reset < 0 {
				t.Fatalf("%+v", out)
			}
			give(t, p, at, 1, out.Receipt, w)
			for _, again := range []*Lines{p.Snapshot(at, true), p.Changes(at, true), p.Whole(at, true), p.Changes(at, false)} {
				if _, err := open(10).Prepare(at, again); err != nil {
					t.Fatalf("its own export is refused: %v\n%+v", err, again)
				}
			}
		}
	})
}

// A stream of bytes is read as operations on a table that is too small for them, beside the models.
func FuzzTable(f *testing.F) {
	f.Add([]byte("hits and windows and keys, over and over again: 0123456789"))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 254, 253, 128, 127, 64, 63, 32})
	for i := range uint64(4) {
		r := rand.New(rand.NewPCG(i, 4))
		b := make([]byte, 400)
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		f.Add(b)
	}
	limits := []Limit{sliding(3, time.Second), sliding(12, time.Minute), sliding(300, 61*time.Second), sliding(4, time.Minute).with(FixedWindow, 0), sliding(6, time.Second).with(TokenBucket, 9)}
	f.Fuzz(func(t *testing.T, b []byte) {
		const parts, lines = 3, 24
		tab := tableOf(parts, lines)
		models := map[ID]dumb{}
		deny := map[ID]Instant{} // what was told to come back, and when
		now := noon
		for len(b) >= 4 {
			op, key, lim, n := b[0], b[1]%16, b[2]%5, uint32(b[3]%5)
			b = b[4:]
			w := want(limits[lim], strconv.Itoa(int(key)))
			p := tab.Partition(w.ID.Partition(parts))
			switch op % 8 {
			case 0:
				now += Instant(op) * 10000
			case 1:
				tab.Expire(now, int(n))
			case 2:
				q := tab.Partition(int(key) % parts)
				q.Replace(prepare(t, q, now, q.Whole(now, true)))
			default:
				m := models[w.ID]
				if m == nil {
					m = newDumb(w.Limit, 0)
					models[w.ID] = m
				}
				out := take(t, p, now, n+1, w)
				least, _ := m.used(now, w.Limit)
				if out.Allowed && tab.Stats().Evicted == 0 && least+uint64(n)+1 > uint64(w.Limit.Most()) {
					t.Fatalf("over: %v has %d used, %d more were admitted", w.Limit, least, n+1)
				}
				if until, ok := deny[w.ID]; ok && now < until && out.Allowed {
					t.Fatalf("a line that denied was let through %v early", until-now)
				}
				delete(deny, w.ID)
				if out.Allowed {
					m.spend(now, w.Limit, uint64(n)+1)
				}
				if !out.Allowed && n == 0 && !out.Full {
					deny[w.ID] = now.Add(out.Retry)
				}
			}
			count := 0
			for i := range parts {
				q := tab.Partition(i)
				if err := q.own.check(q.own.n); err != nil {
					t.Fatal(err)
				}
				count += q.Len()
			}
			if s := tab.Stats(); s.Lines != int64(count) || count > lines {
				t.Fatalf("%d lines counted, %d there, %d allowed", s.Lines, count, lines)
			}
		}
	})
}
