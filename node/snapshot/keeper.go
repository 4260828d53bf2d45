package snapshot

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

// A Keeper keeps the table of one node on disk: Restore as the node starts, Run while it lives, Last as it leaves. Its methods
// may be called from any goroutine.
type Keeper struct {
	cfg     KeeperConfig
	leaving atomic.Bool // Last was called: a save that is under way makes room for it

	turn   chan struct{} // full while somebody saves; protects following fields
	begun  bool          // there is something worth keeping: an unchanged table need not be written again
	sum    uint64        // of what was saved last
	failed bool          // and it was said
	ended  bool
	buf    []byte

	stats keeperStats
}

// A KeeperConfig is what a Keeper is made from. All but Log and Wall is required.
type KeeperConfig struct {
	Dir, Node string // see Path
	Cluster   Cluster
	Table     *bucket.Table
	Now       func() bucket.Instant // the clock that the table's instants are of
	// Versions returns the version of what the node has of each partition, held or a copy, and zero where it has nothing. Of what is held Seq
	// is not looked at. Nil says that it cannot be known.
	Versions func() []hold.Version
	Log      *slog.Logger     // default: none
	Wall     func() time.Time // default: time.Now
}

// NewKeeper returns a keeper, which has done nothing yet.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	return &Keeper{cfg: cfg, turn: make(chan struct{}, 1)}
}

// Stats are for metrics.
type Stats struct {
	Saves, Failures uint64
	Bytes           int64         // of the last save
	Took            time.Duration // the last save
	Saved           time.Time     // when the snapshot on disk was last found to be up to date; zero: never
	Restored        int           // partitions, at the start
	Lost            int           // partitions that were in the snapshot and could not be used
}

type keeperStats struct {
	saves, failures                    atomic.Uint64
	bytes, took, saved, restored, lost atomic.Int64
}

// Stats returns the keeper's counters.
func (k *Keeper) Stats() Stats {
	s := &k.stats
	out := Stats{
		Saves: s.saves.Load(), Failures: s.failures.Load(), Bytes: s.bytes.Load(), Took: time.Duration(s.took.Load()),
		Restored: int(s.restored.Load()), Lost: int(s.lost.Load()),
	}
	if at := s.saved.Load(); at != 0 {
		out.Saved = time.Unix(0, at)
	}
	return out
}

const (
	// Every is how often the table is saved, if it changed: what is spent between two saves is what a cluster loses if all of its nodes
	// are killed at once.
	Every = 10 * time.Second
	// share: no more than one part in so many of the time goes into saving, however large the table is.
	share = 10
)

// Run saves the table every ten seconds until stop is closed. It gives up what it is saving then, and waits for a Last that is under way.
func (k *Keeper) Run(stop <-chan struct{}) {
	timer := time.NewTimer(Every)
	defer timer.Stop()
	over := func() bool {
		select {
		case <-stop:
			return true
		default:
			return k.leaving.Load()
		}
	}
	for {
		select {
		case <-stop:
			k.turn <- struct{}{} // until nothing is being saved
			<-k.turn
			return
		case <-timer.C:
		}
		timer.Reset(max(Every, share*k.save(over, false)))
	}
}

// Last freezes what is held and saves it: what is in the snapshot then is all that was ever spent here. The keeper saves no more after it.
//
// It returns when the context ends, at the latest. What is not written by then is given up, and the snapshot before stays; what the disk has yet
// to sync is finished beside the caller, and Run ends after it.
func (k *Keeper) Last(ctx context.Context) {
	k.leaving.Store(true)
	for i := range k.cfg.Cluster.Partitions {
		p := k.cfg.Table.Partition(i)
		if epoch, gate := p.Epoch(); gate == bucket.Open {
			p.SetState(bucket.Frozen, epoch)
		}
	}
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		k.save(func() bool { return ctx.Err() != nil }, true)
	}()
	select {
	case <-saved:
	case <-ctx.Done():
	}
}
