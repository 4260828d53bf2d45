package snapshot

import (
	"errors"
	"fmt"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

var errOver = errors.New("there was no time to write all of it")

// save writes the table if it has changed, and returns how long that took. It gives up when it finds that its time is over.
func (k *Keeper) save(over func() bool, last bool) time.Duration {
	k.turn <- struct{}{}
	defer func() { <-k.turn }()
	if k.ended {
		return 0
	}
	k.ended = last
	begun := k.cfg.Wall()
	versions := k.cfg.Versions()
	sum, some := k.fingerprint(versions)
	if !some {
		// A node that starts, or has handed everything over, has nothing to say. What it said before may be of use yet.
		return 0
	}
	if k.begun && sum == k.sum {
		k.stats.saved.Store(begun.UnixNano())
		return 0
	}
	size, lines, err := k.write(over, begun, versions)
	took := k.cfg.Wall().Sub(begun)
	if errors.Is(err, errOver) && !last {
		return took // the last save comes, or the end
	}
	if err != nil {
		k.stats.failures.Add(1)
		if !k.failed || last {
			k.cfg.Log.Error("cannot save a snapshot; the one before stays, and what was spent since is lost if all nodes stop", "error", err)
		}
		k.failed = true
		return took
	}
	if k.failed {
		k.cfg.Log.Info("snapshots are saved again")
	}
	k.begun, k.sum, k.failed = true, sum, false
	k.stats.saves.Add(1)
	k.stats.bytes.Store(size)
	k.stats.took.Store(int64(took))
	k.stats.saved.Store(begun.UnixNano())
	if last {
		k.cfg.Log.Info("saved a snapshot", "lines", lines, "bytes", size, "took", took.Round(time.Millisecond).String())
	}
	return took
}

// fingerprint says, all but certainly, whether anything changed, and whether there is anything.
func (k *Keeper) fingerprint(versions []hold.Version) (sum uint64, some bool) {
	mix := func(x uint64) { sum = (sum ^ x ^ sum>>29) * 0x9e3779b97f4a7c15 }
	for i, v := range versions {
		if v == (hold.Version{}) {
			continue
		}
		some = true
		mix(uint64(i))
		mix(v.Epoch)
		mix(v.Start)
		mix(k.cfg.Table.Partition(i).Seq())
	}
	return sum, some
}

// write streams the table to disk. Each partition is locked for as long as it is copied, and for no I/O.
func (k *Keeper) write(over func() bool, begun time.Time, versions []hold.Version) (size int64, lines int, err error) {
	w, err := Create(Path(k.cfg.Dir, k.cfg.Node), Header{k.cfg.Cluster, k.cfg.Node, begun})
	if err != nil {
		return 0, 0, err
	}
	defer w.Abort()
	for i, v := range versions {
		if v == (hold.Version{}) {
			continue
		}
		if over() {
			return 0, 0, errOver
		}
		p := k.cfg.Table.Partition(i)
		_, gate := p.Epoch()
		after := k.cfg.Wall().Sub(begun)
		ls := p.Snapshot(k.cfg.Now(), false)
		if gate != bucket.Shut {
			v.Seq = ls.Seq
		}
		lines += ls.Len()
		k.buf = bucket.AppendLines(k.buf[:0], ls)
		if err := w.Add(&Partition{Index: i, Version: v, After: max(after, 0), Lines: k.buf}); err != nil {
			return 0, 0, err
		}
	}
	// Who leaves lets go of its holds when its time is over; what was read since then is of nobody's.
	if over() {
		return 0, 0, errOver
	}
	if size, err = w.Commit(); err != nil {
		return 0, 0, fmt.Errorf("%d lines: %w", lines, err)
	}
	return size, lines, nil
}
