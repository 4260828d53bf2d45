package hold

// Explained is what the machine knows of one partition, for people.
type Explained struct {
	Hold    Hold
	State   State
	Unsure  bool
	Keeper  string // who has the whole copy; "": nobody, or nobody that is known
	Floor   uint64
	Claimed Age // see Route
	Pending bool
}

// Explain returns what the machine knows of a partition.
func (m *Machine) Explain(i int) Explained {
	p := &m.parts[i]
	return Explained{Hold: p.hold, State: p.state, Unsure: p.unsure, Keeper: p.keeper, Floor: p.floor, Claimed: p.claimed, Pending: m.pending(p)}
}

// Counts are the machine's partitions by what this node has of them.
type Counts struct {
	Held, Copies, Frozen, Returning int
	Unsure                          int
	Pending                         int // held, and nobody else has the whole copy
	Away                            int // home here, held elsewhere or by nobody
}

// Counts counts all partitions.
func (m *Machine) Counts() Counts {
	var c Counts
	for i := range m.parts {
		p := &m.parts[i]
		switch p.state {
		case Held:
			c.Held++
		case Copy:
			c.Copies++
		case Frozen:
			c.Frozen++
		case Returning:
			c.Returning++
		}
		if p.unsure {
			c.Unsure++
		}
		if m.pending(p) {
			c.Pending++
		}
		if !m.leaving && p.state != Held && m.home(i) == m.self.Name {
			c.Away++
		}
	}
	return c
}

func (m *Machine) pending(p *part) bool {
	return !m.cfg.NoBackups && (p.state == Held || p.state == Frozen) && (p.keeping == nil || !p.keeping.whole) && len(m.names) > 0
}
