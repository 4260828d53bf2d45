package client

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// TestNothingIsAllocatedForACheck asks over loopback, in steady state. What is counted is the whole process, the server too.
func TestNothingIsAllocatedForACheck(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things on purpose")
	}
	s := serveYes(t)
	c, err := New(Config{Addrs: []string{s.addr}, Attempt: time.Minute}) // a busy machine must not fail checks
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for name, ctx := range map[string]context.Context{"without a deadline": context.Background(), "with one": ctx} {
		per := testing.AllocsPerRun(2000, func() {
			if d, err := c.Allow(ctx, "account:42", "100/1m", "1000/1h"); err != nil || !d.Allowed {
				t.Fatalf("%+v, %v", d, err)
			}
		})
		if per >= 1 {
			t.Errorf("%s: %.2f allocations a check", name, per)
		}
	}
	r := transport.Request{Deadline: time.Now().Add(time.Minute)}
	for range 100 {
		r.Checks = append(r.Checks, transport.Check{Key: []byte("account:42"), Hits: 1, Limits: []transport.Limit{limit("", transport.Inline, "100/1m")}})
	}
	per := testing.AllocsPerRun(200, func() {
		if c.Check(&r); !r.Decisions[99].Allowed {
			t.Fatal("denied")
		}
	})
	if per >= 10 { // the pools of both ends are emptied now and then; one a check would be 100
		t.Errorf("%.2f allocations for a request of 100", per)
	}
	denials := newDenials(16)
	c.denied = denials
	s.deny.Store(true)
	if _, err := c.Allow(ctx, "denied", "100/1m"); err != nil {
		t.Fatal(err)
	}
	per = testing.AllocsPerRun(100, func() {
		if d, _ := c.Allow(ctx, "denied", "100/1m"); d.Allowed {
			t.Fatal("allowed")
		}
	})
	if per >= 1 {
		t.Errorf("%.2f allocations for a denial that is remembered", per)
	}
}

// listen returns a listener on a free port of loopback.
func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
