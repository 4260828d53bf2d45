package peer

import (
	"net"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// TestNothingIsAllocatedForAnAsk sends batches of asks to a server and back, in steady state: some fold, some ask for all
// states, some borrow, some are answered with Moved; many in a batch, and one in each. What is counted is the whole process, both ends.
func TestNothingIsAllocatedForAnAsk(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things on purpose")
	}
	for _, secret := range []string{"", "secret"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewServer(ServerConfig{Self: n1, Decider: mixed{}, Hello: hello, Auth: NewAuth([]byte(secret))})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error)
		go func() { served <- s.Serve(ln) }()
		p, err := NewPipe(PipeConfig{Self: n0, Peer: n1, Addr: ln.Addr().String(), Hello: hello, Auth: NewAuth([]byte(secret)),
			Attempt: time.Minute, Total: time.Minute}) // a busy machine must not fail asks
		if err != nil {
			t.Fatal(err)
		}
		const asks = 300
		for _, per := range []int{asks, 1} {
			once := func() {
				for at := 0; at < asks; at += per {
					c := GetCall(per)
					deadline := time.Now().Add(time.Minute)
					for i := range c.Asks {
						a := &c.Asks[i]
						key := uint64((at + i) % 200)
						a.Wants = c.Wants(1)
						a.Wants[0] = bucket.Want{ID: bucket.ID{Key: key, Line: 60000<<28 | 5}, Limit: bucket.Limit{Count: 1000, Window: 60000}}
						a.Partition, a.Hits, a.Deadline = uint16(key), 1, deadline
						if key%7 == 0 {
							a.Each, a.Outcome.Each = true, c.States(1)
						}
						if key%5 == 0 {
							a.Borrow = 100
						}
						p.Send(a)
					}
					c.Wait()
					for i := range c.Asks {
						if code := c.Asks[i].Code; code != Decided && code != Moved {
							t.Fatalf("code %d", code)
						}
					}
					c.Put()
				}
			}
			for range 50 {
				once()
			}
			// Less than a hundredth of an allocation an ask: the sweep's timer and a garbage collection that empties the pools are
			// not of any ask.
			if n := testing.AllocsPerRun(200, once); n > asks/100 {
				t.Errorf("secret %q, %d in a batch: %v allocations for %d asks", secret, per, n, asks)
			}
		}
		p.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
	}
}

type mixed struct{}

func (mixed) Now() bucket.Instant { return 0 }

func (mixed) Decide(_ bucket.Instant, e *Entry, a *Answer) {
	if e.Partition%10 == 3 {
		a.Code, a.Holder, a.HoldEpoch = Moved, "n2", 5
		return
	}
	a.Code, a.Via, a.Granted, a.Loan = Decided, transport.ViaHolder, e.Times-e.Times/2, Loan{e.Borrow, time.Second, 1}
	for _, o := range []*bucket.Outcome{&a.Allowed, &a.Denied} {
		o.Limit, o.Remaining = 1000, 5
		for i := range o.Each {
			o.Each[i].Limit = 1000
		}
	}
}
