package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport/socket"
)

// A link is one HTTP connection to a peer. It sends when it is told to, once: what to do about a connection that breaks
// is its user's, who knows whether the bytes may be sent again. A general client sends a request again by itself, and
// has a goroutine for idle connections.
type link struct {
	conn net.Conn
	buf  []byte // of the answer
	have int    // bytes of it that were read
}

func dial(ctx context.Context, cfg *PipeConfig, until time.Time) (*link, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	conn, err := cfg.Dial(ctx, cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, err)
	}
	return newLink(socket.Quick(conn)), nil
}

func newLink(conn net.Conn) *link { return &link{conn: conn, buf: make([]byte, 16<<10)} }

// exchange sends a request and returns the body of the answer, which is good until the next exchange. keep is false if
// the connection is of no more use; sent is false if the request cannot have arrived whole.
func (k *link) exchange(request []byte, most int, until time.Time) (body []byte, keep, sent bool, err error) {
	if err := k.conn.SetDeadline(until); err != nil {
		return nil, false, false, err
	}
	n, sent, err := socket.Exchange(k.conn, request, k.buf, nil)
	if k.have = n; !sent {
		return nil, false, false, err
	}
	body, keep, err = k.reply(err, most)
	return body, keep, true, err
}

// lastLook reads on where exchange ran out of time. What has arrived counts, though it is looked at late:
//
//  1. n0 sends a batch. n1 decides it and answers within a millisecond.
//  2. n0 gets no processor until the time of the answer is over.
//  3. n0 runs again, its timers first: the read ends with a timeout, and the answer lies in the socket.
//
// Were that a failure, the checks of the batch would be sent to somebody else, and what was allowed would count twice.
func (k *link) lastLook(most int) (body []byte, keep bool, err error) {
	if err := k.conn.SetReadDeadline(time.Now().Add(lookTime)); err != nil {
		return nil, false, err
	}
	return k.reply(nil, most)
}

// reply reads on until all of an answer has come whose body has at most so many bytes; err is what the last read ended with. The buffer grows with what
// has come, not with what a head promises.
func (k *link) reply(err error, most int) (body []byte, keep bool, _ error) {
	at := -1
	for {
		if at = bytes.Index(k.buf[:min(k.have, maxHead)], []byte(headEnd)); at >= 0 {
			break
		}
		if err != nil {
			return nil, false, err
		}
		if k.have >= maxHead {
			return nil, false, errReply
		}
		var n int
		n, err = k.conn.Read(k.buf[k.have:])
		k.have += n
	}
	r, err := parseReply(k.buf[:at])
	if err != nil {
		return nil, false, err
	}
	if r.code != fasthttp.StatusOK {
		return nil, false, httpError(r.code)
	}
	if r.length > most {
		return nil, false, fmt.Errorf("answer of %d bytes, at most %d are allowed", r.length, most)
	}
	from := at + len(headEnd)
	to := from + r.length
	for k.have < to {
		if k.have == len(k.buf) {
			k.buf = append(k.buf, make([]byte, min(len(k.buf), to-k.have))...)
		}
		n, err := k.conn.Read(k.buf[k.have:])
		if k.have += n; err != nil && k.have < to {
			return nil, false, err
		}
	}
	// Nothing else was asked for, so what follows is of no answer.
	return k.buf[from:to], r.keep && k.have == to, nil
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
