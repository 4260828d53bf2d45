package hold

// RingChanged says that a new ring is in force.
type RingChanged struct {
	// Home returns a partition's home in the new ring, and that member's start ID.
	Home func(partition int) (name string, start uint64)
	// May says whether this node may hold partitions now: not while it is starting, and not once it leaves.
	May bool
	// Cold says that no member of the cluster has held anything yet, so nothing is lost by starting afresh.
	Cold bool
}

// Learned says that an epoch of a partition was heard of: in an ask, or in another member's answer.
type Learned struct {
	Partition int
	Epoch     uint64
}

func (RingChanged) event() {}
func (Learned) event()     {}

// Open: drop what the partition has, and decide for it from now on.
type Open struct {
	Partition int
	Epoch     uint64
	// Reset: some other member may have held the partition and what was spent there is forgotten.
	Reset bool
}

// Close: stop deciding for the partition, and drop what it has.
type Close struct {
	Partition int
	// To is the member that is home now.
	To string
}

func (Open) effect()  {}
func (Close) effect() {}

// A Gates keeps what one node knows of all holds. It is not safe for concurrent use: node steps it from one goroutine.
type Gates struct {
	self  string
	start uint64
	parts []oldPart
}

type oldPart struct {
	state State
	hold  Hold   // the newest hold known to be installed or, while only the ring is known, expected
	floor uint64 // the highest epoch heard of in anything
}

// NewGates returns the machine of a node, which holds nothing yet.
func NewGates(self string, start uint64, partitions int) *Gates {
	return &Gates{self: self, start: start, parts: make([]oldPart, partitions)}
}

// Step takes one event and returns what is to be done about it, in order of partitions.
func (m *Gates) Step(e Event) []Effect {
	switch e := e.(type) {
	case RingChanged:
		return m.ringChanged(e)
	case Learned:
		if p := &m.parts[e.Partition]; e.Epoch > p.floor {
			p.floor = e.Epoch
		}
	}
	return nil
}

func (m *Gates) ringChanged(e RingChanged) []Effect {
	var out []Effect
	for i := range m.parts {
		p := &m.parts[i]
		home, start := e.Home(i)
		mine := home == m.self && e.May
		switch {
		case mine && p.state == None:
			p.floor = max(p.floor, p.hold.Epoch) + 1
			out = append(out, Open{Partition: i, Epoch: p.floor, Reset: !e.Cold})
			p.state, p.hold = Held, Hold{p.floor, m.start, m.self}
		case !mine && p.state == Held:
			out = append(out, Close{Partition: i, To: home})
			p.state = None
			p.hold = Hold{p.floor, start, home}
		case !mine:
			// The home is believed to hold it. That it may not is what its answer `moved` or `wait` is for.
			p.hold = Hold{p.floor, start, home}
		}
	}
	return out
}

// Hold returns the newest hold that the machine knows of a partition, and what this node does for it.
func (m *Gates) Hold(partition int) (Hold, State) {
	p := &m.parts[partition]
	return p.hold, p.state
}

// Held returns how many partitions this node holds.
func (m *Gates) Held() int {
	n := 0
	for i := range m.parts {
		if m.parts[i].state == Held {
			n++
		}
	}
	return n
}
