package node

import (
	"fmt"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/mail"
)

// Forget gives a member up for good: it will not come back, whatever it may have held can be claimed, and it is no longer missing. All
// members are told. It fails for who is there, or unknown.
func (n *Node) Forget(name string) error {
	m, ok := n.cfg.Gossip.View().Get(name)
	switch {
	case !ok:
		return fmt.Errorf("forget %q: no such member is remembered; see /v1/members", name)
	case m.Live() || name == n.cfg.Name:
		return fmt.Errorf("forget %q: it is %s; stop it first", name, m.State)
	}
	n.told.do(func() {
		n.forget(name, m.StartID)
		msg := &mail.Forget{Name: name, Start: m.StartID}
		n.contacts.each(func(_ *contact, l *link) { l.post(msg, nil) })
	})
	return nil
}

// forget gives this start of a member up; who lives is not forgotten.
func (n *Node) forget(name string, start uint64) {
	if m, ok := n.view.Get(name); name == n.cfg.Name || ok && (m.Live() || m.StartID > start) {
		return
	}
	if !n.forgotten[name] {
		n.forgotten[name] = true
		n.log.Info("a member is given up, as an operator said", "member", name)
	}
	if g, ok := n.cfg.Gossip.(interface{ Forget(name string) bool }); ok {
		g.Forget(name)
	}
	n.step(hold.Forget{Name: name})
	n.link()
}
