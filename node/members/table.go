package members

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

const (
	// maxMembers is how many a ring can have; one more is refused.
	maxMembers = 1000
	// maxGone bounds how many of the left and dead are remembered, for people and for rejoin.
	maxGone = 100
	// maxRefused bounds the refusals shown.
	maxRefused = 16
)

// A table is what the callbacks were told, by name: the source of every view. Its lock is the innermost of
// all: it is taken under memberlist's node lock and nothing is called while it is held.
type table struct {
	mu      sync.Mutex
	self    string
	peers   map[string]*peer
	gone    uint64 // counts departures, to forget the oldest
	live    int
	refused []Refusal
	applied []byte // this node's metadata as memberlist has it
	heard   bool   // of another member, ever
	in      bool   // another member's list had this very run of this node
	rival   *rival
	// early has goodbyes, by name and start ID, of runs that were not heard of yet; at most maxGone.
	early map[string]uint64
}

type peer struct {
	addr   netip.AddrPort
	meta   meta
	dead   bool
	left   bool   // said goodbye, under this start ID
	doubt  bool   // left a direct probe unanswered
	forgot bool   // said to be gone for good, while dead
	goneAt uint64 // table.gone when it went
}

func (p *peer) state() State {
	switch {
	case p.left:
		return Left // also before it is gone: nothing comes after a goodbye
	case p.dead && p.forgot:
		return Forgotten
	case p.dead:
		return Dead
	case p.doubt:
		return Suspect
	}
	return Alive
}

func (p *peer) member(name string) Member {
	at := func(port uint16) string { return netip.AddrPortFrom(p.addr.Addr(), port).String() }
	return Member{
		Name: name, StartID: p.meta.startID,
		Addr: p.addr.String(), PeerAddr: at(p.meta.peerPort), DataAddr: at(p.meta.dataPort),
		State:   p.state(),
		Serving: p.meta.flags&serving != 0, Leaving: p.meta.flags&leaving != 0,
		RingID: p.meta.ringID, Version: p.meta.version, Patience: float64(p.meta.patience) / 1000,
	}
}

func newTable(self string) *table {
	return &table{self: self, peers: map[string]*peer{}, early: map[string]uint64{}}
}

// put records that a member is there, with this address and metadata.
func (t *table) put(name string, addr netip.AddrPort, m meta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = true
	p := t.peers[name]
	if p == nil {
		p = &peer{dead: true}
		t.peers[name] = p
	}
	if p.dead {
		t.live++
	}
	same := p.meta.startID == m.startID
	*p = peer{addr: addr, meta: m, left: p.left && same, doubt: p.doubt && same && !p.dead}
	if start, ok := t.early[name]; ok && start <= m.startID {
		p.left = p.left || start == m.startID
		delete(t.early, name)
	}
}

// drop records that a member is gone. It died, unless it said goodbye.
func (t *table) drop(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[name]
	if p == nil || p.dead {
		return
	}
	t.live--
	t.gone++
	p.dead, p.goneAt = true, t.gone
	if len(t.peers)-t.live <= maxGone {
		return
	}
	oldest := name
	for n, q := range t.peers {
		if q.dead && q.goneAt < t.peers[oldest].goneAt {
			oldest = n
		}
	}
	delete(t.peers, oldest)
}

// doubt records that a member did (false) or did not (true) answer a direct probe. It reports whether that was news.
func (t *table) doubt(name string, doubt bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[name]
	if p == nil || p.dead || p.doubt == doubt {
		return false
	}
	p.doubt = doubt
	return true
}

// refuse remembers a refusal and reports whether it was news.
func (t *table) refuse(r Refusal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Contains(t.refused, r) {
		return false
	}
	if len(t.refused) == maxRefused {
		t.refused = slices.Delete(t.refused, 0, 1)
	}
	t.refused = append(t.refused, r)
	return true
}

// admitted notes that another member's list has this node, and reports whether that is news.
func (t *table) admitted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := !t.in
	t.in = true
	return news
}

// seeded reports whether this node is a member among others: it heard of another, and is in another's list. (Being in a list is not enough:
// it may be the node's own, called by an address it does not know for its own.)
func (t *table) seeded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard && t.in
}

// full reports whether there is no room for one more live member of this name.
func (t *table) full(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[name]
	return (p == nil || p.dead) && t.live >= maxMembers
}

// isApplied reports whether memberlist has this as our metadata.
func (t *table) isApplied(b []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Equal(t.applied, b)
}

// snapshot returns everything a view shows, self with what it says of itself now. A node that nobody has let in yet
// shows no others, so that it does not begin to serve beside the one whose name it has.
func (t *table) snapshot(self Member) ([]Member, []Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Member, 0, len(t.peers)+1)
	list = append(list, self)
	if t.heard && t.in {
		for name, p := range t.peers {
			list = append(list, p.member(name))
		}
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return list, slices.Clone(t.refused)
}

// lost returns the addresses of those that went without a goodbye and were not forgotten; and of all, if all.
func (t *table) lost(all bool) []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []netip.AddrPort
	for _, p := range t.peers {
		if s := p.state(); s == Dead || all && s != Left && s != Forgotten {
			list = append(list, p.addr)
		}
	}
	return list
}

// liveAt reports whether a live member gossips at this address.
func (t *table) liveAt(addr netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.peers {
		if p.addr == addr && p.state() != Left && !p.dead {
			return true
		}
	}
	return false
}
