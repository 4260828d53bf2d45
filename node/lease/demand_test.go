package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A shape is hot from its fourth check in an interval; one wish is under way at a time.
func TestHot(t *testing.T) {
	b := newBook(t)
	for i := range hot - 1 {
		if w := b.Want(b.now, b.wants, 1); w != 0 {
			t.Fatalf("check %d wishes for %d", i, w)
		}
	}
	if s := b.Stats(); s.Entries != 0 {
		t.Errorf("%d entries before anything is hot", s.Entries)
	}
	if w := b.Want(b.now, b.wants, 1); w != leastSlice {
		t.Fatalf("wishes for %d", w)
	}
	if w := b.Want(b.now, b.wants, 1); w != 0 {
		t.Errorf("a second wish for %d, while the first is on its way", w)
	}
	b.now += 51 * ms // it was lost
	if w := b.Want(b.now, b.wants, 1); w == 0 {
		t.Error("no wish after one that was lost")
	}
	b.NotLent(b.now, b.wants)
	if w := b.Want(b.now, b.wants, 1); w != 0 {
		t.Errorf("a wish for %d just after nothing was lent", w)
	}
	b.now += 51 * ms
	if w := b.Want(b.now, b.wants, 1); w == 0 {
		t.Error("no wish a while after nothing was lent")
	}
}

func TestColdShapesDoNotBorrow(t *testing.T) {
	b := newBook(t)
	for range 100 {
		if w := b.Want(b.now, b.wants, 1); w != 0 {
			t.Fatalf("wishes for %d", w)
		}
		b.now += 60 * ms
	}
	b = newBook(t, "10000/1h", "999/1m") // `remaining` is exact below 1000
	for range 100 {
		if w := b.Want(b.now, b.wants, 1); w != 0 {
			t.Fatalf("wishes for %d under a small limit", w)
		}
	}
}

// A flood of different keys makes no entries.
func TestFlood(t *testing.T) {
	p := New(0)
	now := 1000 * sec
	limit := shape(t, "k", "10000/1h")
	wishes := 0
	for i := range 200_000 {
		wants := append([]bucket.Want(nil), limit...)
		wants[0].ID.Key = hasher.Key(fmt.Appendf(nil, "key%d", i)).Key
		if p.Want(now, wants, 1) > 0 {
			wishes++
		}
		now += 5 // 200,000 a second
	}
	if s := p.Stats(); s.Entries > 2000 || wishes > 0 {
		t.Errorf("%d entries, %d wishes of 200,000 keys that were asked for once", s.Entries, wishes)
	}
}

// Loans grow until they last for a term, and shrink again with what is asked for.
func TestSlicesAdapt(t *testing.T) {
	b := newBook(t, "100000000/1h")
	var forwarded, loans, last int
	run := func(d time.Duration, every bucket.Instant) {
		forwarded, loans = 0, 0
		for end := b.now.Add(d); b.now < end; b.now += every {
			var o bucket.Outcome
			var f From
			a, borrow := b.Answer(b.now, b.wants, 1, &o, &f)
			if a == Lent {
				continue
			}
			forwarded++
			if borrow == 0 {
				borrow = b.Want(b.now, b.wants, 1)
			}
			if borrow > 0 {
				loans, last = loans+1, int(borrow)
				b.Lent(b.Sent(b.now), b.now, b.wants, Grant{borrow, Term, 7, holder}, said(1_000_000))
			}
			b.Sweep(b.now)
			b.Rests(nil)
		}
	}
	run(time.Second, 20) // 50,000 a second
	if forwarded > 60 || last < 6000 || last > 60_000 {
		t.Errorf("busy: %d of 50,000 forwarded, %d loans, the last of %d", forwarded, loans, last)
	}
	run(2*time.Second, 2*ms)
	if forwarded > 100 || last > 400 {
		t.Errorf("less busy: %d of 1,000 forwarded, %d loans, the last of %d", forwarded, loans, last)
	}
	run(2*time.Second, 100*ms)
	if loans > 1 {
		t.Errorf("idle: %d loans", loans)
	}
}

// Shortly before a loan ends, one check fetches the next while others still live on it.
func TestRenewal(t *testing.T) {
	b := newBook(t)
	for range 40 {
		b.Want(b.now, b.wants, 1)
	}
	b.lent(100, Term)
	b.now += 160 * ms
	var o bucket.Outcome
	var f From
	if a, borrow := b.Answer(b.now, b.wants, 1, &o, &f); a != Nothing || borrow == 0 {
		t.Errorf("answer %d, borrow %d", a, borrow)
	}
	b.asks(1, Lent)
	b.lent(100, Term)
	b.rests(99)
	b.asks(70, Lent)
	if a, borrow := b.Answer(b.now, b.wants, 10, &o, &f); a != Nothing || borrow < 200 {
		t.Errorf("nearly used up: answer %d, borrow %d", a, borrow)
	}
	b.asks(30, Lent)
}

func TestSlice(t *testing.T) {
	for _, c := range []struct {
		limit, remaining, wish, hits uint32
		members                      int
		want                         uint32
	}{
		{10_000, 9000, 64, 1, 3, 64},
		{10_000, 9000, 4096, 1, 3, 750},
		{10_000, 500, 4096, 1, 3, 41},
		{10_000, 499, 4096, 1, 3, 0}, // near the limit
		{10_000, 0, 4096, 1, 3, 0},
		{1000, 90, 64, 1, 3, 0}, // seven are not worth it
		{1000, 1000, 4096, 1, 0, 250},
		{1<<32 - 1, 1<<32 - 1, 1 << 31, 1, 1, (1<<32 - 1) / 4},
		{10_000, 9000, 4096, 187, 3, 750},
		{10_000, 9000, 4096, 188, 3, 0}, // it would do for three checks
		{10_000, 9000, 64, 20, 3, 0},
		{10_000, 9000, 64, 1 << 31, 3, 0},
	} {
		if got := Slice(c.limit, c.remaining, c.wish, c.hits, c.members); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	// What all members together can be lent at once, each asking again and again, leaves most of what is left.
	for members := 1; members < 50; members++ {
		left := uint32(1_000_000)
		for range members {
			left -= Slice(1_000_000, left, 1<<31, 1, members)
		}
		if left < 750_000 {
			t.Errorf("%d members: %d left", members, left)
		}
	}
}
