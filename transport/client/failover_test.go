package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
)

func nobody(allow bool) func(*transport.Check, *transport.Decision) { return doortest.Nobody(allow) }

// What each kind of failure costs a check that spends, one that gives back and one that looks.
func TestFailover(t *testing.T) {
	status := func(code int) func(int, *fasthttp.RequestCtx) bool {
		return func(_ int, ctx *fasthttp.RequestCtx) bool { ctx.SetStatusCode(code); return true }
	}
	decidedThen := func(f *fake, code int) func(int, *fasthttp.RequestCtx) bool {
		return func(_ int, ctx *fasthttp.RequestCtx) bool {
			f.door.Handle(ctx)
			ctx.Response.Reset()
			ctx.SetStatusCode(code)
			return true
		}
	}
	for _, x := range []struct {
		name  string
		fail  func(f *fake)
		maybe bool          // it may have decided
		spent int64         // by one hit that is asked again
		takes time.Duration // until the other node has answered
	}{
		{"nobody listens", func(f *fake) { f.refuse = true }, false, 1, 0},
		{"the host is gone", func(f *fake) { f.silent = true }, false, 1, 750 * time.Millisecond},
		{"503 with a problem", func(f *fake) { f.handle = status(503) }, false, 1, 0},
		{"404", func(f *fake) { f.handle = status(404) }, false, 1, 0},
		{"408", func(f *fake) { f.handle = status(408) }, false, 1, 0},
		{"500", func(f *fake) { f.handle = decidedThen(f, 500) }, true, 2, 0},
		{"502", func(f *fake) { f.handle = status(502) }, true, 1, 0},
		{"it hangs up before it has decided", func(f *fake) {
			f.handle = status(200)
			f.after = func(int) bool { return true }
		}, true, 1, 0},
		{"it hangs up when it has decided", func(f *fake) { f.after = func(int) bool { return true } }, true, 2, 0},
		{"it hangs", func(f *fake) { f.before = func(int) { select {} } }, true, 1, 750 * time.Millisecond},
		{"nonsense", func(f *fake) {
			f.handle = func(_ int, ctx *fasthttp.RequestCtx) bool {
				f.door.Handle(ctx)
				ctx.SetBodyString("\x81\xa1x")
				return true
			}
		}, true, 2, 0},
		{"another's answer", func(f *fake) {
			f.handle = func(_ int, ctx *fasthttp.RequestCtx) bool {
				ctx.SetBodyString("\x81\xa9decisions\x92\x81\xa7allowed\xc3\x81\xa7allowed\xc3")
				return true
			}
		}, true, 1, 0},
	} {
		for _, retry := range []Retry{RetryOnce, RetryNever} {
			t.Run(fmt.Sprintf("%s/%d", x.name, retry), func(t *testing.T) {
				hang := strings.HasSuffix(x.name, "hangs")
				synctest.Test(t, func(t *testing.T) {
					nw := newNetwork("n0:1", "n1:1")
					gate := make(chan struct{})
					f := nw.nodes["n0:1"]
					fresh := func() *Client { // a client that has not heard of the failure yet
						return made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}, Retry: retry, OnError: transport.Deny})
					}
					c := fresh()
					x.fail(f)
					if hang {
						f.before = func(int) { <-gate }
					}
					again := !x.maybe || retry == RetryOnce
					takes := x.takes
					if !again && takes > 0 {
						takes = 800 * time.Millisecond
					} else if takes > 0 && retry == RetryNever {
						takes = 800 * time.Millisecond
					}
					within(t, takes, takes, func() {
						d, err := c.Allow(context.Background(), "spend", "10/1m")
						if d.Allowed != again || (err == nil) != again || err != nil && !strings.Contains(err.Error(), "n0:1") {
							t.Errorf("%+v, %v", d, err)
						}
					})
					if !hang {
						want := x.spent
						if x.maybe && retry == RetryNever {
							want--
						}
						if n := nw.spent("spend", "10/1m"); n != want {
							t.Errorf("%d spent, not %d", n, want)
						}
					}
					if n := nw.nodes["n1:1"].requests(); (n == 1) != again {
						t.Errorf("the other node had %d requests", n)
					}
					// From now on the node is not asked any more.
					had := f.requests()
					within(t, 0, 0, func() { allowed(t, c, "spend", "10/1m") })
					if f.requests() != had {
						t.Error("a node that failed was asked again")
					}
					if s := c.Stats(); s.Skipped != 1 {
						t.Errorf("%+v", s)
					}
					c.Close()

					// What gives back is never asked again, unless surely nobody had it.
					c = fresh()
					_, err := c.Do(context.Background(), Check{Key: "back", Limits: []string{"10/1m"}, Hits: -1})
					if (err == nil) == x.maybe {
						t.Errorf("a give-back: %v", err)
					}
					c.Close()
					// What only looks may be asked again whatever happened.
					c = fresh()
					if _, err := c.Do(context.Background(), Check{Key: "look", Limits: []string{"10/1m"}, Peek: true}); err != nil {
						t.Errorf("a peek: %v", err)
					}
					c.Close()
					close(gate)
					nw.close()
				})
			})
		}
	}
}

// It is sent again once, not once a node.
func TestAgainOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1", "n2:1", "n3:1")
		for _, f := range nw.nodes {
			f.after = func(int) bool { return true }
		}
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1", "n2:1", "n3:1"}})
		d, err := c.Allow(context.Background(), "k", "10/1m")
		if err == nil || !d.Allowed || !strings.Contains(err.Error(), "n0:1 failed") || !strings.Contains(err.Error(), "n1:1 was asked") {
			t.Errorf("%+v, %v", d, err)
		}
		if n := nw.spent("k", "10/1m"); n != 2 {
			t.Errorf("%d spent", n)
		}
		c.Close()
		nw.close()
	})
}

// With no node up a call costs nothing and waits for nothing; the nodes are probed at growing intervals, and come back by that.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1")
		refuse := func(is bool) {
			for _, f := range nw.nodes {
				f.set(func(f *fake) { f.refuse = is })
			}
		}
		refuse(true)
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}, OnError: transport.Deny})
		for range 100 {
			within(t, 0, 0, func() {
				d, err := c.Allow(context.Background(), "k", "10/1m")
				if d.Allowed || !errors.Is(err, ErrNoNode) || !strings.Contains(err.Error(), "n0:1 failed: connect: ") || !strings.Contains(err.Error(), "n1:1 failed") {
					t.Errorf("%+v, %v", d, err)
				}
			})
		}
		if n, _ := nw.nodes["n0:1"].seen(); n != 1 {
			t.Errorf("%d dials", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// 100, 200, 400, … ms less up to half make 4 to 12 dials in the first 6 s, and then one each 2.5 to 5 s.
		if n, _ := nw.nodes["n0:1"].seen(); n < 15 || n > 34 {
			t.Errorf("%d dials in a minute", n)
		}
		refuse(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		allowed(t, c, "k", "10/1m")
		n0 := nw.nodes["n0:1"]
		if _, probes := n0.seen(); n0.requests() != 1 || probes != 1 {
			t.Errorf("%d requests and %d probes at home", n0.requests(), probes)
		}
		c.Close()
		nw.close()
	})
}

// A node that fails is left alone for twice as long each time, up to a cap; many clients do not come back in one moment.
func TestNodeBackoff(t *testing.T) {
	cfg := Config{Addrs: []string{"n0:1"}}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	most := []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000}
	for fails, most := range most {
		most *= time.Millisecond
		seen := make(map[time.Duration]bool)
		for range 50 {
			d := cfg.backoff(fails)
			if seen[d] = true; d < most/2 || d > most {
				t.Errorf("after %d failures: %v", fails, d)
			}
		}
		if len(seen) < 25 {
			t.Errorf("after %d failures: no jitter", fails)
		}
	}
	if d := cfg.backoff(1 << 30); d < 2500*time.Millisecond || d > 5*time.Second {
		t.Errorf("%v", d)
	}
}

// A node that hangs takes probes without answering them: it stays skipped, also while others are asked.
func TestProbesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1")
		gate := make(chan struct{})
		f := nw.nodes["n0:1"]
		f.handle = func(int, *fasthttp.RequestCtx) bool { <-gate; return false }
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}, Timeout: 100 * time.Millisecond})
		for range 100 {
			allowed(t, c, "k", "1000/1m")
			time.Sleep(100 * time.Millisecond)
		}
		if n := f.requests(); n != tooSlow { // 75 ms are not long enough to be sure at the first time
			t.Errorf("%d requests at a node that hangs", n)
		}
		close(gate)
		time.Sleep(6 * time.Second)
		allowed(t, c, "k", "1000/1m")
		if n := f.requests(); n != tooSlow+1 {
			t.Errorf("%d requests at home", n)
		}
		c.Close()
		nw.close()
	})
}

// A node that answers probes but fails at work is left alone for longer and longer.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1")
		f := nw.nodes["n0:1"]
		f.handle = func(_ int, ctx *fasthttp.RequestCtx) bool {
			if contains(ctx.Request.Body(), probeKey) {
				return false
			}
			ctx.SetStatusCode(500)
			return true
		}
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}})
		for range 60 * 100 {
			allowed(t, c, "k", "10000/1m")
			time.Sleep(10 * time.Millisecond)
		}
		if n := f.requests(); n < 10 || n > 34 {
			t.Errorf("asked %d times in a minute", n)
		}
		c.Close()
		nw.close()
	})
}

// A node that says Connection: close is leaving. Others are asked; without others, it is asked still.
func TestLeaving(t *testing.T) {
	for _, addrs := range [][]string{{"n0:1", "n1:1"}, {"n0:1"}} {
		synctest.Test(t, func(t *testing.T) {
			nw := newNetwork(addrs...)
			f := nw.nodes["n0:1"]
			f.handle = func(_ int, ctx *fasthttp.RequestCtx) bool { f.door.Handle(ctx); ctx.SetConnectionClose(); return true }
			c := made(t, nw, Config{Addrs: addrs})
			for range 10 {
				allowed(t, c, "k", "1000/1m")
				time.Sleep(50 * time.Millisecond)
			}
			want := 1
			if len(addrs) == 1 {
				want = 10
			}
			if n := f.requests(); n != want {
				t.Errorf("%d requests", n)
			}
			f.set(func(f *fake) { f.handle = nil })
			time.Sleep(5 * time.Second)
			for range 2 {
				allowed(t, c, "k", "1000/1m")
			}
			if n := f.requests(); n != want+2 || nw.spent("k", "1000/1m") != 12 {
				t.Errorf("%d requests, %d spent", n, nw.spent("k", "1000/1m"))
			}
			c.Close()
			nw.close()
		})
	}
}

// A connection that breaks when it is used again says little of the node: it is asked over a new one, and not skipped.
func TestReusedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork("n0:1", "n1:1")
		c := made(t, nw, Config{Addrs: []string{"n0:1", "n1:1"}})
		allowed(t, c, "k", "10/1m")
		nw.cut()
		synctest.Wait()
		allowed(t, c, "k", "10/1m")
		if s := c.Stats(); s.Skipped != 0 || s.Dials != 2 || nw.spent("k", "10/1m") != 2 {
			t.Errorf("%+v, %d spent", s, nw.spent("k", "10/1m"))
		}
		// If the node was dying, what may be sent once more has gone to another.
		n0 := nw.nodes["n0:1"]
		n0.set(func(f *fake) {
			f.refuse, f.after = true, func(int) bool { return true }
		})
		allowed(t, c, "k2", "10/1m")
		n0.set(func(f *fake) { f.refuse, f.after = false, nil })
		allowed(t, c, "k2", "10/1m")
		if s := c.Stats(); s.Again != 1 || s.Skipped != 0 || nw.nodes["n1:1"].requests() != 1 || nw.spent("k2", "10/1m") != 3 {
			t.Errorf("%+v, %d spent", s, nw.spent("k2", "10/1m"))
		}
		had := c.Stats().Dials
		// One that has been idle for long is not used at all.
		time.Sleep(2 * maxIdle)
		allowed(t, c, "k", "10/1m")
		if s := c.Stats(); s.Dials != had+1 {
			t.Errorf("%+v", s)
		}
		c.Close()
		nw.close()
	})
}

// Over TCP it is seen before anything is sent that a node has closed an idle connection: so what gives back survives that too.
func TestClosedWhileIdle(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		k, err := ln.Accept()
		if err == nil {
			accepted <- k
		}
	}()
	k, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	other := <-accepted
	if !quiet(k) {
		t.Error("an open connection")
	}
	other.Close()
	ln.Close()
	// The FIN is on its way, which Read waits for without taking it.
	if _, err := k.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	if quiet(k) {
		t.Error("a closed connection")
	}
}

// Calls that fail, leave and are answered late, all at once, over nodes that come and go: none is lost, none has another's answer.
func TestChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []string{"n0:1", "n1:1", "n2:1"}
		nw := newNetwork(addrs...)
		for i, f := range []*fake{nw.nodes["n0:1"], nw.nodes["n1:1"], nw.nodes["n2:1"]} {
			f.before = func(n int) { time.Sleep(time.Duration(n%7) * time.Millisecond) }
			f.after = func(n int) bool { return n%(11+i) == 0 }
			f.handle = func(n int, ctx *fasthttp.RequestCtx) bool {
				if n%50 == 49 {
					ctx.SetStatusCode(500)
				}
				return n%50 == 49
			}
		}
		c := made(t, nw, Config{Addrs: addrs, Conns: 3, Timeout: 40 * time.Millisecond, Backoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond})
		var wg sync.WaitGroup
		for g := range 50 {
			wg.Go(func() {
				limit := fmt.Sprintf("%d/1m", 100000+g) // so that an answer tells whose it is
				for i := range 100 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+(g+i)%40)*time.Millisecond)
					d, err := c.Allow(ctx, fmt.Sprint("k", g), limit)
					cancel()
					if err == nil && (d.Limit != uint32(100000+g) || d.By != limit) || err != nil && !d.Allowed {
						t.Errorf("%+v, %v", d, err)
					}
				}
			})
		}
		wg.Wait()
		if s := c.Stats(); s.Late == 0 || s.Again == 0 || s.Failed == 0 || s.Skipped == 0 {
			t.Errorf("nothing happened: %+v", s)
		}
		c.Close()
		nw.close()
	})
}
