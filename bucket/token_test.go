package bucket

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Take 10, get 9 of them back, take 5: with nothing but the 5, the bucket would have been full when they were taken. One comes back.
func TestATokenBucketGivesBackNoneThatCameBackOfThemselves(t *testing.T) {
	p, w := open(10), want(sliding(60, time.Minute).with(TokenBucket, 60), "k")
	r := allowed(t, p, noon, 10, w).Receipt
	allowed(t, p, noon+9*second, 5, w)
	if out := give(t, p, noon+9*second, 10, r, w); out.Current != 5 {
		t.Errorf("%+v", out)
	}
	if out := take(t, p, noon+14*second-1, 0, w); out.Current != 1 {
		t.Errorf("a moment before it is full: %+v", out)
	}
}

// What is given back late with nothing spent meanwhile, and what is given back at once, comes back whole.
func TestATokenBucketGivesBackWhole(t *testing.T) {
	w := want(sliding(60, time.Minute).with(TokenBucket, 600), "k")
	p := open(10)
	allowed(t, p, noon, 10, w)
	r := allowed(t, p, noon, 10, w).Receipt
	if out := give(t, p, noon+9*second, 10, r, w); out.Current != 1 {
		t.Errorf("with nothing spent meanwhile: %+v", out)
	}
	p = open(10)
	allowed(t, p, noon, 300, w)
	for i := range Instant(50) {
		now := noon + i*second/10
		before := take(t, p, now, 0, w).Current
		r := allowed(t, p, now, 100, w).Receipt
		if out := give(t, p, now, 100, r, w); out.Current != before {
			t.Fatalf("at once: %+v, not %d", out, before)
		}
	}
	// And from a bucket that misses much anyway, whatever was spent meanwhile.
	p = open(10)
	allowed(t, p, noon, 400, w)
	r = allowed(t, p, noon+second, 20, w).Receipt
	for i := range Instant(100) {
		allowed(t, p, noon+second+(i+1)*second/10, 1, w)
	}
	if out := give(t, p, noon+11*second, 20, r, w); out.Current != 400+100-11 {
		t.Errorf("from an empty bucket: %+v", out)
	}
}

// Law: after any give-backs by receipt, no fewer tokens are missing than if what came back had never been taken; and it is given
// back whole if the bucket never was nearly full.
func TestTokenGiveBacksAgainstAnIdealBucket(t *testing.T) {
	whole := 0
	for seed := range uint64(histories(6000)) {
		r := rand.New(rand.NewPCG(seed, 10))
		l := sliding(1+r.Uint32N([]uint32{5, 100, 5000}[r.IntN(3)]), time.Duration(100+r.IntN(10000))*time.Millisecond)
		l = l.with(TokenBucket, l.Count+r.Uint32N(l.Count+1))
		p, w := open(10), want(l, "k")
		d := newDumb(l, 0).(*dumbToken)
		now := noon
		var taken []takenHits
		for range 80 {
			now += Instant(r.Int64N(int64(l.Window.micros()) / []int64{1, 20, 300}[r.IntN(3)]))
			if r.IntN(3) > 0 || len(taken) == 0 {
				n := 1 + r.Uint32N(l.Burst/[]uint32{1, 3, 10}[r.IntN(3)]+1)
				if out := take(t, p, now, n, w); out.Allowed {
					d.spend(now, l, uint64(n))
					taken = append(taken, takenHits{r: out.Receipt, hits: n, when: now})
				}
			} else {
				i := r.IntN(len(taken))
				k := taken[i]
				taken = append(taken[:i], taken[i+1:]...)
				give(t, p, now, k.hits, k.r, w)
				d.give(now, k.when, k.when, l, uint64(k.hits))
			}
			out := take(t, p, now, 0, w)
			least, most := d.used(now, l)
			if out.Current < least || out.Current > most {
				t.Fatalf("seed %d: %d are missing, not %d to %d", seed, out.Current, least, most)
			}
			if d.apart && out.Current == least && least < most {
				whole++
			}
		}
	}
	if whole < 1000 {
		t.Errorf("only %d times was as much back as could be", whole)
	}
}
