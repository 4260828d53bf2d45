package bucket

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What is made in old memory is what is made in new: changes, lines that are read, and what is prepared of them.
func TestMemoryThatIsUsedAgainShowsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	from, a, b := NewTable(Config{Partitions: 1}).Partition(0), NewTable(Config{Partitions: 1}).Partition(0), NewTable(Config{Partitions: 1}).Partition(0)
	from.SetHistory(Name{Epoch: 1, Start: 1})
	from.SetState(Open, 1)
	limits := []Limit{{Count: 5, Window: 60_000}, {Count: 500, Window: 60_000}, {Count: 9, Window: 60_000, Algorithm: FixedWindow},
		{Count: 9, Burst: 9, Window: 60_000, Algorithm: TokenBucket}}
	now := Instant(1 << 50)
	ready, err := a.Prepare(now, from.Whole(now, false))
	if err != nil {
		t.Fatal(err)
	}
	a.Replace(ready)
	ready, _ = b.Prepare(now, a.Whole(now, false))
	b.Replace(ready)
	var changes *Lines
	var read Lines
	var again Prepared
	for round := range 500 {
		now += Instant(r.IntN(20_000_000))
		for range r.IntN(12) {
			l := limits[r.IntN(len(limits))]
			id := ID{Key: uint64(r.IntN(20)) << 58, Line: uint64(l.Window)<<restBits | uint64(l.Algorithm)}
			var out Outcome
			if err := from.Take(now, []Want{{ID: id, Limit: l}}, 1, &out); err != nil {
				t.Fatal(err)
			}
		}
		changes = from.ChangesIn(changes, now, false)
		packet := AppendLines(nil, changes)
		fresh, _, err := ReadLines(packet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLinesIn(&read, packet); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(AppendLines(nil, &read), packet) || !bytes.Equal(AppendLines(nil, fresh), packet) {
			t.Fatalf("round %d: read other lines than were written", round)
		}
		if ready, err = a.Prepare(now, fresh); err != nil {
			t.Fatal(err)
		}
		a.Apply(ready)
		if err := b.PrepareIn(&again, now, &read); err != nil {
			t.Fatal(err)
		}
		b.Apply(&again)
		x, y, z := AppendLines(nil, a.Snapshot(now, false)), AppendLines(nil, b.Snapshot(now, false)), AppendLines(nil, from.Snapshot(now, false))
		if !bytes.Equal(x, y) || len(y) != len(z) {
			t.Fatalf("round %d: two copies of one partition differ", round)
		}
	}
	if read.Room() == 0 || changes.Room() == 0 {
		t.Error("no memory was kept")
	}
	if _, err := ReadLinesIn(&read, []byte("bad")); err == nil || read.Len() != 0 {
		t.Errorf("after bad bytes: %v, %d lines", err, read.Len())
	}
}

func TestAPreparedThatWaitsIsNotUsedAgain(t *testing.T) {
	p := NewTable(Config{Partitions: 1}).Partition(0)
	ready, err := p.Prepare(0, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic: its room would never be given back")
		}
	}()
	_ = p.PrepareIn(ready, 0, &Lines{})
}
