package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// Hostile without a bad byte: too many connections, and connections that are too slow.

// crowd opens more connections than a port takes, and looks how many the node has.
func (a *arena) crowd(port string, addr func(*proc.Node) string, most int) {
	a.t.Helper()
	n := a.c.Nodes[0]
	before, err := a.usage(n)
	if err != nil {
		a.t.Fatal(err)
	}
	var conns []net.Conn
	for range most + 64 {
		c, err := net.DialTimeout("tcp", addr(n), 5*time.Second)
		if err != nil {
			a.fail("crowd %s: %v", port, err)
			break
		}
		conns = append(conns, c)
	}
	// A connection is taken a moment after it was made, and one beyond the bound closed then. Those that are taken stay until
	// the port's time for a request is over: 2 s on the gossip port.
	var turned atomic.Int32
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			c.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := c.Read(make([]byte, 1)); n > 0 || !os.IsTimeout(err) { // the end, or an answer that nobody asked for
				turned.Add(1)
			}
		})
	}
	wg.Wait()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	if err != nil {
		a.t.Fatal(err)
	}
	if len(files) > before.files+most+16 {
		a.fail("crowd %s: %d files open after %d connections to a port that takes %d; before %d", port, len(files), len(conns), most, before.files)
	}
	a.t.Logf("crowd %s: %d connections, %d turned away, %d files open", port, len(conns), turned.Load(), len(files))
	for _, c := range conns {
		c.Close()
	}
	a.settled(n, "a crowd on "+port, false)
	if turned.Load() < 64 {
		a.fail("crowd %s: %d of %d connections turned away, want the 64 that are too many", port, turned.Load(), len(conns))
	}
}

// trickle is one slow client: it sends a byte now and then, and must be cut off within the port's time for a request.
func (a *arena) trickle(port string, addr func(*proc.Node) string) func(context.Context, *proc.Node, int) {
	const patience = 20 * time.Second // the longest read timeout is 10 s
	return func(ctx context.Context, n *proc.Node, k int) {
		text := "POST /v1/check HTTP/1.1\r\nHost: slow\r\nContent-Length: 1048576\r\n"
		if k%2 == 1 {
			text += "\r\n" + strings.Repeat("{", 1000)
		} else {
			text += strings.Repeat("X-Slow: 1\r\n", 1000)
		}
		var first []byte
		if port == "gossip" {
			// An encrypted stream that says it is 20 MiB long, and brings all but the end: what memberlist would keep until it times out.
			first = append([]byte("\xf4\x05stint\x0a\x01\x40\x00\x00"), make([]byte, 19<<20)...)
			text = strings.Repeat("x", 1000)
		}
		for ctx.Err() == nil && n.Running() {
			c, err := net.DialTimeout("tcp", addr(n), 5*time.Second)
			if err != nil {
				continue
			}
			began := time.Now()
			c.SetWriteDeadline(began.Add(5 * time.Second))
			c.Write(first)
			c.SetWriteDeadline(time.Time{})
			for i := 0; ctx.Err() == nil && i < len(text); i++ {
				if _, err := io.WriteString(c, text[i:i+1]); err != nil {
					break
				}
				// The wait for the next byte is also how to learn that the other side has hung up.
				c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				if _, err := c.Read(make([]byte, 4096)); err != nil && !os.IsTimeout(err) {
					break
				}
			}
			c.Close()
			a.count(port, "slow connections", 1)
			if took := time.Since(began); took > patience {
				a.fail("%s: a client that sends a byte now and then was kept for %v", port, took)
			}
		}
	}
}
