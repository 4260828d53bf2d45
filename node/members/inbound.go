package members

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Streams from strangers. With a secret, memberlist takes in a whole message, up to 20 MiB, before it can tell whether its sender
// knows the secret, and it takes any number of streams at once: ten connections were a gigabyte, and enough of them all files that
// the process may open. So the number of streams that others have opened here is bounded, and what each may bring. Who is turned
// away calls again: a member that joins in a second, an exchange of state at its next turn.

const (
	// maxStreams bounds the streams that are open at once. An exchange of state takes milliseconds, and a stream lives for
	// Timing.Dial at most.
	maxStreams = 64
	// maxStream bounds the bytes that one may bring. The state of 1000 members, and of as many that have died in the last
	// half minute, is below 1 MiB: 100 bytes of field names each, a name, an address and 256 bytes of metadata.
	maxStream = 2 << 20
)

var errStream = errors.New("the stream brings more than any member has to say")

// take returns the stream as it may be used, or nil, and closes it, where there are too many.
func take(c net.Conn, open *atomic.Int32) net.Conn {
	if open.Add(1) > maxStreams {
		open.Add(-1)
		c.Close()
		return nil
	}
	return &inbound{Conn: c, left: maxStream, open: open}
}

// An inbound is a stream that another has opened. It is read by one goroutine.
type inbound struct {
	net.Conn
	left int
	open *atomic.Int32
	once sync.Once
}

func (c *inbound) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, errStream
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func (c *inbound) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
