package hold

import "slices"

// flip is a handoff of which the answer is awaited: the partition is frozen.
type flip struct {
	to    string
	msg   *Flip
	since Age
	sent  Age
}

type refusal struct {
	name  string
	until Age
}

// maxFlips bounds the handoffs under way at once, and so how many partitions are frozen.
const maxFlips = 64

// handOver hands a partition over, if another should have it, has the whole copy, and nothing is on its way there: then the last
// changes are few, and the freeze is one round trip. What was lent of it must be back (loans.go).
func (m *Machine) handOver(i int) {
	p := &m.parts[i]
	k := p.keeping
	p.due = false
	if p.state != Held || p.unsure || k == nil || !k.whole || k.msg != nil || k.missed > 0 {
		return
	}
	to := m.home(i)
	if m.leaving {
		to = k.to // home, or who takes it in its place: see target
	}
	if to == "" || to == m.self.Name || to != k.to || k.start != m.start(to) || !m.willing(to) || p.refusedBy(to, m.now) {
		return
	}
	if m.now < p.back || m.flips >= maxFlips {
		p.due = true
		m.await(i)
		return
	}
	f := &Flip{Part: Part(i), From: p.hold, Hold: Hold{flipEpoch(max(p.hold.Epoch, p.floor)), k.start, to}, History: p.history, Base: k.acked, Leaving: m.leaving, Doubt: m.doubt(p)}
	if m.on(RuleFreeze) {
		m.emit(Freeze{i})
	}
	p.state = Frozen
	p.flip = &flip{to: to, msg: f, since: m.now, sent: m.now}
	m.flips++
	m.await(i)
	m.touch(i)
	m.send(to, f)
}

func (p *part) refusedBy(name string, now Age) bool {
	return slices.ContainsFunc(p.refused, func(r refusal) bool { return r.name == name && r.until > now })
}

func (p *part) refuse(name string, until Age) {
	p.refused = slices.DeleteFunc(p.refused, func(r refusal) bool { return r.name == name })
	if len(p.refused) == 4 {
		p.refused = slices.Delete(p.refused, 0, 1)
	}
	p.refused = append(p.refused, refusal{name, until})
}

func (m *Machine) dropFlip(p *part) {
	if p.flip != nil {
		p.flip = nil
		m.flips--
	}
}

// flipBeat sends a flip again, and claims back what is not answered. It is never just taken back: the receiver may have it, and decide.
func (m *Machine) flipBeat(i int) {
	p := &m.parts[i]
	f := p.flip
	switch {
	case m.knownDead(f.msg.Hold) || m.now-f.since > m.t.Flip:
		if !m.on(RuleClaimBack) {
			m.dropFlip(p)
			p.state = Held
			m.emit(Unacknowledged{i})
			m.emit(Thaw{i})
			m.touch(i)
			return
		}
		if m.now >= p.retryAt {
			m.startClaim(i)
		}
	case m.now-f.sent >= m.t.Resend:
		f.sent = m.now
		m.send(f.to, f.msg)
	}
}

// flipArrived: this node is to hold the partition, if it may and can.
func (m *Machine) flipArrived(from Peer, f *Flip, fits bool) {
	i := f.Of()
	p := &m.parts[i]
	if p.hold == f.Hold && (p.state == Held || p.state == Frozen) {
		m.send(from.Name, &Flipped{Part(i), f.Hold, true, Stored, p.hold, p.floor})
		return
	}
	h := f.Hold
	switch {
	case m.leaving, p.state == Held, p.state == Frozen, p.state == Returning, p.unsure, h.Start != m.self.Start,
		p.hold.Compare(h) >= 0,
		!f.Leaving && m.home(i) != m.self.Name && m.on(RuleHomeAgrees):
		m.refuseFlip(from, f, Lower)
		return
	case m.on(RuleFloor) && (h.Epoch < p.floor || p.promise.epoch == h.Epoch || p.claim != nil && p.claim.epoch == h.Epoch):
		m.refuseFlip(from, f, NotReady)
		return
	case p.state != Copy || p.copy.Epoch != f.Base.Epoch || p.copy.Start != f.Base.Start || p.copy.Seq < f.Base.Seq:
		m.refuseFlip(from, f, NotBase)
		return
	case !fits:
		m.refuseFlip(from, f, NoRoom)
		return
	}
	if p.claim != nil {
		m.abort(i)
	}
	before := p.hold
	p.hold, p.floor = h, max(p.floor, h.Epoch)
	p.state, p.unsure, p.mine, p.relay = Held, false, false, ""
	p.history, p.copy = f.History, Version{}
	p.claimed = 0
	if f.Doubt > 0 {
		p.claimed = max(m.now-f.Doubt, 1)
	}
	// The sender has the whole copy, as it was handed over, until another has.
	p.olds, p.keeper = []string{from.Name}, from.Name
	m.lendAnew(i)
	m.dropKeeping(p)
	p.keeping = &keeping{to: from.Name, start: from.Start, whole: true, told: true, acked: Version{h.Epoch, h.Start, f.Seq}}
	m.touch(i)
	m.emit(Own{Partition: i, Hold: h, History: f.History, Resume: true, Seq: f.Seq, Flip: f, Why: Handed, Before: before, Doubt: m.doubt(p)})
	m.send(from.Name, &Flipped{Part(i), h, true, Stored, h, p.floor})
	m.tell(i)
}

// refuseFlip refuses it for ever: however often or late it comes again.
func (m *Machine) refuseFlip(from Peer, f *Flip, code StoreCode) {
	p := &m.parts[f.Of()]
	p.floor = max(p.floor, f.Hold.Epoch+1)
	m.send(from.Name, &Flipped{f.Part, f.Hold, false, code, p.hold, p.floor})
}

func (m *Machine) flipAnswered(from Peer, r *Flipped) {
	i := r.Of()
	p := &m.parts[i]
	f := p.flip
	if f == nil || f.msg.Hold != r.Flip || p.state != Frozen || from.Start != r.Flip.Start {
		m.learn(i, r.Hold)
		return
	}
	if r.OK {
		m.learn(i, r.Flip) // which ends the flip
		return
	}
	if p.claim != nil {
		m.abort(i)
	}
	p.floor = max(p.floor, f.msg.Hold.Epoch, r.Floor)
	if r.Code == NotReady {
		// It has heard of higher epochs, in rounds that came to nothing. They may go on, once a second or more: be quicker.
		p.refuse(f.to, m.now+m.t.Tick)
	} else {
		p.refuse(f.to, m.now+m.t.Refused)
	}
	m.dropFlip(p)
	if k := p.keeping; k != nil && r.Code == NotBase {
		k.whole = false
	}
	p.state = Held
	m.touch(i)
	m.emit(Unacknowledged{i})
	if !p.unsure {
		m.emit(Thaw{i})
	}
	m.learn(i, r.Hold)
}

// flipped: the receiver has it.
func (m *Machine) flipped(i int) {
	p := &m.parts[i]
	f := p.flip.msg
	m.dropFlip(p)
	m.dropKeeping(p)
	if p.claim != nil {
		m.abort(i)
	}
	p.state, p.unsure, p.mine = Copy, false, false
	p.copy = Version{f.Hold.Epoch, f.Hold.Start, f.Seq}
	p.keeper, p.olds = m.self.Name, nil
	m.touch(i)
	m.emit(Shut{i, f.Hold, true})
}
