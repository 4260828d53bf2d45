package client

import (
	"errors"
	"strings"
)

// What an Error can wrap, beside context.DeadlineExceeded, context.Canceled and the error of a connection.
var (
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("the client is closed")
	// ErrNoNode: every node has failed of late, and none was asked.
	ErrNoNode = errors.New("no node is up")
	// ErrQueueFull: more checks wait than Config.MaxQueue.
	ErrQueueFull = errors.New("too many checks are waiting")
	// ErrUndecided: a node has answered, in time, that nobody could decide.
	ErrUndecided = errors.New("the node answered, but nobody could decide")
)

// ErrInvalid is wrapped by the errors about checks that no node would take. Nothing was spent, and Allowed is false whatever
// Config.OnError says: it is the program that is wrong, not the cluster.
var ErrInvalid = errors.New("bad check")

// An Error says why nobody decided a check, and how the nodes stood. The failure mode has answered.
type Error struct {
	Err   error  // why
	Nodes string // each node that was asked or skipped, and why
}

func (e *Error) Error() string {
	if e.Nodes == "" {
		return "stint: no decision: " + e.Err.Error()
	}
	return "stint: no decision: " + e.Err.Error() + " (" + e.Nodes + ")"
}

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// failure makes an Error of what is known at this moment; asked is the node that has, or had, the check, or nil.
func (c *Client) failure(err error, asked *node) *Error {
	var b strings.Builder
	for _, n := range c.nodes {
		n.describe(&b, n == asked)
	}
	return &Error{Err: err, Nodes: b.String()}
}

// noNode is the error while no node is up. It is made once for each change of the nodes: an outage must cost a caller little.
func (c *Client) noNode() *Error {
	if e := c.nobody.Load(); e != nil {
		return e
	}
	e := c.failure(ErrNoNode, nil)
	c.nobody.Store(e)
	return e
}

// describe appends what is to be told of a node: nothing of one that is up and was not asked.
func (n *node) describe(b *strings.Builder, asked bool) {
	n.mu.Lock()
	why := n.why
	n.mu.Unlock()
	if !asked && why == nil {
		return
	}
	if b.Len() > 0 {
		b.WriteString("; ")
	}
	b.WriteString(n.addr)
	if asked {
		b.WriteString(" was asked")
	}
	if why != nil {
		b.WriteString(" failed: ")
		b.WriteString(why.Error())
	}
}
