package hold

import (
	"cmp"
	"slices"
)

// peer is what the machine knows of another member.
type peer struct {
	Peer
	present bool // gossip has it
	heardAt Age  // 0: never
	// Backups and handoffs leave it alone until then: longer each time that it did not acknowledge them.
	avoidTill Age
	failed    int
}

// maxFailed bounds how long a member is left alone that acknowledges nothing: 2^maxFailed times Timers.Refused. Each try costs
// the time without a copy that it takes to see that no acknowledgement comes.
const maxFailed = 3

// avoid leaves a member alone for a time.
func (m *Machine) avoid(name string, d Age) {
	if p := m.peers[name]; p != nil {
		m.turns++
		p.avoidTill = max(p.avoidTill, m.now+d)
	}
}

// failed is when a member did not acknowledge.
func (m *Machine) failed(name string) {
	if p := m.peers[name]; p != nil && p.avoidTill <= m.now {
		m.avoid(name, m.t.Refused<<p.failed)
		p.failed = min(p.failed+1, maxFailed)
	}
}

// silentSince says that nothing was heard of a member since then.
func (m *Machine) silentSince(name string, t Age) bool {
	p := m.peers[name]
	return p == nil || p.heardAt <= t
}

// recently is how long after its last message a member that gossip does not have is still asked in rounds: gossip may learn of it, or
// of its return, seconds later.
const recently = 100 // ticks

func (m *Machine) viewChanged(e ViewChanged) {
	first := !m.may && e.May
	m.turns++
	m.home, m.backup, m.may = e.Home, e.Backup, e.May
	for _, p := range m.peers {
		p.present = false
	}
	var news []string
	for _, q := range e.Members {
		p := m.peers[q.Name]
		if p == nil {
			p = &peer{}
			m.peers[q.Name] = p
		}
		if !p.present && p.Start == 0 {
			news = append(news, q.Name)
		}
		if q.Start >= p.Start {
			p.Peer = q
		}
		p.present = true
		if _, gone := e.Gone[q.Name]; !gone && m.gone[q.Name] == q.Start {
			delete(m.gone, q.Name) // it was forgotten, and is back from behind a split
		}
	}
	for name, start := range e.Gone {
		m.gone[name] = max(m.gone[name], start)
	}
	m.names = m.names[:0]
	for name, p := range m.peers {
		if p.Start > m.gone[name] && (p.present || p.heardAt > 0) {
			m.names = append(m.names, name)
		}
	}
	slices.Sort(m.names)
	if first {
		news = slices.Clone(m.names)
	}
	slices.Sort(news)
	if m.may && !m.over {
		for _, name := range news {
			m.send(name, &Who{})
		}
	}
	for i := range m.parts {
		m.lend(i)
		m.touch(i)
	}
	m.house()
}

// heard takes note of who sent something, and says whether to listen: not to an earlier start of a member.
func (m *Machine) heard(name string, start uint64) bool {
	if name == m.self.Name || name == "" {
		return false
	}
	p := m.speaker
	if p == nil || p.Name != name { // crowds of messages come from one member
		if p = m.peers[name]; p == nil {
			p = &peer{Peer: Peer{Name: name, Start: start}}
			m.peers[name] = p
		}
		m.speaker = p
	}
	if start < p.Start && m.on(RuleStartID) {
		return false
	}
	if start <= m.gone[name] {
		return true // its last words
	}
	if start > p.Start {
		// It was started anew, and gossip does not say so yet: all that the earlier start held is to be claimed.
		m.turns++
		p.Peer = Peer{Name: name, Start: start, Serving: p.Serving}
		for i := range m.parts {
			if m.parts[i].hold.Name == name {
				m.touch(i)
			}
		}
	}
	if m.now-p.heardAt > 2*m.t.Holds {
		m.turns++
		p.avoidTill = 0 // it is back
	}
	if p.heardAt == 0 {
		if i, ok := slices.BinarySearch(m.names, name); !ok {
			m.names = slices.Insert(m.names, i, name)
		}
	}
	p.heardAt = m.now + 1
	return true
}

// start returns a member's start ID, 0 if it is not known.
func (m *Machine) start(name string) uint64 {
	if p := m.peers[name]; p != nil {
		return p.Start
	}
	return 0
}

// present says whether gossip has the member.
func (m *Machine) present(name string) bool {
	p := m.peers[name]
	return name == m.self.Name || p != nil && p.present && p.Start > m.gone[name]
}

// takes says whether a member may be given copies and holds.
func (m *Machine) takes(name string) bool {
	p := m.peers[name]
	return p != nil && p.present && p.Serving && !p.Leaving && p.Start > m.gone[name]
}

// knownDead says that the run of the holder is over, for certain: it said goodbye, or its name was started anew.
func (m *Machine) knownDead(h Hold) bool {
	if !m.on(RuleStartID) {
		return m.gone[h.Name] >= h.Start && h.Known()
	}
	if h.Name == m.self.Name {
		return h.Start < m.self.Start
	}
	return h.Known() && (m.start(h.Name) > h.Start || m.gone[h.Name] >= h.Start)
}

// asks returns whom a round asks: all who are there, those who were heard lately though gossip does not have them, the target, and who
// has the copy.
func (m *Machine) asks(p *part, target Hold) []string {
	var list []string
	for _, name := range m.names {
		q := m.peers[name]
		if q.Start > m.gone[name] && (q.present || q.heardAt > 0 && m.now-q.heardAt < recently*m.t.Tick) {
			list = append(list, name)
		}
	}
	add := func(name string) {
		if name != "" && name != m.self.Name && m.gone[name] < max(m.start(name), 1) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	add(target.Name)
	if m.on(RuleKeeper) {
		add(p.keeper)
	}
	return list
}

// target returns who is to have the copy of a partition that is held here, "" for nobody.
func (m *Machine) target(i int) string {
	home := m.home(i)
	if m.cfg.NoBackups && home == m.self.Name && !m.leaving {
		return ""
	}
	if home != m.self.Name && m.willing(home) && m.on(RuleRemoteHome) {
		return home
	}
	if b := m.backup(i, m.self.Name); b != m.self.Name && m.willing(b) {
		return b
	}
	return m.nextFor(i)
}

func (m *Machine) willing(name string) bool { return m.takes(name) && m.peers[name].avoidTill <= m.now }

// heir returns who is to claim a partition when its holder does not answer: who has the copy, so that nobody need be nominated; else
// who would be home if the holder were gone. A member that starts or leaves cannot claim, though it may be in the ring: then it is
// any that can, the same for all who see the same members. It may be this node.
func (m *Machine) heir(i int) string {
	p := &m.parts[i]
	can := func(name string) bool {
		return name != p.hold.Name && (name == m.self.Name && m.may && !m.leaving || m.takes(name))
	}
	if can(p.keeper) && m.on(RuleKeeper) {
		return p.keeper
	}
	if b := m.backup(i, p.hold.Name); can(b) {
		return b
	}
	best := choose(i, m.names, can)
	if can(m.self.Name) {
		best = choose(i, []string{m.self.Name, best}, can)
	}
	if best == "" {
		return m.self.Name
	}
	return best
}

// nextFor returns the first willing member in an order that is the partition's own.
func (m *Machine) nextFor(i int) string { return choose(i, m.names, m.willing) }

// choose returns one of the names, by an order that is the partition's own (rendezvous hashing, Thaler and Ravishankar 1998).
func choose(i int, names []string, may func(string) bool) string {
	best, most := "", uint64(0)
	for _, name := range names {
		if !may(name) {
			continue
		}
		h := uint64(i)*0x9e3779b97f4a7c15 + 0xcbf29ce484222325
		for _, c := range []byte(name) {
			h = (h ^ uint64(c)) * 0x100000001b3
		}
		h ^= h >> 29
		if h *= 0xbf58476d1ce4e5b9; best == "" || h > most {
			best, most = name, h
		}
	}
	return best
}

// unreachable: nobody listens there. What was asked of that run is not going to be answered.
func (m *Machine) unreachable(e Unreachable) {
	if e.Start != 0 && e.Start < m.start(e.Name) {
		return
	}
	for i := range m.parts {
		p := &m.parts[i]
		if p.relay == e.Name {
			p.relay = ""
			m.touch(i)
		}
		if p.good.Name == e.Name {
			p.good = Hold{} // it was found alive, and is no more
		}
		if p.claim != nil {
			p.claim.silent(e.Name)
			m.claimMayEnd(i)
		}
		if p.vote != nil && p.vote.target == e.Name {
			m.voteEnds(i, PROMISE, Hold{})
		}
		if p.flip != nil && p.flip.to == e.Name && p.flip.msg.Hold.Start == m.start(e.Name) {
			p.flip.since = m.now - m.t.Flip - 1
			m.flipBeat(i)
		}
		if p.keeping != nil && p.keeping.to == e.Name {
			m.missed(i)
		}
	}
}

// forget gives a member up: an operator says that it will not come back.
func (m *Machine) forget(name string) {
	if p := m.peers[name]; p != nil && !p.present {
		m.turns++
		m.gone[name] = max(m.gone[name], p.Start)
		m.names = slices.DeleteFunc(m.names, func(n string) bool { return n == name })
		m.house()
	}
}

// announce says what is held here to everybody, and what this node has heard of those that are gone to nobody.
func (m *Machine) announce() {
	if !m.may {
		return
	}
	for i := range m.parts {
		if s := m.parts[i].state; s == Held || s == Frozen {
			m.tell(i)
		}
	}
}

// tell announces one hold to everybody.
func (m *Machine) tell(i int) {
	p := &m.parts[i]
	for _, name := range m.names {
		m.send(name, &Holds{Part(i), p.hold, p.keeper})
	}
}

// tellAll answers Who.
func (m *Machine) tellAll(from Peer) {
	for i := range m.parts {
		if p := &m.parts[i]; p.hold.Known() {
			m.send(from.Name, &Holds{Part(i), p.hold, p.keeper})
		}
	}
}

func (m *Machine) toldHolds(from Peer, h *Holds) {
	i := h.Of()
	p := &m.parts[i]
	m.learn(i, h.Hold)
	switch c := cmp.Compare(0, p.hold.Compare(h.Hold)); {
	case c == 0:
		if h.Keeper != "" && h.Keeper != p.keeper && p.state != Held && p.state != Frozen {
			p.keeper = h.Keeper
			m.touch(i) // it is now the one to claim, too
		}
	case c < 0:
		m.send(from.Name, &Holds{Part(i), p.hold, p.keeper})
	}
}
