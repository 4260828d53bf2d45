package bucket

import (
	"strconv"
	"sync"
	"sync/atomic"
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

// A caller that paces itself has hits in every slot, and each of its takes comes in another one than the last; one that does not is denied most
// of the time, by hits that lie back further and further.
func BenchmarkTakePaced(b *testing.B) {
	for _, l := range []Limit{sliding(10, time.Minute), sliding(200, time.Minute), sliding(50000, time.Minute), sliding(1<<32-1, time.Minute)} {
		for _, c := range []struct {
			name string
			step Instant
		}{
			{"paced", second * 3 / 2}, // about a slot of the finest
			{"denied", second / 100},
		} {
			hits := max(1, l.Count/45) // of 40 paced takes nine in ten of them fit
			if c.name == "denied" {
				hits = max(1, l.Count/4)
			}
			b.Run(c.name+"/"+strconv.Itoa(int(l.Count)), func(b *testing.B) {
				p := open(10)
				wants := []Want{want(l, "k")}
				var out Outcome
				b.ReportAllocs()
				now := noon
				for b.Loop() {
					now += c.step
					p.Take(now, wants, hits, &out)
				}
			})
		}
	}
}

// Yardsticks for the others: a machine that is busy or slow is so for these too.
func BenchmarkYardstick(b *testing.B) {
	b.Run("mutex", func(b *testing.B) {
		var mu sync.Mutex
		n := 0
		for b.Loop() {
			mu.Lock()
			n++
			mu.Unlock()
		}
	})
	b.Run("threads", func(b *testing.B) { // what two threads are on this machine that share nothing
		b.RunParallel(func(pb *testing.PB) {
			var mu sync.Mutex
			n := 0
			for pb.Next() {
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	})
	b.Run("siphash64", func(b *testing.B) {
		var key [64]byte
		for b.Loop() {
			hasher.Key(key[:])
		}
	})
}

const uniformParts = 4093

func uniformWant(i int) Want {
	l := sliding(1e9, time.Minute)
	return Want{ID: ID{uint64(i) * 0x9e3779b97f4a7c15, uint64(l.Window)<<restBits | 7}, Limit: l}
}

// uniform has the tables, which take longer to fill than to take from.
var uniform = map[int]*Table{}

func uniformTable(keys int) *Table {
	if uniform[keys] == nil {
		clear(uniform)
		tab := tableOf(uniformParts, keys)
		var out Outcome
		for i := range keys {
			w := [1]Want{uniformWant(i)}
			tab.Partition(w[0].ID.Partition(uniformParts)).Take(noon, w[:], 1, &out)
		}
		uniform[keys] = tab
	}
	return uniform[keys]
}

// Keys all over the table, of as many as the caches hold and of as many as they do not: a cold line is a miss or two. With -cpu 1,2 it shows
// what two threads cost each other.
func BenchmarkTakeUniform(b *testing.B) {
	for _, keys := range []int{1 << 10, 1 << 20, 5_000_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			tab := uniformTable(keys)
			b.ResetTimer()
			var threads atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				var out Outcome
				w := [1]Want{uniformWant(0)}
				for i := int(threads.Add(1)); pb.Next(); i = (i + 2*7919) % keys { // two threads have no key in common
					w[0].ID.Key = uint64(i) * 0x9e3779b97f4a7c15
					tab.Partition(w[0].ID.Partition(uniformParts)).Take(noon, w[:], 1, &out)
				}
			})
			s := tab.Stats()
			b.ReportMetric(float64(s.Bytes)/float64(s.Lines), "bytes/line")
		})
	}
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
