package httpserver

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport/socket"
)

// fasthttp sets three deadlines for each request, and a client that keeps its connection meets none of them. A conn remembers them, and tells
// the runtime, which has to move a timer under a lock for each, only when it is about to wait and those that are set would not do. They
// are set a little later than asked for, by slack, so that the deadlines of the requests of the next moments are met by them too.

// A conn is one connection as fasthttp sees it: deadlines as above, and requests that repeat a head (repeat.go) are answered under its Read.
// It belongs to the goroutine that serves it, but for Close.
type conn struct {
	net.Conn
	server         *Server
	reading, write deadline

	state   atomic.Uint32 // what Close has to know
	between bool          // a request has been answered, and no byte of the next has come to fasthttp
	known   known
}

const (
	idle   = iota // nothing is answered under Read
	busy          // something is
	closed        // by Close; what was busy has yet to be closed
)

// listener makes conns of the connections it accepts.
type listener struct {
	net.Listener
	server *Server
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.server.conn(c), nil
}

// conn returns the connection as fasthttp is to see it. TLS stays as it is: fasthttp looks at its type.
func (s *Server) conn(c net.Conn) net.Conn {
	if _, tls := c.(interface{ Handshake() error }); tls {
		return c
	}
	return &conn{Conn: socket.Quick(c), server: s}
}

// state is fasthttp's ConnState: it is called by the goroutine that serves the connection, once it has it.
func (s *Server) state(nc net.Conn, state fasthttp.ConnState) {
	if c, ok := nc.(*conn); ok {
		c.between = state == fasthttp.StateIdle
	}
}

// Close closes the connection; what is just being answered under Read is answered first. fasthttp calls it from another goroutine when it
// shuts down, for connections that it finds idle:
//
//	Close while idle:   closed, and Read fails or finds it closed before it answers anything
//	Close while busy:   marked; once the answer is out, the Read under which it was given ends
//	Close again:        as fasthttp does after that: closed
func (c *conn) Close() error {
	if c.state.Swap(closed) == busy {
		return nil
	}
	return c.Conn.Close()
}

// A deadline is one that fasthttp has asked for, and one that is set.
type deadline struct{ due, set time.Time }

// late says whether the one that is set does not do, and changes it to what is to be set.
func (d *deadline) late(slack time.Duration) bool {
	if d.due.IsZero() {
		if d.set.IsZero() {
			return false
		}
		d.set = d.due
		return true
	}
	if later := d.set.Sub(d.due); !d.set.IsZero() && later >= 0 && later <= slack {
		return false
	}
	d.set = d.due.Add(slack)
	return true
}

func (c *conn) SetDeadline(t time.Time) error {
	c.reading.due, c.write.due = t, t
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.reading.due = t
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write.due = t
	return nil
}

func (c *conn) Read(b []byte) (int, error) {
	if c.between && c.known.door != nil {
		return c.readRepeats(b)
	}
	return c.read(b)
}

func (c *conn) read(b []byte) (int, error) {
	if err := c.setReading(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// setReading tells the runtime of the deadline for reading, if it must know.
func (c *conn) setReading() error {
	if !c.reading.late(c.server.slack) {
		return nil
	}
	return c.Conn.SetReadDeadline(c.reading.set)
}

func (c *conn) Write(b []byte) (int, error) {
	if c.write.late(c.server.slack) {
		if err := c.Conn.SetWriteDeadline(c.write.set); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}
