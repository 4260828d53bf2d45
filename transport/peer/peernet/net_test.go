package peernet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNet(seed uint64) *Net { return New(rand.New(rand.NewPCG(seed, 1))) }

func listen(t *testing.T, n *Net, addr string) net.Listener {
	t.Helper()
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connect makes a connection from a to b, with the listener that it came in by.
func connect(t *testing.T, n *Net) (a, b net.Conn, l net.Listener) {
	t.Helper()
	l = listen(t, n, "b:1")
	a, err := n.Dialer("a")(t.Context(), "b:1")
	if err != nil {
		t.Fatal(err)
	}
	b, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b, l
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %q: %v", n, text, err)
	}
}

// hears reads once, for at most a time.
func hears(c net.Conn, within time.Duration) string {
	b := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(within))
	n, err := c.Read(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case err == io.EOF:
		return "end"
	case err != nil:
		return err.Error()
	}
	return string(b[:n])
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: heard %q, not %q", what, got, want)
	}
}

func TestBytesGoBothWaysAndTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(1)
		n.SetDelay(10*time.Millisecond, 10*time.Millisecond)
		began := time.Now()
		a, b, _ := connect(t, n)
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("connected after %v", took)
		}
		if a.RemoteAddr().String() != "b:1" || b.LocalAddr().String() != "b:1" || a.LocalAddr().String() != b.RemoteAddr().String() {
			t.Errorf("addresses %v → %v, %v → %v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
		}
		send(t, a, "one")
		expect(t, "before it arrives", hears(b, 10*time.Millisecond-1), "nothing")
		expect(t, "then", hears(b, time.Millisecond), "one")
		send(t, b, "two")
		expect(t, "back", hears(a, time.Second), "two")
		send(t, a, "last")
		a.Close()
		expect(t, "sent before the end", hears(b, time.Second), "last")
		expect(t, "the end", hears(b, time.Second), "end")
		if _, err := a.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	})
}

// Whatever the delays, one connection is one stream of bytes, and slow reading holds the writer up.
func TestAStreamStaysInOrderAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(2)
		n.SetDelay(0, 50*time.Millisecond)
		a, b, _ := connect(t, n)
		sent := make([]byte, 5*Buffer)
		r := rand.New(rand.NewPCG(3, 3))
		for i := range sent {
			sent[i] = byte(r.Uint32())
		}
		written := make(chan int, 1)
		go func() {
			done := 0
			for done < len(sent) {
				k, err := a.Write(sent[done:min(len(sent), done+1+r.IntN(100_000))])
				if err != nil {
					t.Error(err)
				}
				done += k
			}
			written <- done
			a.Close()
		}()
		time.Sleep(time.Second)
		n.mu.Lock()
		if under := a.(*conn).out.size; under != Buffer {
			t.Errorf("%d bytes under way to a reader that does not read", under)
		}
		n.mu.Unlock()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d of %d bytes, equal %v, %v", len(got), len(sent), bytes.Equal(got, sent), err)
		}
		<-written
	})
}

func TestDialsAreRefusedOrHeardByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(1)
		l := listen(t, n, "b:1")
		if _, err := n.Listen("b:1"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listen twice: %v", err)
		}
		dial := func(addr string) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := n.Dialer("a:9")(ctx, addr)
			if err == nil {
				c.Close()
			}
			return err
		}
		if err := dial("b:1"); err != nil {
			t.Error(err)
		}
		if err := dial("b:2"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		for _, oneWay := range []func(){func() { n.CutOneWay("a", "b") }, func() { n.CutOneWay("b", "a") }, func() { n.Cut("a", "b") }} {
			oneWay()
			began := time.Now()
			if err := dial("b:1"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("over a cut link: %v after %v", err, time.Since(began))
			}
			if err := dial("c:1"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("over another link: %v", err)
			}
			time.AfterFunc(500*time.Millisecond, n.Heal)
			if err := dial("b:1"); err != nil {
				t.Errorf("over a link that heals meanwhile: %v", err)
			}
		}
		n.SetLinkDelay("a", "b", 10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(15*time.Millisecond, func() { n.CutOneWay("b", "a") })
		if err := dial("b:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut while the answer was under way: %v", err)
		}
		n.HealLink("a", "b")
		n.SetLinkDelay("a", "b", 0, 0)
		n.Crash("b")
		if err := dial("b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after a crash: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after a crash: %v", err)
		}
		n.Vanish("b")
		if err := dial("b:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after it vanished: %v", err)
		}
		listen(t, n, "b:1")
		if err := dial("b:1"); err != nil {
			t.Errorf("once it is back: %v", err)
		}
	})
}

// Over many connections that are cut and healed, some go on, late and whole, and the others stay silent. None brings anything while it
// is cut, and none brings half of it.
func TestACutConnectionIsLateOrDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, dead := 0, 0
		for seed := range uint64(40) {
			n := newNet(seed)
			n.SetDelay(5*time.Millisecond, 5*time.Millisecond)
			a, b, l := connect(t, n)
			quiet, err := n.Dialer("a")(t.Context(), "b:1")
			if err != nil {
				t.Fatal(err)
			}
			heard, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			send(t, a, "under way")
			n.Cut("a", "b")
			send(t, a, ", and after")
			send(t, b, "back")
			if got := hears(b, time.Second); got != "nothing" {
				t.Fatalf("seed %d: heard %q over a cut link", seed, got)
			}
			n.Heal()
			got := hears(b, 10*time.Second)
			if got == "nothing" {
				dead++
				send(t, a, "more")
				expect(t, "on a dead connection", hears(b, time.Hour), "nothing")
				expect(t, "the other way", hears(a, time.Hour), "nothing")
			} else {
				late++
				if got == "under way" {
					got += hears(b, time.Second)
				}
				expect(t, "late", got, "under way, and after")
				expect(t, "the other way", hears(a, time.Second), "back")
			}
			// A connection that had nothing under way noticed nothing.
			send(t, quiet, "x")
			expect(t, "on a connection that was quiet", hears(heard, time.Second), "x")
		}
		if late < 8 || dead < 8 {
			t.Errorf("%d late, %d dead", late, dead)
		}
	})
}

func TestACutOneWayLetsTheOtherWayThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(1)
		a, b, _ := connect(t, n)
		n.CutOneWay("a", "b")
		send(t, a, "lost")
		send(t, b, "heard")
		expect(t, "the way that works", hears(a, time.Second), "heard")
		expect(t, "the cut one", hears(b, time.Second), "nothing")
		// Nobody hears that the other side has closed, either.
		a.Close()
		expect(t, "the end", hears(b, time.Second), "nothing")
	})
}

func TestHowConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(1)
		n.SetDelay(time.Millisecond, time.Millisecond)
		a, b, l := connect(t, n)
		l.Close()
		send(t, b, "unread")
		time.Sleep(time.Second)
		a.Close()
		expect(t, "closed with something unread", hears(b, time.Second), "reset")
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after a reset: %v", err)
		}

		a, b, l = connect(t, n)
		a.Close()
		send(t, b, "to nobody") // the end is under way
		time.Sleep(time.Second)
		expect(t, "the end", hears(b, time.Second), "end")

		l.Close()
		a, b, l = connect(t, n)
		waiting, err := n.Dialer("a")(t.Context(), "b:1")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		expect(t, "never accepted", hears(waiting, time.Second), "reset")
		n.Crash("b")
		expect(t, "crashed", hears(a, time.Second), "reset")
		if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write of the crashed: %v", err)
		}

		a, _, _ = connect(t, n)
		n.Vanish("b")
		expect(t, "vanished", hears(a, time.Hour), "nothing")
		send(t, a, "x")
		expect(t, "sent to who vanished", hears(a, time.Hour), "nothing")
		listen(t, n, "b:2")
		expect(t, "once it is back", hears(a, time.Second), "reset")
	})
}

func TestAPausedHostIsLateAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(1)
		a, b, l := connect(t, n)
		n.Pause("b")
		send(t, a, "x")
		expect(t, "while paused", hears(b, time.Second), "nothing")
		accepted := make(chan net.Conn)
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		if _, err := n.Dialer("a")(t.Context(), "b:1"); err != nil {
			t.Errorf("dial of a paused host: %v", err)
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { n.Resume("b") })
		send(t, b, "y")
		if took := time.Since(began); took != time.Second {
			t.Errorf("a paused host wrote after %v", took)
		}
		expect(t, "resumed", hears(b, time.Second), "x")
		<-accepted
	})
}

// Many connections at once under changing faults: nobody hangs for ever, nothing arrives that was not sent, or twice.
func TestFaultsAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			n := newNet(seed)
			n.SetDelay(0, 20*time.Millisecond)
			hosts := []string{"a", "b", "c"}
			var servers sync.WaitGroup
			var listeners []net.Listener
			for _, h := range hosts {
				l := listen(t, n, h+":1")
				listeners = append(listeners, l)
				servers.Go(func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						servers.Go(func() {
							defer c.Close()
							c.SetDeadline(time.Now().Add(5 * time.Second))
							io.Copy(c, c)
						})
					}
				})
			}
			var clients sync.WaitGroup
			whole := 0
			var mu sync.Mutex
			for i := range 60 {
				from, to := hosts[i%3], hosts[(i+1+i/3%2)%3]
				clients.Go(func() {
					time.Sleep(time.Duration(i) * 50 * time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					c, err := n.Dialer(from)(ctx, to+":1")
					if err != nil {
						return
					}
					defer c.Close()
					c.SetDeadline(time.Now().Add(2 * time.Second))
					text := []byte(fmt.Sprintf("%d from %s to %s", i, from, to))
					if _, err := c.Write(text); err != nil {
						return
					}
					got := make([]byte, len(text))
					k, err := io.ReadFull(c, got)
					if !bytes.HasPrefix(text, got[:k]) {
						t.Errorf("sent %q, heard %q", text, got[:k])
					}
					if err == nil {
						mu.Lock()
						whole++
						mu.Unlock()
					}
				})
			}
			clients.Go(func() {
				r := rand.New(rand.NewPCG(seed, 2))
				for range 40 {
					time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
					x, y := hosts[r.IntN(3)], hosts[r.IntN(3)]
					switch r.IntN(5) {
					case 0:
						n.Cut(x, y)
					case 1:
						n.CutOneWay(x, y)
					case 2:
						n.HealLink(x, y)
					case 3:
						n.Pause(x)
					default:
						n.Resume(x)
						n.Heal()
					}
				}
				for _, h := range hosts {
					n.Resume(h)
				}
				n.Heal()
			})
			clients.Wait()
			for _, l := range listeners {
				l.Close()
			}
			servers.Wait()
			if whole == 0 {
				t.Errorf("seed %d: nothing ever came through", seed)
			}
		})
	}
}
