package lease

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A loaned is what the dumb model knows of a loan: each has a receipt of its own.
type loaned struct {
	shape              int
	granted, spent     uint32
	ends               bucket.Instant
	returned, finished bool
}

// A refused is what it knows of a denial.
type refused struct {
	hits        uint32
	sent, heard bucket.Instant
	retry       time.Duration
	until       bucket.Instant
	doubted     bool // allowed or given back since
}

// Whatever comes in what order, each loan is handed out at most once, to checks of its shape, before its end, and what is left of it is given back
// exactly once and not handed out after that. Each denial was heard, is still good, and tells no wait that is too short. Held against a model
// that keeps everything.
func TestPurseModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, seed) })
	}
}

func runModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	p := New([]int{1, 64}[seed%2])
	var shapes [][]bucket.Want
	for i := range 24 {
		limits := [][]string{{"10000/1h"}, {"10000/1h", "50000/1d fixed_window"}, {"3000/1m token_bucket burst=9000"}, {"20/1h"}}[i%4]
		shapes = append(shapes, shape(t, fmt.Sprint("key", i/6), limits...)) // several shapes of one key
		if i%6 > 3 {
			for k := range shapes[i] {
				shapes[i][k].Limit.Count += uint32(i)
				if shapes[i][k].Limit.Burst > 0 {
					shapes[i][k].Limit.Burst += uint32(i)
				}
			}
		}
	}
	loans := map[bucket.Receipt]*loaned{}
	denials := map[int][]*refused{}
	now := 1000 * sec
	var spent, lent, lost uint64
	takeRests := func() {
		for _, rest := range p.Rests(nil) {
			l := loans[rest.Receipt]
			switch {
			case l.returned:
				t.Fatalf("the rest of loan %d is given back twice", rest.Receipt)
			case l.finished:
				t.Fatalf("loan %d was dropped, and is given back", rest.Receipt)
			case rest.Hits != l.granted-l.spent || !same(rest.Wants(), shapes[l.shape]) || rest.From.Epoch != uint64(rest.Receipt):
				t.Fatalf("rest %+v of %+v", rest, l)
			}
			l.returned = true
			p.Returned(rest.Hits)
		}
	}
	for step := range 4000 {
		now += bucket.Instant(r.Int64N(int64(10 * ms)))
		i := r.IntN(len(shapes))
		wants := shapes[i]
		hits := uint32(1 + r.IntN(4)*r.IntN(4))
		switch op := r.IntN(20); {
		case op < 10:
			o := bucket.Outcome{}
			if r.IntN(5) == 0 {
				o.Each = make([]bucket.State, len(wants))
			}
			var f From
			switch a, _ := p.Answer(now, wants, hits, &o, &f); a {
			case Lent:
				l := loans[o.Receipt]
				if l == nil || l.shape != i || now >= l.ends || l.returned || l.finished || l.spent+hits > l.granted || f.Epoch != uint64(o.Receipt) {
					t.Fatalf("step %d: %d hits of shape %d at %d answered from %+v", step, hits, i, now, l)
				}
				l.spent += hits
				spent += uint64(hits)
				if want := uint32(1_000_000) - l.spent; o.Remaining != want {
					t.Fatalf("step %d: remaining %d, want %d", step, o.Remaining, want)
				}
			case Denied:
				ok := false
				for _, d := range denials[i] {
					// The holder decided between sent and heard.
					ok = ok || d.hits == hits && now < d.until && !d.doubted && now.Add(o.Retry) >= d.heard.Add(d.retry)
				}
				if !ok {
					t.Fatalf("step %d: %d hits of shape %d at %d denied, by %+v", step, hits, i, now, denials[i])
				}
			}
		case op < 13:
			receipt := bucket.Receipt(step + 1)
			sent := now - bucket.Instant(r.Int64N(int64(30*ms)))
			g := Grant{uint32(1 + r.IntN(60)), time.Duration(5+r.IntN(300)) * time.Millisecond, receipt, From{"h", uint64(receipt)}}
			loans[receipt] = &loaned{shape: i, granted: g.Hits, ends: sent.Add(min(g.Term, Term))}
			lent += uint64(g.Hits)
			o := &bucket.Outcome{Allowed: true, State: bucket.State{Remaining: 1_000_000}}
			if r.IntN(3) == 0 {
				o.Each = make([]bucket.State, len(wants))
			}
			p.Lent(p.Sent(sent), now, wants, g, o)
			for _, d := range denials[i] {
				d.doubted = d.doubted || d.hits <= g.Hits && now < loans[receipt].ends && mayBeLent(wants)
			}
		case op < 16:
			sent := now - bucket.Instant(r.Int64N(int64(30*ms)))
			retry := time.Duration(1+r.Int64N(2000)) * time.Millisecond
			o := no(retry)
			o.Reset = min(retry, time.Duration(1+r.Int64N(2000))*time.Millisecond)
			p.HeardDenied(p.Sent(sent), now, wants, hits, o, From{"h", 1})
			denials[i] = append(denials[i], &refused{hits, sent, now, retry, sent.Add(min(retry, o.Reset, time.Second)), false})
		case op == 16:
			p.HeardAllowed(wants, hits)
			for _, d := range denials[i] {
				d.doubted = d.doubted || d.hits <= hits
			}
		case op == 17:
			p.Refund(wants[0].ID.Key)
			for k := range shapes {
				for _, d := range denials[k] {
					d.doubted = d.doubted || shapes[k][0].ID.Key == wants[0].ID.Key
				}
			}
		case op == 18:
			p.Sweep(now)
			takeRests()
		default:
			switch {
			case r.IntN(20) == 0:
				takeRests()
				p.Drop()
				for _, l := range loans {
					if !l.returned && !l.finished && l.spent < l.granted {
						lost += uint64(l.granted - l.spent)
					}
					l.finished = l.finished || !l.returned
				}
				for _, list := range denials {
					for _, d := range list {
						d.doubted = true
					}
				}
			default:
				p.Want(now, wants, hits)
			}
		}
	}
	p.Close()
	takeRests()
	s := p.Stats()
	if s.Spent != spent || s.Granted != lent || s.Lost != lost || s.Granted != s.Spent+s.Returned+s.Lost || s.Live != 0 {
		t.Errorf("%+v, want %d lent, %d spent, %d lost", s, lent, spent, lost)
	}
	if spent == 0 || s.Denied == 0 || s.Returned == 0 {
		t.Errorf("nothing happened: %+v", s)
	}
}

// Many goroutines at one purse hand out no hit twice: all that was granted is spent, given back or lost.
func TestManyAtOnce(t *testing.T) {
	p := New(64)
	const loans, hits, asked = 300, 50, 20_000
	wants := [][]bucket.Want{shape(t, "a", "10000/1h"), shape(t, "b", "10000/1h"), shape(t, "c", "10000/1h")}
	start := time.Now()
	clock := func() bucket.Instant { return 1000*sec + bucket.Instant(time.Since(start)/time.Microsecond) }
	var mu sync.Mutex
	given := map[bucket.Receipt]uint32{}
	var wg sync.WaitGroup
	for id := range 4 {
		wg.Go(func() {
			mine := map[bucket.Receipt]uint32{}
			for i := range asked {
				var o bucket.Outcome
				var f From
				if a, _ := p.Answer(clock(), wants[i%3], 1, &o, &f); a == Lent {
					mine[o.Receipt]++
				}
				if i%100 == 0 && id == 0 {
					p.Sweep(clock())
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for r, n := range mine {
				given[r] += n
			}
		})
	}
	for id := range 2 {
		wg.Go(func() {
			for i := range loans {
				p.Lent(p.Sent(clock()), clock(), wants[i%3], Grant{hits, time.Millisecond, bucket.Receipt(2*i + id + 1), holder}, said(5000))
			}
		})
	}
	wg.Wait()
	p.Close()
	for _, r := range p.Rests(nil) {
		given[r.Receipt] += r.Hits
	}
	total := uint32(0)
	for r, n := range given {
		if n != hits {
			t.Errorf("loan %d: %d handed out and given back, of %d", r, n, hits)
		}
		total += n
	}
	if total != 2*loans*hits {
		t.Errorf("%d handed out and given back, of %d", total, 2*loans*hits)
	}
}

func TestAnswersAllocateNothing(t *testing.T) {
	b := newBook(t)
	b.lent(1_000_000, Term)
	var o bucket.Outcome
	var f From
	wants := b.wants
	if n := testing.AllocsPerRun(1000, func() {
		if a, _ := b.Answer(b.now, wants, 1, &o, &f); a != Lent {
			t.Fatal(a)
		}
	}); n != 0 {
		t.Errorf("from a loan: %v allocations", n)
	}
	b.HeardDenied(b.Sent(b.now), b.now, b.wants, 2_000_000, no(time.Hour), holder)
	if n := testing.AllocsPerRun(1000, func() {
		if a, _ := b.Answer(b.now, wants, 2_000_000, &o, &f); a != Denied {
			t.Fatal(a)
		}
	}); n != 0 {
		t.Errorf("from a denial: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { b.Want(b.now, wants, 1) }); n != 0 {
		t.Errorf("a wish: %v allocations", n)
	}
}

func BenchmarkAnswer(b *testing.B) {
	k := newBook(b)
	var o bucket.Outcome
	var f From
	b.Run("loan", func(b *testing.B) {
		k.Lent(k.Sent(k.now), k.now, k.wants, Grant{1 << 31, Term, 7, holder}, said(5000))
		for b.Loop() {
			k.Answer(k.now, k.wants, 1, &o, &f)
		}
	})
	b.Run("nothing", func(b *testing.B) {
		other := shape(b, "other", "10000/1h")
		for b.Loop() {
			if k.Has(other[0].ID.Key) {
				b.Fatal("there is nothing")
			}
		}
	})
	b.Run("want", func(b *testing.B) {
		other := shape(b, "other", "10000/1h")
		now := k.now
		for b.Loop() {
			k.Want(now, other, 1)
			now += 100 * ms
		}
	})
}
