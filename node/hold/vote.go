package hold

import "slices"

// promise is to one claimer: not to claim, and to let nobody else, until then.
type promise struct {
	name           string
	start          uint64
	epoch          uint64
	made, answered Age
	until          Age
}

// released remembers the Release of a claimer's round: it may overtake the Ask on another connection, and a promise to nobody would keep
// everybody waiting.
type released struct{ start, epoch uint64 }

const maxReleased = 8

// vote is an Ask that waits for the target's answer to this node's Probe.
type vote struct {
	asker  Peer
	ask    *Ask
	id     uint64
	target string
	floor  uint64
	until  Age
}

// asked answers a claimer, at once or when its target was probed.
func (m *Machine) asked(from Peer, a *Ask) {
	i := a.Of()
	p := &m.parts[i]
	floor, t := p.floor, a.Target
	if !m.may {
		m.answer(i, from, a, PROMISE, floor, "")
		return
	}
	if t.Known() && (!a.InFlight || !m.on(RuleInFlight)) && t.Start != m.self.Start {
		m.learn(i, t)
	}
	holding := p.state == Held || p.state == Frozen
	own := t.Start == from.Start
	switch {
	case holding && (p.hold.Compare(t) > 0 || p.hold == t && !own):
		m.answer(i, from, a, HOLD, floor, "")
		return
	case t.less(p.hold):
		m.answer(i, from, a, KNOWS, floor, "")
		return
	}
	if c := p.claim; c != nil {
		if c.target.Start == from.Start {
			m.abort(i) // the one that did not answer asks itself: it lives
		} else if m.on(RulePromise) {
			if m.self.Name < from.Name || !m.on(RuleLowerName) {
				m.answer(i, from, a, BUSY, floor, m.self.Name)
				return
			}
			m.abort(i)
			p.retryAt = m.now + m.t.Retry
		}
	}
	if p.promise.until > m.now && p.promise.start != from.Start && m.on(RulePromise) {
		m.answer(i, from, a, BUSY, floor, p.promise.name)
		return
	}
	if m.wasReleased(p, from.Start, a.Epoch) {
		m.answer(i, from, a, BUSY, floor, "")
		return
	}
	p.promise = promise{name: from.Name, start: from.Start, epoch: a.Epoch, made: m.now, answered: m.now, until: m.now + m.t.Promise}
	p.floor = max(p.floor, a.Epoch)
	if !t.Known() || own || t.Name == from.Name || t.Name == m.self.Name || m.knownDead(t) || !m.on(RuleProbe) {
		m.answer(i, from, a, PROMISE, floor, "")
		return
	}
	m.round++
	p.vote = &vote{asker: from, ask: a, id: m.round, target: t.Name, floor: floor, until: m.now + m.t.Probe}
	m.await(i)
	m.send(t.Name, &Probe{Part(i), m.round, t, a.Epoch})
}

func (m *Machine) answer(i int, to Peer, a *Ask, v Verdict, floor uint64, by string) {
	p := &m.parts[i]
	ans := &Answer{Part: Part(i), Round: a.Round, Verdict: v, Hold: p.hold, Floor: floor, By: by, Keeper: p.keeper}
	if p.state == Copy || p.state == Returning {
		ans.Copy = p.copy
		if p.state == Returning && ans.Copy == (Version{}) {
			ans.Copy = Version{Epoch: 1} // lines that nobody has asked for yet
		}
	}
	if v == PROMISE && p.promise.start == to.Start {
		p.promise.answered = m.now
	}
	m.send(to.Name, ans)
}

// voteEnds answers the Ask that waited for a probe.
func (m *Machine) voteEnds(i int, v Verdict, known Hold) {
	p := &m.parts[i]
	w := p.vote
	p.vote = nil
	if known.Known() {
		m.learn(i, known)
	}
	if (v == PROMISE || v == REACH) && w.ask.Target.less(p.hold) {
		v = KNOWS
	}
	m.answer(i, w.asker, w.ask, v, w.floor, "")
}

// probed: a claim is under way against this node. It decides, or it does not and will not under an epoch that low.
func (m *Machine) probed(from Peer, q *Probe) {
	i := q.Of()
	p := &m.parts[i]
	yes := m.may && (p.state == Held || p.state == Frozen) && p.hold.Start == m.self.Start && q.Target.Start == m.self.Start && p.hold.Compare(q.Target) >= 0
	if !yes && m.may {
		p.floor = max(p.floor, q.Epoch)
	}
	m.send(from.Name, &Probed{Part(i), q.ID, yes, p.claim != nil, p.hold})
}

func (m *Machine) probeAnswered(from Peer, r *Probed) {
	i := r.Of()
	p := &m.parts[i]
	w := p.vote
	if w == nil || w.id != r.ID || w.target != from.Name {
		m.learn(i, r.Hold)
		return
	}
	switch {
	case from.Start != w.ask.Target.Start:
		m.voteEnds(i, PROMISE, r.Hold) // the run that was meant is over
	case r.Yes:
		m.voteEnds(i, REACH, r.Hold)
	case w.ask.Target.less(r.Hold):
		m.voteEnds(i, KNOWS, r.Hold)
	case r.Busy:
		m.voteEnds(i, BUSY, Hold{})
	default:
		m.voteEnds(i, PROMISE, Hold{})
	}
}

func (m *Machine) release(from Peer, r *Release) {
	p := &m.parts[r.Of()]
	if p.promise.start == from.Start && p.promise.epoch == r.Epoch {
		p.promise = promise{}
	}
	if w := p.vote; w != nil && w.asker.Start == from.Start && w.ask.Epoch == r.Epoch {
		p.vote = nil
	}
	for k := range p.released {
		if p.released[k].start == from.Start {
			p.released[k].epoch = max(p.released[k].epoch, r.Epoch)
			return
		}
	}
	if len(p.released) == maxReleased {
		p.released = slices.Delete(p.released, 0, 1)
	}
	p.released = append(p.released, released{from.Start, r.Epoch})
}

func (m *Machine) wasReleased(p *part, start, epoch uint64) bool {
	return m.on(RuleReleaseRemember) && slices.ContainsFunc(p.released, func(r released) bool { return r.start == start && epoch <= r.epoch })
}
