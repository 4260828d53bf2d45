package peer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// agreeable allows everything, at no cost: what is measured is the way there and back.
type agreeable struct{}

func (agreeable) Now() bucket.Instant { return 0 }

func (agreeable) Decide(_ bucket.Instant, e *Entry, a *Answer) {
	a.Code, a.Granted = Decided, e.Times
	a.Allowed.By, a.Allowed.Limit = 0, 1000
}

// BenchmarkLoopback is asks per second over TCP on loopback with 64 callers: one ask a request, or 33, which is what a
// node forwards to each of two others of a request of 100.
func BenchmarkLoopback(b *testing.B) {
	for _, per := range []int{1, 33} {
		for _, lanes := range []int{1, 2, 4} {
			for _, secret := range []string{"", "secret"} {
				name := fmt.Sprintf("asks=%d/lanes=%d/secret=%t", per, lanes, secret != "")
				b.Run(name, func(b *testing.B) { loopback(b, 64, per, lanes, secret) })
			}
		}
	}
}

// BenchmarkOneCaller is how long one ask takes there and back where nobody else asks.
func BenchmarkOneCaller(b *testing.B) { loopback(b, 1, 1, 1, "") }

func loopback(b *testing.B, callers, per, lanes int, secret string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewServer(ServerConfig{Self: n1, Decider: agreeable{}, Hello: hello, Auth: NewAuth([]byte(secret))})
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(ln)
	p, err := NewPipe(PipeConfig{Self: n0, Peer: n1, Addr: ln.Addr().String(), Hello: hello, Lanes: lanes, Auth: NewAuth([]byte(secret)),
		Attempt: 5 * time.Second, Total: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			key := uint64(caller) << 32
			for i := caller; i < b.N; i += callers * per {
				c := GetCall(per)
				deadline := time.Now().Add(time.Second)
				for j := range c.Asks {
					a := &c.Asks[j]
					key++
					w := c.Wants(1)
					w[0] = bucket.Want{ID: bucket.ID{Key: key, Line: 60000<<28 | 5}, Limit: bucket.Limit{Count: 100, Window: 60000}}
					a.Wants, a.Partition, a.Hits, a.Deadline = w, uint16(key%partitions), 1, deadline
					p.Send(a)
				}
				c.Wait()
				for j := range c.Asks {
					if c.Asks[j].Code != Decided {
						b.Errorf("code %d", c.Asks[j].Code)
						return
					}
				}
				c.Put()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	// CPU and not time: the machine may have other work. Both ends are in it, and the callers.
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/ask")
	st := p.Stats()
	b.ReportMetric(float64(st.Asks.Load())/float64(max(st.Batches.Load(), 1)), "asks/batch")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "asks/s")
	p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.Shutdown(ctx)
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
