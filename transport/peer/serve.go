package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
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
		if s.admit(conn) {
			go s.serveConn(conn)
		}
	}
}

func (s *Server) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() || len(s.conns) >= s.cfg.MaxConns {
		conn.Close()
		return false
	}
	s.conns[conn] = true
	s.wg.Add(1)
	s.stats.Conns.Add(1)
	return true
}

func (s *Server) serveConn(conn net.Conn) {
	defer s.wg.Done()
	// How a connection ends is no news: the pipe's side says so where it matters.
	_ = s.http.ServeConn(conn)
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.stats.Conns.Add(-1)
}

// connState is fasthttp's: a connection is idle between an answer and the first byte of the next request.
func (s *Server) connState(conn net.Conn, state fasthttp.ConnState) {
	if state != fasthttp.StateActive && state != fasthttp.StateIdle {
		return
	}
	s.mu.Lock()
	if _, have := s.conns[conn]; have {
		s.conns[conn] = state == fasthttp.StateIdle
	}
	s.mu.Unlock()
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
	woken := make(map[net.Conn]bool)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for conn, idle := range s.conns {
			switch {
			case !idle:
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
