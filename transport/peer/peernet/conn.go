package peernet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Buffer is how many bytes of one direction of a connection may be under way before writes block.
const Buffer = 256 << 10

// resend is the longest that a sender takes to notice that a link works again.
const resend = 200 * time.Millisecond

// A stream is one direction of a connection. It is the two ends' own, under Net.mu.
type stream struct {
	net      *Net
	from, to string
	queue    []segment
	size     int       // bytes that were sent and not read
	held     bool      // a cut link has kept something back
	dead     bool      // nothing arrives any more
	changed  sync.Cond // for both ends
	timer    *time.Timer
}

// A segment is bytes, or the end of the stream.
type segment struct {
	at   time.Time // when it arrives, though it is not read before those in front of it; zero: a cut link keeps it back
	data []byte
	end  error
}

func newStream(n *Net, from, to string) *stream {
	s := &stream{net: n, from: from, to: to}
	s.changed.L = &n.mu
	s.timer = time.AfterFunc(time.Hour, s.wake)
	s.timer.Stop()
	return s
}

func (s *stream) wake() {
	s.net.mu.Lock()
	s.changed.Broadcast()
	s.net.mu.Unlock()
}

// sendLocked puts a segment on its way. What is sent on a dead stream fills the buffer of its sender.
func (s *stream) sendLocked(g segment) {
	s.size += len(g.data)
	if s.dead {
		return
	}
	if s.held || s.net.cut[link{s.from, s.to}] {
		s.held = true
	} else {
		g.at = time.Now().Add(s.net.tripLocked(s.from, s.to))
	}
	s.queue = append(s.queue, g)
	s.changed.Broadcast()
}

// endLocked ends the stream, once.
func (s *stream) endLocked(err error) {
	if k := len(s.queue); k == 0 || s.queue[k-1].end == nil {
		s.sendLocked(segment{end: err})
	}
}

// holdLocked keeps back what has not arrived yet.
func (s *stream) holdLocked(now time.Time) {
	for i := range s.queue {
		if g := &s.queue[i]; g.at.After(now) {
			g.at, s.held = time.Time{}, true
		}
	}
}

// resendLocked sends again what was kept back.
func (s *stream) resendLocked() {
	s.held = false
	at := time.Now().Add(s.net.tripLocked(s.from, s.to) + time.Duration(s.net.rand.Int64N(int64(resend))))
	for i := range s.queue {
		if g := &s.queue[i]; g.at.IsZero() {
			g.at = at
		}
	}
}

// dieLocked drops what has not arrived. It still counts as sent.
func (s *stream) dieLocked() {
	now := time.Now()
	for i := range s.queue {
		if g := &s.queue[i]; g.at.IsZero() || g.at.After(now) {
			s.queue = s.queue[:i]
			break
		}
	}
	s.dead, s.held = true, false
}

// headLocked returns the first segment if it is there, else when it comes (zero: not known).
func (s *stream) headLocked(now time.Time) (*segment, time.Time) {
	if len(s.queue) == 0 {
		return nil, time.Time{}
	}
	g := &s.queue[0]
	if g.at.IsZero() || g.at.After(now) {
		return nil, g.at
	}
	return g, g.at
}

// A conn is one end of a connection.
type conn struct {
	net           *Net
	host          string
	local, remote addr
	in, out       *stream
	peer          *conn
	closed        bool
	vanished      bool // its host is gone, or was when it ended
	until         [2]time.Time
	timers        [2]*time.Timer
}

const (
	reading = iota
	writing
)

// connectLocked makes the two ends of a connection.
func (n *Net) connectLocked(from, to string) (client, server *conn) {
	a, b := hostOf(string(from)), hostOf(string(to))
	there, back := newStream(n, a, b), newStream(n, b, a)
	client = &conn{net: n, host: a, local: addr(from), remote: addr(to), in: back, out: there}
	server = &conn{net: n, host: b, local: addr(to), remote: addr(from), in: there, out: back}
	client.peer, server.peer = server, client
	for _, c := range []*conn{client, server} {
		n.conns[c] = true
		for i, s := range []*stream{c.in, c.out} {
			c.timers[i] = time.AfterFunc(time.Hour, s.wake)
			c.timers[i].Stop()
		}
	}
	return client, server
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) failed(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// mayLocked reports whether an end can go on, or why it cannot.
func (c *conn) mayLocked(what int, now time.Time) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case !c.until[what].IsZero() && !now.Before(c.until[what]):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *conn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		now := time.Now()
		if err := c.mayLocked(reading, now); err != nil {
			return 0, c.failed("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		g, at := c.in.headLocked(now)
		switch paused := c.net.hostLocked(c.host).paused; {
		case paused:
		case g != nil && g.end != nil:
			return 0, c.failed("read", g.end)
		case g != nil:
			k := copy(b, g.data)
			g.data = g.data[k:]
			c.in.size -= k
			if len(g.data) == 0 {
				c.in.queue = c.in.queue[1:]
			}
			c.in.changed.Broadcast()
			return k, nil
		case !at.IsZero():
			c.in.timer.Reset(at.Sub(now))
		}
		c.in.changed.Wait()
	}
}

func (c *conn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	done := 0
	for {
		now := time.Now()
		if err := c.mayLocked(writing, now); err != nil {
			return done, c.failed("write", err)
		}
		if g, _ := c.in.headLocked(now); g != nil && g.end != nil && g.end != io.EOF {
			return done, c.failed("write", os.NewSyscallError("write", syscall.EPIPE))
		}
		if done == len(b) {
			return done, nil
		}
		if k := min(len(b)-done, Buffer-c.out.size); k > 0 && !c.net.hostLocked(c.host).paused {
			c.sendLocked(b[done : done+k])
			done += k
			continue
		}
		c.out.changed.Wait()
	}
}

// sendLocked sends bytes to the other end. Where that is closed, and its host there, the answer is a reset.
func (c *conn) sendLocked(b []byte) {
	host := c.net.hostLocked(c.peer.host)
	if c.peer.closed && !host.gone {
		if !c.net.cut[link{c.out.from, c.out.to}] {
			c.in.endLocked(errReset("read"))
		}
		return
	}
	c.out.sendLocked(segment{data: append([]byte(nil), b...)})
}

// Close closes this end. The other one reads what is under way and then the end: a reset, if this one has left something unread.
func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	end := error(io.EOF)
	if c.in.size > 0 && !c.in.dead {
		end = errReset("read")
	}
	c.closeLocked(end)
	return nil
}

// closeLocked ends this end; the other one hears so, unless this one vanished.
func (c *conn) closeLocked(end error) {
	if c.closed {
		return
	}
	c.closed = true
	delete(c.net.conns, c)
	for _, t := range c.timers {
		t.Stop()
	}
	if c.vanished {
		// What is under way to the others has left; what is under way to here stays unacknowledged.
		c.in.dead = true
	} else {
		c.out.endLocked(end)
		c.in.size = 0
	}
	c.in.queue = nil
	c.in.timer.Stop()
	c.wakeLocked()
}

func (c *conn) wakeLocked() {
	c.in.changed.Broadcast()
	c.out.changed.Broadcast()
}

func (c *conn) SetDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.deadlineLocked(t, reading, writing)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.deadlineLocked(t, reading)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.deadlineLocked(t, writing)
}

func (c *conn) deadlineLocked(t time.Time, what ...int) error {
	if c.closed {
		return c.failed("set", net.ErrClosed)
	}
	for _, i := range what {
		c.until[i] = t
		c.timers[i].Stop()
		if !t.IsZero() {
			c.timers[i].Reset(time.Until(t))
		}
	}
	return nil
}
