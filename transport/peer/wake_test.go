package peer

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What a node does that was stopped for a while: it hangs up on everybody, and everybody comes again.

func TestAfterADisconnectThePipeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(pc *PipeConfig, _ *ServerConfig) { pc.Attempt, pc.Total = time.Minute, time.Minute })
		hang, decide := make(chan struct{}), make(chan struct{})
		x.d.before = func(e *Entry) {
			if e.Partition == 7 {
				<-decide
			}
		}
		x.in.hang = hang
		c := GetCall(2)
		inFlight, through := fill(c, 0, 7, 1, want(7, 10)), fill(c, 1, 9, 1, want(9, 10))
		through.Through = true
		x.pipe.Send(inFlight)
		x.pipe.Send(through)
		c.Post()
		x.out.put(x.pipe, MailUrgent, "x")
		x.out.put(x.pipe, MailBulk, "y")
		synctest.Wait()
		later := GetCall(1)
		queued := fill(later, 0, 8, 1, want(8, 10))
		x.pipe.lanes[0].push(queued, int64(time.Minute))
		x.pipe.Disconnect()
		synctest.Wait()
		close(decide)
		c.Wait()
		// It went again, and was answered from memory.
		if inFlight.Code != Decided || x.d.total(7) != 1 || x.server.Stats().Repeats.Load() == 0 {
			t.Errorf("in flight: code %d, %d spent, %d repeats", inFlight.Code, x.d.total(7), x.server.Stats().Repeats.Load())
		}
		later.Wait()
		if queued.Code != Decided || x.d.total(8) != 1 || !x.pipe.Healthy() {
			t.Errorf("what waited: code %d, healthy %v", queued.Code, x.pipe.Healthy())
		}
		if f := x.out.failures(); len(f) != 2 || !errors.Is(f[0], errDisconnected) || !errors.Is(f[1], errDisconnected) {
			t.Errorf("undelivered: %v", f)
		}
		if n := x.server.Stats().MailRefused.Load(); n != 0 {
			t.Errorf("%d packets were sent again", n)
		}
		x.in.mu.Lock()
		x.in.hang = nil
		x.in.mu.Unlock()
		x.out.put(x.pipe, MailUrgent, "z")
		if got := x.in.got(); len(got) != 1 || got[0] != "z" {
			t.Errorf("got %q", got)
		}
		close(hang)
		c.Put()
		later.Put()
		x.close()
	})
}

// Nobody waits any more when the node goes on: the batch does not go again.
func TestAfterADisconnectNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(pc *PipeConfig, _ *ServerConfig) { pc.Attempt, pc.Total = time.Minute, time.Minute })
		decide := make(chan struct{})
		x.d.before = func(*Entry) { <-decide }
		c := GetCall(1)
		a := fill(c, 0, 7, 1, want(7, 10))
		a.Deadline = time.Now().Add(time.Second)
		x.pipe.Send(a)
		c.Post()
		c.Wait()
		time.Sleep(time.Second)
		x.pipe.Disconnect()
		synctest.Wait()
		if n := x.server.Stats().Conns.Load(); a.Code != Expired || n > 1 {
			t.Errorf("code %d, %d connections", a.Code, n)
		}
		close(decide)
		synctest.Wait()
		if n := x.server.Stats().Repeats.Load(); n != 0 || x.d.total(7) != 1 {
			t.Errorf("%d repeats, %d spent", n, x.d.total(7))
		}
		c.Put()
		x.close()
	})
}

// A process that was starved finds its timers over before it finds what has come meanwhile. The answer counts, and the batch does not go again.
func TestAnAnswerIsFoundLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starved bool
		x := newMailPair(t, func(pc *PipeConfig, _ *ServerConfig) {
			dial := pc.Dial
			pc.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				c, err := dial(ctx, addr)
				return &starvedConn{Conn: c, starved: &starved}, err
			}
		})
		for range 3 {
			starved = true
			if a := ask(t, x.pipe, 7, 1, 10); a.Code != Decided || starved || !x.pipe.Healthy() {
				t.Errorf("code %d, healthy %v", a.Code, x.pipe.Healthy())
			}
			if a := ask(t, x.pipe, 7, 1, 10); a.Code != Decided {
				t.Errorf("and then: code %d", a.Code)
			}
		}
		if n := x.server.Stats().Repeats.Load(); n != 0 || x.d.total(7) != 6 {
			t.Errorf("%d repeats, %d spent", n, x.d.total(7))
		}
		x.close()
	})
}

// A starvedConn's next Read gets no processor until its deadline is over.
type starvedConn struct {
	net.Conn
	starved *bool
	until   time.Time
}

func (c *starvedConn) SetDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetDeadline(t)
}

func (c *starvedConn) Read(b []byte) (int, error) {
	if *c.starved {
		*c.starved = false
		time.Sleep(time.Until(c.until))
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(b)
}

// A node that was stopped finds every peer late. It is not they who were.
func TestDisconnectForgetsWhoWasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		x.mem.Cut("n0", "n1")
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || x.pipe.Healthy() {
			t.Errorf("code %d, healthy %v", a.Code, x.pipe.Healthy())
		}
		x.mem.Heal()
		x.pipe.Disconnect()
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Decided {
			t.Errorf("code %d", a.Code)
		}
		// That it has started again is no lateness.
		x.pipe.gone(ErrRestarted)
		x.pipe.Disconnect()
		if !x.pipe.Gone() {
			t.Error("the pipe believes in an earlier start")
		}
		x.close()
	})
}

// A dial that was under way when the node hung up says nothing of the member.
func TestDisconnectDuringADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		x.mem.Cut("n0", "n1")
		time.AfterFunc(Attempt/2, x.pipe.Disconnect)
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || !x.pipe.Healthy() {
			t.Errorf("code %d, healthy %v", a.Code, x.pipe.Healthy())
		}
		x.mem.Heal()
		x.close()
	})
}

func TestDisconnectOfAControlConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		defer x.close()
		for range 3 {
			if _, err := x.pipe.Hello(context.Background()); err != nil {
				t.Error(err)
			}
			heard := x.pipe.LastHeard()
			if heard.IsZero() {
				t.Error("a hello is not heard")
			}
			x.pipe.Disconnect()
			synctest.Wait()
			if n := x.server.Stats().Conns.Load(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		}
	})
}

// A server that hangs up goes on listening, handles nothing that it had read before, and does not wait for what it had begun.
func TestAServerDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(pc *PipeConfig, _ *ServerConfig) { pc.Lanes, pc.Attempt, pc.Total = 2, time.Minute, time.Minute })
		begun, hang := make(chan struct{}, 1), make(chan struct{})
		first := true
		x.d.before = func(e *Entry) {
			if first {
				first = false
				begun <- struct{}{}
				<-hang
			}
		}
		c := GetCall(1)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		<-begun
		x.server.Disconnect()
		if n := x.server.Stats().Disconnects.Load(); n != 1 {
			t.Errorf("%d counted", n)
		}
		synctest.Wait()
		close(hang)
		// The same batch comes again over a new connection, and finds the answer to the first.
		c.Wait()
		if c.Asks[0].Code != Decided || x.d.total(7) != 1 || x.server.Stats().Repeats.Load() != 1 {
			t.Errorf("code %d, %d spent, %d repeats", c.Asks[0].Code, x.d.total(7), x.server.Stats().Repeats.Load())
		}
		c.Put()
		x.close()
	})
}

// What a connection had brought, and nobody had begun to handle, is not handled after Disconnect. The connection hangs up between the
// arrival of a request's last bytes and its handling.
func TestWhatWasReadBeforeADisconnectIsNotHandled(t *testing.T) {
	c := GetCall(1)
	defer c.Put()
	mail := appendMailHeader(nil, &header{cluster: hello.sum(), start: 100, target: 200, sequence: 1, name: []byte("n0")})
	for _, request := range [][]byte{post(BatchPath, batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10)))), post(MailPath, append(mail, make([]byte, 100_000)...))} {
		for _, cut := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				d, in := newCounters(), new(inbox)
				x := newMailPair(t, func(_ *PipeConfig, sc *ServerConfig) { sc.Decider, sc.Mail = d, in.mail })
				s, err := NewServer(x.server.cfg)
				if err != nil {
					t.Fatal(err)
				}
				ln, err := x.mem.Listen("n1:2")
				if err != nil {
					t.Fatal(err)
				}
				served := make(chan error)
				go func() {
					served <- s.Serve(&lateListener{ln, len(request), func() {
						if cut {
							s.Disconnect()
						}
					}})
				}()
				k, err := x.mem.Dialer("n0")(t.Context(), "n1:2")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := k.Write(request); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := int(d.total(7)) + len(in.got()); (n == 0) != cut {
					t.Errorf("hung up: %v; handled: %d", cut, n)
				}
				k.Close()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				<-served
				x.close()
			})
		}
	}
}

// A lateListener's connections call last when they have read n bytes, before they return the last of them.
type lateListener struct {
	net.Listener
	n    int
	last func()
}

func (l *lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &lateConn{c, l.n, l.last}, err
}

type lateConn struct {
	net.Conn
	left int
	last func()
}

func (c *lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.left -= n; c.left == 0 && n > 0 {
		c.last()
	}
	return n, err
}
