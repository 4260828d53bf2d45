package hold

import "github.com/stint-limiter/stint/bucket"

// learn takes in that a hold is installed. Who decides under a lower one stops at once.
func (m *Machine) learn(i int, h Hold) {
	p := &m.parts[i]
	if !h.Known() || h.Compare(p.hold) <= 0 {
		return
	}
	p.hold, p.floor, p.rounds = h, max(p.floor, h.Epoch), 0
	m.touch(i)
	asked := p.promise.start == h.Start && h.Start != 0
	if p.promise.start == h.Start {
		p.promise = promise{} // its claimer has claimed
	}
	if h.Start == m.self.Start {
		return
	}
	if p.claim != nil && p.claim.target.less(h) {
		m.abort(i)
	}
	switch {
	case p.state == Frozen && p.flip != nil && p.flip.msg.Hold == h:
		m.flipped(i)
	case p.state == Held || p.state == Frozen:
		if !m.on(RuleStepDown) {
			return
		}
		m.dropKeeping(p)
		m.dropFlip(p)
		p.state, p.unsure = Returning, false
		p.ret = giving{}
		m.emit(Shut{i, h, false})
		m.giveBack(i)
	case p.state == Returning:
		m.stopGiving(p)
		m.giveBack(i)
	case p.state == Copy && m.on(RuleReturnCopy) && (p.mine || p.keeper == m.self.Name && !asked):
		// What was spent or restored here was returned to another holder, if to any: this one may not have got it from there. Or this
		// node was the keeper, to which alone the partition could have been handed over: so somebody claimed who could not ask it.
		p.state = Returning
		p.ret = giving{}
		m.giveBack(i)
	}
}

// giving is a return under way: what was spent here, to who holds by now.
type giving struct {
	to    string
	round uint64
	at    Age // sent; 0: not yet
	next  Age // not sent again before
	wait  Age
}

// maxBulk bounds the whole copies and returns under way to one member: more would only stand in its queue, and in ours.
const maxBulk = 32

// giveBack sends what was spent here to the holder, until it says that it has it.
func (m *Machine) giveBack(i int) {
	p := &m.parts[i]
	r := &p.ret
	m.await(i)
	if m.now < r.next || p.hold.Start == m.self.Start {
		return
	}
	m.stopGiving(p)
	if m.bulk[p.hold.Name] >= maxBulk {
		return
	}
	m.bulk[p.hold.Name]++
	m.round++
	r.to, r.round, r.at = p.hold.Name, m.round, m.now
	r.wait = min(max(2*r.wait, m.t.Ack), 20*m.t.Ack)
	r.next = m.now + r.wait
	m.send(p.hold.Name, &Return{Part: Part(i), Hold: p.hold, Round: r.round})
}

func (m *Machine) stopGiving(p *part) {
	if p.ret.to != "" {
		m.bulk[p.ret.to]--
		p.ret.to = ""
	}
	p.ret.next = 0
}

// returnArrived: somebody spent here what this node, holding it by now, has not counted.
func (m *Machine) returnArrived(from Peer, r *Return, fits bool) {
	i := r.Of()
	p := &m.parts[i]
	m.learn(i, r.Hold)
	if p.state == Held && !p.unsure && fits {
		m.emit(Absorb{i, r})
		if k := p.keeping; k != nil {
			k.whole = false // what came is not in the changes
			m.calmDown(i, k)
		}
		p.olds = with(p.olds, from.Name)
		m.send(from.Name, &Returned{Part(i), r.Round, true, p.hold})
		return
	}
	m.send(from.Name, &Returned{Part(i), r.Round, false, p.hold})
}

func (m *Machine) returnAnswered(from Peer, r *Returned) {
	i := r.Of()
	p := &m.parts[i]
	if p.state != Returning || p.ret.round != r.Round || from.Name != p.ret.to {
		m.learn(i, r.Hold)
		return
	}
	if r.OK {
		m.stopGiving(p)
		// The lines stay until the holder says that its copies are elsewhere: if it dies before, they are not lost with it.
		p.state, p.mine, p.restored, p.copy = Copy, true, false, Version{Epoch: 1}
		if !m.on(RuleReturnCopy) {
			p.state, p.mine, p.copy = None, false, Version{}
			m.emit(Clear{i})
		}
		m.touch(i)
		return
	}
	m.learn(i, r.Hold)
}

// restored: a snapshot brought lines back. They are a copy like any other, but nobody will send what changes in it; the first who holds
// the partition is to have them.
func (m *Machine) restored(e Restored) {
	p := &m.parts[e.Partition]
	if p.state == None && !p.hold.Known() {
		p.state, p.copy, p.mine, p.restored = Copy, e.Version, true, true
		p.floor = max(p.floor, e.Version.Epoch)
	}
}

// wake: this node was stopped. Others may have claimed what it holds: it decides nothing until it has asked. Rounds and questions of
// before are void.
func (m *Machine) wake(late Age) {
	m.emit(Woke{late})
	for i := range m.parts {
		p := &m.parts[i]
		if p.claim != nil {
			p.claim = nil
			m.touch(i)
		}
		p.vote = nil
		if p.keeping != nil {
			m.calmDown(i, p.keeping)
		}
		if p.state == Held || p.state == Frozen {
			if p.state == Held && !p.unsure {
				m.emit(Freeze{i})
			}
			p.unsure, p.retryAt = true, 0
			m.await(i)
			m.touch(i)
			m.startClaim(i)
		}
	}
}

func (m *Machine) historyOf(h Hold) bucket.Name { return bucket.Name{Epoch: h.Epoch, Start: h.Start} }
