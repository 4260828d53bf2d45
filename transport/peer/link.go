package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// A link is one HTTP connection to a peer. It sends when it is told to, once: what to do about a connection that breaks
// is its user's, who knows whether the bytes may be sent again. fasthttp's own client would try again by itself, and
// has a goroutine for idle connections.
type link struct {
	conn net.Conn
	br   *bufio.Reader
	resp fasthttp.Response
}

// Requests differ only in the digits of their length, which have a fixed place.
const (
	headBefore = "POST "
	headAfter  = " HTTP/1.1\r\nHost: stint\r\nContent-Length: "
	headDigits = 7
	headEnd    = "\r\n\r\n"
)

// appendHead appends the head of a request, its length 0.
func appendHead(b []byte, path string) []byte {
	b = append(append(append(b, headBefore...), path...), headAfter...)
	for range headDigits {
		b = append(b, '0')
	}
	return append(b, headEnd...)
}

// setLength writes the length of the body into a request that begins with such a head.
func setLength(request []byte, path string, n int) {
	at := len(headBefore) + len(path) + len(headAfter)
	for i := headDigits - 1; i >= 0; i-- {
		request[at+i] = byte('0' + n%10)
		n /= 10
	}
}

// An httpError is an answer that is no 200: nothing was decided.
type httpError int

func (e httpError) Error() string {
	switch int(e) {
	case fasthttp.StatusForbidden:
		return "answered 403: the cluster secrets differ"
	case fasthttp.StatusServiceUnavailable:
		return "answered 503: shutting down, or no room"
	}
	return fmt.Sprintf("answered %d: is that port a peer's, of the same version?", int(e))
}

func dial(ctx context.Context, cfg *PipeConfig, until time.Time) (*link, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	conn, err := cfg.Dial(ctx, cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, err)
	}
	return newLink(conn), nil
}

func newLink(conn net.Conn) *link { return &link{conn: conn, br: bufio.NewReaderSize(conn, 16<<10)} }

// exchange sends a request and returns the body of the answer, which is good until the next exchange. keep is false if
// the connection is of no more use; sent is false if the request cannot have arrived whole.
func (k *link) exchange(request []byte, most int, until time.Time) (body []byte, keep, sent bool, err error) {
	if err := k.conn.SetDeadline(until); err != nil {
		return nil, false, false, err
	}
	if _, err := k.conn.Write(request); err != nil {
		return nil, false, false, err
	}
	if err := k.resp.ReadLimitBody(k.br, most); err != nil {
		return nil, false, true, err
	}
	keep = !k.resp.ConnectionClose()
	if code := k.resp.StatusCode(); code != fasthttp.StatusOK {
		return nil, keep, true, httpError(code)
	}
	return k.resp.Body(), keep, true, nil
}

// A wire is where a user of a link keeps it, so that others can hang up.
type wire struct {
	mu     sync.Mutex // protects following
	link   *link
	closed bool
}

// hold makes the link the wire's. False: the wire was closed meanwhile, and so is the link.
func (w *wire) hold(k *link) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link = k
	if w.closed {
		k.close()
	}
	return !w.closed
}

// cut closes the connection, and leaves it to the user of the link to notice.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link.close()
}

// close closes the connection, and those that come after.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.link.close()
}

func (k *link) close() {
	if k != nil {
		k.conn.Close()
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
