package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/node/mail"
	"github.com/stint-limiter/stint/transport/peer"
)

// A contact is a way to another member, by name; it stays when the member starts anew, so that routes can point to it.
type contact struct {
	name  string
	link  atomic.Pointer[link]  // nil: it cannot be asked
	relay atomic.Pointer[relay] // who reaches it, while this node does not; see forward.go
}

// A link leads to one start of a member: a pipe, and what is to be mailed through it.
type link struct {
	peer.Member
	addr string
	pipe *peer.Pipe
	out  *mail.Outbox
}

// A relay is a member that reaches another, until then.
type relay struct {
	through *contact
	until   time.Time
}

// ask returns the pipe, or nil.
func (c *contact) ask() *peer.Pipe {
	if c == nil {
		return nil
	}
	if l := c.link.Load(); l != nil {
		return l.pipe
	}
	return nil
}

// around returns who reaches the member where this node is known not to; else nil.
func (c *contact) around() *contact {
	r := c.relay.Load()
	if r == nil {
		return nil
	}
	if l := c.link.Load(); l != nil && l.pipe.Healthy() || time.Now().After(r.until) {
		c.relay.CompareAndSwap(r, nil)
		return nil
	}
	return r.through
}

// contacts has every member ever met, by name.
type contacts struct {
	open func(m peer.Member, addr string) (*link, error)

	// protects following fields
	mu  sync.RWMutex
	all map[string]*contact

	closing sync.WaitGroup // pipes that are being closed, beside the loop
}

// get returns the contact of that name; it makes one for whoever is not known yet.
func (cs *contacts) get(name string) *contact {
	cs.mu.RLock()
	c := cs.all[name]
	cs.mu.RUnlock()
	if c != nil || name == "" {
		return c
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c = cs.all[name]; c == nil {
		c = &contact{name: name}
		cs.all[name] = c
	}
	return c
}

// meet sees to it that there is a link to this start of a member, or to a later one. The link to an earlier start is closed: what is under way in it
// fails, for that member is gone. Only the loop calls it.
func (cs *contacts) meet(m peer.Member, addr string) error {
	c := cs.get(m.Name)
	old := c.link.Load()
	if old != nil && (old.StartID > m.StartID || old.Member == m && old.addr == addr) {
		return nil
	}
	next, err := cs.open(m, addr)
	if err != nil {
		return err
	}
	c.link.Store(next)
	c.relay.Store(nil)
	if old != nil {
		cs.closing.Go(old.pipe.Close)
	}
	return nil
}

// heard takes note that a member speaks under a start ID: where that is a new one, gossip has yet to say so, but it will
// be found where it was before.
func (cs *contacts) heard(m peer.Member) error {
	if l := cs.get(m.Name).link.Load(); l != nil && l.StartID < m.StartID {
		return cs.meet(m, l.addr)
	}
	return nil
}

// drop ends the links to all members that are not in the set. Only the loop calls it.
func (cs *contacts) drop(keep map[string]bool) {
	cs.each(func(c *contact, l *link) {
		if !keep[c.name] && c.link.CompareAndSwap(l, nil) {
			cs.closing.Go(l.pipe.Close)
		}
	})
}

// each calls f for every member that there is a link to.
func (cs *contacts) each(f func(c *contact, l *link)) {
	cs.mu.RLock()
	all := make([]*contact, 0, len(cs.all))
	for _, c := range cs.all {
		all = append(all, c)
	}
	cs.mu.RUnlock()
	for _, c := range all {
		if l := c.link.Load(); l != nil {
			f(c, l)
		}
	}
}
