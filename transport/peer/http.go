package peer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"
)

// The HTTP that members speak to each other. Both ends are written here, so heads are the same bytes each time but for the digits
// of a length, which have a fixed place: they are written with one copy and recognized by one comparison. What is not these bytes is
// HTTP all the same: the server leaves it to fasthttp (batches.go), and a pipe understands any answer with a length (parseReply).
const (
	headBefore  = "POST "
	headAfter   = " HTTP/1.1\r\nHost: stint\r\nContent-Length: "
	replyBefore = "HTTP/1.1 200 OK\r\nContent-Length: "
	headDigits  = 7
	headEnd     = "\r\n\r\n"

	batchBefore = headBefore + BatchPath + headAfter
	batchHead   = len(batchBefore) + headDigits + len(headEnd)
	replyHead   = len(replyBefore) + headDigits + len(headEnd)
)

// appendHead appends the head of a request, its length 0.
func appendHead(b []byte, path string) []byte {
	b = append(append(append(b, headBefore...), path...), headAfter...)
	return append(append(b, "0000000"...), headEnd...)
}

// appendReply appends the head of an answer, its length 0.
func appendReply(b []byte) []byte {
	return append(append(append(b, replyBefore...), "0000000"...), headEnd...)
}

// setLength writes the length of the body into a request that begins with such a head.
func setLength(request []byte, path string, n int) {
	setDigits(request[len(headBefore)+len(path)+len(headAfter):], n)
}

// setReplyLength writes the length of the body into an answer that begins with such a head.
func setReplyLength(reply []byte) { setDigits(reply[len(replyBefore):], len(reply)-replyHead) }

func setDigits(b []byte, n int) {
	for i := headDigits - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// readDigits reads a length of up to 9 digits; -1 if it is none.
func readDigits(b []byte) int {
	if len(b) < 1 || len(b) > 9 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// ownHead reads the head of a batch in the bytes that have come. ours is false as soon as they cannot begin one; whole is false while they end
// in it. length is that of the body.
func ownHead(b []byte) (length int, whole, ours bool) {
	if n := min(len(b), len(batchBefore)); string(b[:n]) != batchBefore[:n] {
		return 0, false, false
	}
	if len(b) < batchHead {
		return 0, false, true
	}
	length = readDigits(b[len(batchBefore) : len(batchBefore)+headDigits])
	ours = length >= 0 && length <= MaxBatch+macSize && string(b[batchHead-len(headEnd):batchHead]) == headEnd
	return length, ours, ours
}

var errReply = errors.New("peer: not an HTTP answer with a length")

// A reply is what the head of an answer says.
type reply struct {
	code   int
	length int  // -1: it does not say
	keep   bool // the connection may be used again
}

// parseReply reads the head of an answer, without the empty line at its end.
func parseReply(head []byte) (r reply, err error) {
	if len(head) == replyHead-len(headEnd) && string(head[:len(replyBefore)]) == replyBefore {
		if r.length = readDigits(head[len(replyBefore):]); r.length >= 0 {
			r.code, r.keep = fasthttp.StatusOK, true
			return r, nil
		}
	}
	crlf := []byte("\r\n")
	if bytes.Count(head, crlf) != bytes.Count(head, crlf[1:]) {
		return r, errReply // some would see more lines than others
	}
	line, rest, _ := bytes.Cut(head, crlf)
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return r, errReply
	}
	r.code, r.length, r.keep = readDigits(line[9:12]), -1, line[7] == '1'
	if r.code < 0 {
		return r, errReply
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlf)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return r, errReply
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n := readDigits(value)
			if n < 0 || r.length >= 0 && r.length != n {
				return r, errReply
			}
			r.length = n
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return r, errReply
		case bytes.EqualFold(name, []byte("Connection")):
			r.keep = r.keep && bytes.EqualFold(value, []byte("keep-alive"))
		}
	}
	if r.code == fasthttp.StatusOK && r.length < 0 {
		return r, errReply
	}
	return r, nil
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
