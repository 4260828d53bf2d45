package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// A link is one HTTP connection to a node. It sends when it is told to, once: what to do about a connection that breaks is its lane's,
// which knows what may be sent again. fasthttp's own client would try again by itself, and has a pool under a lock; here only
// its reading of answers is used.
type link struct {
	node *node
	conn net.Conn
	br   *bufio.Reader
	resp fasthttp.Response
	used bool  // it has carried a request
	last int64 // when it last did
}

const headEnd = "\r\n\r\n"

// Idle connections. A node closes one after two minutes; who closes it first never has a request meet a closing connection.
const (
	maxIdle = 60 * time.Second
	looked  = 10 * time.Millisecond // after this long idle, it is looked whether the node has closed it
)

func newHead(addr string) []byte {
	return []byte("POST /v1/check HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: application/msgpack\r\nContent-Length: ")
}

// dial connects to a node.
func (c *Client) dial(n *node, until time.Time) (*link, error) {
	ctx, cancel := context.WithDeadline(c.ctx, until)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, n.addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c.stats.dials.Add(1)
	return &link{node: n, conn: conn, br: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// A reply is what came back. Its body is good until the next exchange.
type reply struct {
	status  int
	body    []byte
	msgpack bool
	keep    bool // the connection may be used again
	sent    bool // the request may have arrived whole
}

// errQuiet is a connection that was closed while it was idle.
var errQuiet = errors.New("the node closed the idle connection")

// exchange sends a request and reads its answer.
func (k *link) exchange(request []byte, most int, until time.Time, now int64) (r reply, err error) {
	if err := k.conn.SetDeadline(until); err != nil {
		return r, err
	}
	if k.used && now-k.last > int64(looked) && !quiet(k.conn) {
		return r, errQuiet
	}
	if _, err := k.conn.Write(request); err != nil {
		return r, fmt.Errorf("send: %w", err)
	}
	r.sent = true
	if err := k.resp.ReadLimitBody(k.br, most); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the connection was closed before the answer")
		}
		return r, fmt.Errorf("read the answer: %w", err)
	}
	r.status = k.resp.StatusCode()
	r.keep = !k.resp.ConnectionClose()
	r.msgpack = isMsgpack(k.resp.Header.ContentType())
	r.body = k.resp.Body()
	return r, nil
}

// old reports whether the connection has been idle for so long that another is better.
func (k *link) old(now int64) bool { return k.used && now-k.last > int64(maxIdle) }

func (k *link) close() {
	if k != nil {
		k.conn.Close()
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
