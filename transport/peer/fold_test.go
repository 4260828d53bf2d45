package peer

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// TestFoldingTellsEveryAskWhatItWouldHaveBeenToldAlone sends random asks on few keys in batches, and holds each answer
// against the same asks decided one by one.
func TestFoldingTellsEveryAskWhatItWouldHaveBeenToldAlone(t *testing.T) {
	folded := uint64(0)
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			d, alone := newCounters(), newCounters()
			x := newPair(t, d, nil)
			defer x.close()
			for range 5 {
				c := GetCall(1 + r.IntN(120))
				want := make([]bucket.Outcome, len(c.Asks))
				for i := range c.Asks {
					a := randomAsk(c, i, r)
					want[i].Each = make([]bucket.State, len(a.Outcome.Each))
					alone.take(&Entry{Wants: a.Wants, Hits: a.Hits}, &want[i])
					x.pipe.Send(a)
				}
				c.Wait()
				for i := range c.Asks {
					a := &c.Asks[i]
					if a.Code != Decided || !same(a.Outcome, want[i]) {
						t.Fatalf("seed %d, ask %d of %d: %d hits of %+v\n got %+v\nwant %+v", seed, i, len(c.Asks), a.Hits, a.Wants, a.Outcome, want[i])
					}
				}
				c.Put()
			}
			for id, n := range alone.spent {
				if d.spent[id] != n {
					t.Fatalf("seed %d: line %v: %d spent, alone %d", seed, id, d.spent[id], n)
				}
			}
			folded += x.pipe.Stats().Folded.Load()
		})
	}
	if folded < 1000 {
		t.Errorf("only %d asks folded", folded)
	}
}

func randomAsk(c *Call, i int, r *rand.Rand) *Ask {
	key := uint64(r.IntN(4))
	wants := []bucket.Want{want(key, []uint32{5, 20, 60}[r.IntN(3)])}
	if r.IntN(3) == 0 {
		w := want(key, 30)
		w.ID.Line++
		w.CountDenied = r.IntN(2) == 0
		wants = append(wants, w)
	}
	wants[0].CountDenied = r.IntN(4) == 0
	hits := int64(1)
	switch r.IntN(12) {
	case 0:
		hits = 0
	case 1:
		hits = -int64(1 + r.IntN(4))
	case 2:
		hits = 7 // more than the least limit: never
	case 3, 4:
		hits = 2
	}
	a := fill(c, i, key, hits, wants...)
	if hits < 0 && r.IntN(2) == 0 {
		a.Receipt = 9
	}
	if r.IntN(10) == 0 {
		a.Each = true
		a.Outcome.Each = c.States(len(wants))
	}
	return a
}

func same(a, b bucket.Outcome) bool {
	if len(a.Each) != len(b.Each) {
		return false
	}
	for i := range a.Each {
		if a.Each[i] != b.Each[i] {
			return false
		}
	}
	return a.Allowed == b.Allowed && a.Never == b.Never && a.Full == b.Full && a.By == b.By && a.State == b.State &&
		a.Receipt == b.Receipt && a.Shadowed == b.Shadowed
}

// newBatch makes a batch of asks and returns its entries as the server reads them.
func entriesOf(t *testing.T, asks ...*Ask) []Entry {
	t.Helper()
	var b batch
	b.reset(nil, 0, len(asks), MaxEntries)
	for _, a := range asks {
		if !b.add(a, 1, 10, 0) {
			t.Fatal("batch is full")
		}
	}
	var got []Entry
	rest := b.buf
	for range b.entries {
		var e Entry
		var err error
		if rest, err = readEntry(rest, &e, new([bucket.MaxWants]bucket.Want)); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes left", len(rest))
	}
	return got
}

func TestWhatFoldsAndWhatDoesNot(t *testing.T) {
	c := GetCall(2)
	defer c.Put()
	shadow := want(7, 10)
	shadow.Shadow = true
	for _, x := range []struct {
		why    string
		change func(a *Ask)
		folds  bool
	}{
		{"alike", func(a *Ask) {}, true},
		{"another key", func(a *Ask) { a.Wants = []bucket.Want{want(7+partitions, 10)} }, false},
		{"another count", func(a *Ask) { a.Wants = []bucket.Want{want(7, 11)} }, false},
		{"another flag", func(a *Ask) { a.Wants = []bucket.Want{shadow} }, false},
		{"one more limit", func(a *Ask) { a.Wants = []bucket.Want{want(7, 10), {ID: bucket.ID{Key: 7, Line: 1}}} }, false},
		{"more hits", func(a *Ask) { a.Hits = 2 }, false},
		{"a peek", func(a *Ask) { a.Hits = 0 }, false},
		{"a give-back", func(a *Ask) { a.Hits = -1 }, false},
		{"all states", func(a *Ask) { a.Each = true }, false},
		{"another epoch", func(a *Ask) { a.Epoch++ }, false},
		{"of a hold that failed", func(a *Ask) { a.Failed = true }, false},
		{"another way to split", func(a *Ask) { a.OnSplit = transport.SplitShare }, false},
	} {
		a, b := fill(c, 0, 7, 1, want(7, 10)), fill(c, 1, 7, 1, want(7, 10))
		x.change(b)
		for _, order := range [][2]*Ask{{a, b}, {b, a}} {
			n := len(entriesOf(t, order[0], order[1]))
			if (n == 1) != x.folds {
				t.Errorf("%s: %d entries", x.why, n)
			}
		}
	}
	// Two that are both what does not fold.
	for _, hits := range []int64{0, -1, 11} {
		a, b := fill(c, 0, 7, hits, want(7, 10)), fill(c, 1, 7, hits, want(7, 10))
		if n := len(entriesOf(t, a, b)); n != 2 {
			t.Errorf("two of %d hits under 10 became %d entries", hits, n)
		}
	}
}

func TestFoldingKeepsTheOrderOnAKey(t *testing.T) {
	c := GetCall(6)
	defer c.Put()
	spend := func(i int, key uint64) *Ask { return fill(c, i, key, 1, want(key, 10)) }
	got := entriesOf(t, spend(0, 7), spend(1, 8), spend(2, 7), fill(c, 3, 7, -1, want(7, 10)), spend(4, 7), spend(5, 8))
	type brief struct {
		key   uint64
		hits  int64
		times uint32
	}
	expect := []brief{{7, 1, 2}, {8, 1, 2}, {7, -1, 1}, {7, 1, 1}}
	if len(got) != len(expect) {
		t.Fatalf("%d entries: %+v", len(got), got)
	}
	for i, e := range got {
		if b := (brief{e.Wants[0].ID.Key, e.Hits, e.Times}); b != expect[i] {
			t.Errorf("entry %d: %+v, not %+v", i, b, expect[i])
		}
	}
}

// A batch ends before any of its bounds is passed; what did not fit goes with the next one.
func TestABatchIsBounded(t *testing.T) {
	var b batch
	fits := func(n int, a func(i int) *Ask) int {
		b.reset(b.buf[:0], 0, n, MaxEntries)
		for i := range n {
			if !b.add(a(i), 1, 10, 0) {
				return i
			}
		}
		return n
	}
	c := GetCall(1)
	defer c.Put()
	if n := fits(2*MaxEntries, func(i int) *Ask { return fill(c, 0, uint64(i), 1, want(uint64(i), 10)) }); n != MaxEntries {
		t.Errorf("%d small entries", n)
	}
	var all []bucket.Want
	for i := range uint64(bucket.MaxWants) {
		w := want(7, 10)
		w.ID.Line += i
		all = append(all, w)
	}
	size := entrySize + bucket.MaxWants*wantSize
	many := fill(c, 0, 7, 0, all...)
	if n := fits(MaxEntries, func(i int) *Ask { return many }); n != MaxBatch/size {
		t.Errorf("%d entries of %d bytes, not %d", n, size, MaxBatch/size)
	}
	// Folded asks take no room.
	if n := fits(MaxTimes+5, func(i int) *Ask { return fill(c, 0, 7, 1, want(7, 10)) }); n != MaxTimes+5 || len(b.entries) != 2 {
		t.Errorf("%d asks alike, %d entries", n, len(b.entries))
	}
}
