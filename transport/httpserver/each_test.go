package httpserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Connections on which repeats are answered as they come, under one read (socket.ReadEach).

// overTCP has the server serve a real connection, which is quick. What Serve returns comes from served.
func overTCP(t *testing.T, s *Server) (c *net.TCPConn, served chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served = make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn), served
}

// onTCP serves twins on a real connection, which is quick.
func onTCP(t *testing.T, idle time.Duration) (*Server, *net.TCPConn) {
	s := New(Config{Routes: map[string]fasthttp.RequestHandler{"/twin": new(twin).Handle}, IdleTimeout: idle})
	c, served := overTCP(t, s)
	t.Cleanup(func() {
		_ = c.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, c
}

// A client that does not wait for answers gets all of them, in order, however its requests arrive: among them some that go the long way, and more at a
// time than a read has room for.
func TestRequestsInARow(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		_, c := onTCP(t, 0)
		var raw []byte
		var want []string
		for i := range 600 {
			body := fmt.Sprint("n", i)
			if r.IntN(50) == 0 {
				body = "long" + body
			} else if r.IntN(100) == 0 {
				body = strings.Repeat("y", 3000)
			}
			raw = append(raw, twinPost(body)...)
			want = append(want, fmt.Sprintf("%d bytes: %s", len(body), body))
		}
		go func() {
			for len(raw) > 0 {
				n := min(1+r.IntN(400), len(raw))
				if r.IntN(30) == 0 {
					n = min(30_000, len(raw))
				}
				if _, err := c.Write(raw[:n]); err != nil {
					t.Error(err)
					return
				}
				raw = raw[n:]
			}
		}()
		in := bufio.NewReader(c)
		for i := range want {
			if _, body := read(t, in); body != want[i] {
				t.Fatalf("seed %d: answer %d is %.50q, not %.50q", seed, i, body, want[i])
			}
		}
	}
}

// A client that closes its half with its first requests hears the end of the other at once, not when the connection has been idle for minutes.
func TestHalfClosed(t *testing.T) {
	for n := 1; n < 8; n++ {
		_, c := onTCP(t, 0)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, strings.Repeat(twinPost("a"), n)); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		in := bufio.NewReader(c)
		for range n {
			if _, body := read(t, in); body != "1 bytes: a" {
				t.Fatal(body)
			}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

// What is idle is closed by Shutdown at once, and by the server once the time for it is over.
func TestIdleAfterRepeats(t *testing.T) {
	for _, shut := range []bool{true, false} {
		idle := 500 * time.Millisecond
		if shut {
			idle = time.Hour
		}
		s, c := onTCP(t, idle)
		in := bufio.NewReader(c)
		for range 3 * repeatsFirst {
			if _, err := io.WriteString(c, twinPost("a")); err != nil {
				t.Fatal(err)
			}
			read(t, in)
		}
		if shut {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Error(err)
		}
	}
}

// What is busy stays, for longer than what is idle would.
func TestBusyForLong(t *testing.T) {
	const idle = 300 * time.Millisecond
	_, c := onTCP(t, idle)
	in := bufio.NewReader(c)
	for began := time.Now(); time.Since(began) < 5*idle/2; {
		if _, err := io.WriteString(c, twinPost("a")); err != nil {
			t.Fatal(err)
		}
		if _, body := read(t, in); body != "1 bytes: a" {
			t.Fatal(body)
		}
	}
}
