package client

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
)

// denying is a network whose node denies with this wait once a limit is full.
func denying(retry time.Duration) (*network, *fake) {
	nw := newNetwork("n0:1")
	f := nw.nodes["n0:1"]
	f.counter.Answer = func(_ *transport.Check, d *transport.Decision) {
		if !d.Allowed && !d.Never {
			d.Retry, d.Reset = retry, retry
		}
	}
	return nw, f
}

// A caller that hammers costs one request, until the retry moment and no longer than a second.
func TestDeniedUntilRetry(t *testing.T) {
	for retry, stands := range map[time.Duration]time.Duration{
		300 * time.Millisecond: 299 * time.Millisecond, // the milliseconds of an answer are rounded up
		59 * time.Second:       time.Second,
		2 * time.Millisecond:   time.Millisecond,
		time.Millisecond:       0,
	} {
		synctest.Test(t, func(t *testing.T) {
			nw, f := denying(retry)
			c := made(t, nw, Config{Addrs: []string{"n0:1"}})
			allowed(t, c, "k", "1/1m")
			if d := denied(t, c, "k", "1/1m"); d.Via != transport.ViaHolder {
				t.Errorf("%+v", d)
			}
			began, had := time.Now(), f.requests()
			for ; time.Since(began) < stands; time.Sleep(stands / 10) {
				d := denied(t, c, "k", "1/1m")
				if d.Via != transport.ViaDeniedCache || d.Retry != retry-time.Since(began) || d.Reset != d.Retry || d.By != "1/1m" || d.Limit != 1 {
					t.Fatalf("after %v: %+v", time.Since(began), d)
				}
			}
			if n := f.requests(); n != had {
				t.Errorf("%d requests", n-had)
			}
			if d := denied(t, c, "k", "1/1m"); d.Via != transport.ViaHolder {
				t.Errorf("after %v: %+v", time.Since(began), d)
			}
			if s := c.Stats(); (s.Denied > 0) != (stands > 0) || s.Failed != 0 {
				t.Errorf("%+v", s)
			}
			c.Close()
			nw.close()
		})
	}
}

// A "no" to some hits says nothing of fewer, of other limits, or of other keys; and it says no to more.
func TestDeniedIsOnlyWhatWasDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, _ := denying(time.Minute)
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		ask := func(key string, hits int64, limits ...string) Decision {
			t.Helper()
			d, err := c.Do(context.Background(), Check{Key: key, Limits: limits, Hits: hits, Peek: hits == 0})
			if err != nil {
				t.Error(err)
			}
			return d
		}
		ask("k", 6, "10/1m")
		if d := ask("k", 5, "10/1m"); d.Allowed || d.Via != transport.ViaHolder {
			t.Errorf("%+v", d)
		}
		if d := ask("k", 6, "10/1m"); d.Allowed || d.Via != transport.ViaDeniedCache {
			t.Errorf("more: %+v", d)
		}
		if d := ask("k", 0, "10/1m"); !d.Allowed || d.Via != transport.ViaHolder {
			t.Errorf("a peek: %+v", d)
		}
		if d := ask("k", 4, "10/1m"); !d.Allowed || d.Via != transport.ViaHolder {
			t.Errorf("fewer: %+v", d)
		}
		if d := ask("k2", 5, "10/1m"); !d.Allowed {
			t.Errorf("another key: %+v", d)
		}
		if d := ask("k", 5, "11/1m"); d.Via != transport.ViaHolder {
			t.Errorf("another limit: %+v", d)
		}
		if d := ask("k", 5, "10/1m", "100/1h"); d.Via != transport.ViaHolder {
			t.Errorf("one limit more: %+v", d)
		}
		// For good, and remembered for a second all the same.
		if d := ask("n", 11, "10/1m"); !d.Never || d.Via != transport.ViaHolder {
			t.Errorf("%+v", d)
		}
		if d := ask("n", 12, "10/1m"); !d.Never || d.Via != transport.ViaDeniedCache {
			t.Errorf("%+v", d)
		}
		c.Close()
		nw.close()
	})
}

// What is given back through this client shows at once, also to a batch that gives back and asks.
func TestGiveBackEndsADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, _ := denying(time.Minute)
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		ctx := context.Background()
		allowed(t, c, "k", "1/1m")
		denied(t, c, "k", "1/1m")
		if _, err := c.Do(ctx, Check{Key: "k", Limits: []string{"1/1m"}, Hits: -1}); err != nil {
			t.Error(err)
		}
		allowed(t, c, "k", "1/1m")
		denied(t, c, "k", "1/1m")
		// A denial that comes between a give-back's beginning and its end does not outlast it.
		limits, err := c.limits.Limits([][]byte{[]byte("1/1m")})
		if err != nil {
			t.Fatal(err)
		}
		back := c.get()
		back.addCheck(c, []byte("k"), limits, -1, 0, false)
		denied(t, c, "k", "1/1m")
		if d := denied(t, c, "k", "1/1m"); d.Via != transport.ViaDeniedCache {
			t.Errorf("%+v", d)
		}
		back.deadline = c.now() + int64(time.Second)
		if _, err := c.ask(ctx, back, c.now()); err != nil {
			t.Error(err)
		}
		allowed(t, c, "k", "1/1m")
		denied(t, c, "k", "1/1m")
		ds, err := c.DoBatch(ctx, []Check{
			{Key: "k", Limits: []string{"1/1m"}}, {Key: "k", Limits: []string{"1/1m"}, Hits: -1}, {Key: "k", Limits: []string{"1/1m"}},
		}, nil)
		if err != nil || ds[0].Allowed || ds[0].Via != transport.ViaDeniedCache || !ds[2].Allowed {
			t.Errorf("%+v, %v", ds, err)
		}
		c.Close()
		nw.close()
	})
}

// A denial that was decided before a give-back, and arrives after it, is not remembered.
func TestALateDenialIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1"}})
		k := c.get()
		limits, err := c.limits.Limits([][]byte{[]byte("1/1m")})
		if err != nil {
			t.Fatal(err)
		}
		a := k.addCheck(c, []byte("k"), limits, 1, 0, false)
		no := Decision{By: "1/1m", Retry: time.Minute}
		for _, late := range []bool{false, true} {
			if late {
				back := c.get()
				back.addCheck(c, []byte("k"), limits, -1, 0, false)
				c.forget(back)
			}
			c.remember(k, a, &no)
			if _, is := c.remembered(k, a, c.now()); is == late {
				t.Errorf("late %v: remembered %v", late, is)
			}
		}
		c.Close()
	})
}

// Memory is bounded; what is crowded out is asked for.
func TestDenialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, f := denying(time.Minute)
		c := made(t, nw, Config{Addrs: []string{"n0:1"}, DeniedCache: 64})
		for i := range 1000 {
			allowed(t, c, fmt.Sprint(i), "1/1m")
			denied(t, c, fmt.Sprint(i), "1/1m")
		}
		n := 0
		for i := range c.denied.sets {
			for j := range c.denied.sets[i].slots {
				if c.denied.sets[i].slots[j].Load() != nil {
					n++
				}
			}
		}
		first, last := denied(t, c, "0", "1/1m"), denied(t, c, "999", "1/1m")
		if n != 64 || first.Via != transport.ViaHolder || last.Via != transport.ViaDeniedCache {
			t.Errorf("%d are remembered, the first from %v, the last from %v", n, first.Via, last.Via)
		}
		c.Close()
		off := made(t, nw, Config{Addrs: []string{"n0:1"}, DeniedCache: -1})
		had := f.requests()
		for range 10 {
			denied(t, off, "1", "1/1m")
		}
		if n := f.requests() - had; n != 10 {
			t.Errorf("%d requests without a cache", n)
		}
		off.Close()
		nw.close()
	})
}

// What is no denial by a limit is not remembered: a full table's, or nobody's.
func TestNotEveryNoIsRemembered(t *testing.T) {
	for _, answer := range []func(*transport.Check, *transport.Decision){
		doortest.Nobody(false),
		func(_ *transport.Check, d *transport.Decision) {
			*d = transport.Decision{Outcome: bucket.Outcome{By: -1, Full: true}, Via: transport.ViaFull}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			nw := newNetwork("n0:1")
			f := nw.nodes["n0:1"]
			f.counter.Answer = answer
			c := made(t, nw, Config{Addrs: []string{"n0:1"}})
			for range 3 {
				if d, _ := c.Allow(context.Background(), "k", "1/1m"); d.Allowed || d.Via == transport.ViaDeniedCache {
					t.Errorf("%+v", d)
				}
			}
			if n := f.requests(); n != 3 {
				t.Errorf("%d requests", n)
			}
			c.Close()
			nw.close()
		})
	}
}
