package hold_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// A node is one run of one member: a machine, and the dumbest rest of a node around it that carries its effects out.
type node struct {
	w      *world
	name   string
	start  uint64
	m      *hold.Machine
	offset time.Duration // of its clock
	parts  []part

	alive, paused bool
	starting      bool // may not hold yet
	joined        bool // a seed has answered
	leaving, gone bool
	heardAt       time.Duration // when another starting node was first heard of
	leaveAt       time.Duration
	lastTick      time.Duration
	wokeAt        time.Duration // after a pause
	beating       bool
	backlog       []waiting // while it is paused

	rank  map[string]float64 // its ring has an order of its own; nil: the world's
	view  map[string]*seen
	met   map[string]bool   // ever, and said no goodbye
	bye   map[string]uint64 // said goodbye, by start
	pipes map[string]uint64 // the start that messages to a member are for
	conn  map[string]int    // which connection from a member this is

	downAt  map[string]time.Duration // gossip will call it dead
	learnAt map[run]time.Duration    // gossip will tell of it

	asks    map[uint64]*ask
	circuit map[run]time.Duration
	heard   map[run]time.Duration // when something was last answered
	relays  map[string]relay
}

type run struct {
	name  string
	start uint64
}

// seen is another member, as gossip has it here.
type seen struct {
	start            uint64
	serving, leaving bool
}

type part struct {
	gate   gate
	lines  *lines
	told   uint64 // the machine, of changes
	opened bool   // since then
	froze  time.Duration
	decide map[uint64]bool   // asks decided here before, and how
	sent   map[uint64][2]int // what was counted when a backup with that number went
	considered
	safe   run    // who acknowledged the last of them
	copied [2]int // which had so much
}

type gate uint8

const (
	shut gate = iota
	open
	frozen
)

// waiting is what comes to a paused node.
type waiting struct {
	from string // of a connection, "" for what is its own
	conn int
	do   func()
}

func newNode(w *world, name string) *node {
	w.starts++
	n := &node{
		w: w, name: name, start: w.starts, alive: true, starting: true, parts: make([]part, w.parts),
		view: map[string]*seen{}, met: map[string]bool{}, bye: map[string]uint64{}, pipes: map[string]uint64{}, conn: map[string]int{},
		downAt: map[string]time.Duration{}, learnAt: map[run]time.Duration{}, asks: map[uint64]*ask{}, circuit: map[run]time.Duration{}, heard: map[run]time.Duration{}, relays: map[string]relay{},
		lastTick: w.now,
	}
	if old := w.nodes[name]; old != nil && ruleOff(w.off, hold.RuleStartID) {
		n.start = old.start
	}
	n.offset = w.between(0, time.Hour) - w.now
	n.m = hold.New(hold.Config{
		Name: name, Start: n.start, Partitions: w.parts, Timers: w.timers, Loans: loansOf(w.class), Off: w.off, Rand: rand.New(rand.NewPCG(w.seed, n.start)),
	})
	for i := range n.parts {
		n.parts[i] = part{lines: newLines(), decide: map[uint64]bool{}, sent: map[uint64][2]int{}}
	}
	return n
}

func ruleOff(off, r hold.Rules) bool { return off&r != 0 }

// do does what comes to the node, now or when it is awake again.
func (n *node) do(from string, f func()) { n.doConn(from, n.conn[from], f) }

func (n *node) doConn(from string, conn int, f func()) {
	switch {
	case !n.alive:
	case n.paused:
		n.backlog = append(n.backlog, waiting{from, conn, f})
	case from != "" && conn != n.conn[from]: // that connection is no more
	default:
		f()
	}
}

func (n *node) after(d time.Duration, f func()) { n.w.after(d, func() { n.do("", f) }) }

// loops starts what a node does by its clock.
func (n *node) loops() {
	t := n.w.timers
	n.every(t.Tick, func() {
		n.step(hold.Tick{})
		n.lastTick = n.w.now
	})
	n.every(t.Backup, func() {
		n.step(n.backupDue())
	})
}

// backupDue names the partitions that changed or were opened since it was last asked; of others it still says what it said then.
func (n *node) backupDue() hold.BackupDue {
	changed := make([]uint64, (len(n.parts)+63)/64)
	for i := range n.parts {
		if p := &n.parts[i]; p.gate != shut && (p.opened || p.told != p.lines.seq) {
			p.told, p.opened = p.lines.seq, false
			changed[i/64] |= 1 << (i % 64)
		}
	}
	return hold.BackupDue{Seq: func(p int) uint64 { return n.parts[p].told }, Changed: changed}
}

// every calls f each d, a little late each time as a busy machine is.
func (n *node) every(d time.Duration, f func()) {
	var loop func()
	loop = func() {
		f()
		n.after(d+n.w.between(0, ms), loop)
	}
	n.after(n.w.between(0, d), loop)
}

// step tells the machine something, and does what it says.
func (n *node) step(e hold.Event) {
	if !n.alive {
		return
	}
	if n.w.trace != nil && !isTimer(e) {
		n.w.tracef("%s%d ← %s", n.name, n.start, brief(e))
	}
	for _, x := range slices.Clone(n.m.Step(n.w.now+n.offset, e)) {
		if _, ok := x.(hold.Rerouted); !ok && n.w.trace != nil {
			n.w.tracef("    %s%d → %s", n.name, n.start, brief(x))
		}
		n.carry(x, e)
	}
	if n.m.Busy() && !n.beating {
		n.beating = true
		n.after(2*ms, func() {
			n.beating = false
			n.step(hold.Beat{})
		})
	}
}

func isTimer(e hold.Event) bool {
	switch e.(type) {
	case hold.Tick, hold.Beat, hold.BackupDue:
		return true
	}
	return false
}

// carry does what an effect says.
func (n *node) carry(x hold.Effect, e hold.Event) {
	w := n.w
	switch x := x.(type) {
	case *hold.Send:
		n.post(x.To, x.Message)
	case hold.Own:
		p := &n.parts[x.Partition]
		if x.Flip != nil {
			p.lines.apply(x.Flip.Lines.(*exported))
		}
		if x.Resume && p.lines.past[x.History] == nil {
			w.wrongf("%s goes on with history %v and does not have it", n.name, x.History)
		}
		p.lines.setHistory(x.History)
		p.lines.seq = max(p.lines.seq, x.Seq)
		p.thawed(w)
		p.gate, p.opened = open, true
		if r, ok := e.(hold.Received); ok && x.Flip != nil {
			p.safe, p.copied = run{r.From, r.Start}, p.lines.totals()
		} else if x.Why != hold.Resumed {
			p.safe = run{}
		}
		w.histories = max(w.histories, len(p.lines.past))
		w.claims[x.Why]++
		w.tracef("    %s%d holds partition %d as %v (%v): %v", n.name, n.start, x.Partition, x.Hold, x.Why, p.lines.copy())
	case hold.Freeze:
		p := &n.parts[x.Partition]
		p.gate, p.froze = frozen, w.now
	case hold.Thaw:
		n.parts[x.Partition].thawed(w)
		p := &n.parts[x.Partition]
		p.gate, p.opened = open, true
	case hold.Shut:
		n.parts[x.Partition].thawed(w)
		n.parts[x.Partition].gate = shut
	case *hold.Store:
		p := &n.parts[x.Partition]
		if x.Backup.Whole() {
			p.lines.replace(x.Backup.Lines.(*exported))
		} else {
			p.lines.apply(x.Backup.Lines.(*exported))
		}
	case hold.Absorb:
		p := &n.parts[x.Partition]
		if wrong := p.lines.absorb(x.Return.Lines.(*exported)); wrong != "" {
			w.wrongf("%s: %s", n.name, wrong)
		}
		w.histories = max(w.histories, len(p.lines.past))
	case hold.Clear:
		n.parts[x.Partition].lines.clear()
	case hold.Unacknowledged:
		n.parts[x.Partition].lines.unacknowledged()
	case *hold.Acknowledged:
		r := e.(hold.Received)
		p := &n.parts[x.Partition]
		p.safe, p.copied = run{r.From, r.Start}, p.sent[x.Seq]
		clear(p.sent)
	case hold.Woke:
		for _, name := range w.names {
			n.conn[name]++
		}
		n.after(0, n.failAll)
	}
}

func (p *part) thawed(w *world) {
	if p.gate == frozen {
		w.frozen = max(w.frozen, w.now-p.froze)
	}
}

// viewChanged tells the machine what gossip says by now.
func (n *node) viewChanged() {
	if !n.alive {
		return
	}
	e := hold.ViewChanged{May: !n.starting, Gone: map[string]uint64{}}
	for name, start := range n.bye {
		e.Gone[name] = start
	}
	for _, name := range n.w.names {
		if s := n.view[name]; s != nil {
			e.Members = append(e.Members, hold.Peer{Name: name, Start: s.start, Leaving: s.leaving, Serving: s.serving})
		}
	}
	ring := n.ring()
	e.Home = func(p int) string { return first(n.w.order(p, ring, n.rank)) }
	e.Backup = func(p int, holder string) string {
		if home := first(n.w.order(p, ring, n.rank)); home != holder {
			return home
		}
		return first(n.w.order(p, slices.DeleteFunc(slices.Clone(ring), func(s string) bool { return s == holder }), n.rank))
	}
	if n.w.trace != nil {
		n.w.tracef("%s%d sees %s (starting: %v)", n.name, n.start, strings.Join(ring, " "), n.starting)
	}
	n.step(e)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// ring is who may be home to something, as this node sees it.
func (n *node) ring() []string {
	var ring []string
	for _, name := range n.w.names {
		if s := n.view[name]; name == n.name && !n.leaving || s != nil && !s.leaving {
			ring = append(ring, name)
		}
	}
	return ring
}

func (n *node) home(p int) string { return first(n.w.order(p, n.ring(), n.rank)) }

// holds reports whether the machine says that it holds the partition, deciding or not.
func (n *node) holds(p int) bool {
	_, s := n.m.Hold(p)
	return n.alive && (s == hold.Held || s == hold.Frozen)
}
