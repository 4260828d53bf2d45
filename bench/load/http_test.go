package load

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// serve answers each request on loopback with what answer returns for it, counted from 0, "" hangs up.
func serve(t *testing.T, answer func(n int) string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					q, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if _, err := r.Discard(int(q.ContentLength)); err != nil {
						return
					}
					mu.Lock()
					a := answer(n)
					n++
					mu.Unlock()
					if a == "" {
						return
					}
					if _, err := c.Write([]byte(a)); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func ok(header string, body []byte) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nServer: x\r\n%scontent-length: %d\r\n\r\n%s", header, len(body), body)
}

func TestCallerGoesOnAfterErrors(t *testing.T) {
	good := encoded(t, decision{true, 10, "10/1h", "holder", 0})
	two := encoded(t, decision{Allowed: true}, decision{Allowed: true})
	for _, c := range []struct {
		name, bad, says string
	}{
		{"hangs up", "", "EOF"},
		{"a bad request", "HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nwhy?", "status 400: why?"},
		{"not HTTP", "-ERR unknown command\r\n\r\n", "not a status line"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "without Content-Length"},
		{"a lying length", "HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n", "at most"},
		{"two decisions for one check", ok("", two), "more decisions than"},
		{"none", ok("", []byte{0x80}), "0 decisions for 1"},
	} {
		addr := serve(t, func(n int) string {
			if n == 1 {
				return c.bad
			}
			return ok("", good)
		})
		w, _ := NewWorkload("uniform", 1, 1, 1)
		caller, err := HTTP{Addrs: []string{addr}}.Caller(0, w, "t/")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			var r [1]Reply
			var via Shares
			err := caller.Check([]uint32{1}, r[:], &via)
			if n == 1 {
				if err == nil || !strings.Contains(err.Error(), c.says) || r[0] != Failed {
					t.Errorf("%s: got %v and reply %d, want %q", c.name, err, r[0], c.says)
				}
			} else if err != nil || r[0] != Admitted || via[0] != 1 {
				t.Errorf("%s: request %d: %v, reply %d, via %v", c.name, n, err, r[0], via)
			}
		}
		caller.Close()
	}
}

func TestCallerFollowsConnectionClose(t *testing.T) {
	good := encoded(t, decision{Allowed: true})
	addr := serve(t, func(int) string { return ok("Connection: close\r\n", good) })
	w, _ := NewWorkload("uniform", 1, 1, 1)
	caller, _ := HTTP{Addrs: []string{addr}}.Caller(0, w, "t/")
	defer caller.Close()
	for range 3 {
		var r [1]Reply
		if err := caller.Check([]uint32{1}, r[:], new(Shares)); err != nil || r[0] != Admitted {
			t.Errorf("got %v, %d", err, r[0])
		}
	}
	if caller.(*httpCaller).conns[0].c != nil {
		t.Error("the connection that was to be closed is kept")
	}
}

func TestCallersAskAllNodesInTurn(t *testing.T) {
	good := encoded(t, decision{Allowed: true})
	var mu sync.Mutex
	var asked [3]int
	var addrs []string
	for i := range asked {
		addrs = append(addrs, serve(t, func(int) string {
			mu.Lock()
			defer mu.Unlock()
			asked[i]++
			return ok("", good)
		}))
	}
	w, _ := NewWorkload("uniform", 1, 4, 1)
	for i := range 4 {
		caller, _ := HTTP{Addrs: addrs}.Caller(i, w, "t/")
		for range 3 {
			caller.Check([]uint32{1}, make([]Reply, 1), new(Shares))
		}
		caller.Close()
	}
	if asked != [3]int{4, 4, 4} {
		t.Errorf("nodes were asked %v times, want 4 each", asked)
	}
}
