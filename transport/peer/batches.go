package peer

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport/socket"
)

// Serving pipes. A connection that a pipe's lane made carries requests with the very same head, one after the other, and so it is served
// without fasthttp: a request is mostly one read, its frame is decided where it lies, and its answer is one write of the
// bytes that are remembered. Beside fasthttp on both ends that saves 10 to 15 % of the CPU of an ask (BenchmarkLoopback, 64 callers) and of the
// time of a single one (BenchmarkOneCaller).
//
// The first request that is not just that, in any way, goes to fasthttp with all that has come of it, and the connection stays there: another
// path or method, a head in other words, a body too long or never sent, a frame that is refused with anything but 200, a server
// that stops. So there is one place that refuses, and any HTTP client may talk to this port.

const (
	// renewIdle and renewWrite are how much longer than they must deadlines are, so that they need not be set for each request.
	renewIdle  = time.Minute
	renewWrite = time.Second
)

// serveBatches answers the requests of a pipe. True: the connection has ended. False: something else came, which is to be read again.
func (s *Server) serveBatches(c *served) (ended bool) {
	q := requests{c: c, buf: make([]byte, maxHead), now: time.Now()}
	q.answered = func() { c.busy.Store(false) }
	for {
		body, err := q.next()
		switch {
		case err == errOther:
			c.head = q.buf[:q.to]
			return false
		case err != nil:
			return true
		}
		x := s.scratch.Get().(*scratch)
		if s.stopping.Load() || c.cut.Load() || s.answer(x, body, q.now) != fasthttp.StatusOK {
			s.scratch.Put(x)
			c.head = q.buf[:q.to]
			return false
		}
		s.stats.BytesIn.Add(uint64(len(body)))
		s.stats.BytesOut.Add(uint64(len(x.body())))
		err = q.reply(x.out)
		s.scratch.Put(x)
		if err != nil {
			return true
		}
	}
}

var errOther = errors.New("peer: a request that no pipe sends so")

// requests reads the requests of one connection.
type requests struct {
	c    *served
	buf  []byte
	used int  // of buf: the request that was returned last
	to   int  // of buf: what has come
	full bool // the last read had no room for more
	now  time.Time

	answers int // so far, up to lookFirst

	readUntil, writeUntil time.Time
	answered              func() // called once an answer is written
}

// next returns the body of the next request, good until the next call, and sets now. errOther: what came is not, or not yet, a whole request
// of ours, and lies at the beginning of buf. Other errors: the connection ended between two requests.
func (q *requests) next() (body []byte, err error) {
	q.to = copy(q.buf, q.buf[q.used:q.to])
	q.used = 0
	if q.to == 0 {
		q.c.busy.Store(false)
		if err := q.idle(); err != nil {
			return nil, err
		}
	}
	first := true
	for {
		length, whole, ours := ownHead(q.buf[:q.to])
		if !ours {
			return nil, errOther
		}
		if size := batchHead + length; whole && q.to >= size {
			q.c.busy.Store(true)
			q.used, q.now = size, time.Now()
			return q.buf[batchHead:size], nil
		}
		if q.to == len(q.buf) {
			// With what has come, not with what the head promises.
			q.buf = append(q.buf, make([]byte, min(len(q.buf), batchHead+length-q.to))...)
		}
		if q.to > 0 && first {
			// It has begun, and must end soon.
			first = false
			q.c.busy.Store(true)
			if err := q.read(time.Now().Add(readTimeout)); err != nil {
				return nil, errOther
			}
		}
		n, err := q.c.Read(q.buf[q.to:])
		q.to += n
		q.full = q.to == len(q.buf)
		switch {
		case n > 0 || err == nil:
		case q.to > 0:
			return nil, errOther
		default:
			return nil, err
		}
	}
}

// idle sets the deadline for the next request to begin.
func (q *requests) idle() error {
	if q.readUntil.Sub(q.now) >= idleTimeout {
		return nil
	}
	return q.read(q.now.Add(idleTimeout + renewIdle))
}

// read sets the deadline for reading.
func (q *requests) read(until time.Time) error {
	q.readUntil = until
	return q.c.SetReadDeadline(until)
}

// lookFirst is how many answers of a connection are followed by a look at what has come already. Whoever sends a request and closes its half of the connection with
// it, as a pipe never does, is hung up on at once: waited for without a look, its end would be seen only when idleTimeout is over, for the poller
// has told of it together with the request.
const lookFirst = 8

// reply writes an answer, and reads on if that was all that has come: who sends batches sends none before the last is answered.
func (q *requests) reply(b []byte) error {
	if q.writeUntil.Sub(q.now) < writeTimeout {
		q.writeUntil = q.now.Add(writeTimeout + renewWrite)
		if err := q.c.SetWriteDeadline(q.writeUntil); err != nil {
			return err
		}
	}
	if q.to > q.used || q.full || q.answers < lookFirst {
		q.answers = min(q.answers+1, lookFirst)
		_, err := q.c.Write(b)
		return err
	}
	// A deadline that is in the past, which Shutdown sets, is met once the answer is written.
	if err := q.idle(); err != nil {
		return err
	}
	n, _, err := socket.Exchange(q.c.Conn, b, q.buf, q.answered)
	q.used, q.to, q.full = 0, n, n == len(q.buf)
	if n > 0 {
		return nil
	}
	return err
}
