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
