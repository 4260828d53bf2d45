package node

import (
	"sync"
	"time"

	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport/peer"
)

// told is what other goroutines have to tell the loop: checks that failed at their holder, members that are not there. It is
// coalesced, one entry per partition and member, so it is bounded, and nobody waits to put something in.
type told struct {
	good time.Duration
	kick chan struct{}

	// protects following fields
	mu     sync.Mutex
	failed map[int]uint64 // by partition: the epoch of the holder that did not answer
	gone   map[peer.Member]bool
	tasks  []func()
	// considered says when the loop last told the machine of a holder's failure.
	considered [ring.Partitions]considered
}

type considered struct {
	epoch uint64
	at    time.Time
}

func newTold(good time.Duration) *told {
	return &told{good: good, kick: make(chan struct{}, 1), failed: map[int]uint64{}, gone: map[peer.Member]bool{}}
}

// checkFailed says that the holder that had this epoch of a partition did not answer. It reports whether the machine has been told so
// just now: if it still has that holder for alive, it has asked, and the holder can be reached from here.
func (t *told) checkFailed(partition int, epoch uint64) (asked bool) {
	t.mu.Lock()
	c := t.considered[partition]
	asked = !c.at.IsZero() && c.epoch == epoch && time.Since(c.at) < t.good
	t.failed[partition] = max(t.failed[partition], epoch)
	t.mu.Unlock()
	poke(t.kick)
	return asked
}

// unreachable says that nobody listens any more where this start of a member was.
func (t *told) unreachable(m peer.Member) {
	t.mu.Lock()
	t.gone[m] = true
	t.mu.Unlock()
	poke(t.kick)
}

// do has the loop run f. It is for people's questions, not for checks.
func (t *told) do(f func()) {
	t.mu.Lock()
	t.tasks = append(t.tasks, f)
	t.mu.Unlock()
	poke(t.kick)
}

// take returns what has gathered.
func (t *told) take() (failed map[int]uint64, gone map[peer.Member]bool, tasks []func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failed) > 0 {
		failed, t.failed = t.failed, map[int]uint64{}
	}
	if len(t.gone) > 0 {
		gone, t.gone = t.gone, map[peer.Member]bool{}
	}
	tasks, t.tasks = t.tasks, nil
	return failed, gone, tasks
}

// consider notes that the machine was told of these failures, and what it said is carried out.
func (t *told) consider(failed map[int]uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for p, epoch := range failed {
		t.considered[p] = considered{epoch, now}
	}
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
