package hold

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/stint-limiter/stint/bucket"
)

// A Config is what a machine is made from. Name, Start, Partitions and Timers are required.
type Config struct {
	Name       string
	Start      uint64 // start ID of this node
	Partitions int
	Timers     Timers
	Rand       *rand.Rand // spreads retries; nil: seeded by the start ID
	Loans      Age        // hits of what is held here are lent for so long at most; 0: none are
	NoBackups  bool       // copies are made for handoffs only: a crash forgets what the holder had
	Off        Rules      // rules that are not kept, for tests that show what they are for
}

// A Machine keeps what one node knows of the holds of all partitions. It is not safe for concurrent use: node steps it from one
// goroutine. Its clock is what Step is told, a time since any fixed moment.
type Machine struct {
	cfg   Config
	t     Timers
	self  Peer
	rng   *rand.Rand
	parts []part

	now      Age
	started  bool
	lastTick Age
	houseAt  Age
	holdsAt  Age
	round    uint64

	turns   uint64 // how often what is known of other members has changed in a way that matters to who is given copies
	home    func(int) string
	backup  func(int, string) string
	may     bool
	leaving bool
	leftAt  Age  // a node that leaves is not gone before: what it has lent is back then
	over    bool // it said goodbye
	peers   map[string]*peer
	speaker *peer    // who was heard last
	names   []string // of peers, sorted: maps have no order that a seed could replay
	gone    map[string]uint64
	flips   int            // under way
	bulk    map[string]int // whole copies and returns under way, by member

	busy    []uint64 // a bit for each partition in which something waits for a time
	watched []uint64 // and for each that backupDue looks at though nothing changed in it

	expected Age // see Expect

	looked   uint64 // what turns was when backupDue last looked at all
	lookedAt Age

	out     []Effect
	touched []int // partitions whose route may have changed in this step

	sends   arena[Send]
	stores  arena[Store]
	acks    arena[Acknowledged]
	backups Slab[Backup]
	acked   Slab[oneAck]
}

// part is what the machine keeps of one partition.
//
// Copies go to and fro for most partitions every 50 ms, and by then the processor has forgotten them: what a copy touches comes first, in two of its lines.
type part struct {
	state    State
	unsure   bool // was stopped, and has not yet asked who claimed meanwhile
	mine     bool // the copy has lines that were spent or restored here: the next claimer is to get them again
	restored bool // the copy is from a snapshot
	touched  bool // is in Machine.touched
	due      bool // only others, or what was lent, keep it from being handed over
	lends    bool // it is to stay here, so that hits may be lent
	hold     Hold // the highest known to be installed
	copy     Version
	round    uint64 // of the Backup that the copy is from; 0: it is not from one
	keeping  *keeping
	keeper   string
	olds     []string

	floor    uint64 // the highest epoch seen in anything
	history  bucket.Name
	claimed  Age // when the history, or a part of what counts beside it, was claimed; 0: never
	promise  promise
	released []released
	flip     *flip
	back     Age // what was lent is back by then
	refused  []refusal
	claim    *claim
	retryAt  Age // no round before that
	rounds   int // in a row that the keeper did not answer
	vote     *vote
	good     Hold // found alive by a round,
	goodTill Age  // and not doubted until then
	relay    string
	relayEnd Age
	ret      giving

	_ [32]byte // to whole lines of the processor's; see TestPartLiesInLines
}

// New returns the machine of a node, which holds nothing yet.
func New(cfg Config) *Machine {
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(cfg.Start, uint64(len(cfg.Name))))
	}
	return &Machine{
		cfg: cfg, t: cfg.Timers, rng: cfg.Rand, self: Peer{Name: cfg.Name, Start: cfg.Start}, parts: make([]part, cfg.Partitions),
		home: func(int) string { return "" }, backup: func(int, string) string { return "" },
		busy: make([]uint64, (cfg.Partitions+63)/64), watched: make([]uint64, (cfg.Partitions+63)/64), peers: map[string]*peer{}, gone: map[string]uint64{}, bulk: map[string]int{},
	}
}

// Step takes one event, at now, and returns what is to be done about it, in order. Effects are good until the next Step.
//
// The age of the last tick is looked at before any event, not only when a tick comes: a message that waited in a buffer while this node was
// stopped is as dangerous as a check that did.
func (m *Machine) Step(now Age, e Event) []Effect {
	m.now = max(m.now, now)
	m.out, m.touched = m.out[:0], m.touched[:0]
	m.sends.reset()
	m.stores.reset()
	m.acks.reset()
	if _, view := e.(ViewChanged); m.over && !view {
		return m.out
	}
	if !m.started {
		m.started, m.lastTick = true, m.now
	}
	if late := m.now - m.lastTick; late > m.t.Gap && m.on(RuleWake) && (m.on(RuleWakeEvery) || isTick(e)) {
		m.wake(late)
		m.lastTick = m.now
		switch e.(type) {
		case Received, *Received:
			e = nil // it came over a connection that is dropped now: as old as what still waits in it
		}
	}
	switch e := e.(type) {
	case Tick:
		m.lastTick = m.now
		m.beat()
		if m.now >= m.houseAt {
			m.houseAt = m.now + m.t.House
			m.house()
		}
		if m.now >= m.holdsAt {
			m.holdsAt = m.now + m.t.Holds*9/10 + Age(m.rng.Int64N(int64(m.t.Holds)/5))
			m.announce()
		}
	case Beat:
		m.beat()
	case ViewChanged:
		m.viewChanged(e)
	case Received:
		m.received(&e)
	case *Received:
		m.received(e)
	case Unreachable:
		m.unreachable(e)
	case CheckFailed:
		m.checkFailed(e)
	case BackupDue:
		m.backupDue(e)
	case BackupStuck:
		m.backupStuck(e)
	case Restored:
		m.restored(e)
	case LeaveNow:
		m.leaving, m.leftAt = true, m.back()
		m.turns++
		for i := range m.parts {
			m.lend(i)
			m.touch(i)
		}
		m.house()
	case Quit:
		m.quit()
	case Forget:
		m.forget(e.Name)
	}
	for _, i := range m.touched {
		m.parts[i].touched = false
		m.emit(Rerouted{i})
	}
	return m.out
}

func isTick(e Event) bool { _, ok := e.(Tick); return ok }

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

func (m *Machine) send(to string, msg Message) {
	if to != m.self.Name && to != "" {
		m.emit(m.sends.put(Send{to, msg}))
	}
}

// touch notes that the partition's route may have changed.
func (m *Machine) touch(i int) {
	if p := &m.parts[i]; !p.touched {
		p.touched = true
		m.touched = append(m.touched, i)
	}
}

// received hands a message to what answers it. While this node starts it takes part in nothing but rounds and questions.
func (m *Machine) received(e *Received) {
	if !m.heard(e.From, e.Start) {
		return
	}
	if i := e.Message.Of(); i < 0 || i >= len(m.parts) {
		return
	}
	from := Peer{Name: e.From, Start: e.Start}
	switch msg := e.Message.(type) {
	case *Ask:
		m.asked(from, msg)
		return
	case *Probe:
		m.probed(from, msg)
		return
	case *Answer:
		m.answered(from, msg)
		return
	case *Backup:
		m.store(from, msg, e.Fits)
		return
	case *Acks:
		if m.may {
			m.acknowledged(from, msg)
		}
		return
	}
	if !m.may {
		if msg, ok := e.Message.(*Flip); ok {
			m.refuseFlip(from, msg, Lower)
		}
		return
	}
	switch msg := e.Message.(type) {
	case *Nominate:
		m.nominated(from, msg)
	case *Release:
		m.release(from, msg)
	case *Probed:
		m.probeAnswered(from, msg)
	case *Holds:
		m.toldHolds(from, msg)
	case *Who:
		m.tellAll(from)
	case *Refused:
		m.refused(from, msg)
	case *Drop:
		m.drop(msg)
	case *Flip:
		m.flipArrived(from, msg, e.Fits)
	case *Flipped:
		m.flipAnswered(from, msg)
	case *Return:
		m.returnArrived(from, msg, e.Fits)
	case *Returned:
		m.returnAnswered(from, msg)
	}
}

// await notes that something in the partition waits for a time.
func (m *Machine) await(i int) { m.busy[i/64] |= 1 << (i % 64) }

// beat lets what waits for a time go on.
func (m *Machine) beat() {
	for w := range m.busy {
		for set := m.busy[w]; set != 0; set &= set - 1 {
			i := w*64 + bits.TrailingZeros64(set)
			m.beatOf(i)
			if !m.parts[i].waits() {
				m.busy[w] &^= 1 << (i % 64)
			}
		}
	}
}

func (m *Machine) beatOf(i int) {
	p := &m.parts[i]
	if p.claim != nil {
		m.claimBeat(i)
	}
	if p.vote != nil && m.now >= p.vote.until {
		m.voteEnds(i, PROMISE, Hold{})
	}
	if p.flip != nil && p.claim == nil {
		m.flipBeat(i)
	}
	if p.due && m.now >= p.back && m.flips < maxFlips {
		m.handOver(i)
	}
	if p.unsure && p.claim == nil && m.now >= p.retryAt {
		m.startClaim(i)
	}
	if p.state == Returning {
		m.giveBack(i)
	}
	if p.relay != "" && (m.now >= p.relayEnd || !m.present(p.relay)) {
		p.relay = ""
		m.touch(i)
	}
}

// waits says whether something in the partition waits for a time.
func (p *part) waits() bool {
	return p.claim != nil || p.vote != nil || p.flip != nil || p.due || p.unsure || p.state == Returning || p.relay != ""
}

// Busy reports whether something may wait for a time shorter than a tick: a Beat every 2 ms keeps it going.
func (m *Machine) Busy() bool {
	for _, set := range m.busy {
		if set != 0 {
			return true
		}
	}
	return false
}

// quit lets go of everything.
func (m *Machine) quit() {
	m.over, m.leaving = true, true
	for i := range m.parts {
		p := &m.parts[i]
		if p.state == Held || p.state == Frozen {
			m.emit(Shut{i, p.hold, false})
		}
		m.stopGiving(p)
		m.dropKeeping(p)
		m.dropFlip(p)
		p.state, p.unsure, p.claim, p.vote = None, false, nil, nil
		m.touch(i)
	}
	clear(m.busy)
}

// house looks at what should be handed over, and what should be claimed because its holder is gone.
func (m *Machine) house() {
	if !m.may || m.over {
		return
	}
	for i := range m.parts {
		p := &m.parts[i]
		switch {
		case p.state == Held && !p.unsure:
			if !m.stays(p) {
				m.handOver(i)
			}
		case p.claim != nil || p.state == Frozen || p.state == Returning:
		case !p.hold.Known():
			if m.home(i) == m.self.Name {
				m.startClaim(i)
			}
		case p.hold.Start == m.self.Start:
			m.startClaim(i) // somebody believes that this node holds it, and it does not
		case m.knownDead(p.hold) || !m.present(p.hold.Name):
			if m.home(i) == m.self.Name || m.heir(i) == m.self.Name {
				m.startClaim(i)
			}
		}
	}
}

// A Route says where a partition's checks go.
type Route struct {
	Way  Way
	Hold Hold   // the highest hold known
	To   string // Forward: the holder; Through: the member that reaches it; Failover: who is to claim, which may be this node
	// Heir is who is to claim if the holder does not answer, which may be this node: Forward only.
	Heir string
	// Claimed is when what is held here was claimed, 0 for never: Here only.
	Claimed Age
	// Lends says that hits may be lent: Here only.
	Lends bool
}

// Way is what to do with a check.
type Way uint8

const (
	Wait     Way = iota // nobody decides at this moment; ask again in a moment
	Here                // decide
	Forward             // ask the holder
	Through             // ask the holder through another member
	Failover            // the holder is gone, or nobody is known to hold: tell who is to claim
)

var wayNames = [...]string{"wait", "here", "forward", "through", "failover"}

func (w Way) String() string { return wayNames[w] }

// Route returns the way of a partition's checks. It changes only where a step said Rerouted.
func (m *Machine) Route(i int) Route {
	p := &m.parts[i]
	r := Route{Hold: p.hold}
	switch {
	case !m.may:
	case p.state == Held && !p.unsure, p.state == Frozen && !p.unsure && !m.on(RuleFreeze):
		r.Way, r.Claimed, r.Lends = Here, p.claimed, p.lends && m.cfg.Loans > 0
	case p.unsure || p.state == Frozen || p.claim != nil:
	case !p.hold.Known() && !m.over:
		r.Way, r.To = Failover, m.self.Name
	case m.over && (!p.hold.Known() || p.hold.Start == m.self.Start):
		if r.To = m.heir(i); r.To != m.self.Name {
			r.Way = Failover
		}
	case p.hold.Start == m.self.Start:
	case p.relay != "":
		r.Way, r.To = Through, p.relay
	case m.knownDead(p.hold):
		r.Way, r.To = Failover, m.heir(i)
	default:
		r.Way, r.To, r.Heir = Forward, p.hold.Name, m.heir(i)
	}
	return r
}

// Hold returns the newest hold that the machine knows of a partition, and what this node has of it.
func (m *Machine) Hold(i int) (Hold, State) { return m.parts[i].hold, m.parts[i].state }

// Left reports whether a leaving node has nothing more to hand over, or nobody to hand it to, and has got back what it had lent: a snapshot
// is to have that, too.
func (m *Machine) Left() bool { return m.handed() && (m.now >= m.leftAt || len(m.names) == 0) }

// handed reports whether there is nothing more to hand over, or nobody to hand it to.
func (m *Machine) handed() bool {
	if !slices.ContainsFunc(m.names, func(n string) bool { return m.takes(n) }) {
		return true
	}
	for i := range m.parts {
		if s := m.parts[i].state; s == Held || s == Frozen || s == Returning {
			return false
		}
	}
	return true
}
