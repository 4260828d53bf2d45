package httpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
)

// handle finds the door for a request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	if large(&ctx.Request.Header) > 0 {
		s.bodies.arrived(&ctx.Request.Header)
		defer s.bodies.release(&ctx.Request.Header)
	}
	// A bug that one request meets must not take the other connections with it, nor the partitions held here. fasthttp
	// does not recover by itself.
	defer func() {
		if p := recover(); p != nil {
			door.Refuse(ctx, s.bug(ctx.Path(), p))
			ctx.SetConnectionClose()
		}
	}()
	if h := s.routes[string(ctx.Path())]; h != nil {
		h(ctx)
	} else {
		s.notFound.Add(1)
		door.Refuse(ctx, &transport.Problem{
			Status: fasthttp.StatusNotFound, Check: -1,
			Detail: "nothing is at " + door.Quote(ctx.Path()) + "; known: " + s.known,
		})
	}
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
}

// bug counts and logs a panic, and returns what its request is answered with.
func (s *Server) bug(path []byte, p any) *transport.Problem {
	s.panics.Add(1)
	s.log.Error("a request ran into a bug; please report it", "path", string(path), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return &transport.Problem{Status: fasthttp.StatusInternalServerError, Detail: "a bug in the server; it has been logged", Check: -1}
}

// malformedRequest answers what could not be read as a request; fasthttp closes the connection after it.
func (s *Server) malformedRequest(ctx *fasthttp.RequestCtx, err error) {
	s.malformed.Add(1)
	refused := s.bodies.release(&ctx.Request.Header)
	p := transport.Problem{Status: fasthttp.StatusBadRequest, Detail: "not an HTTP request", Check: -1}
	var small *fasthttp.ErrSmallBuffer
	var timeout interface{ Timeout() bool }
	switch {
	case refused && errors.Is(err, fasthttp.ErrBodyTooLarge):
		p.Status = fasthttp.StatusServiceUnavailable
		p.Detail = "too many large requests at once; send it again, or in smaller ones"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		p.Status = fasthttp.StatusRequestEntityTooLarge
		p.Detail = fmt.Sprintf("the body is over %d bytes; send the checks in several requests", transport.MaxRequest)
	case errors.As(err, &small):
		p.Status = fasthttp.StatusRequestHeaderFieldsTooLarge
		p.Detail = fmt.Sprintf("the headers are over %d bytes", MaxHeader)
	case errors.As(err, &timeout) && timeout.Timeout():
		p.Status = fasthttp.StatusRequestTimeout
		p.Detail = "the request did not arrive in time"
	}
	door.Refuse(ctx, &p)
}

// logger is what fasthttp writes to: oddities of connections, of which any scanner makes plenty.
type logger struct{ log *slog.Logger }

func (l logger) Printf(format string, args ...any) {
	l.log.Debug("connection", "error", strings.TrimSpace(fmt.Sprintf(format, args...)))
}
