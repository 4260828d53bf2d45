package bucket

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestTheCountOfChanges(t *testing.T) {
	p := open(10)
	w := want(sliding(2, time.Minute), "k")
	seq := p.Seq()
	rose := func(what string, want bool) {
		t.Helper()
		named := make([]uint64, 1)
		if p.t.Changed(named); want && named[0] != 1 {
			t.Errorf("%s: the partition is not named", what)
		}
		s := p.Seq()
		if (s > seq) != want || s < seq {
			t.Errorf("%s: from %d to %d", what, seq, s)
		}
		seq = s
	}
	out := allowed(t, p, noon, 1, w)
	rose("a hit", true)
	allowed(t, p, noon, 5, want(sliding(100, time.Minute), "other"))
	rose("a hit elsewhere", true)
	allowed(t, p, noon, 0, w)
	rose("a peek", false)
	denied(t, p, noon, 2, w)
	rose("a line begins to deny", true)
	denied(t, p, noon, 2, w)
	rose("it denies again", false)
	give(t, p, noon, 1, out.Receipt, w)
	rose("a give-back", true)
	allowed(t, p, noon, 1, want(sliding(2, BackupMinWindow-time.Millisecond), "k"))
	rose("a hit on a short window", false)
	allowed(t, p, noon, 1, want(sliding(2, BackupMinWindow), "k"))
	rose("a hit on one that is just long enough", true)
	p.SetSeq(seq - 1)
	rose("setting it lower", false)
	p.SetSeq(seq + 10)
	rose("setting it higher", true)
	for range 2 {
		p.Whole(noon, false)
		rose("an export", false)
		give(t, p, noon, 1, 0, want(sliding(100, time.Minute), "other"))
		rose("the first change after it", true)
	}
	p.Whole(noon, false)
	p.SetHistory(Name{Epoch: 2})
	rose("a new history", false)
	if !p.Changes(noon, false).Whole {
		t.Error("who has the copy is not told of the new history")
	}
	s := open(10)
	s.SetHistory(Name{Epoch: 5})
	allowed(t, s, noon, 1, w)
	p.Absorb(prepare(t, p, noon, s.Snapshot(noon, true)))
	rose("a history that is absorbed", true)
	p.Absorb(prepare(t, p, noon, s.Snapshot(noon, true)))
	rose("and once more", false)
	p.SetHistory(Name{Epoch: 5})
	rose("going on with an old history", false)
	allowed(t, p, noon, 1, w)
	rose("a hit under it", true)
}

// Who asks only the partitions that are named knows the count of all of them, beside takes, exports and gates that open and shut.
func TestChangedPartitionsAreNamed(t *testing.T) {
	const parts = 130
	table := NewTable(Config{Partitions: parts, MaxLines: 10_000})
	var takers sync.WaitGroup
	for g := range 3 {
		takers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 6))
			for range histories(20000) {
				p := table.Partition(r.IntN(parts))
				switch r.IntN(20) {
				case 0:
					p.SetState(Shut, 1)
				case 1:
					p.ChangesIn(nil, noon, false)
				default:
					p.SetState(Open, 1)
					var out Outcome
					p.Take(noon, []Want{want(sliding(1<<30, time.Minute), strconv.Itoa(r.IntN(3)))}, 1, &out)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		takers.Wait()
		close(done)
	}()
	var seqs [parts]uint64
	named := make([]uint64, (parts+63)/64)
	ask := func() {
		table.Changed(named)
		for i := range parts {
			if named[i/64]>>(i%64)&1 == 1 {
				seqs[i] = table.Partition(i).Seq()
			}
		}
	}
	for over := false; !over; ask() {
		select {
		case <-done:
			over = true
		default:
		}
	}
	for i := range parts {
		if p := table.Partition(i); p.gate != Shut && p.Seq() != seqs[i] {
			t.Errorf("partition %d has come to %d, and %d was known", i, p.Seq(), seqs[i])
		}
	}
	ask()
	if ask(); named[0]|named[1]|named[2] != 0 {
		for i := range parts {
			table.Partition(i).ChangesIn(nil, noon, false)
		}
		ask()
		if ask(); named[0]|named[1]|named[2] != 0 {
			t.Error("partitions are named again and again in which nothing changes")
		}
	}
}

// Short windows do not travel until the end of a handoff; attempts never.
func TestShortWindowsTravelAtTheEnd(t *testing.T) {
	p, q := open(10), open(10)
	short, long := want(sliding(5, time.Second), "k"), want(sliding(5, time.Minute), "k")
	short.CountDenied, long.CountDenied = true, true
	allowed(t, p, noon, 5, short)
	allowed(t, p, noon, 5, long)
	denied(t, p, noon, 1, short, long)
	if p.Len() != 4 {
		t.Fatalf("%d lines, not two and their attempts", p.Len())
	}
	for i, c := range []struct {
		ls   *Lines
		want int
	}{
		{p.Whole(noon, false), 1}, {p.Changes(noon, false), 0}, {p.Changes(noon, true), 1}, {p.Changes(noon+2*second, true), 0},
		{p.Whole(noon, true), 2}, {p.Snapshot(noon, true), 2}, {p.Snapshot(noon, false), 1},
	} {
		if n := c.ls.Len(); n != c.want {
			t.Errorf("%d: %d lines, want %d", i, n, c.want)
		}
	}
	q.Replace(prepare(t, q, noon, p.Whole(noon, false)))
	allowed(t, q, noon, 1, short)
	q.Replace(prepare(t, q, noon, p.Whole(noon, false)))
	q.Apply(prepare(t, q, noon, p.Changes(noon, true)))
	denied(t, q, noon, 1, short)
	denied(t, q, noon, 1, long)
}

// A snapshot in between takes nothing from the changes.
func TestASnapshotLeavesTheChanges(t *testing.T) {
	p := open(10)
	p.Whole(noon, false)
	allowed(t, p, noon, 1, want(sliding(5, time.Minute), "k"))
	p.Snapshot(noon, true)
	if n := p.Changes(noon, false).Len(); n != 1 {
		t.Fatalf("%d lines changed", n)
	}
	if p.ranges != (ranges{}) {
		t.Error("the same keys are looked through again")
	}
	if n := p.Changes(noon, false).Len(); n != 0 {
		t.Fatalf("%d lines changed since", n)
	}
}

// A line that was emptied by giving back is told to the copy: even if it is swept before that was acknowledged.
func TestACopyHearsOfEmptiedLines(t *testing.T) {
	w := want(sliding(5, time.Minute), "k")
	for _, swept := range []bool{false, true} {
		p, q := open(10), open(10)
		out := allowed(t, p, noon, 5, w)
		q.Replace(prepare(t, q, noon, p.Whole(noon, false)))
		give(t, p, noon, 5, out.Receipt, w)
		p.t.Expire(noon+second, 1)
		lost := p.Changes(noon+second, false)
		if swept {
			if p.t.Expire(noon+second, 1); p.Len() != 0 {
				t.Fatalf("%d lines once it was said", p.Len())
			}
		}
		p.Unacknowledged(lost)
		q.Apply(prepare(t, q, noon+2*second, p.Changes(noon+2*second, false)))
		if allowed(t, q, noon+2*second, 0, w); q.Len() != 0 {
			t.Errorf("swept %v: the copy has %d lines still", swept, q.Len())
		}
		if p.t.Expire(noon+10*second, 1); p.Len() != 0 || p.t.Stats().Lines != 0 {
			t.Errorf("swept %v: %d lines stay, %d counted", swept, p.Len(), p.t.Stats().Lines)
		}
	}
}

// Unacknowledged after the partition went to another changes nothing: that holder's changes are counted on.
func TestAShutPartitionStaysAsItIs(t *testing.T) {
	p := open(10)
	allowed(t, p, noon, 5, want(sliding(5, time.Minute), "k"))
	ls := p.Whole(noon, false)
	p.SetState(Shut, 1)
	seq := p.Seq()
	if p.Unacknowledged(ls); p.Seq() != seq {
		t.Errorf("the count of changes went from %d to %d", seq, p.Seq())
	}
}

// A token bucket serves its histories in turn, and which is first changes when one is written. So a copy hears of all of them, as of
// one instant.
func TestTokenLinesTravelTogether(t *testing.T) {
	p, q := open(10), open(10)
	w := want(sliding(30, time.Minute).with(TokenBucket, 60), "k")
	p.SetHistory(Name{Epoch: 2})
	allowed(t, p, noon, 20, w)
	s := open(10)
	s.SetHistory(Name{Epoch: 1})
	allowed(t, s, noon, 20, w)
	p.Absorb(prepare(t, p, noon+second, s.Snapshot(noon+second, false)))
	q.Replace(prepare(t, q, noon+11*second, p.Whole(noon+11*second, false))) // the own line is served first
	allowed(t, p, noon+12*second, 1, w)                                      // and now the other
	q.Apply(prepare(t, q, noon+12*second, p.Changes(noon+12*second, false)))
	if a, b := take(t, q, noon+13*second, 0, w).Current, take(t, p, noon+13*second, 0, w).Current; a != b {
		t.Errorf("the copy has %d spent, the holder %d", a, b)
	}
}

// A line that nobody has heard of does not outlive its window for long, for nobody may ever ask.
func TestUntoldLinesEnd(t *testing.T) {
	p := open(10)
	w := want(sliding(5, time.Minute), "k")
	p.Whole(noon, false)
	allowed(t, p, noon, 1, w)
	if n := p.t.Expire(noon+minute+second, 1); n != 0 {
		t.Fatal("it went at once")
	}
	if n := p.t.Expire(noon+minute+tellWithin, 1); n != 1 {
		t.Fatal("it stays")
	}
}

// Beside takes, gives and sweeps, every change reaches the copy.
func TestChangesBesideTakes(t *testing.T) {
	p, q := open(10000), open(10000)
	p.SetHistory(Name{Epoch: 1})
	limits := []Limit{sliding(1<<30, time.Minute), sliding(1<<30, time.Hour).with(FixedWindow, 0), sliding(8, time.Minute)}
	q.Replace(prepare(t, q, noon, p.Whole(noon, false)))
	var takers sync.WaitGroup
	for g := range 3 {
		takers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 5))
			for range histories(40000) {
				w := want(limits[r.IntN(len(limits))], strconv.Itoa(r.IntN(300)))
				var out Outcome
				p.Take(noon, []Want{w}, 1, &out)
				if r.IntN(5) == 0 && out.Allowed {
					p.Give(noon, []Want{w}, 1, out.Receipt, &out)
				}
				if r.IntN(100) == 0 {
					p.t.Expire(noon, 1)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { takers.Wait(); close(done) }()
	r := rand.New(rand.NewPCG(9, 5))
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		p.Seq()
		ls := p.Changes(noon, false)
		if running && r.IntN(3) == 0 {
			p.Unacknowledged(ls)
			continue
		}
		q.Apply(prepare(t, q, noon, ls))
	}
	for _, l := range limits {
		for k := range 300 {
			w := want(l, strconv.Itoa(k))
			if a, b := take(t, q, noon, 0, w).Current, take(t, p, noon, 0, w).Current; a != b {
				t.Fatalf("%v of %d: the copy has %d, the holder %d", l, k, a, b)
			}
		}
	}
	if q.Seq() != p.Seq() {
		t.Errorf("the copy is at %d, the holder at %d", q.Seq(), p.Seq())
	}
}

func TestRangesOfKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var m ranges
		var keys []uint64
		for range r.IntN(20) {
			k := r.Uint64()
			if r.IntN(10) == 0 {
				k = []uint64{0, 1<<64 - 1, 1 << 63, 1<<56 - 1}[r.IntN(4)]
			}
			keys = append(keys, k)
			m.set(k)
		}
		n, before := 0, uint64(0)
		m.each(func(first, last uint64) {
			if n > 0 && first <= before || last < first {
				t.Fatalf("%x to %x after %x", first, last, before)
			}
			before = last
			k := len(keys)
			keys = slices.DeleteFunc(keys, func(k uint64) bool { return first <= k && k <= last })
			if len(keys) == k {
				t.Fatalf("%x to %x has no key", first, last)
			}
			n++
		})
		if len(keys) > 0 {
			t.Fatalf("keys %x in no range", keys)
		}
	}
}
