package members

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// A rival is another node with this node's name at another address, as others told.
//
// Who gives way: a node that serves, or that another member has let in, never does: it is not the newcomer. Of two that
// nobody let in, the one with the higher start ID goes at once, so that exactly one goes when they call each other. Often only
// one hears: two nodes start together, both call n0, n0 lets one in and ignores the other. So who has heard of a rival
// keeps asking it, and gives way when it is still there after rivalPatience. A rival that is only a ghost, this node's
// last run at another address before its death was noticed, answers no ping: then this node waits until the others give
// it up.
type rival struct {
	addr        netip.AddrPort
	startID     uint64
	serving     bool
	since, last time.Time // when it was first and last heard of or answered
}

const (
	// rivalMemory: neither heard of nor answering for so long, a rival is history.
	rivalMemory = 15 * time.Second
	// rivalPatience is how long a node with the lower start ID waits for its rival to give way.
	rivalPatience = 10 * time.Second
	// ghostPatience is how long the others may take for alive what does not answer this node; gossip gives up a
	// crashed member in less, so whatever it is, it is alive for them.
	ghostPatience = 45 * time.Second
)

// namesake is the error for a name that is taken.
func namesake(name string, addr netip.AddrPort) error {
	return fmt.Errorf("another member is called %q at %s: give this one another --name", name, addr)
}

func (t *table) noteRival(r rival, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.since, r.last = now, now
	if old := t.rival; old != nil && old.addr == r.addr && now.Sub(old.last) < rivalMemory {
		r.since = old.since
	}
	t.rival = &r
}

// stillRival notes that a rival answered, and returns what is known of it now.
func (t *table) stillRival(r rival, now time.Time) rival {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rival != nil && t.rival.addr == r.addr {
		t.rival.last = now
		r = *t.rival
	}
	return r
}

// theRival returns the rival, if one was heard of lately.
func (t *table) theRival(now time.Time) (rival, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rival == nil || now.Sub(t.rival.last) >= rivalMemory {
		t.rival = nil
		return rival{}, false
	}
	return *t.rival, true
}

// judge decides about a rival, and reports whether this node is done for.
func (m *Members) judge() bool {
	r, ok := m.table.theRival(time.Now())
	if !ok {
		m.contested.Store(false)
		return false
	}
	_, err := m.ml.Ping(m.cfg.Name, net.UDPAddrFromAddrPort(r.addr))
	answers := err == nil
	if answers {
		r = m.table.stillRival(r, time.Now())
	}
	m.contested.Store(answers)
	m.mu.Lock()
	settled, mine := m.self.flags&serving != 0 || m.Seeded(), m.self.startID
	m.mu.Unlock()
	heard := r.last.Sub(r.since)
	if settled {
		if answers {
			m.notes.add(note{slog.LevelError, "another node has this node's name; it should give way: give it another --name", r.addr.String(), []any{"name", m.cfg.Name, "addr", r.addr}})
		}
		return false
	}
	yields := answers && (r.serving || r.startID < mine || heard >= rivalPatience)
	if !yields && heard < ghostPatience {
		return false
	}
	select {
	case m.fatal <- namesake(m.cfg.Name, r.addr):
	default:
	}
	return true
}
