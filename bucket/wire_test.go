package bucket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

func someLines(t testing.TB) *Lines {
	s := newSource(3, Name{Epoch: 1})
	s.spend(40)
	for i := range uint64(5) {
		s.p.SetHistory(Name{Epoch: i + 2, Start: 1 << 60})
		s.spend(4)
	}
	return s.p.Whole(s.now, true)
}

func TestLinesTravel(t *testing.T) {
	ls := someLines(t)
	if len(ls.Histories) < 2 || len(ls.Past) == 0 {
		t.Fatal("too little to see")
	}
	ls.at = 0 // does not travel
	for range 2 {
		b := AppendLines([]byte("before"), ls)
		got, rest, err := ReadLines(append(b[6:], "behind"...))
		if err != nil || string(rest) != "behind" || !reflect.DeepEqual(got, ls) {
			t.Fatalf("%v, %q left:\n%+v\nnot\n%+v", err, rest, got, ls)
		}
		ls = &Lines{Seq: 1 << 63, Histories: []Copy{{Records: []Record{}}}}
	}
}

// A count on the wire asks for no memory that is not backed by bytes, and never for more than a partition may have.
func TestReadLinesRefuses(t *testing.T) {
	good := AppendLines(nil, someLines(t))
	for n := range len(good) {
		if _, _, err := ReadLines(good[:n:n]); !errors.Is(err, ErrBadLines) {
			t.Fatalf("the first %d bytes of %d: %v", n, len(good), err)
		}
	}
	one := AppendLines(nil, &Lines{Histories: []Copy{{}}})
	count := len(one) - 8
	big := append(one[:len(one):len(one)], make([]byte, (MaxPartitionLines+1)*recordBytes)...)
	for _, c := range []struct {
		what string
		b    []byte
		at   int
		put  uint64
	}{
		{"more records than bytes", one, count, 1},
		{"so many records that their bytes overflow", one, count, 1 << 58},
		{"all records there are", one, count, 1<<64 - 1},
		{"more records than a partition may have", big, count, MaxPartitionLines + 1},
		{"five histories", big, 8, 5},
		{"nine past histories", big, 8, 9 << 8},
		{"a flag that is not known", big, 8, 1 | 1<<17},
	} {
		b := bytes.Clone(c.b)
		binary.LittleEndian.PutUint64(b[c.at:], c.put)
		if allocs := testing.AllocsPerRun(1, func() {
			if _, _, err := ReadLines(b); !errors.Is(err, ErrBadLines) {
				t.Errorf("%s: %v", c.what, err)
			}
		}); allocs > 20 {
			t.Errorf("%s: %v allocations", c.what, allocs)
		}
	}
	binary.LittleEndian.PutUint64(big[count:], MaxPartitionLines)
	if ls, rest, err := ReadLines(big); err != nil || len(rest) != recordBytes || ls.Len() != MaxPartitionLines {
		t.Errorf("as many as a partition may have: %v, %d bytes left", err, len(rest))
	}
}

// What is read is written again as the same bytes; whatever a partition makes of it, it goes on counting its lines.
func FuzzReadLines(f *testing.F) {
	f.Add(AppendLines(nil, someLines(f)))
	f.Add(AppendLines(nil, &Lines{Seq: 9, Whole: true}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		ls, rest, err := ReadLines(b)
		if err != nil {
			return
		}
		if again := AppendLines(nil, ls); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x becomes %x", b, again)
		}
		p := open(50)
		for i := range 3 {
			pr, err := p.Prepare(noon, ls)
			if err != nil {
				continue
			}
			[]func(*Prepared){p.Absorb, p.Apply, p.Replace}[i](pr)
			if n := p.t.Stats().Lines; n != int64(p.Len()) {
				t.Fatalf("%d lines are counted, %d there", n, p.Len())
			}
			for h := range p.histories {
				if err := h.check(h.n); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
