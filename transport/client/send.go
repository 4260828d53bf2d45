package client

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// What a failure means for the checks of a request, and for the node:
//
//   - no connection, or the request never went out whole: nobody has decided. The node is skipped, the checks go elsewhere.
//   - the node says that it decided nothing (a problem+json, or a 503 that is no answer): the same.
//   - one check is bad (400): nothing was spent. That check fails, the others are asked again.
//   - the connection broke after the request went out, the node took too long, it answered 5xx or nonsense: it may have decided.
//     What gives back fails, for a give-back that counts twice would admit a hit over the limit. What spends goes elsewhere once,
//     if Config.Retry has it so. What only peeks goes elsewhere once.
//
// A connection that breaks when it is used again says little of the node, which may have closed it while it was idle, or just have been
// replaced; so then the node is not skipped, and a new connection will tell. But what may be sent only once more goes to another node, if there
// is one.

// Nor does it say much that a node has not answered in the few milliseconds that an impatient caller gave it. Another is asked, and the node is
// skipped only if that happens again and again with no answer in between.

const (
	enough  = 250 * time.Millisecond // a node of a cluster that is well answers within this, whatever happens
	tooSlow = 3
)

// try sends what is in flight to a node, once, and hands out what comes of it. What is in flight after it is to be tried again.
func (l *lane) try(n *node) {
	c := l.c
	began := c.now()
	patience := l.patience(began)
	until := c.base.Add(time.Duration(began) + patience)
	k := l.link
	if k != nil && (k.node != n || k.old(began)) {
		l.hangUp()
		k = nil
	}
	if k == nil {
		var err error
		if k, err = c.dial(n, until); err != nil {
			if c.ctx.Err() == nil {
				n.skip(down, err)
			}
			return
		}
		if !l.hold(k) {
			return
		}
	}
	fresh := !k.used
	request := l.make(n, patience)
	sent := c.now()
	checks := 0
	for _, k := range l.flight {
		k.sent = sent
		checks += len(k.asks)
	}
	c.stats.requests.Add(1)
	c.stats.checks.Add(uint64(checks))
	r, err := k.exchange(request, answerSize(l.flight), until, sent)
	k.used, k.last = true, c.now()
	if err != nil || !r.keep {
		l.hangUp() // the body stays good: it is the link's memory, not the connection's
	}
	switch {
	case c.ctx.Err() != nil:
		return // deliver fails what is left
	case err != nil:
		switch {
		case isTimeout(err) && patience < enough && n.slow.Add(1) < tooSlow:
			l.avoid = n
		case fresh || isTimeout(err):
			n.skip(down, err)
		case r.sent:
			l.avoid = n // it may be dying: what is sent once more must not be spent on finding out
		}
		if r.sent {
			l.doubt(n, err)
		}
	case r.status == http.StatusOK, r.status == http.StatusServiceUnavailable && r.msgpack:
		// The latter is an answer too: every check was unavailable, and denied for it. It says nothing against the node.
		if err := readAnswer(r.body, l.flight); err != nil {
			l.hangUp()
			n.skip(down, err)
			l.doubt(n, err)
			return
		}
		if !r.keep {
			n.skip(leaving, errLeaving)
		} else {
			n.good()
		}
		l.answerAll(n)
	case r.status == http.StatusBadRequest || r.status == http.StatusRequestEntityTooLarge:
		l.blame(n, &r)
	case r.status == http.StatusServiceUnavailable || r.status < 500:
		n.skip(down, statusError(r.status))
	default:
		err := statusError(r.status)
		n.skip(down, err)
		l.doubt(n, err)
	}
}

var errLeaving = errors.New("it has asked to be left")

// A statusError is an answer that is none to a check.
type statusError int

func (e statusError) Error() string {
	s := "it answered " + strconv.Itoa(int(e)) + " " + http.StatusText(int(e))
	if e < 500 && e != http.StatusRequestTimeout {
		s += ": is that a stint node's port for checks?"
	}
	return s
}

// patience is how long the node may take: to the latest deadline of a call in flight, less a quarter if it could be asked elsewhere.
func (l *lane) patience(now int64) time.Duration {
	latest, again := now, false
	for _, k := range l.flight {
		latest = max(latest, k.deadline)
		again = again || l.c.mayAgain(k)
	}
	left := time.Duration(latest - now)
	if again {
		left = left / 4 * 3
	}
	return min(left, l.c.cfg.Attempt)
}

// mayAgain reports whether a call may be asked again after a node may have decided it.
func (c *Client) mayAgain(k *call) bool {
	return !k.gives && !k.again && (!k.spends || c.cfg.Retry == RetryOnce)
}

// make writes the request. The node is told to answer a little before the client stops waiting: what it has found out by then is
// worth more than the client's guess, and a node that answers is not taken for one that failed.
func (l *lane) make(n *node, patience time.Duration) []byte {
	patience -= min(patience/8, 25*time.Millisecond)
	ms := min(max(patience/time.Millisecond, 1), transport.MaxTimeout/time.Millisecond)
	const digits = 7 // of the length, which is at most 1 MiB
	room := len(n.head) + digits + len(headEnd)
	if cap(l.buf) < room {
		l.buf = make([]byte, room, 4<<10)
	}
	b := append(l.buf[:room], bodyHead...)
	checks := 0
	for _, k := range l.flight {
		b = append(b, k.buf...)
		checks += len(k.asks)
	}
	binary.BigEndian.PutUint16(b[room+len(bodyHead)-2:], uint16(checks))
	b = append(b, bodyTail...)
	binary.BigEndian.PutUint16(b[len(b)-2:], uint16(ms))
	l.buf = b

	var length [20]byte
	size := strconv.AppendInt(length[:0], int64(len(b)-room), 10)
	start := room - len(n.head) - len(size) - len(headEnd)
	head := append(b[start:start], n.head...)
	head = append(head, size...)
	_ = append(head, headEnd...)
	return b[start:]
}

// answerAll hands out the decisions that were read.
func (l *lane) answerAll(n *node) {
	late := 0
	for _, k := range l.flight {
		asks := len(k.asks)
		if !k.answer(n, nil) {
			late += asks
		}
	}
	if late > 0 {
		l.c.stats.late.Add(uint64(late))
	}
	clear(l.flight)
	l.flight = l.flight[:0]
}

// doubt is for a request that a node may have decided.
func (l *lane) doubt(n *node, err error) {
	l.sift() // those whose time is over answer for themselves
	var failure *Error
	l.keep(func(k *call) bool {
		if l.c.mayAgain(k) {
			k.again = true
			l.c.stats.again.Add(uint64(len(k.asks)))
			return true
		}
		if failure == nil {
			failure = l.c.failure(fmt.Errorf("ask %s: %w", n.addr, err), n)
		}
		k.answer(nil, failure)
		return false
	})
}

// blame is for a request that the node did not like: the call whose check it names fails, or all of them.
func (l *lane) blame(n *node, r *reply) {
	var problem struct {
		Detail string `json:"detail"`
		Check  *int   `json:"check"`
	}
	if json.Unmarshal(r.body, &problem) != nil || problem.Detail == "" {
		problem.Detail = statusError(r.status).Error()
	}
	says := func(detail string) error {
		return &Error{Err: fmt.Errorf("%w: %s says: %.300s", ErrInvalid, n.addr, detail)}
	}
	if problem.Check == nil || *problem.Check < 0 {
		l.failAll(says(problem.Detail))
		return
	}
	at, found := *problem.Check, false
	detail := strings.TrimPrefix(problem.Detail, fmt.Sprintf("checks[%d]: ", at)) // the index is of our request, which nobody has seen
	l.keep(func(k *call) bool {
		n := len(k.asks) // it is its caller's once it is answered
		mine := !found && at < n
		if mine {
			found = true
			if n > 1 {
				detail = fmt.Sprintf("checks[%d]: %s", k.asks[at].of, detail)
			}
			k.answer(nil, says(detail))
		}
		at -= n
		return !mine
	})
	if !found {
		l.failAll(says(problem.Detail))
	}
}

var msgpackType = []byte("application/msgpack")

func isMsgpack(contentType []byte) bool { return bytes.HasPrefix(contentType, msgpackType) }
