package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport/socket"
)

// Serving connections. fasthttp's own accept loop keeps a pool of goroutines, whose cleaner sleeps for seconds after a
// shutdown. Peers are few and stay connected, so here each connection has its goroutine, and a shutdown leaves none.

// Serve takes connections until Shutdown, and then returns nil. It may be called once.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.serving {
		s.mu.Unlock()
		return errors.New("serve peers: the server has been started before")
	}
	s.serving, s.ln = true, ln
	s.mu.Unlock()
	var pause time.Duration
	for {
		if s.stopping.Load() {
			ln.Close()
			return nil
		}
		conn, err := ln.Accept()
		if err != nil {
			if s.stopping.Load() {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("take connections from peers: %w", err)
			}
			// Out of file descriptors, mostly: it passes.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Error("cannot take a connection from a peer; trying again", "err", err, "in", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		if c := (&served{Conn: socket.Quick(conn)}); s.admit(c) {
			go s.serveConn(c)
		}
	}
}

// A served is a connection that is being served.
type served struct {
	net.Conn
	head []byte      // read before it was known what the connection is for, and to be read again
	busy atomic.Bool // a request has begun to arrive, and is not answered yet
	cut  atomic.Bool // closed by Disconnect: what was read from it before counts no more
}

func (c *served) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// mailStart is what a connection for mail begins with.
const mailStart = headBefore + MailPath + " "

// forMail reads the beginning of a connection, and tells what it is for. An error: it ended, or nothing came in time.
func (c *served) forMail() (bool, error) {
	if err := c.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return false, err
	}
	head, n := make([]byte, len(mailStart)), 0
	for n < len(head) && string(head[:n]) == mailStart[:n] {
		more, err := c.Conn.Read(head[n:])
		if n += more; err != nil {
			return false, err
		}
	}
	c.head = head[:n]
	return string(c.head) == mailStart, nil
}

func (s *Server) admit(conn *served) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() || len(s.conns) >= s.cfg.MaxConns {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	s.wg.Add(1)
	s.stats.Conns.Add(1)
	return true
}

func (s *Server) serveConn(conn *served) {
	defer s.wg.Done()
	// How a connection ends is no news: the pipe's side says so where it matters.
	switch mail, err := conn.forMail(); {
	case err != nil:
		conn.Close()
	case mail:
		_ = s.mailHTTP.ServeConn(conn)
	case s.serveBatches(conn):
		conn.Close()
	default:
		_ = s.http.ServeConn(conn)
	}
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.stats.Conns.Add(-1)
}

// connState is fasthttp's: a connection is idle between an answer and the first byte of the next request.
func (s *Server) connState(conn net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateActive || state == fasthttp.StateIdle {
		conn.(*served).busy.Store(state == fasthttp.StateActive)
	}
}

// Disconnect closes all connections at once and goes on listening: for a node that was stopped for a while, where all that waits
// in them is old. No request that came over them is handled after it returns but those whose handling has begun; for these it does not
// wait. What waits in connections that nobody has accepted yet is not seen here: who handles a request must still look at the time.
func (s *Server) Disconnect() {
	s.stats.Disconnects.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.cut.Store(true)
		conn.Close()
	}
}

// Shutdown stops taking connections and batches, answers the batches that it has begun, and returns when all
// connections are closed. When ctx ends first, it closes them, waits no longer, and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.mu.Lock()
	if s.ln != nil {
		s.ln.Close()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	// A connection becomes active a moment after its request has begun to arrive. So idle ones are first only
	// woken, by a read deadline in the past, which a request that has begun overrides; who is idle in the next round
	// as well is closed.
	woken := make(map[*served]bool)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for conn := range s.conns {
			switch {
			case conn.busy.Load():
				delete(woken, conn)
			case woken[conn]:
				conn.Close()
			default:
				woken[conn] = true
				conn.SetReadDeadline(time.Unix(1, 0))
			}
		}
		s.mu.Unlock()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			s.mu.Lock()
			for conn := range s.conns {
				conn.Close()
			}
			s.mu.Unlock()
			return fmt.Errorf("stop serving peers: batches were still in flight: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
