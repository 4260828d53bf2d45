package node

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// BenchmarkCheck measures a check from the node's door to its answer, three nodes in one process, 64 callers: the rate counts
// all three nodes' work. Keys are uniform over 100,000, so two thirds are forwarded.
func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size, "/request"), func(b *testing.B) {
			n0 := startOne(b, "a")
			n1 := startOne(b, "b", n0.seed())
			n2 := startOne(b, "c", n0.seed())
			nodes := []*one{n0, n1, n2}
			agree(b, nodes...)
			limits := []transport.Limit{limit(b, "1000000/1h")}
			var caller atomic.Uint64
			b.SetParallelism(32) // of two cores: 64 callers
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				r := transport.Request{Checks: make([]transport.Check, size)}
				keys := make([][]byte, size)
				x := caller.Add(1) * 0x9e3779b97f4a7c15
				node := nodes[x%3]
				for i := range keys {
					keys[i] = make([]byte, 0, 16)
				}
				for more := true; more; {
					n := 0
					for n < size && more {
						if more = pb.Next(); more {
							x ^= x << 13
							x ^= x >> 7
							x ^= x << 17
							keys[n] = fmt.Appendf(keys[n][:0], "key:%d", x%100_000)
							r.Checks[n] = transport.Check{Key: keys[n], Limits: limits, Hits: 1}
							n++
						}
					}
					if n == 0 {
						return
					}
					r.Checks = r.Checks[:n]
					r.Deadline = time.Now().Add(5 * time.Second)
					node.Check(&r)
					if via := r.Decisions[0].Via; via != transport.ViaHolder && via != transport.ViaLease {
						b.Errorf("%+v", r.Decisions[0])
						return
					}
				}
			})
		})
	}
}

// BenchmarkHot measures checks at a node that does not hold the key that they are all of, 64 callers: far from the limit, and far over it. Beside it,
// without leases: -sim.leases=false.
func BenchmarkHot(b *testing.B) {
	for _, text := range []string{"4000000000/1h", "5/1h"} {
		b.Run(text, func(b *testing.B) {
			n0 := startOne(b, "a")
			n1 := startOne(b, "b", n0.seed())
			n2 := startOne(b, "c", n0.seed())
			agree(b, n0, n1, n2)
			limits := []transport.Limit{limit(b, text)}
			key, node := []byte("hot"), n0
			if ask(n0, 0, "hot", limits...).Holder == "a" {
				node = n1
			}
			ask(node, 5, "hot", limits...)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				r := transport.Request{Checks: []transport.Check{{Key: key, Limits: limits, Hits: 1}}}
				for pb.Next() {
					r.Deadline = time.Now().Add(5 * time.Second)
					node.Check(&r)
				}
			})
			s := node.Stats()
			all := uint64(0)
			for _, n := range s.Decisions {
				all += n[0] + n[1]
			}
			b.ReportMetric(float64(s.Decisions[transport.ViaLease][1]+s.Decisions[transport.ViaDeniedCache][0])/float64(all), "purse/op")
		})
	}
}
