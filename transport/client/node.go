package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A node is one address and what is known of its health:
//
//	            a request fails                       a probe is answered
//	up ───────────────────────────▶ down, probed in ──────────────────▶ up
//	 └─ it says Connection: close ─▶ leaving, growing intervals
//
// Checks never wait for a node that is down: its probe is a request of its own, which spends nothing. One that is leaving still answers,
// and is asked where no other is up.
type node struct {
	c         *Client
	addr      string
	head      []byte
	undecided *Error // what goes with an answer that nobody decided

	state atomic.Int32
	fails atomic.Int32 // in a row
	slow  atomic.Int32 // requests in a row that were not answered in a short time

	mu      sync.Mutex // protects following
	why     error      // nil while up
	probing bool
}

const (
	up int32 = iota
	leaving
	down
)

// A Backoff of 100 ms has reached any cap after so many doublings.
const maxDoublings = 20

func newNode(c *Client, addr string) *node {
	return &node{c: c, addr: addr, head: newHead(addr), undecided: &Error{Err: fmt.Errorf("%w: %s", ErrUndecided, addr)}}
}

// pick returns the node to ask: that at home, or the next that is up, or one that is leaving, and one that is to be avoided only where there is no
// other; nil if there is none.
func (c *Client) pick(home int, avoid *node) *node {
	for _, most := range [...]int32{up, leaving} {
		for i := range c.nodes {
			if n := c.nodes[(home+i)%len(c.nodes)]; n != avoid && n.state.Load() <= most {
				return n
			}
		}
	}
	if avoid != nil && avoid.state.Load() <= leaving {
		return avoid
	}
	return nil
}

func (c *Client) anyUp() bool { return c.pick(0, nil) != nil }

// skip takes a node out of the way, and begins to probe it.
func (n *node) skip(state int32, why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.probing && (state == leaving || n.state.Load() == down) {
		return // it is known, and somebody is at it
	}
	n.why = why
	n.state.Store(state)
	n.c.nobody.Store(nil)
	if n.probing {
		return
	}
	n.probing = n.c.start(n.probe)
	n.c.stats.skipped.Add(1)
	if state == leaving {
		n.c.cfg.Log.Info("a stint node is leaving; others are asked", "addr", n.addr)
	} else {
		n.c.cfg.Log.Warn("a stint node failed; it is skipped until it answers", "addr", n.addr, "err", why)
	}
}

// good is for a node that has answered.
func (n *node) good() {
	if n.fails.Load() != 0 {
		n.fails.Store(0)
	}
	if n.slow.Load() != 0 {
		n.slow.Store(0)
	}
}

// probe asks the node until it answers.
func (n *node) probe() {
	for {
		// One that fails whenever it is asked again, but answers probes, is left alone for longer and longer too.
		t := time.NewTimer(n.c.cfg.backoff(int(n.fails.Add(1)) - 1))
		select {
		case <-t.C:
		case <-n.c.ctx.Done():
			t.Stop()
			return
		}
		err := n.hello()
		if n.c.ctx.Err() != nil {
			return
		}
		n.mu.Lock()
		n.c.nobody.Store(nil)
		if err == nil {
			n.why, n.probing = nil, false
			n.slow.Store(0)
			n.state.Store(up)
			n.mu.Unlock()
			n.c.cfg.Log.Info("a stint node answers again", "addr", n.addr)
			return
		}
		n.why = err
		if !errors.Is(err, errLeaving) {
			n.state.Store(down)
		}
		n.mu.Unlock()
	}
}

// backoff returns how long to leave a node alone that has failed so often before.
func (cfg *Config) backoff(fails int) time.Duration {
	d := cfg.MaxBackoff
	if fails < maxDoublings {
		d = min(cfg.Backoff<<fails, cfg.MaxBackoff)
	}
	return d/2 + rand.N(d/2+1)
}

// hello asks the node for something that spends nothing.
func (n *node) hello() error {
	c := n.c
	now := c.now()
	until := c.base.Add(time.Duration(now) + c.cfg.Attempt)
	k, err := c.dial(n, until)
	if err != nil {
		return err
	}
	defer k.close()
	// The lane's own way of writing a request does.
	l := lane{c: c}
	q := newCall()
	limits, err := c.limits.Limits([][]byte{[]byte("1/1s")})
	if err != nil {
		return err
	}
	q.addCheck(c, []byte("stint-client-probe"), limits, 0, 0, false)
	q.decisions = make([]Decision, 1)
	l.flight = []*call{q}
	stop := context.AfterFunc(c.ctx, k.close) // Close does not wait for a node that hangs
	defer stop()
	r, err := k.exchange(l.make(n, c.cfg.Attempt), answerSize(l.flight), until, now)
	switch {
	case err != nil:
		return err
	case r.status != http.StatusOK && !(r.status == http.StatusServiceUnavailable && r.msgpack):
		return statusError(r.status)
	}
	if err := readAnswer(r.body, l.flight); err != nil {
		return err
	}
	// That nobody can decide this key at the moment says nothing against the node: it answers.
	if !r.keep {
		return errLeaving
	}
	return nil
}
