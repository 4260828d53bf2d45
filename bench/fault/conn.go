package fault

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

const (
	// timeout is for one check. A node answers within a second, so one that does not is gone.
	timeout = 4 * time.Second
	// stale is how long a connection may be idle before it is made again, so that none meets the node's closing of it.
	stale = 5 * time.Second

	maxAnswer = 64 << 10 // one decision is about 100 bytes
)

// A decision is what is read of one.
type decision struct {
	Allowed   bool   `msgpack:"allowed" json:"allowed"`
	Remaining uint64 `msgpack:"remaining" json:"remaining"`
	Via       string `msgpack:"via" json:"via"`
}

// A conn is a caller's connection to one node. Nothing is ever sent twice: that would be a hit more. It is for one
// goroutine.
type conn struct {
	to    *target
	life  int32 // of the target, when the connection was made
	c     net.Conn
	r     *bufio.Reader
	since time.Time // of the last answer
}

// ask sends a request and reads the one decision in the answer.
func (c *conn) ask(request []byte) (decision, error) {
	d, err := c.roundTrip(request)
	if err != nil {
		c.close()
	}
	return d, err
}

func (c *conn) roundTrip(request []byte) (d decision, err error) {
	now := time.Now()
	if life := c.to.life.Load(); c.c != nil && (life != c.life || now.Sub(c.since) > stale) {
		c.close()
	}
	if c.c == nil {
		c.life = c.to.life.Load()
		if c.c, err = net.DialTimeout("tcp", c.to.addr, timeout); err != nil {
			c.c = nil
			return d, err
		}
		c.r = bufio.NewReaderSize(c.c, 4<<10)
	}
	if err := c.c.SetDeadline(now.Add(timeout)); err != nil {
		return d, err
	}
	if _, err := c.c.Write(request); err != nil {
		return d, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return d, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return d, err
	}
	c.since = time.Now()
	if resp.Close {
		c.close()
	}
	// A check that nobody could decide and that is denied for it is 503 with its decision.
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return d, fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	var answer struct {
		Decisions []decision `msgpack:"decisions" json:"decisions"`
	}
	if resp.Header.Get("Content-Type") == msgpackType {
		err = msgpack.Unmarshal(body, &answer)
	} else {
		err = json.Unmarshal(body, &answer)
	}
	switch {
	case err != nil:
		return d, fmt.Errorf("%s: read %.200q: %w", resp.Status, body, err)
	case len(answer.Decisions) != 1:
		return d, fmt.Errorf("%s: %d decisions for one check: %.200q", resp.Status, len(answer.Decisions), body)
	case answer.Decisions[0].Via == "":
		return d, errors.New("a decision without via")
	}
	return answer.Decisions[0], nil
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c, c.r = nil, nil
	}
}
