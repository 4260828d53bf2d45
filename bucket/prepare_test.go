package bucket

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// partOf is a partition of a table of several, in the state that copies are in.
func partOf(tab *Table, i int) *Partition {
	p := tab.Partition(i)
	p.SetState(Shut, 0)
	return p
}

func linesOf(t testing.TB, n int, name Name) *Lines {
	p := open(n)
	p.SetHistory(name)
	for i := range n {
		allowed(t, p, noon, 1, want(sliding(2, time.Hour), strconv.Itoa(i)))
	}
	return p.Whole(noon, false)
}

func TestReplaceNeedsRoomForTheDifference(t *testing.T) {
	tab := tableOf(2, 10)
	p := partOf(tab, 0)
	old, next := linesOf(t, 8, Name{Epoch: 1}), linesOf(t, 10, Name{Epoch: 2})
	p.Replace(prepare(t, p, noon, old))
	pr := prepare(t, p, noon, next)
	if n := tab.Stats().Lines; n != 10 {
		t.Fatalf("%d lines are counted, want the two that more are to come", n)
	}
	if _, err := p.Prepare(noon, old); !errors.Is(err, ErrFull) {
		t.Fatalf("another one in the same room: %v", err)
	}
	if out := take(t, tab.Partition(1), noon+second, 1, want(sliding(1, time.Hour), "x")); !out.Full || p.Len() != 8 {
		t.Fatalf("lines are dropped, and it makes no room: %+v, %d lines", out, p.Len())
	}
	// What goes meanwhile makes no room for others.
	if tab.Expire(noon+2*hour, 2); p.Len() != 0 {
		t.Fatalf("%d lines", p.Len())
	}
	out := take(t, tab.Partition(1), noon+2*hour, 1, want(sliding(1, time.Hour), "x"))
	if !out.Full {
		t.Fatalf("the room that was promised is taken: %+v", out)
	}
	p.Replace(pr)
	if n := tab.Stats().Lines; n != 10 || p.Len() != 10 {
		t.Fatalf("%d lines are counted, %d there", n, p.Len())
	}
	if h := p.Histories(); len(h) != 1 || h[0].Name != (Name{Epoch: 2}) || p.Seq() != next.Seq {
		t.Fatalf("%v at %d", h, p.Seq())
	}
}

func TestDiscardGivesTheRoomBack(t *testing.T) {
	tab := tableOf(1, 10)
	p := partOf(tab, 0)
	ls := linesOf(t, 6, Name{Epoch: 1})
	pr := prepare(t, p, noon, ls)
	for range 2 {
		pr.Discard()
		if n := tab.Stats().Lines; n != 0 {
			t.Fatalf("%d lines are counted", n)
		}
	}
	pr = prepare(t, p, noon, ls)
	p.Replace(pr)
	for range 2 { // used, it does nothing any more
		pr.Discard()
		p.Replace(pr)
		p.Apply(pr)
		p.Absorb(pr)
		if n := tab.Stats().Lines; n != 6 || p.Len() != 6 || len(p.Histories()) != 1 {
			t.Fatalf("%d lines are counted, %d there", n, p.Len())
		}
	}
	var none *Prepared
	none.Discard()
}

func TestWhatNoExportMakesIsRefused(t *testing.T) {
	p := open(10)
	rec := func(key, line uint64) Record {
		return Record{ID: ID{key, uint64(60000)<<restBits | line}, Clock: uint64(exact)}
	}
	long := Copy{}
	for i := range uint64(maxKeyLines + 1) {
		long.Records = append(long.Records, rec(7, i))
	}
	for _, c := range []struct {
		what string
		ls   Lines
		want error
	}{
		{"five histories", Lines{Histories: make([]Copy, 5)}, ErrHistories},
		{"one history twice", Lines{Histories: make([]Copy, 2)}, ErrBadRecord},
		{"keys out of order", Lines{Histories: []Copy{{Records: []Record{rec(2, 1), rec(1, 1)}}}}, ErrBadRecord},
		{"lines out of order", Lines{Histories: []Copy{{Records: []Record{rec(1, 2), rec(1, 1)}}}}, ErrBadRecord},
		{"a line twice", Lines{Histories: []Copy{{Records: []Record{rec(1, 1), rec(1, 1)}}}}, ErrBadRecord},
		{"more lines of one key than it may have", Lines{Histories: []Copy{long}}, ErrBadRecord},
		{"more lines than a partition may have", Lines{Histories: []Copy{{Records: make([]Record, MaxPartitionLines)}, {Name: Name{1, 1}, Records: make([]Record, 1)}}}, ErrFull},
	} {
		for _, whole := range []bool{false, true} {
			c.ls.Whole = whole
			if _, err := p.Prepare(noon, &c.ls); !errors.Is(err, c.want) || p.t.Stats().Lines != 0 {
				t.Errorf("%s: %v, %d lines counted", c.what, err, p.t.Stats().Lines)
			}
		}
	}
	long.Records = long.Records[:maxKeyLines]
	other := rec(7, 0)
	other.Clock = uint64(fixed)
	if _, err := open(1e4).Prepare(noon, &Lines{Histories: []Copy{long, {Name: Name{1, 1}, Records: []Record{rec(7, 0), other}}}}); err != nil {
		t.Errorf("as many as a key may have, and two of one ID: %v", err)
	}
}

// A partition never grows past what fits into a message: neither by new keys nor by what is merged into it.
func TestAPartitionHasABoundedNumberOfLines(t *testing.T) {
	p := open(2 * MaxPartitionLines)
	lim := sliding(1, time.Hour)
	for i := range MaxPartitionLines {
		allowed(t, p, noon, 1, want(lim, strconv.Itoa(i)))
	}
	more := want(lim, "more")
	more.CountDenied = true
	if out := take(t, p, noon, 1, more); !out.Full || p.t.Stats().Full != 1 {
		t.Fatalf("%+v", out)
	}
	again := want(lim, "1")
	again.CountDenied = true
	if denied(t, p, noon, 1, again); p.Len() != MaxPartitionLines {
		t.Fatalf("%d lines, an attempt among them", p.Len())
	}
	ls := linesOf(t, 1, Name{Epoch: 5})
	if _, err := p.Prepare(noon, ls); !errors.Is(err, ErrFull) {
		t.Fatalf("merge one line more: %v", err)
	}
	if n := p.Whole(noon, true).Len(); n != MaxPartitionLines {
		t.Fatalf("%d lines travel", n)
	}
	// Lines that are fresh make room.
	p.Absorb(prepare(t, p, noon+2*hour, ls))
	allowed(t, p, noon+2*hour, 1, more)
}

// Whatever happens beside, the table counts what there is, and never more than it may have.
func TestRoomIsCounted(t *testing.T) {
	const parts, most = 4, 60
	for seed := range uint64(histories(60)) {
		tab := tableOf(parts, most)
		var all sync.WaitGroup
		for g := range parts {
			all.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(g)))
				p := tab.Partition(g)
				type waits struct {
					pr   *Prepared
					shut bool
				}
				var waiting []waits
				for now := noon; now < noon+20*minute; now += Instant(r.Int64N(int64(10 * second))) {
					w := want(sliding(2, time.Minute), strconv.Itoa(r.IntN(100)))
					switch r.IntN(12) {
					case 0:
						tab.Expire(now, 1)
					case 1:
						p.SetState(Gate(r.IntN(3)), uint64(now))
					case 2:
						p.SetHistory(Name{Epoch: uint64(r.IntN(7))})
					case 3:
						p.Clear()
					case 4, 5, 6:
						q := tab.Partition(r.IntN(parts))
						ls := q.Snapshot(now, true)
						if r.IntN(2) == 0 {
							ls = q.Changes(now, true)
						}
						if pr, err := p.Prepare(now, ls); err == nil {
							_, gate := p.Epoch()
							waiting = append(waiting, waits{pr, gate == Shut})
						} else if !errors.Is(err, ErrFull) {
							t.Error(err)
						}
					case 7, 8:
						if n := len(waiting); n > 0 {
							pr := waiting[n-1].pr
							shut := waiting[n-1].shut
							waiting = waiting[:n-1]
							_, gate := p.Epoch()
							switch {
							case r.IntN(4) == 0 || shut != (gate == Shut): // it has not the room for that
								pr.Discard()
							case !shut:
								p.Absorb(pr)
							case r.IntN(2) == 0:
								p.Replace(pr)
							default:
								p.Apply(pr)
							}
						}
					default:
						var out Outcome
						p.Take(now, []Want{w}, 1, &out)
						if r.IntN(3) == 0 && out.Allowed {
							p.Give(now, []Want{w}, 1, out.Receipt, &out)
						}
					}
					if n := p.t.Stats().Lines; n > most+2*parts { // those that are about to be made are counted before they are refused
						t.Errorf("%d lines are counted", n)
					}
				}
				for _, w := range waiting {
					w.pr.Discard()
				}
			})
		}
		all.Wait()
		n, bytes := 0, int64(0)
		for i := range parts {
			p := tab.Partition(i)
			n += p.Len()
			for h := range p.histories {
				bytes += h.bytes()
				if err := h.check(h.n); err != nil {
					t.Fatal(err)
				}
			}
			if p.pending != 0 || p.withheld != 0 {
				t.Fatalf("%d wait, %d are withheld", p.pending, p.withheld)
			}
		}
		if s := tab.Stats(); s.Lines != int64(n) || s.Bytes != bytes || n > most {
			t.Fatalf("seed %d: %d lines and %d bytes are counted, %d and %d there, %d allowed", seed, s.Lines, s.Bytes, n, bytes, most)
		}
	}
}

func TestClearForgetsEverything(t *testing.T) {
	p := open(20)
	for i := range uint64(6) {
		p.SetHistory(Name{Epoch: i + 1})
		allowed(t, p, noon, 1, want(sliding(10, time.Minute), strconv.Itoa(int(i))))
	}
	seq := p.Seq()
	if n := p.Clear(); n != 6 || p.Len() != 0 || p.t.Stats().Lines != 0 || p.t.Stats().Bytes != 0 {
		t.Fatalf("%d lines dropped, %+v", n, p.t.Stats())
	}
	if h := p.Histories(); len(h) != 1 || h[0].Name != (Name{}) || len(p.Snapshot(noon, true).Past) != 0 {
		t.Fatalf("%v", h)
	}
	if p.Seq() <= seq {
		t.Errorf("the count of changes went from %d to %d", seq, p.Seq())
	}
	if epoch, gate := p.Epoch(); epoch != 1 || gate != Open {
		t.Errorf("epoch %d, gate %d", epoch, gate)
	}
}
