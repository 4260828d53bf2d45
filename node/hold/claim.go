package hold

import "slices"

// claim is a round under way: everybody is asked, at once, and the answers decide.
type claim struct {
	id     uint64
	target Hold
	epoch  uint64
	sent   Age
	voters []voter
}

type voter struct {
	name     string
	answered bool
	silent   bool // it will not answer
	took     Age
	answer   *Answer
	retry    Age // ask again then: who it promised to has given way
	retried  bool
}

func (c *claim) voter(name string) *voter {
	for k := range c.voters {
		if c.voters[k].name == name {
			return &c.voters[k]
		}
	}
	return nil
}

func (c *claim) silent(name string) {
	if v := c.voter(name); v != nil && !v.answered {
		v.silent = true
	}
}

// checkFailed: a check could not be put to the holder. It goes on coming until somebody decides.
func (m *Machine) checkFailed(e CheckFailed) {
	if e.Partition < 0 || e.Partition >= len(m.parts) {
		return
	}
	p := &m.parts[e.Partition]
	if p.relay != "" && e.Epoch >= p.hold.Epoch {
		p.relay, p.good = "", Hold{} // nor is it reached through that member any more
		m.touch(e.Partition)
	}
	switch {
	case p.state == Held || p.state == Frozen || p.claim != nil:
	case p.hold.Known() && p.hold.Start == m.self.Start:
	case p.hold.Known() && e.Epoch != 0 && e.Epoch < p.hold.Epoch: // it asked an earlier holder
	default:
		m.startClaim(e.Partition)
	}
}

// startClaim begins a round, where one may begin.
func (m *Machine) startClaim(i int) {
	p := &m.parts[i]
	if p.claim != nil || !m.may || p.state == Held && !p.unsure {
		return
	}
	holding := p.state == Held || p.state == Frozen
	if p.promise.until > m.now && m.on(RulePromise) {
		p.retryAt = max(p.retryAt, min(p.promise.until, m.now+m.t.Retry/2))
		return
	}
	if m.now < p.retryAt {
		return
	}
	if !holding && p.hold.Known() && p.good == p.hold && p.goodTill > m.now && !m.knownDead(p.hold) && m.on(RuleGood) {
		return
	}
	target, inFlight := p.hold, false
	if p.state == Frozen && p.flip != nil {
		target, inFlight = p.flip.msg.Hold, true
	}
	m.round++
	c := &claim{id: m.round, target: target, epoch: claimEpoch(max(p.floor, p.hold.Epoch, target.Epoch)), sent: m.now}
	p.claim, p.floor, p.relay = c, c.epoch, ""
	m.await(i)
	m.touch(i)
	if m.on(RuleAsk) {
		for _, name := range m.asks(p, target) {
			c.voters = append(c.voters, voter{name: name})
			m.send(name, &Ask{Part(i), c.id, target, inFlight, c.epoch})
		}
	}
	m.claimMayEnd(i)
}

// answered takes an answer in.
func (m *Machine) answered(from Peer, a *Answer) {
	i := a.Of()
	p := &m.parts[i]
	c := p.claim
	if c == nil || c.id != a.Round {
		if a.Verdict == HOLD && p.relay != "" && from.Name == p.hold.Name && from.Start == p.hold.Start {
			// Another was quicker to say that it reaches the holder, whose own answer shows that this node does too. Who relays
			// through a member that itself goes through another gets no answer.
			p.relay = ""
			m.touch(i)
		}
		return
	}
	v := c.voter(from.Name)
	if v == nil || v.answered {
		return
	}
	v.answered, v.answer, v.took = true, a, m.now-c.sent
	if a.Verdict == BUSY && a.By != "" && a.By != from.Name && !v.retried && v.took < m.t.Round/2 {
		// If that one gives way (its own answer is a promise), its voters may promise to this node in the same round.
		v.retry = m.now + m.t.Tick/4
	}
	if a.Keeper != "" && m.on(RuleKeeper) && v.took < m.t.Round/2 && c.voter(a.Keeper) == nil && a.Keeper != m.self.Name && m.gone[a.Keeper] < max(m.start(a.Keeper), 1) {
		c.voters = append(c.voters, voter{name: a.Keeper})
		m.send(a.Keeper, &Ask{Part(i), c.id, c.target, p.state == Frozen && p.flip != nil, c.epoch})
	}
	m.claimMayEnd(i)
}

// claimBeat lets a round end by its time, and asks those again whose claimer has given way.
func (m *Machine) claimBeat(i int) {
	p := &m.parts[i]
	c := p.claim
	for k := range c.voters {
		v := &c.voters[k]
		if v.retry == 0 || m.now < v.retry {
			continue
		}
		v.retry, v.retried = 0, true
		if by := c.voter(v.answer.By); by != nil && by.answered && by.answer.Verdict == PROMISE {
			v.answered, v.answer = false, nil
			m.send(v.name, &Ask{Part(i), c.id, c.target, p.state == Frozen && p.flip != nil, c.epoch})
		}
	}
	if m.now-c.sent >= m.t.Round {
		m.finish(i)
		return
	}
	m.claimMayEnd(i)
}

// claimMayEnd ends the round at the first answer that settles it, or with the last.
func (m *Machine) claimMayEnd(i int) {
	c := m.parts[i].claim
	if c == nil {
		return
	}
	all := true
	for k := range c.voters {
		v := &c.voters[k]
		if v.answered && (v.answer.Verdict == HOLD || v.answer.Verdict == KNOWS || v.answer.Verdict == REACH) {
			m.finish(i)
			return
		}
		all = all && (v.answered && v.retry == 0 || v.silent)
	}
	if all {
		m.finish(i)
	}
}

// finish says what a round came to.
func (m *Machine) finish(i int) {
	p := &m.parts[i]
	c := p.claim
	var known Hold
	reach, busy, found := "", false, false
	for k := range c.voters {
		v := &c.voters[k]
		if !v.answered {
			continue
		}
		switch a := v.answer; a.Verdict {
		case HOLD, KNOWS:
			if a.Hold.Start != m.self.Start && known.less(a.Hold) {
				known, found = a.Hold, false
			}
			found = found || a.Verdict == HOLD && a.Hold == known
		case REACH:
			if reach == "" {
				reach = v.name
			}
		case BUSY:
			busy = true
		}
	}
	switch {
	case known.Known() && known.Compare(c.target) >= 0:
		m.endClaim(i)
		if found {
			p.good, p.goodTill = known, m.now+m.t.Good
		} // else somebody knows of it, and this node may not reach it: the next round, against that hold, finds out
		m.learn(i, known)
	case reach != "" && p.state == Frozen && p.flip != nil && !p.unsure:
		// The receiver decides under the hold that it was sent: that is its answer.
		h := p.flip.msg.Hold
		m.endClaim(i)
		m.learn(i, h)
	case reach != "" && p.state != Frozen && p.state != Held:
		m.endClaim(i)
		p.relay, p.relayEnd = reach, m.now+m.t.Relay
		m.await(i)
		p.good, p.goodTill = c.target, m.now+m.t.Good
	case busy && m.on(RulePromise):
		m.endClaim(i)
		p.retryAt = m.now + m.t.Retry/6 + Age(m.rng.Int64N(int64(m.t.Retry*5/6)))
	case m.now-c.sent > m.t.ClaimMax:
		m.endClaim(i)
		p.retryAt = m.now + Age(m.rng.Int64N(int64(m.t.Retry/2)))
	default:
		m.won(i)
	}
	m.touch(i)
}

// endClaim gives the promises back.
func (m *Machine) endClaim(i int) {
	p := &m.parts[i]
	for _, v := range p.claim.voters {
		m.send(v.name, &Release{Part(i), p.claim.epoch})
	}
	p.claim = nil
	m.touch(i)
}

func (m *Machine) abort(i int) { m.endClaim(i) }

// won: nobody holds it, and nobody reaches who did. The newest copy claims: this node's, or it nominates who has it.
func (m *Machine) won(i int) {
	p := &m.parts[i]
	c := p.claim
	epoch := c.epoch
	var best *voter
	var olds []string
	for k := range c.voters {
		v := &c.voters[k]
		if !v.answered {
			continue
		}
		epoch = max(epoch, claimEpoch(v.answer.Floor))
		if v.answer.Copy != (Version{}) {
			olds = append(olds, v.name)
			if best == nil || v.answer.Copy.Compare(best.answer.Copy) > 0 {
				best = v
			}
		}
	}
	holding := p.state == Held || p.state == Frozen
	if m.leaving && !holding && !m.handed() {
		// It only looked for who reaches the holder. Another claims, and keeps it.
		m.endClaim(i)
		p.retryAt = m.now + m.t.Retry
		return
	}
	if best != nil && !holding && best.answer.Copy.Compare(p.copy) > 0 && m.on(RuleNewest) {
		if p.copy != (Version{}) {
			olds = append(olds, m.self.Name)
		}
		m.send(best.name, &Nominate{Part: Part(i), Target: c.target, Asked: c.epoch, Epoch: epoch, Took: best.took, Olds: olds})
		p.claim, p.floor = nil, max(p.floor, epoch)
		p.promise = promise{name: best.name, start: m.start(best.name), epoch: epoch, made: m.now, answered: m.now, until: m.now + m.t.Promise}
		return
	}
	if !holding && m.waitForKeeper(p, c) {
		m.endClaim(i)
		p.retryAt = m.now + m.t.Tick
		return
	}
	m.install(i, epoch, olds)
}

// keeperRounds is how many rounds are given to a keeper that does not answer before its copy is taken for lost: on a machine that is short of
// time it is more likely slow than gone. A check then waits for half a second, as after two crashes.
const keeperRounds = 2

// waitForKeeper says whether to ask again rather than claim without the newest copy: somebody is known to have it, and has neither answered nor
// refused.
func (m *Machine) waitForKeeper(p *part, c *claim) bool {
	v := c.voter(p.keeper)
	if v == nil || v.answered || v.silent || p.keeper == c.target.Name || !m.on(RuleKeeper) {
		return false
	}
	p.rounds++
	return p.rounds < keeperRounds
}

// nominated: a claimer won its round, and this node has the newest copy. The promises that it got hold for this node as well, as long
// as they last: the first of them was made after the asks were sent, which was no earlier than
//
//	when this node made its own, less the time that the ask took to come,
//
// and that is at most what the whole exchange took less this node's own part of it.
func (m *Machine) nominated(from Peer, n *Nominate) {
	i := n.Of()
	p := &m.parts[i]
	q := p.promise
	if q.start != from.Start || q.epoch != n.Asked || n.Target.less(p.hold) || n.Epoch < p.floor {
		return
	}
	onWay := max(n.Took-(q.answered-q.made), 0)
	if m.now-q.made+onWay > m.t.ClaimMax || p.state != Copy && p.state != Returning || p.claim != nil {
		return
	}
	p.promise = promise{}
	olds := slices.DeleteFunc(slices.Clone(n.Olds), func(s string) bool { return s == m.self.Name })
	m.install(i, n.Epoch, olds)
}

// install claims the partition.
func (m *Machine) install(i int, epoch uint64, olds []string) {
	p := &m.parts[i]
	before := p.hold
	resumed := p.state == Held && p.unsure
	why := Copied
	switch {
	case resumed:
		why = Resumed
	case p.state == None && epoch == 1:
		why = Began
	case p.state == None:
		why = Reset
	}
	p.rounds = 0
	m.stopGiving(p)
	if p.flip != nil {
		p.refuse(p.flip.to, m.now+m.t.Refused)
		m.dropFlip(p)
	}
	p.hold = Hold{epoch, m.self.Start, m.self.Name}
	p.floor = max(p.floor, epoch)
	p.state, p.unsure, p.claim, p.promise, p.mine, p.restored, p.relay = Held, false, nil, promise{}, false, false, ""
	if resumed {
		// The history goes on, and so do the changes to the copy of it.
		for _, o := range olds {
			p.olds = with(p.olds, o)
		}
	} else {
		m.dropKeeping(p)
		p.history = m.historyOf(p.hold)
		p.olds, p.keeper = olds, ""
		if why != Began {
			p.claimed = max(m.now, 1)
		}
	}
	p.copy = Version{}
	m.lendAnew(i)
	m.touch(i)
	m.emit(Own{Partition: i, Hold: p.hold, History: p.history, Resume: resumed, Why: why, Before: before, Doubt: m.doubt(p)})
	m.tell(i)
	m.handOver(i)
}

func (m *Machine) doubt(p *part) Age {
	if p.claimed == 0 {
		return 0
	}
	return max(m.now-p.claimed, 1)
}

func with(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
