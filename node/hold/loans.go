package hold

// Loans that are out when a partition changes hands would be lost: their rests go to the very hold that granted them (package lease). So before a
// handoff in order nothing more is lent, and the handoff waits until what was lent is back:
//
//	home is here: lends ──home is another, or this node leaves──▶ lends nothing ──Loans + Timers.Rests──▶ may be handed over
//	      ▲                                                            │
//	      └────────────────────home is here again──────────────────────┘
//
// Why that is long enough: a loan counts from when its asker sent, and node grants it by a route that it read later than that. So a loan granted by a
// route from before the turn ends Loans after the turn at the latest, however long the holder took to grant it. Its asker looks for
// loans that have ended with each tick, and sends the rest at once; the rest of one that came too late to be used, too, once it has come.
// Who finds its last tick older than Timers.Gap was stopped, and drops what it was lent.
//
// The wait goes on beside the copying that comes before a handoff, and a newcomer is in the ring before it may be given anything: a join takes no
// longer for it. A leave does, by as much. The price: while home is a member that starts still, or has no room, all checks of the partition go to its holder.

// lend says anew whether the partition may be lent from, which is while it is to stay. It is called whenever that may have changed.
func (m *Machine) lend(i int) {
	p := &m.parts[i]
	stays := m.home(i) == m.self.Name && !m.leaving
	if p.lends && !stays {
		p.back = m.back()
	}
	p.lends = stays
}

// lendAnew is lend for a hold that begins: nothing is out that could come back to it.
func (m *Machine) lendAnew(i int) {
	p := &m.parts[i]
	p.lends, p.back = false, 0
	m.lend(i)
}

// back is when what was lent up to now is back.
func (m *Machine) back() Age {
	if m.cfg.Loans == 0 || !m.on(RuleLoans) {
		return 0
	}
	return m.now + m.cfg.Loans + m.t.Rests
}
