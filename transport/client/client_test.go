package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
)

func TestAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		d := allowed(t, c, "account:42", "2/1m", "100/1h")
		if d.By != "2/1m" || d.Limit != 2 || d.Remaining != 1 || d.Retry != 0 || d.Reset != 59*time.Second || d.Via != transport.ViaHolder {
			t.Errorf("%+v", d)
		}
		allowed(t, c, "account:42", "2/1m", "100/1h")
		d = denied(t, c, "account:42", "2/1m", "100/1h")
		if d.By != "2/1m" || d.Remaining != 0 || d.Retry != 59*time.Second || d.Never || d.Receipt != 0 {
			t.Errorf("%+v", d)
		}
		if n := nw.spent("account:42", "100/1h"); n != 2 {
			t.Errorf("%d spent", n)
		}
		c.Close()
		nw.close()
	})
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		do := func(k Check) Decision {
			t.Helper()
			d, err := c.Do(context.Background(), k)
			if err != nil {
				t.Errorf("%+v: %v", k, err)
			}
			return d
		}
		k := Check{Key: "job", Limits: []string{"10/1m"}, Hits: 3, WantReceipt: true}
		took := do(k)
		if !took.Allowed || took.Remaining != 7 || took.Receipt == 0 {
			t.Errorf("took %+v", took)
		}
		if d := do(Check{Key: "job", Limits: []string{"10/1m"}, Peek: true}); !d.Allowed || d.Remaining != 7 {
			t.Errorf("a peek: %+v", d)
		}
		if d := do(Check{Key: "job", Limits: []string{"10/1m"}, Hits: -3, Receipt: took.Receipt}); !d.Allowed || d.Remaining != 10 {
			t.Errorf("gave back: %+v", d)
		}
		if d := do(Check{Key: "job", Limits: []string{"10/1m"}, Hits: 1000}); d.Allowed || !d.Never {
			t.Errorf("more than the limit has: %+v", d)
		}
		if d := do(Check{Key: "big", Limits: []string{"4294967295/1h"}, Hits: 4294967295}); !d.Allowed || d.Remaining != 0 {
			t.Errorf("all there is: %+v", d)
		}
		long := strings.Repeat("ключ", 64) // 512 bytes
		if d := do(Check{Key: long, Limits: []string{"10/1m"}, Hits: 200}); !d.Never {
			t.Errorf("the longest key: %+v", d)
		}
		c.Close()
		nw.close()
	})
}

// What no node would take stays here: it would spoil the request of others.
func TestInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		limits := []string{"1/1s"}
		for _, k := range []Check{
			{Limits: limits},
			{Key: strings.Repeat("x", 513), Limits: limits},
			{Key: "\xff", Limits: limits},
			{Key: "k"},
			{Key: "k", Limits: []string{"1/1s", "ten a minute"}},
			{Key: "k", Limits: []string{strings.Repeat("1", 129)}},
			{Key: "k", Limits: make([]string, 17)},
			{Key: "k", Limits: limits, Hits: 1 << 32},
			{Key: "k", Limits: limits, Hits: -1 << 32},
			{Key: "k", Limits: limits, Hits: 1, Peek: true},
			{Key: "k", Limits: limits, Hits: 1, Receipt: 1},
			{Key: "k", Limits: limits, Render: true},
			{Attributes: map[string]string{"path": "/"}, Key: "k"},
			{Attributes: map[string]string{"path": "\xff"}},
			{Attributes: map[string]string{"path": "/" + strings.Repeat("x", 64<<10)}},
			{Policy: "p"},
		} {
			d, err := c.Do(context.Background(), k)
			if !errors.Is(err, ErrInvalid) || d.Allowed || d.Via != transport.ViaUnavailable {
				t.Errorf("%+.60v: %+v, %v", k, d, err)
			}
			if ds, err := c.DoBatch(context.Background(), []Check{{Key: "fine", Limits: limits}, k}, nil); !errors.Is(err, ErrInvalid) ||
				!strings.Contains(err.Error(), "checks[1]") || len(ds) != 2 || ds[0].Allowed {
				t.Errorf("%+.60v in a batch: %+v, %v", k, ds, err)
			}
		}
		if n := nw.nodes["n0:1"].requests(); n != 0 {
			t.Errorf("%d requests", n)
		}
		c.Close()
		nw.close()
	})
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Addrs: []string{"127.0.0.1"}},
		{Addrs: []string{"127.0.0.1:"}},
		{Addrs: []string{"a:1", "a:1"}},
		{Addrs: []string{"a\r\nX-Evil: 1:80"}},
		{Addrs: []string{"a:1"}, Conns: MaxConns + 1},
		{Addrs: []string{"a:1"}, Conns: -1},
		{Addrs: []string{"a:1"}, Retry: 7},
		{Addrs: []string{"a:1"}, OnError: 7},
	} {
		if c, err := New(cfg); err == nil {
			t.Errorf("%+v made a client", cfg)
			c.Close()
		}
	}
}

// While a request is in flight the next one gathers, and goes when the first is answered.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		n0 := nw.nodes["n0:1"]
		gate := make(chan struct{})
		n0.before = func(request int) {
			if request == 1 {
				<-gate
			}
		}
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		var wg sync.WaitGroup
		wg.Go(func() { allowed(t, c, "first", "10/1m") })
		synctest.Wait()
		for i := range 50 {
			wg.Go(func() { allowed(t, c, fmt.Sprint("key", i), "10/1m") })
		}
		synctest.Wait()
		if n := n0.requests(); n != 1 {
			t.Errorf("%d requests while one is in flight", n)
		}
		close(gate)
		wg.Wait()
		if n := len(n0.counter.Batches); n != 2 || len(n0.counter.Batches[1]) != 50 {
			t.Errorf("%d requests", n)
		}
		if s := c.Stats(); s.Requests != 2 || s.Checks != 51 || s.Dials != 1 || s.Failed != 0 {
			t.Errorf("%+v", s)
		}
		c.Close()
		nw.close()
	})
}

// A request has at most 1,000 checks and 1 MiB, however they come.
func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		n0 := nw.nodes["n0:1"]
		c := made(t, nw, Config{Addrs: []string{"n0:1"}, DeniedCache: -1})
		var checks []Check
		for i := range 2500 {
			checks = append(checks, Check{Key: "many", Limits: []string{"2000/1m"}, Hits: int64(i%2) + 1})
		}
		ds, err := c.DoBatch(context.Background(), checks, nil)
		if err != nil || len(ds) != 2500 {
			t.Fatalf("%d, %v", len(ds), err)
		}
		var left int64 = 2000
		for i, d := range ds { // in order, over all three requests
			ok := checks[i].Hits <= left
			if ok {
				left -= checks[i].Hits
			}
			if d.Allowed != ok || int64(d.Remaining) != left {
				t.Fatalf("check %d: %+v, with %d left", i, d, left)
			}
		}
		if n := len(n0.counter.Batches); n != 3 || len(n0.counter.Batches[0]) != 1000 {
			t.Errorf("%d requests", n)
		}
		// 900 callers with half a KiB of key and 16 limits each, all waiting for one request.
		var limits []string
		for i := range 16 {
			limits = append(limits, fmt.Sprintf("4294967294/%dms token_bucket burst=4294967295", 1000000+i))
		}
		gate := make(chan struct{})
		n0.set(func(f *fake) { f.before = func(int) { <-gate } })
		var wg sync.WaitGroup
		for range 900 {
			wg.Go(func() { allowed(t, c, strings.Repeat("k", 512), limits...) })
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		most := 0
		for _, b := range n0.bodies {
			most = max(most, len(b))
		}
		if n := n0.requests(); most > transport.MaxRequest || most < transport.MaxRequest/2 || n > 3+4 {
			t.Errorf("%d requests of up to %d bytes", n, most)
		}
		// And 1,500 with one small check each.
		gate2, had := make(chan struct{}), n0.requests()
		n0.set(func(f *fake) { f.before = func(int) { <-gate2 } })
		for i := range 1500 {
			wg.Go(func() { allowed(t, c, fmt.Sprint(i), "10/1m") })
		}
		synctest.Wait()
		close(gate2)
		wg.Wait()
		if n := n0.requests() - had; n != 3 {
			t.Errorf("%d requests", n)
		}
		c.Close()
		nw.close()
	})
}

// One goroutine's checks on one key take effect one after the other, over however many connections.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1", "n2:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1", "n2:1"}, Conns: 3})
		var wg sync.WaitGroup
		for g := range 20 {
			wg.Go(func() {
				for i := range 10 {
					if d := allowed(t, c, fmt.Sprint("own", g), "10/1m"); d.Remaining != uint32(9-i) {
						t.Errorf("%d. check: %+v", i, d)
					}
				}
				denied(t, c, fmt.Sprint("own", g), "10/1m")
			})
		}
		wg.Wait()
		for addr, f := range nw.nodes {
			if f.requests() == 0 {
				t.Errorf("%s was not asked", addr)
			}
		}
		c.Close()
		nw.close()
	})
}

// A call returns at its deadline, with the failure mode's answer and an error that says who was asked.
func TestDeadline(t *testing.T) {
	for _, mode := range []transport.Mode{transport.ByDefault, transport.Allow, transport.Deny} {
		synctest.Test(t, func(t *testing.T) {
			nw := newNetwork("n0:1")
			gate := make(chan struct{})
			nw.nodes["n0:1"].before = func(int) { <-gate }
			c := made(t, nw, Config{Addrs: []string{"n0:1"}, OnError: mode, Retry: RetryNever})
			ctx, cancel := context.WithTimeout(context.Background(), 70*time.Millisecond)
			defer cancel()
			within(t, 70*time.Millisecond, 70*time.Millisecond, func() {
				d, err := c.Allow(ctx, "k", "10/1m")
				var e *Error
				if d.Allowed != (mode != transport.Deny) || d.Via != transport.ViaUnavailable || !errors.As(err, &e) ||
					!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "n0:1") {
					t.Errorf("%+v, %v", d, err)
				}
			})
			c.Close()
			close(gate)
			nw.close()
		})
	}
	// Without a deadline of the context's: Timeout. Its two requests are told how long they have.
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1")
		gate := make(chan struct{})
		for _, f := range nw.nodes {
			f.before = func(int) { <-gate }
		}
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}, Timeout: 400 * time.Millisecond})
		within(t, 400*time.Millisecond, 400*time.Millisecond, func() {
			if _, err := c.Allow(context.Background(), "k", "10/1m"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		for addr, want := range map[string]string{"n0:1": "\xaatimeout_ms\xcd\x01\x13", "n1:1": "\xaatimeout_ms\xcd\x00\x57"} { // 275, 87
			if f := nw.nodes[addr]; f.requests() != 1 || !strings.HasSuffix(string(f.bodies[0]), want) {
				t.Errorf("%s: %q", addr, f.bodies)
			}
		}
		c.Close()
		close(gate)
		nw.close()
	})
}

// Callers who share a request leave at their own deadlines; the node has the latest of them.
func TestDeadlinesInOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		n0 := nw.nodes["n0:1"]
		gate := make(chan struct{})
		n0.before = func(request int) {
			if request == 1 {
				<-gate
			}
			time.Sleep(100 * time.Millisecond)
		}
		c := made(t, nw, Config{Addrs: []string{"n0:1"}, Retry: RetryNever, Attempt: time.Minute})
		var wg sync.WaitGroup
		wg.Go(func() { allowed(t, c, "first", "10/1m") })
		synctest.Wait()
		for i, patience := range []time.Duration{90, 500, 50, 150, 10} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience*time.Millisecond)
				defer cancel()
				at := min(patience, 110) * time.Millisecond // 10 ms until the gate opens
				if patience > 110 {
					at += 100 * time.Millisecond // the first request's
				}
				within(t, 0, at, func() {
					if _, err := c.Allow(ctx, fmt.Sprint(i), "10/1m"); (err == nil) != (patience == 500) {
						t.Errorf("%d ms: %v", patience, err)
					}
				})
			})
			synctest.Wait()
		}
		time.Sleep(10 * time.Millisecond)
		close(gate)
		wg.Wait()
		// 110 ms of the 500 are over when the second request goes, and the answer is due 25 ms early.
		if n := len(n0.bodies); n != 2 || !strings.HasSuffix(string(n0.bodies[1]), "\xaatimeout_ms\xcd\x01\x6d") {
			t.Errorf("%d requests, %q", n, n0.bodies[n-1])
		}
		// Who had left before it went is not in it.
		if a, b := nw.spent("0", "10/1m"), nw.spent("3", "10/1m"); a != 0 || b != 1 {
			t.Errorf("%d and %d spent", a, b)
		}
		c.Close()
		nw.close()
	})
}

// A context that is over asks nobody, and one that ends is heard at once.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		n0 := nw.nodes["n0:1"]
		gate := make(chan struct{})
		n0.before = func(int) { <-gate }
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if d, err := c.Allow(ctx, "k", "10/1m"); !errors.Is(err, context.Canceled) || !d.Allowed || n0.requests() != 0 {
			t.Errorf("%+v, %v, %d requests", d, err, n0.requests())
		}
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(5*time.Millisecond, cancel)
		within(t, 5*time.Millisecond, 5*time.Millisecond, func() {
			if _, err := c.Allow(ctx, "k", "10/1m"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		// One that has not been sent yet never is.
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(5*time.Millisecond, cancel)
		if _, err := c.Allow(ctx, "queued", "10/1m"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(gate)
		allowed(t, c, "other", "10/1m")
		if n := nw.spent("queued", "10/1m"); n != 0 {
			t.Errorf("%d spent by who had left before it was sent", n)
		}
		if s := c.Stats(); s.Late != 1 || s.Failed != 3 {
			t.Errorf("%+v", s)
		}
		c.Close()
		nw.close()
	})
}

// Close ends what waits, at once, and everything after.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1")
		gate := make(chan struct{})
		nw.nodes["n0:1"].before = func(int) { <-gate }
		nw.nodes["n1:1"].silent = true
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}, OnError: transport.Deny, Conns: 2})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if d, err := c.Allow(context.Background(), fmt.Sprint(i), "10/1m"); !errors.Is(err, ErrClosed) || d.Allowed {
					t.Errorf("%+v, %v", d, err)
				}
			})
		}
		synctest.Wait()
		within(t, 0, 0, func() { c.Close() })
		wg.Wait()
		if _, err := c.Allow(context.Background(), "k", "10/1m"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		c.Close()
		close(gate)
		nw.close()
	})
}

// More checks than the queue holds fail at once, and those in it do not.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		gate := make(chan struct{})
		nw.nodes["n0:1"].before = func(int) { <-gate }
		c := made(t, nw, Config{Addrs: []string{"n0:1"}, MaxQueue: 10})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { allowed(t, c, fmt.Sprint(i), "10/1m") })
		}
		synctest.Wait()
		within(t, 0, 0, func() {
			if d, err := c.Allow(context.Background(), "k", "10/1m"); !errors.Is(err, ErrQueueFull) || !d.Allowed {
				t.Errorf("%+v, %v", d, err)
			}
		})
		close(gate)
		wg.Wait()
		for range 30 { // room comes back
			allowed(t, c, "later", "100/1m")
		}
		c.Close()
		nw.close()
	})
}

// A node refuses a request as a whole. The check that it names fails, the others do not suffer for it.
func TestBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		n0 := nw.nodes["n0:1"]
		gate := make(chan struct{})
		n0.before = func(request int) {
			if request == 1 {
				<-gate
			}
		}
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		var wg sync.WaitGroup
		wg.Go(func() { allowed(t, c, "first", "10/1m") })
		synctest.Wait()
		for i := range 5 {
			wg.Go(func() { allowed(t, c, fmt.Sprint(i), "10/1m") })
			wg.Go(func() { // no policy is loaded
				d, err := c.Do(context.Background(), Check{Attributes: map[string]string{"method": "GET", "path": "/"}})
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "n0:1 says: no policy is loaded") || d.Allowed {
					t.Errorf("%+v, %v", d, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		for i := range 5 {
			if n := nw.spent(fmt.Sprint(i), "10/1m"); n != 1 {
				t.Errorf("%d spent", n)
			}
		}
		n0.set(func(f *fake) {
			f.handle = func(_ int, ctx *fasthttp.RequestCtx) bool { ctx.SetStatusCode(400); return true }
		})
		if _, err := c.Allow(context.Background(), "k", "10/1m"); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
		if s := c.Stats(); s.Skipped != 0 {
			t.Errorf("%+v", s)
		}
		c.Close()
		nw.close()
	})
}

// A node that answers that nobody could decide has answered. Its failure mode holds, unless the client has one of its own.
func TestUndecided(t *testing.T) {
	for _, node := range []bool{true, false} {
		for _, mode := range []transport.Mode{transport.ByDefault, transport.Allow, transport.Deny} {
			synctest.Test(t, func(t *testing.T) {
				nw := newNetwork("n0:1")
				nw.nodes["n0:1"].counter.Answer = nobody(node)
				c := made(t, nw, Config{Addrs: []string{"n0:1"}, OnError: mode})
				want := node && mode == transport.ByDefault || mode == transport.Allow
				d, err := c.Allow(context.Background(), "k", "10/1m")
				if d.Allowed != want || d.Via != transport.ViaUnavailable || !errors.Is(err, ErrUndecided) || !strings.Contains(err.Error(), "n0:1") {
					t.Errorf("node %v, client %v: %+v, %v", node, mode, d, err)
				}
				if s := c.Stats(); s.Undecided != 1 || s.Failed != 0 || s.Skipped != 0 || s.Requests != 1 {
					t.Errorf("%+v", s)
				}
				c.Close()
				nw.close()
			})
		}
	}
}
