package node

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/snapshot"
	"github.com/stint-limiter/stint/ring"
)

// A node that was told where (Config.Data) keeps a snapshot of what it has. What it restores as it starts are copies for the machine: they
// count where nobody holds the partition, and whoever has the newest claims it; in a cluster that was never stopped they are dropped.

// newKeeper returns the keeper of this node's snapshot, or nil.
func (n *Node) newKeeper() *snapshot.Keeper {
	if n.cfg.Data == "" {
		return nil
	}
	return snapshot.NewKeeper(snapshot.KeeperConfig{
		Dir: n.cfg.Data, Node: n.cfg.Name, Table: n.table, Now: n.clock.Now, Log: n.log, Versions: n.versions,
		Cluster: SnapshotOf(n.hasher),
	})
}

// SnapshotOf says what snapshots of a cluster with this hash key are known by.
func SnapshotOf(h bucket.Hasher) snapshot.Cluster {
	return snapshot.Cluster{HashKey: h.Fingerprint(), Partitions: ring.Partitions, Constants: ring.Constants()}
}

// restore brings the snapshot back; before the loop begins. The machine is told of all of it at once: reading takes its time, and must not
// look like a stop.
func (n *Node) restore() {
	var got []hold.Restored
	n.keeper.Restore(func(p int, v hold.Version) { got = append(got, hold.Restored{Partition: p, Version: v}) })
	now := n.pulse.now()
	for _, e := range got {
		n.machine.Step(now, e) // asks for nothing to be done
	}
}

// versions asks the loop what this node has; nil once it has ended.
func (n *Node) versions() []hold.Version {
	answer := make(chan []hold.Version, 1)
	n.told.do(func() {
		vs := make([]hold.Version, ring.Partitions)
		for p := range vs {
			vs[p] = n.machine.Version(p)
		}
		answer <- vs
	})
	select {
	case vs := <-answer:
		return vs
	case <-n.stopped:
		return nil
	}
}
