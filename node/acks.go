package node

import (
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/mail"
)

// acks gathers what acknowledges copies while a crowd of messages is handled: each answers one, and they are posted together. Nobody waits for an
// acknowledgement so short a time. It belongs to the loop.
type acks struct {
	post func(to string, m *hold.Acks) // copies what it is given

	to string
	m  hold.Acks
}

// add keeps acknowledgements for a member, and posts those that it has if they are another's or would be too many for one message.
func (a *acks) add(to string, m *hold.Acks) {
	if a.to != to || len(a.m.List)+len(m.List) > mail.MaxAcks {
		a.flush()
		a.to = to
	}
	a.m.List = append(a.m.List, m.List...)
}

// flush posts them.
func (a *acks) flush() {
	if len(a.m.List) > 0 {
		a.post(a.to, &a.m)
		a.drop()
	}
}

// drop forgets them.
func (a *acks) drop() { a.m.List = a.m.List[:0] }
