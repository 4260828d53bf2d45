package node

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// Gossip is what a node needs of membership: *members.Members, or an in-memory one in a test.
type Gossip interface {
	// View returns the present view: immutable, this node included.
	View() *members.View
	// Changed is kicked when the view has changed.
	Changed() <-chan struct{}
	// SetLocal gossips what this node says of itself. It does not block.
	SetLocal(members.Local)
	// Alone reports whether there is nobody to call but the node itself.
	Alone() bool
	// Leave says goodbye, waiting at most so long until it is on its way.
	Leave(timeout time.Duration) error
	// Close stops without a word.
	Close() error
}

// A Config is what a node is made from. Name, StartID, Gossip and Pipe are required.
type Config struct {
	// Name is unique among the members, 1 to 64 bytes.
	Name string
	// StartID tells this start of the node from all earlier ones of the same name, and is higher: Unix nanoseconds do.
	StartID uint64
	Gossip  Gossip
	// First: begin at once, without waiting for anybody, as a node does that has nobody to call.
	First bool

	// Hasher is that of the cluster's hash key.
	Hasher bucket.Hasher
	// MaxLines bounds the node's memory; 0 is the default, 8,388,608 lines.
	MaxLines int
	// FailureMode answers checks that name none when nobody can decide. Default: Allow.
	FailureMode transport.Mode
	// OnFull answers a check whose line found no room. Default: Allow.
	OnFull transport.Mode
	// OnSplit says what checks that do not say may be granted while the cluster is split. Default: SplitFull.
	OnSplit transport.OnSplit
	// Timers are the family of timers, the same on every node. Default: hold.Patience(1).
	Timers hold.Timers
	// NoLeases: every check goes to its holder. Nothing is borrowed, nothing is lent, and no denial is remembered.
	NoLeases bool
	// NoBackups: no copies are kept for a crash, which saves half of the memory and forgets what the crashed node held.
	NoBackups bool
	// Data is a directory for a snapshot of what the node has, for a restart of the whole cluster. "": none is kept.
	Data string

	// Pipe makes a pipe to a member. The config that it is given has what the node knows: Peer, Addr, the timers, and the mail. The
	// caller adds who this node is (Self, Hello, Auth). The node closes the pipe when the member is gone or started anew.
	Pipe func(peer.PipeConfig) (*peer.Pipe, error)
	// Disconnect closes all connections that other members have to this node: it was stopped, and what waits in them is old. It is called
	// by the node's loop and must not wait for it. Nil: there is no server.
	Disconnect func()

	Clock *transport.Clock // nil: a new one
	Log   *slog.Logger     // nil: slog.Default()
}

func (c *Config) fill() error {
	switch {
	case c.Name == "" || len(c.Name) > 64:
		return fmt.Errorf("node: name %q: a name is 1 to 64 bytes", c.Name)
	case c.StartID == 0:
		return fmt.Errorf("node: no start ID")
	case c.Gossip == nil || c.Pipe == nil:
		return fmt.Errorf("node: no gossip or no pipes to other members")
	case c.MaxLines < 0:
		return fmt.Errorf("node: max-lines %d: cannot be negative", c.MaxLines)
	}
	if c.Timers == (hold.Timers{}) {
		c.Timers = hold.Patience(1)
	}
	if err := c.Timers.Check(); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if c.FailureMode == transport.ByDefault {
		c.FailureMode = transport.Allow
	}
	if c.OnFull == transport.ByDefault {
		c.OnFull = transport.Allow
	}
	if c.OnSplit == transport.SplitDefault {
		c.OnSplit = transport.SplitFull
	}
	if c.Clock == nil {
		c.Clock = transport.NewClock()
	}
	if c.Disconnect == nil {
		c.Disconnect = func() {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// loans is for how long hits are lent at most.
func (c *Config) loans() time.Duration {
	if c.NoLeases {
		return 0
	}
	return lease.Term
}
