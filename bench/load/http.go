package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// A Caller sends one request after another. It is for one goroutine.
type Caller interface {
	// Check asks for one hit on each key, as many keys as the workload's batch, and fills in the replies. It returns an
	// error where there was no answer; replies then are Failed. A caller goes on after an error.
	Check(keys []uint32, replies []Reply, via *Shares) error
	Close()
}

// A spender can ask for many hits at once.
type spender interface {
	Spend(key, hits uint32) (Reply, error)
}

// A Target is a server, or several that are asked in turn.
type Target interface {
	// Caller returns the i-th caller of a workload; keys begin with prefix.
	Caller(i int, w *Workload, prefix string) (Caller, error)
	// Refills says that the server gives hits back evenly through the hour.
	Refills() bool
}

// HTTP is a target that speaks POST /v1/check: Stint's nodes, or the echo.
type HTTP struct {
	Addrs []string
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
	c := &httpCaller{next: i % len(h.Addrs)}
	for _, a := range h.Addrs {
		c.conns = append(c.conns, &conn{addr: a})
	}
	c.req = NewRequest(h.Addrs[0], prefix, w.Limit(), w.Batch)
	c.spend = newSpend(h.Addrs[0], prefix, w.Limit())
	return c, nil
}

type httpCaller struct {
	req, spend *Request
	conns      []*conn
	next       int
	served     int
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

func (c *httpCaller) Spend(key, hits uint32) (Reply, error) {
	var r [1]Reply
	var via Shares
	c.spend.setHits(hits)
	err := c.do(c.spend.Set([]uint32{key}), r[:], &via)
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
	n, err := Scan(body, replies, via)
	if err == nil && n != len(replies) {
		err = fmt.Errorf("%d decisions for %d checks", n, len(replies))
	}
	if err == nil && c.served%fullRead == 0 {
		err = readInFull(body, replies)
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

// readInFull decodes an answer by the book and compares it with what the scan made of it.
func readInFull(body []byte, replies []Reply) error {
	var answer struct {
		Decisions []struct {
			Allowed bool   `msgpack:"allowed"`
			Via     string `msgpack:"via"`
		} `msgpack:"decisions"`
	}
	if err := msgpack.Unmarshal(body, &answer); err != nil {
		return err
	}
	if len(answer.Decisions) != len(replies) {
		return fmt.Errorf("%d decisions for %d checks", len(answer.Decisions), len(replies))
	}
	for i, d := range answer.Decisions {
		want := Denied
		switch {
		case d.Via == Vias[viaFull] || d.Via == Vias[viaUnavailable]:
			want = Failed
		case d.Allowed:
			want = Admitted
		}
		if replies[i] != want {
			return fmt.Errorf("decision %d was scanned as %d and is %d", i, replies[i], want)
		}
	}
	return nil
}

// A conn is one connection of HTTP/1.1 kept open. It is not fasthttp's client: that one keeps a pool under a lock and
// sets a deadline for every request, which costs as much as half of what is measured.
type conn struct {
	addr  string
	c     net.Conn
	r     *bufio.Reader
	body  []byte
	until time.Time // the deadline that is set
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
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err := io.ReadFull(c.r, c.body); err != nil {
		return nil, fmt.Errorf("read %d bytes of the body: %w", length, err)
	}
	if closing {
		c.close()
	}
	if status != 200 {
		return nil, fmt.Errorf("status %d: %.200s", status, c.body)
	}
	return c.body, nil
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

var (
	contentLength = []byte("content-length:")
	connection    = []byte("connection:")
)

// readHead reads the head of an answer. It knows no chunks: whoever answers a check knows the length.
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
		case hasPrefixFold(line, connection):
			closing = bytes.EqualFold(bytes.TrimSpace(line[len(connection):]), []byte("close"))
		}
	}
	if length < 0 {
		return 0, 0, false, errors.New("an answer without Content-Length")
	}
	return status, length, closing, nil
}

func hasPrefixFold(b, prefix []byte) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], prefix)
}
