package httpserver

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
	"github.com/stint-limiter/stint/transport/socket"
)

// A client that keeps its connection sends the same head with each request, but for the digits of Content-Length. Once fasthttp has read such a
// head, and a door has said that the body is all it needs (door.Keeper), there is nothing to be learnt from reading it again: bytes that
// are the same mean the same. Those requests are answered here, under the Read in which fasthttp waits for a connection's
// next request. It costs a comparison instead of a parser, and fasthttp sees a connection that is idle.
//
// There is no HTTP in here, on purpose: two readers of one protocol that differ in something are how requests are smuggled.
// Whatever is not a known head with all of its body goes to fasthttp as it came:
//
//	another head, also by one byte; a body that has not arrived in full; what the door does not answer by its body;
//	anything at all while the server drains

const (
	// maxHead bounds the head that a connection remembers: longer ones carry cookies and the like, and change.
	maxHead = 1 << 10
	// maxLearnt is how often a head is remembered in vain before a connection stops: its client has something new in each.
	maxLearnt = 8
	// replyHead has room for the head of an answer.
	replyHead = 256
)

// known is what a connection remembers.
type known struct {
	door          door.Direct // nil: nothing
	before, after []byte      // the head, without the digits of Content-Length
	learnt        int         // how often in vain

	second int64  // what reply says the time is
	reply  []byte // the head of an answer up to the digits of Content-Length
}

// Keep implements door.Keeper.
func (c *conn) Keep(h *fasthttp.RequestHeader, d door.Direct) {
	k := &c.known
	if k.learnt == maxLearnt {
		return
	}
	k.learnt++
	k.door = nil
	// Only what fasthttp just reads and answers: nothing whose answer has no body or says more of the connection, no client that waits to be
	// told to go on, no body of unknown length.
	if !h.IsPost() || !h.IsHTTP11() || h.ConnectionUpgrade() || len(h.Peek(fasthttp.HeaderExpect)) > 0 || h.ContentLength() <= 0 {
		return
	}
	if k.learn(h) {
		k.door, k.second = d, 0
	}
}

// learn remembers the head, and reports whether it is a plain one.
func (k *known) learn(h *fasthttp.RequestHeader) bool {
	raw := h.RawHeaders()
	if len(raw)+len(h.RequestURI()) > maxHead || !bytes.HasSuffix(raw, []byte("\r\n\r\n")) {
		return false
	}
	k.before = append(append(k.before[:0], h.Method()...), ' ')
	k.before = append(append(k.before, h.RequestURI()...), ' ')
	k.before = append(append(k.before, h.Protocol()...), "\r\n"...)
	found := false
	for i := 0; i < len(raw); {
		line := raw[i : i+bytes.IndexByte(raw[i:], '\n')+1]
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			at := i + len(name)
			for raw[at] == ' ' {
				at++
			}
			digits, end := number(raw[at:])
			if found || digits != h.ContentLength() {
				return false
			}
			found = true
			k.before = append(k.before, raw[:at]...)
			k.after = append(k.after[:0], raw[at+end:]...)
		}
		i += len(line)
	}
	return found
}

// number reads a number of at most five digits, not beginning with 0, and says how many bytes it has; 0 if it is not one.
func number(b []byte) (n, end int) {
	for end < len(b) && b[end]-'0' < 10 {
		if end == 5 {
			return 0, 0
		}
		n = n*10 + int(b[end]-'0')
		end++
	}
	if end == 0 || b[0] == '0' {
		return 0, 0
	}
	return n, end
}

// match returns the body of the request that b begins with, and the bytes that head and body take together; 0 if it is not a known head with all of its body.
func (k *known) match(b []byte) (body []byte, used int) {
	n := len(k.before)
	if len(b) < n || string(b[:n]) != string(k.before) {
		return nil, 0
	}
	length, digits := number(b[n:])
	head := n + digits + len(k.after)
	used = head + length
	if length == 0 || length > smallBody || used > len(b) || string(b[n+digits:head]) != string(k.after) {
		return nil, 0
	}
	return b[head:used:used], used
}

// readRepeats reads for fasthttp, which waits for the connection's next request, and answers what repeats a known head. Once a few were answered the
// client is one that waits for its answers, and it reads on as for such a one (socket.ReadEach): one that closes its half of the connection
// with its first requests is heard at once.
func (c *conn) readRepeats(b []byte) (int, error) {
	for range repeatsFirst {
		n, err := c.read(b)
		if n == 0 {
			return 0, err
		}
		rest, err := c.answerRepeats(b[:n])
		if len(rest) > 0 || err != nil {
			return copy(b, rest), err
		}
	}
	var rest []byte
	var answering error
	if err := c.setReading(); err != nil {
		return 0, err
	}
	err := socket.ReadEach(c.Conn, b, func(n int) bool {
		if rest, answering = c.answerRepeats(b[:n]); answering == nil && len(rest) == 0 {
			answering = c.setReading()
		}
		return answering == nil && len(rest) == 0
	})
	if answering != nil {
		err = answering
	}
	return copy(b, rest), err
}

// repeatsFirst is how many reads of repeats come before a client is taken for one that waits for its answers.
const repeatsFirst = 8

// answerRepeats answers the requests that b begins with, and returns what is for fasthttp. After an error the connection is over.
func (c *conn) answerRepeats(b []byte) (rest []byte, err error) {
	for len(b) > 0 {
		used, err := c.answerRepeat(b)
		if err != nil {
			return nil, err
		}
		if used == 0 {
			break
		}
		b = b[used:]
	}
	return b, nil
}

// answerRepeat answers the request that b begins with, and returns its bytes; 0 if it is for fasthttp. After an error the connection is over.
func (c *conn) answerRepeat(b []byte) (used int, err error) {
	body, used := c.known.match(b)
	if used == 0 || c.server.draining.Load() {
		return 0, nil
	}
	if !c.state.CompareAndSwap(idle, busy) {
		return 0, io.EOF // closed before it was begun
	}
	came := time.Now()
	out := replies.Get().(*[]byte)
	answer, status := c.direct((*out)[:replyHead], body, came)
	if status == 0 {
		used = 0
	} else {
		c.reading.due = came.Add(c.server.fast.IdleTimeout)
		// The Checker has taken its time, at most the longest there is, before the writing begins.
		c.write.due = came.Add(transport.MaxTimeout + c.server.fast.WriteTimeout)
		c.known.learnt = 0
		_, err = c.Write(c.known.head(answer, status, came))
		if status == fasthttp.StatusInternalServerError {
			err = io.EOF
		}
	}
	*out = answer[:0]
	replies.Put(out)
	if !c.state.CompareAndSwap(busy, idle) {
		err = io.EOF // fasthttp closes it once more
	}
	return used, err
}

// direct has the door answer. A bug that one request meets is an answer too, the connection's last.
func (c *conn) direct(out, body []byte, came time.Time) (answer []byte, status int) {
	defer func() {
		if p := recover(); p != nil {
			line, _, _ := bytes.Cut(c.known.before, []byte("\r\n"))
			answer, status = c.server.bug(line, p).AppendJSON(out), fasthttp.StatusInternalServerError
		}
	}()
	return c.known.door.Answer(out, body, came)
}

// replies are buffers that answers are made in: room for the head, then the body.
var replies = sync.Pool{New: func() any {
	b := make([]byte, replyHead, 4096)
	return &b
}}

// head writes the head of the answer before its body, answer[replyHead:], and returns both: what fasthttp would write.
func (k *known) head(answer []byte, status int, at time.Time) []byte {
	length := len(answer) - replyHead
	if status != fasthttp.StatusOK {
		return append(k.rareHead(status, length, at), answer[replyHead:]...)
	}
	if second := at.Unix(); second != k.second {
		k.second = second
		k.reply = append(k.reply[:0], "HTTP/1.1 200 OK\r\nDate: "...)
		k.reply = append(fasthttp.AppendHTTPDate(k.reply, at), "\r\nContent-Type: "...)
		k.reply = append(append(k.reply, k.door.MediaType()...), "\r\nContent-Length: "...)
	}
	var room [8]byte
	digits := strconv.AppendInt(room[:0], int64(length), 10)
	from := replyHead - len(k.reply) - len(digits) - 4
	head := append(answer[:from], k.reply...)
	head = append(head, digits...)
	_ = append(head, "\r\n\r\n"...) // ends where the body begins
	return answer[from:]
}

// rareHead returns the head of an answer other than 200.
func (k *known) rareHead(status, length int, at time.Time) []byte {
	media, more := k.door.MediaType(), "Retry-After: 1"
	if status == fasthttp.StatusInternalServerError {
		media, more = transport.ProblemType, "Connection: close"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n\r\n",
		status, fasthttp.StatusMessage(status), fasthttp.AppendHTTPDate(nil, at), media, length, more)
}
