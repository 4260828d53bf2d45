package httpserver

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
)

// MaxHeader bounds the headers of a request, request line included. fasthttp reads them into one buffer of this size
// per connection that is busy; forward-auth proxies pass on whatever their clients send, cookies too, and 16 KiB is
// what they let through themselves by default (nginx 4 × 8 KiB, but 8 KiB a line).
const MaxHeader = 16 << 10

// A Config is what a server is made from.
type Config struct {
	// Routes are the doors by their exact path: native.Path, forwardauth.Path.
	Routes map[string]fasthttp.RequestHandler
	// ReadTimeout bounds the arrival of one request, from its first byte. Default 10 s: a 1 MiB batch over a slow link. All three
	// timeouts are kept to an eighth of the shortest, and are never early.
	ReadTimeout time.Duration
	// WriteTimeout bounds the sending of one answer. Default 10 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request. Default 2 min: longer than proxies and
	// clients keep theirs, so that they are the ones to close and no request meets a closing connection.
	IdleTimeout time.Duration
	// Concurrency bounds the open connections. Default 8192.
	Concurrency int
	// BodyMemory bounds what bodies of over 16 KiB take together, in bytes. Default 64 MiB. Who finds it spent is
	// answered 503.
	BodyMemory int
	// Log hears of panics and of what is wrong with connections (debug); nil discards it.
	Log *slog.Logger
}

// A Server serves the doors on a listener. It is made by New; its methods may be called from many goroutines.
type Server struct {
	fast   *fasthttp.Server
	routes map[string]fasthttp.RequestHandler
	known  string // the routes, for who looks elsewhere
	log    *slog.Logger
	bodies bodies
	slack  time.Duration // how late deadlines may be

	draining                    atomic.Bool
	malformed, notFound, panics atomic.Uint64
}

// New returns a server that serves nothing yet.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		routes: maps.Clone(c.Routes),
		known:  strings.Join(slices.Sorted(maps.Keys(c.Routes)), ", "),
		log:    c.Log,
	}
	read, write, idle := or(c.ReadTimeout, 10*time.Second), or(c.WriteTimeout, 10*time.Second), or(c.IdleTimeout, 2*time.Minute)
	s.slack = min(read, write, idle) / 8
	s.bodies.most = or(c.BodyMemory, 64<<20)
	s.bodies.claims = make(map[*fasthttp.RequestHeader]claim)
	s.bodies.stale = read + s.slack + time.Second
	s.fast = &fasthttp.Server{
		Handler:        s.handle,
		HeaderReceived: s.bodies.received,
		ErrorHandler:   s.malformedRequest,
		ConnState:      s.state,
		Logger:         logger{c.Log},

		ReadTimeout:  read,
		WriteTimeout: write,
		IdleTimeout:  idle,

		MaxRequestBodySize: transport.MaxRequest,
		ReadBufferSize:     MaxHeader,
		Concurrency:        or(c.Concurrency, 8192),

		// A body is a check or it is nothing; multipart forms would be parsed into temporary files.
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
	}
	return s
}

func or[T time.Duration | int](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Serve accepts connections from the listener until Shutdown, and then returns nil. It may be called for several
// listeners.
func (s *Server) Serve(l net.Listener) error {
	if err := s.fast.Serve(listener{l, s}); err != nil {
		return fmt.Errorf("serve checks on %s: %w", l.Addr(), err)
	}
	return nil
}

// Drain goes on serving, but has each caller told, with its next answer, to take its next request elsewhere (Connection: close). It returns
// once no connection is open, or when ctx is done. Shutdown is to follow.
//
// Without it a caller that keeps its connection loses a request: it sends one at the moment at which the idle connection is closed,
// and cannot know whether that was handled.
func (s *Server) Drain(ctx context.Context) {
	s.draining.Store(true)
	look := time.NewTicker(10 * time.Millisecond) // fasthttp has no signal for it
	defer look.Stop()
	for s.fast.GetOpenConnectionsCount() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// Shutdown stops taking connections, lets the requests that are being answered finish, closes idle connections, and
// returns when all are gone or ctx is done, with ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	if err := s.fast.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("wait for %d connections to finish: %w", s.fast.GetOpenConnectionsCount(), err)
	}
	return nil
}

// Stats are the server's counters.
type Stats struct {
	Connections int64  // open now
	Malformed   uint64 // requests that never were one: malformed, too large, too slow
	NotFound    uint64 // requests for a path that nobody serves
	Panics      uint64 // requests that ran into a bug of ours; each is logged with its stack
}

// Stats returns the server's counters; all but Connections only rise.
func (s *Server) Stats() Stats {
	return Stats{Connections: int64(s.fast.GetOpenConnectionsCount()), Malformed: s.malformed.Load(), NotFound: s.notFound.Load(), Panics: s.panics.Load()}
}
