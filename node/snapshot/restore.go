package snapshot

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

var errLines = errors.New("a partition's lines are not all of it")

// Restore puts what the snapshot has into the table, whose partitions must be shut and empty, and calls got for each partition that is there
// again. Whatever is wrong with the snapshot is logged, and no reason not to start.
func (k *Keeper) Restore(got func(partition int, v hold.Version)) {
	path := Path(k.cfg.Dir, k.cfg.Node)
	now := k.cfg.Now()
	lines, full := 0, 0
	info, err := Read(path, k.cfg.Cluster, k.cfg.Wall(), func(p *Partition, age time.Duration) error {
		n, err := k.restore(p, now, age)
		switch {
		case errors.Is(err, bucket.ErrFull):
			full++
			return nil
		case err != nil:
			return err
		}
		lines += n
		got(p.Index, p.Version)
		return nil
	})
	k.stats.restored.Store(int64(info.Used - full))
	k.stats.lost.Store(int64(info.Lost + full))
	log := k.cfg.Log.With("file", path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		log.Info("no snapshot yet")
	case errors.Is(err, ErrOld):
		log.Warn("the snapshot is not used: it is older than any window", "written", info.Written)
	case errors.Is(err, ErrForeign):
		log.Warn("the snapshot is not used, and was set aside", "why", err, "now", info.SetAside)
	case errors.Is(err, ErrDamaged):
		log.Warn("the snapshot is damaged, and was set aside; what could be read of it is used", "why", err, "now", info.SetAside, "partitions_used", info.Used, "partitions_lost", info.Lost)
	case err != nil:
		log.Error("the snapshot cannot be read", "error", err)
	}
	if info.ClockBack {
		log.Warn("the snapshot is from the future: was the clock put back? What it has counts as if it were spent now", "written", info.Written)
	}
	if full > 0 {
		log.Warn("not all of the snapshot fits into memory: raise --max-lines, as it was before", "partitions_lost", full)
	}
	if info.Used > full {
		log.Info("restored a snapshot: it counts if nobody holds these partitions now", "partitions", info.Used-full, "lines", lines, "age", info.Age.Round(time.Second).String())
	}
}

// restore puts one partition's lines into the table. They are as they were age ago, so they are taken in as of then; those that count no more
// by now are left out, as they would need room.
func (k *Keeper) restore(p *Partition, now bucket.Instant, age time.Duration) (lines int, err error) {
	ls, rest, err := bucket.ReadLines(p.Lines)
	if err != nil {
		return 0, err
	}
	if len(rest) > 0 || !ls.Whole {
		return 0, errLines
	}
	for i := range ls.Histories {
		h := &ls.Histories[i]
		h.Records = slices.DeleteFunc(h.Records, func(r bucket.Record) bool { return freshIn(r) <= age })
	}
	part := k.cfg.Table.Partition(p.Index)
	ready, err := part.Prepare(now.Add(-age), ls)
	if err != nil {
		return 0, err
	}
	part.Replace(ready)
	return ls.Len(), nil
}

// freshIn returns how long after its export a record counts no more: the upper 52 bits of its clock, in µs.
func freshIn(r bucket.Record) time.Duration {
	return time.Duration(r.Clock>>12) * time.Microsecond
}
