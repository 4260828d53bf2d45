package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stint-limiter/stint/node/snapshot"
)

var (
	descSnapAge      = desc("snapshot_age_seconds", "How long ago the snapshot on disk was last up to date; none yet: not there.")
	descSnapBytes    = desc("snapshot_bytes", "Size of the last snapshot.")
	descSnapTook     = desc("snapshot_seconds", "How long the last snapshot took to write.")
	descSnapSaves    = desc("snapshot_saves_total", "Snapshots written.")
	descSnapFailures = desc("snapshot_failures_total", "Snapshots that could not be written.")
	descSnapRestored = desc("snapshot_restored_partitions", "Partitions that were brought back at the start.")
	descSnapLost     = desc("snapshot_lost_partitions", "Partitions that were in the snapshot at the start and could not be used.")
)

// collectSnapshot is for nodes that keep snapshots.
func collectSnapshot(s *snapshot.Stats, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	if !s.Saved.IsZero() {
		gauge(descSnapAge, max(time.Since(s.Saved), 0).Seconds())
	}
	gauge(descSnapBytes, float64(s.Bytes))
	gauge(descSnapTook, s.Took.Seconds())
	counter(descSnapSaves, s.Saves)
	counter(descSnapFailures, s.Failures)
	gauge(descSnapRestored, float64(s.Restored))
	gauge(descSnapLost, float64(s.Lost))
}
