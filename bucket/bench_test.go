package bucket

import (
	"strconv"
	"testing"
	"time"
)

func BenchmarkTakeWarm(b *testing.B) {
	for _, l := range []Limit{
		sliding(10, time.Minute), sliding(200, time.Minute), sliding(50000, time.Minute), sliding(1<<32-1, time.Minute),
		sliding(1<<32-1, time.Minute).with(FixedWindow, 0), sliding(1e9, time.Minute).with(TokenBucket, 1e9),
	} {
		b.Run(l.Algorithm.String()+"/"+strconv.Itoa(int(l.Count)), func(b *testing.B) {
			p := open(10)
			wants := []Want{want(l, "k")}
			var out Outcome
			b.ReportAllocs()
			now := noon
			for b.Loop() {
				now++
				p.Take(now, wants, 1, &out)
			}
		})
	}
}

func BenchmarkTakeUniform(b *testing.B) {
	const keys, parts = 1 << 20, 4093
	tab := NewTable(Config{Partitions: parts})
	wants := make([]Want, keys)
	for i := range wants {
		wants[i] = want(sliding(100, time.Minute), strconv.Itoa(i))
	}
	for i := range parts {
		tab.Partition(i).SetState(Open, 1)
	}
	var out Outcome
	for i := range wants {
		tab.Partition(wants[i].ID.Partition(parts)).Take(noon, wants[i:i+1], 1, &out)
	}
	s := tab.Stats()
	b.ReportMetric(float64(s.Bytes)/float64(s.Lines), "bytes/line")
	b.RunParallel(func(pb *testing.PB) {
		var out Outcome
		for i := 0; pb.Next(); i = (i + 7919) % keys {
			tab.Partition(wants[i].ID.Partition(parts)).Take(noon, wants[i:i+1], 1, &out)
		}
	})
}

// A partition of the size that it has on average in a full table of the default size, half of whose keys are taken from between two
// exports.
func BenchmarkCopy(b *testing.B) {
	const keys = 2048
	for _, l := range []Limit{sliding(10, time.Minute), sliding(200, time.Minute), sliding(1e9, time.Minute).with(TokenBucket, 1e9)} {
		p, q := open(keys), open(keys)
		wants := make([]Want, keys)
		var out Outcome
		for i := range wants {
			wants[i] = want(l, strconv.Itoa(i))
			p.Take(noon, wants[i:i+1], 1, &out)
		}
		q.SetState(Shut, 0)
		name := l.Algorithm.String() + "/" + strconv.Itoa(int(l.Count))
		perLine := func(b *testing.B, lines int) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lines), "ns/line")
		}
		b.Run(name+"/whole", func(b *testing.B) {
			for b.Loop() {
				p.Whole(noon, false)
			}
			perLine(b, keys)
		})
		ls := p.Whole(noon, false)
		b.Run(name+"/replace", func(b *testing.B) {
			for b.Loop() {
				q.Replace(prepare(b, q, noon, ls))
			}
			perLine(b, keys)
		})
		b.Run(name+"/wire", func(b *testing.B) {
			var buf []byte
			for b.Loop() {
				buf = AppendLines(buf[:0], ls)
				ReadLines(buf)
			}
			perLine(b, keys)
		})
		for _, n := range []int{keys, keys / 2, 10, 0} {
			touch := func() {
				for j := range n {
					p.Take(noon, wants[j*keys/n:][:1], 0, &out)
					p.change(p.own.find(wants[j*keys/n].ID, l.Algorithm.family()))
				}
			}
			b.Run(name+"/changes/"+strconv.Itoa(n), func(b *testing.B) {
				for b.Loop() {
					touch()
					q.Apply(prepare(b, q, noon, p.Changes(noon, false)))
				}
				perLine(b, max(n, 1))
			})
		}
	}
}
