package node

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// A Phase is where a node is in its life. It only goes on:
//
//	Starting ──► Serving ──► Leaving ──► Closed
//	    └───────────────────────┴──────────┘
//
// Starting: it has joined or is trying to, holds nothing and decides nothing. Serving: it holds what it is home to.
// Leaving: it has told the others, holds nothing any more, and forwards what it is still asked.
type Phase int32

const (
	Starting Phase = iota
	Serving
	Leaving
	Closed
)

// String returns the word that logs and admin have for it.
func (p Phase) String() string { return [...]string{"starting", "serving", "leaving", "closed"}[p] }

// A Node is one member of the cluster. It is a transport.Checker and a peer.Decider. All its methods may be called from
// many goroutines.
type Node struct {
	cfg    Config
	log    *slog.Logger
	clock  *transport.Clock
	hasher bucket.Hasher
	table  *bucket.Table

	phase    atomic.Int32
	draining atomic.Bool
	routes   []atomic.Pointer[route] // one per partition; see routes.go
	pipes    pipes
	ring     atomic.Pointer[ring.Ring] // the ring in force; nil before the first

	// These belong to the loop's goroutine.
	view     *members.View
	machine  *hold.Gates
	starting starting

	work  sync.Pool // *work, see check.go
	stats stats

	leave    chan struct{} // closed: begin to leave
	left     chan struct{} // closed by the loop once nothing is held any more
	stop     chan struct{} // closed: end the loop
	stopped  chan struct{} // closed by the loop as it ends
	leaveOne sync.Once
	stopOne  sync.Once
}

var (
	_ transport.Checker = (*Node)(nil)
	_ peer.Decider      = (*Node)(nil)
)

// New starts a node. It returns at once; Phase says when the node serves.
func New(cfg Config) (*Node, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, log: cfg.Log, clock: cfg.Clock, hasher: cfg.Hasher,
		table:   bucket.NewTable(bucket.Config{Partitions: ring.Partitions, MaxLines: cfg.MaxLines}),
		routes:  make([]atomic.Pointer[route], ring.Partitions),
		machine: hold.NewGates(cfg.Name, cfg.StartID, ring.Partitions),
		leave:   make(chan struct{}), left: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	n.starting = starting{self: cfg.Name, first: func() bool { return cfg.First || cfg.Gossip.Alone() }}
	n.pipes.open = cfg.Pipe
	n.pipes.all = map[string]pipeTo{}
	for p := range n.routes {
		n.routes[p].Store(&route{})
	}
	n.work.New = func() any { return new(work) }
	go n.loop()
	return n, nil
}

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// Phase says where the node is in its life.
func (n *Node) Phase() Phase { return Phase(n.phase.Load()) }

// Ready says whether the node holds every partition that it is home to. It speaks of the node's own state only and never turns
// because of a peer; once true it turns false only when the node is about to leave.
func (n *Node) Ready() bool { return n.Phase() == Serving && !n.draining.Load() }

// Drain turns Ready false, so that load balancers send their callers elsewhere; the node goes on deciding. Leave comes
// after it, once the doors are closed.
func (n *Node) Drain() { n.draining.Store(true) }

// Ring returns the ring in force; nil before there is one. It is immutable.
func (n *Node) Ring() *ring.Ring { return n.ring.Load() }

// Gossip returns what the node knows its members by.
func (n *Node) Gossip() Gossip { return n.cfg.Gossip }

// Clock returns the clock that the node decides by.
func (n *Node) Clock() *transport.Clock { return n.clock }

// Leave tells the others that this node goes, lets go of its partitions, and says goodbye. It returns when that is done, or when
// the context ends; goodbye is said all the same. Checks that still come in are forwarded. Call Close after it.
func (n *Node) Leave(ctx context.Context) error {
	n.leaveOne.Do(func() { close(n.leave) })
	select {
	case <-n.left:
	case <-n.stopped:
	case <-ctx.Done():
	}
	goodbye := time.Second
	if d, ok := ctx.Deadline(); ok {
		goodbye = max(time.Until(d), 200*time.Millisecond)
	}
	return n.cfg.Gossip.Leave(goodbye)
}

// Close stops the node. The others take it for crashed, unless it has left before.
func (n *Node) Close() error {
	n.stopOne.Do(func() { close(n.stop) })
	<-n.stopped
	n.phase.Store(int32(Closed))
	n.pipes.closeAll()
	return n.cfg.Gossip.Close()
}
