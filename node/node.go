package node

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/mail"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/node/snapshot"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// A Phase is where a node is in its life. It only goes on:
//
//	Starting ──► Serving ──► Leaving ──► Closed
//	    └───────────────────────┴──────────┘
//
// Starting: it has joined or is trying to, holds nothing and decides nothing. Serving: it claims and is given what it is home to.
// Leaving: it has told the others, hands over what it holds, and goes on deciding what it still has.
type Phase int32

const (
	Starting Phase = iota
	Serving
	Leaving
	Closed
)

// String returns the word that logs and admin have for it.
func (p Phase) String() string { return [...]string{"starting", "serving", "leaving", "closed"}[p] }

// A Node is one member of the cluster. It is a transport.Checker, a peer.Decider, a peer.Expecter and a peer.Relayer. All its methods may be called from
// many goroutines.
type Node struct {
	cfg    Config
	log    *slog.Logger
	clock  *transport.Clock
	hasher bucket.Hasher
	table  *bucket.Table
	pulse  *pulse

	phase    atomic.Int32
	complete atomic.Bool // it holds what it is home to, or has waited long enough
	draining atomic.Bool
	routes   []atomic.Pointer[route]   // one per partition; see routes.go
	turns    atomic.Uint64             // rises before and after a route or a gate changes: odd while it does
	ring     atomic.Pointer[ring.Ring] // the ring in force; nil before the first
	split    atomic.Pointer[split]     // nil: nobody is missing
	contacts contacts
	inbox    *mail.Inbox
	mail     mail.Stats
	told     *told
	purse    *purse           // nil: nothing is borrowed, lent or remembered
	keeper   *snapshot.Keeper // nil: no snapshots are kept

	loopState

	work  sync.Pool // *work, see check.go
	stats stats

	leave    chan struct{} // closed: begin to leave
	left     chan struct{} // closed by the loop once nothing is held any more
	stop     chan struct{} // closed: end the loop
	stopped  chan struct{} // closed by the loop as it ends
	leaveOne sync.Once
	stopOne  sync.Once
	aside    sync.WaitGroup // what is done beside the loop
	giving   sync.WaitGroup // what gives loans back; it may be waiting for a pipe until that is closed
}

// loopState belongs to the loop's goroutine.
type loopState struct {
	machine   *hold.Machine
	view      *members.View
	toldView  toldOf
	starting  starting
	cluster   cluster
	healing   healing
	forgotten map[string]bool
	impatient map[string]float64 // members that were warned of, and their patience
	shared    shared
	news      news
	building  bool
	built     chan *ring.Ring
	began     time.Time     // when it began to serve
	ticked    time.Duration // the last tick, by the pulse
	looked    time.Duration // when a starting node last looked whether it may begin
	wakes     int
	gone      bool // left is closed

	wholes   bool          // whole copies have arrived since the machine last looked for others to send
	backedUp time.Duration // when it last did

	received hold.Received    // the message that is being handled
	parcel   *bucket.Prepared // its lines
	prepared bucket.Prepared  // memory for them
	acks     acks
	exports  []export
	spare    []*bucket.Lines // memory for changes

	// By partition.
	open    [ring.Partitions]bool
	seqs    [ring.Partitions]uint64             // counts of changes, as the machine is told them
	changed [(ring.Partitions + 63) / 64]uint64 // whose may have risen
	out     [ring.Partitions]outgoing
	flips   [ring.Partitions]*hold.Flip    // that was sent last; nil once it has ended
	frozen  [ring.Partitions]time.Duration // since then; 0: not
}

// outgoing is what was sent of a partition, and is to be acknowledged.
type outgoing struct {
	sent    *bucket.Lines
	changes *bucket.Lines // the same, where it is changes that no other message has
	pending time.Duration // since when something is not acknowledged; 0: everything is
}

var (
	_ transport.Checker = (*Node)(nil)
	_ transport.Denier  = (*Node)(nil)
	_ peer.Decider      = (*Node)(nil)
	_ peer.Expecter     = (*Node)(nil)
	_ peer.Relayer      = (*Node)(nil)
)

// New starts a node. It returns at once; Phase says when the node serves.
func New(cfg Config) (*Node, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, log: cfg.Log, clock: cfg.Clock, hasher: cfg.Hasher,
		table:  bucket.NewTable(bucket.Config{Partitions: ring.Partitions, MaxLines: cfg.MaxLines}),
		pulse:  newPulse(cfg.Clock, cfg.Timers.Gap),
		routes: make([]atomic.Pointer[route], ring.Partitions),
		told:   newTold(cfg.Timers.Good),
		leave:  make(chan struct{}), left: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	n.inbox = mail.NewInbox(ring.Partitions, &n.mail)
	n.contacts.open, n.contacts.all = n.openLink, map[string]*contact{}
	n.loopState = loopState{
		machine: hold.New(hold.Config{Name: cfg.Name, Start: cfg.StartID, Partitions: ring.Partitions, Timers: cfg.Timers, Loans: cfg.loans(), NoBackups: cfg.NoBackups}),
		view:    &members.View{}, forgotten: map[string]bool{}, built: make(chan *ring.Ring, 1),
		starting: starting{self: cfg.Name, first: func() bool { return cfg.First || cfg.Gossip.Alone() }},
		cluster:  cluster{self: cfg.Name, silent: silentAttempts * cfg.Timers.Attempt},
		acks:     acks{post: func(to string, m *hold.Acks) { n.post(to, m, nil) }},
	}
	nobody := &route{}
	for p := range n.routes {
		n.routes[p].Store(nobody)
	}
	n.work.New = func() any { return new(work) }
	if !cfg.NoLeases {
		n.purse = newPurse()
		n.giving.Go(n.giveBack)
	}
	if n.keeper = n.newKeeper(); n.keeper != nil {
		n.restore()
		n.aside.Go(func() { n.keeper.Run(n.stop) })
	}
	go n.loop()
	return n, nil
}

// openLink makes the pipe to a member and what goes with it.
func (n *Node) openLink(m peer.Member, addr string) (*link, error) {
	l := &link{Member: m, addr: addr, out: mail.NewOutbox(ring.Partitions, &n.mail)}
	t := &n.cfg.Timers
	var err error
	l.pipe, err = n.cfg.Pipe(peer.PipeConfig{
		Peer: m, Addr: addr,
		// Nothing is tried twice: who does not answer once is answered for by who claims.
		Attempt: t.Attempt, Total: t.Attempt, Down: t.Circuit, MailAttempt: t.Attempt,
		Mail: func(lane peer.MailLane, dst []byte) []byte { return l.out.Next(lane, dst) },
		Undelivered: func(_ peer.MailLane, err error) {
			if errors.Is(err, peer.ErrUnreachable) || errors.Is(err, peer.ErrRestarted) {
				n.told.unreachable(m)
			}
		},
	})
	return l, err
}

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// Phase says where the node is in its life.
func (n *Node) Phase() Phase { return Phase(n.phase.Load()) }

// Ready says whether the node holds every partition that it is home to, or has waited for 10 s. It speaks of the node's own state only and never turns
// because of a peer; once true it turns false only when the node is about to leave.
func (n *Node) Ready() bool { return n.Phase() == Serving && n.complete.Load() && !n.draining.Load() }

// Drain turns Ready false, so that load balancers send their callers elsewhere; the node goes on deciding. Leave comes
// after it, once the doors are closed.
func (n *Node) Drain() { n.draining.Store(true) }

// Ring returns the ring in force; nil before there is one. It is immutable.
func (n *Node) Ring() *ring.Ring { return n.ring.Load() }

// Gossip returns what the node knows its members by.
func (n *Node) Gossip() Gossip { return n.cfg.Gossip }

// Clock returns the clock that the node decides by.
func (n *Node) Clock() *transport.Clock { return n.clock }

// Close stops the node. The others take it for crashed, unless it has left before.
func (n *Node) Close() error {
	n.stopOne.Do(func() { close(n.stop) })
	<-n.stopped
	n.aside.Wait()
	n.phase.Store(int32(Closed))
	n.pulse.publish(0, 0) // nothing is decided here any more
	n.contacts.drop(nil)
	n.contacts.closing.Wait()
	n.giving.Wait()
	return n.cfg.Gossip.Close()
}
