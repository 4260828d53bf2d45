package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Caller sends one request after another. It is for one goroutine.
type Caller interface {
	// Check asks for each key, as many as the workload's batch, under its terms, and fills in the replies. It returns an
	// error where there was no answer; replies then are Failed. A caller goes on after an error.
	Check(keys []uint32, replies []Reply, via *Shares) error
	Close()
}

// A spender can ask for many hits at once, under limits that need not be the key's own.
type spender interface {
	Spend(key, hits uint32, limits []string) (Reply, error)
}

// A Target is a server, or several that are asked in turn.
type Target interface {
	// Caller returns the i-th caller of a workload; keys begin with prefix. The error is Unable where the server does not know what the
	// workload asks for.
	Caller(i int, w *Workload, prefix string) (Caller, error)
	// Refills says that the server gives hits back evenly through the hour, whatever the limit says.
	Refills() bool
}

// HTTP is a target that speaks POST /v1/check, which is Stint's nodes and the echo, or what Speaks says.
type HTTP struct {
	Addrs  []string
	Speaks Dialect // nil: Stint's
}

func (HTTP) Refills() bool { return false }

// Caller returns a caller with a connection of its own to each address, made when it is first needed; its requests
// go to them in turn.
func (h HTTP) Caller(i int, w *Workload, prefix string) (Caller, error) {
	if len(h.Addrs) == 0 {
		return nil, errors.New("no address to ask")
	}
	if len(prefix)+digits > 255 {
		return nil, fmt.Errorf("prefix of keys %q: at most %d bytes", prefix, 255-digits)
	}
	c := &httpCaller{w: w, prefix: prefix, speaks: h.Speaks, next: i % len(h.Addrs), spends: map[string]*Request{}}
	if c.speaks == nil {
		c.speaks = stint{}
	}
	for _, a := range h.Addrs {
		c.conns = append(c.conns, &conn{addr: a, answer: c.speaks.answer})
	}
	var err error
	c.req, err = c.speaks.request(h.Addrs[0], prefix, w)
	return c, err
}

type httpCaller struct {
	w      *Workload
	prefix string
	speaks Dialect
	req    *Request
	spends map[string]*Request // by their limits
	conns  []*conn
	next   int
	served int
}

// pause is how long a caller rests after an error, so that a server that is gone is not dialed in a tight loop.
const pause = 5 * time.Millisecond

// fullRead is how often an answer is decoded in full beside the scan.
const fullRead = 1024

func (c *httpCaller) Check(keys []uint32, replies []Reply, via *Shares) error {
	err := c.do(c.req.Set(keys), replies, via)
	if err != nil {
		for i := range replies {
			replies[i] = Failed
		}
		time.Sleep(pause)
	}
	return err
}

func (c *httpCaller) Spend(key, hits uint32, limits []string) (Reply, error) {
	id := strings.Join(limits, ",")
	q := c.spends[id]
	if q == nil {
		q = c.speaks.spend(c.conns[0].addr, c.prefix, limits, c.w.TermsOf(key).Count)
		c.spends[id] = q
	}
	var r [1]Reply
	var via Shares
	q.setHits(hits)
	err := c.do(q.Set([]uint32{key}), r[:], &via)
	if err != nil {
		r[0] = Failed
	}
	return r[0], err
}

func (c *httpCaller) do(request []byte, replies []Reply, via *Shares) error {
	conn := c.conns[c.next]
	if c.next++; c.next == len(c.conns) {
		c.next = 0
	}
	body, err := conn.roundTrip(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", conn.addr, err)
	}
	n, err := c.speaks.scan(body, replies, via)
	if err == nil && n != len(replies) {
		err = fmt.Errorf("%d decisions for %d checks", n, len(replies))
	}
	if err == nil && c.served%fullRead == 0 {
		err = c.speaks.read(body, replies)
	}
	c.served++
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", conn.addr, err)
	}
	return nil
}

func (c *httpCaller) Close() {
	for _, conn := range c.conns {
		conn.close()
	}
}

// A conn is one connection of HTTP/1.1 kept open. It is not fasthttp's client: that one keeps a pool under a lock and
// sets a deadline for every request, which costs as much as half of what is measured.
type conn struct {
	addr   string
	answer func(status int) bool // whether there is an answer in it
	c      net.Conn
	r      *bufio.Reader
	body   []byte
	until  time.Time // the deadline that is set
}

const (
	// A request that takes longer than timeout has failed. Deadlines are set once in slack, not for every request.
	timeout = 5 * time.Second
	slack   = time.Second

	maxAnswer = 4 << 20 // 1000 decisions are about 100 KiB
)

func (c *conn) roundTrip(request []byte) ([]byte, error) {
	if c.c == nil {
		nc, err := net.DialTimeout("tcp", c.addr, timeout)
		if err != nil {
			return nil, err
		}
		c.c, c.r, c.until = nc, bufio.NewReaderSize(nc, 32<<10), time.Time{}
	}
	body, err := c.exchange(request)
	if err != nil {
		c.close() // whatever comes on it now belongs to no request
	}
	return body, err
}

func (c *conn) exchange(request []byte) ([]byte, error) {
	if now := time.Now(); c.until.Sub(now) < timeout {
		c.until = now.Add(timeout + slack)
		if err := c.c.SetDeadline(c.until); err != nil {
			return nil, err
		}
	}
	if _, err := c.c.Write(request); err != nil {
		return nil, err
	}
	status, length, closing, err := readHead(c.r)
	if err != nil {
		return nil, err
	}
	c.body = c.body[:0]
	if length == chunked {
		err = c.readChunks()
	} else {
		err = c.read(length)
	}
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if closing {
		c.close()
	}
	if !c.answer(status) {
		return nil, fmt.Errorf("status %d: %.200s", status, c.body)
	}
	return c.body, nil
}

// read appends so many bytes to the body.
func (c *conn) read(n int) error {
	at := len(c.body)
	if at+n > maxAnswer {
		return fmt.Errorf("more than %d bytes", maxAnswer)
	}
	c.body = slices.Grow(c.body, n)[:at+n]
	_, err := io.ReadFull(c.r, c.body[at:])
	return err
}

// readChunks appends chunks until the one that is empty. net/http sends long answers so; Stint and the echo never do.
func (c *conn) readChunks() error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil {
			return fmt.Errorf("not the length of a chunk: %.40q", line)
		}
		if n > 0 {
			if err := c.read(int(n)); err != nil {
				return err
			}
		}
		// The end of the chunk's line; after the last, with no trailers, that of the body.
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) > 2 {
			return fmt.Errorf("%.40q where a chunk should end", line)
		}
		if n == 0 {
			return nil
		}
	}
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

var (
	contentLength    = []byte("content-length:")
	transferEncoding = []byte("transfer-encoding:")
	connection       = []byte("connection:")
)

// chunked is the length of a body that comes in chunks.
const chunked = -2

// readHead reads the head of an answer.
func readHead(r *bufio.Reader) (status, length int, closing bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, 0, false, fmt.Errorf("read the status line: %w", err)
	}
	if len(line) < 13 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, false, fmt.Errorf("not a status line: %.40q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, false, fmt.Errorf("not a status line: %.40q", line)
	}
	length = -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, 0, false, fmt.Errorf("read the headers: %w", err)
		}
		if len(line) <= 2 {
			break
		}
		switch {
		case hasPrefixFold(line, contentLength):
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):])))
			if err != nil || length < 0 || length > maxAnswer {
				return 0, 0, false, fmt.Errorf("content length %.40q: at most %d bytes", line, maxAnswer)
			}
		case hasPrefixFold(line, transferEncoding):
			if !bytes.EqualFold(bytes.TrimSpace(line[len(transferEncoding):]), []byte("chunked")) {
				return 0, 0, false, fmt.Errorf("%.40q is not chunked", line)
			}
			length = chunked
		case hasPrefixFold(line, connection):
			closing = bytes.EqualFold(bytes.TrimSpace(line[len(connection):]), []byte("close"))
		}
	}
	if length == -1 {
		return 0, 0, false, errors.New("an answer without Content-Length")
	}
	return status, length, closing, nil
}

func hasPrefixFold(b, prefix []byte) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], prefix)
}
