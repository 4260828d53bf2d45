package hold

import (
	"math"
	"math/bits"
)

// keeping is the holder's side of a backup: who is to have the copy, and how far it is.
type keeping struct {
	to     string
	start  uint64
	whole  bool    // everything was acknowledged once
	told   bool    // and everybody heard of it
	acked  Version // what the copy is at least
	msg    *Backup // under way
	sentAt Age
	missed int

	// While home is here, who is to have the copy need not be found out again until something is heard that may change it (Machine.turns).
	turn uint64
}

const (
	// Acknowledgements of changes are waited for ackTicks times Timers.Ack: they stand behind whole copies of other partitions. Those
	// of whole copies longer.
	ackTimes      = 3
	ackTimesWhole = 30
	// settledTimes times Timers.Backup is how long it is not looked who is to have copies: what changes that only by the passing of time is seen
	// that much later.
	settledTimes = 4
	// expectAtOnce is how many partitions are brought near together.
	expectAtOnce = 16
	// maxMissed is how many acknowledgements may fail in a row before another member gets the copy.
	maxMissed = 2
)

// backupDue sends what has changed to who keeps the copies. Most partitions are as they were 50 ms ago, and to look at all of them was most of what
// a calm machine did: it looks at those that changed and at those with something under way (watched), and at all only when it may have to find
// others to keep the copies.
func (m *Machine) backupDue(e BackupDue) {
	if !m.may {
		return
	}
	if m.now-m.lookedAt >= settledTimes*m.t.Backup {
		m.turns++
		m.lookedAt = m.now
	}
	all := e.Changed == nil || m.looked != m.turns
	m.looked = m.turns
	for w := range m.watched {
		set := m.watched[w]
		switch {
		case all:
			set = ^uint64(0)
		default:
			set |= e.Changed[w]
		}
		for set != 0 {
			var list [expectAtOnce]int
			next := list[:0]
			for ; set != 0 && len(next) < len(list); set &= set - 1 {
				if i := w*64 + bits.TrailingZeros64(set); i < len(m.parts) {
					next = append(next, i)
				}
			}
			m.Expect(next)
			for _, i := range next {
				m.backupDueOf(i, e.Seq(i))
			}
		}
	}
}

func (m *Machine) backupDueOf(i int, seq uint64) {
	p := &m.parts[i]
	rests := func() bool { k := p.keeping; return m.settled(k) && k.whole && k.acked.Seq >= seq }
	if p.state == Held && !p.unsure && !rests() {
		m.backUp(i, seq)
		// Without a keeping there is nobody to keep it, and nothing to do until that changes.
		if k := p.keeping; k != nil && !rests() || k == nil && (m.leaving || m.home(i) != m.self.Name) {
			m.watch(i)
			return
		}
	}
	m.watched[i/64] &^= 1 << (i % 64)
}

// watch has the next backupDue look at the partition.
func (m *Machine) watch(i int) { m.watched[i/64] |= 1 << (i % 64) }

func (m *Machine) backUp(i int, seq uint64) {
	p := &m.parts[i]
	k := p.keeping
	to := ""
	if m.settled(k) {
		to = k.to
	} else if to = m.target(i); k != nil && k.to == to && k.start == m.start(to) && m.home(i) == m.self.Name && !m.leaving {
		k.turn = m.turns
	}
	if k != nil && k.msg != nil && m.now-k.sentAt > m.patience(k) {
		m.missed(i)
		to = m.target(i)
	}
	if to == "" {
		if m.cfg.NoBackups {
			m.dropAll(i)
		}
		return
	}
	if k == nil || k.to != to || !m.settled(k) && k.start != m.start(to) {
		if k != nil {
			p.olds = with(p.olds, k.to)
			if !m.on(RuleKeepOld) {
				m.dropOlds(i, to)
			}
		}
		m.dropKeeping(p)
		k = &keeping{to: to, start: m.start(to)}
		if !m.on(RuleWholeCopy) {
			k.whole, k.acked = true, Version{p.hold.Epoch, p.hold.Start, seq}
		}
		p.keeping = k
	}
	if k.msg != nil {
		return
	}
	if k.whole && k.acked.Seq >= seq {
		m.handOver(i) // it was refused, or too many were under way
		return
	}
	m.round++
	b := m.backups.New()
	*b = Backup{Part: Part(i), Hold: p.hold, Round: m.round}
	if k.whole {
		b.Base = k.acked
	} else if m.bulk[to] >= maxBulk {
		return
	} else {
		m.bulk[to]++
	}
	k.msg, k.sentAt = b, m.now
	m.send(to, b)
	if !m.on(RuleAcknowledge) && k.whole {
		k.acked.Seq = b.Seq
		k.msg = nil
	}
}

// settled says that the copy is with whom it is to be, as far as was looked lately.
func (m *Machine) settled(k *keeping) bool {
	return k != nil && k.msg == nil && k.turn == m.turns
}

// stays says that the partition is at home here, and so is not to be handed over.
func (m *Machine) stays(p *part) bool { return p.keeping != nil && p.keeping.turn == m.turns && !p.due }

// patience is how long an acknowledgement is waited for: longer for a whole copy, but not if nothing else comes from there either.
func (m *Machine) patience(k *keeping) Age {
	if k.msg.Whole() && !m.silentSince(k.to, k.sentAt) {
		return ackTimesWhole * m.t.Ack
	}
	return ackTimes * m.t.Ack
}

// calmDown ends what is under way: its lines count as changed again.
func (m *Machine) calmDown(i int, k *keeping) {
	if k.msg == nil {
		return
	}
	if k.msg.Whole() {
		m.bulk[k.to]--
	}
	k.msg = nil
	m.emit(Unacknowledged{i})
}

func (m *Machine) dropKeeping(p *part) {
	if k := p.keeping; k != nil {
		if k.msg != nil && k.msg.Whole() {
			m.bulk[k.to]--
		}
		p.keeping = nil
	}
}

// missed: an acknowledgement did not come.
func (m *Machine) missed(i int) {
	p := &m.parts[i]
	k := p.keeping
	if k == nil || k.msg == nil {
		return
	}
	whole := k.msg.Whole()
	m.calmDown(i, k)
	if k.missed++; whole || k.missed >= maxMissed {
		m.failed(k.to)
	}
}

// backupStuck: node could not send it.
func (m *Machine) backupStuck(e BackupStuck) {
	if p := &m.parts[e.Partition]; p.keeping != nil && p.keeping.to == e.To {
		m.calmDown(e.Partition, p.keeping)
	}
}

// store takes a copy in, or says why not.
func (m *Machine) store(from Peer, b *Backup, fits bool) {
	i := b.Of()
	p := &m.parts[i]
	reply := func(code StoreCode) {
		if code == Stored {
			m.ack(from.Name, Ack{Part(i), b.Round})
			return
		}
		m.send(from.Name, &Refused{Part(i), p.hold, b.Hold, b.Round, code})
	}
	if !m.may {
		reply(NotReady)
		return
	}
	if b.Hold.less(p.hold) {
		reply(Lower)
		return
	}
	m.learn(i, b.Hold)
	if p.state != None && p.state != Copy {
		reply(Lower)
		return
	}
	v := Version{b.Hold.Epoch, b.Hold.Start, b.Seq}
	switch {
	case v.Compare(p.copy) <= 0:
		p.round = max(p.round, b.Round)
		reply(Stored) // it came twice, or late
		return
	case !b.Whole() && m.on(RuleWholeCopy) && (p.state != Copy || p.copy.Epoch != b.Base.Epoch || p.copy.Start != b.Base.Start || p.copy.Seq < b.Base.Seq):
		reply(NotBase)
		return
	case !fits:
		reply(NoRoom)
		return
	}
	p.state, p.copy, p.round, p.mine, p.restored = Copy, v, b.Round, false, false
	m.emit(m.stores.put(Store{i, b}))
	reply(Stored)
}

// oneAck is what an Acks of one needs.
type oneAck struct {
	Acks
	list [1]Ack
}

func (m *Machine) ack(to string, x Ack) {
	a := m.acked.New()
	a.list[0] = x
	a.List = a.list[:]
	m.send(to, &a.Acks)
}

// awaited returns the keeping of a partition whose Backup of that round is under way to who answers it, or nil.
func (m *Machine) awaited(from Peer, i int, round uint64) *keeping {
	p := &m.parts[i]
	k := p.keeping
	if p.state != Held || k == nil || k.msg == nil || k.msg.Round != round || from.Start != k.start || from.Name != k.to {
		return nil
	}
	return k
}

// acknowledged takes acknowledgements in. One that comes late says nothing that this node does not know.
func (m *Machine) acknowledged(from Peer, acks *Acks) {
	speaker := m.peers[from.Name]
	for k, a := range acks.List {
		if k%expectAtOnce == 0 {
			m.expectAcked(acks.List[k:min(k+expectAtOnce, len(acks.List))])
		}
		if i := a.Of(); i < len(m.parts) {
			if k := m.awaited(from, i, a.Round); k != nil {
				speaker.failed = 0
				m.copied(i, k)
			}
		}
	}
}

// expectAcked brings near what the next acknowledgements are about.
func (m *Machine) expectAcked(next []Ack) {
	var list [expectAtOnce]int
	near := list[:0]
	for _, a := range next {
		if i := a.Of(); i < len(m.parts) {
			near = append(near, i)
		}
	}
	m.Expect(near)
}

// copied is when the keeper has what was sent.
func (m *Machine) copied(i int, k *keeping) {
	p := &m.parts[i]
	if k.msg.Whole() {
		m.bulk[k.to]--
	}
	k.acked = Version{k.msg.Hold.Epoch, k.msg.Hold.Start, k.msg.Seq}
	k.msg, k.missed, k.whole = nil, 0, true
	m.emit(m.acks.put(Acknowledged{i, k.acked.Seq}))
	if !k.told || p.keeper != k.to || len(p.olds) > 0 {
		// First who has the copy now, then that the older ones may go.
		k.told, p.keeper = true, k.to
		if m.on(RuleKeeper) {
			m.tell(i)
		}
		m.dropOlds(i, k.to)
	}
	if !m.stays(p) {
		m.handOver(i)
	}
}

// refused is when it does not.
func (m *Machine) refused(from Peer, r *Refused) {
	i := r.Of()
	p := &m.parts[i]
	if k := m.awaited(from, i, r.Round); k != nil && r.Under == k.msg.Hold {
		m.calmDown(i, k)
		switch r.Code {
		case Lower:
			if r.Hold.Compare(p.hold) <= 0 {
				m.avoid(k.to, m.t.Refused/5) // it has lines of its own to return first
			}
		case NotBase:
			k.whole = false
		case NoRoom:
			m.avoid(k.to, 5*m.t.Refused)
		case NotReady:
			m.avoid(k.to, m.t.Refused/5)
		}
	}
	m.learn(i, r.Hold)
}

// dropAll is for a node that keeps no backups: a copy that a handoff was made with, or was to be made with, is not needed any more, and
// after a crash would be claimed for the newest there is.
func (m *Machine) dropAll(i int) {
	p := &m.parts[i]
	if k := p.keeping; k != nil {
		m.calmDown(i, k)
		p.olds, p.keeping = with(p.olds, k.to), nil
	}
	if len(p.olds) == 0 {
		return
	}
	p.keeper = ""
	m.tell(i)
	for _, o := range p.olds {
		m.send(o, &Drop{Part(i), p.hold, math.MaxUint64, m.round, ""})
	}
	p.olds = nil
}

func (m *Machine) dropOlds(i int, but string) {
	p := &m.parts[i]
	for _, o := range p.olds {
		if o != but {
			seq := uint64(0)
			if p.keeping != nil {
				seq = p.keeping.acked.Seq
			}
			m.send(o, &Drop{Part(i), p.hold, seq, m.round, but})
		}
	}
	p.olds = nil
}

// drop forgets a copy that is not needed any more.
func (m *Machine) drop(d *Drop) {
	i := d.Of()
	p := &m.parts[i]
	m.learn(i, d.Hold) // who has to return something to this holder first is no copy any more
	if d.Hold.Compare(p.hold) >= 0 && d.Keeper != "" && d.Keeper != p.keeper {
		p.keeper = d.Keeper
		m.touch(i)
	}
	if p.copy.Start == d.Hold.Start && p.round > d.Round {
		return // it comes late: this member has been given the copy again
	}
	if (p.state == Copy || p.state == None) && d.Hold.Compare(p.hold) >= 0 && p.copy.Compare(Version{d.Hold.Epoch, d.Hold.Start, d.Seq}) <= 0 {
		if p.state == Copy {
			m.emit(Clear{i})
		}
		p.state, p.mine, p.restored, p.copy = None, false, false, Version{}
	}
}
