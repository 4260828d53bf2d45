package fault

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// What happens to nodes. The load is told first: from then on it sends a node nothing that it could not answer.

// sleep lets the cluster be for d.
func (s *Stage) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-t.C:
		return nil
	}
}

// span is how long something lasts: full, or, in a quick run, quick.
func (s *Stage) span(full, quick time.Duration) time.Duration {
	if s.Quick {
		return quick
	}
	return full
}

// node is the i-th of the first of nodes; another one in each run.
func (s *Stage) node(i int) *proc.Node {
	first := s.row.Nodes
	return s.cluster.Nodes[(i+s.Run)%first]
}

// idle lets nothing be asked for half a second, so that backups have what was admitted.
func (s *Stage) idle() error {
	s.Load.Pause()
	return s.sleep(500 * time.Millisecond)
}

// kill ends a node as a crash does, some time between the moments returned.
func (s *Stage) kill(n *proc.Node) (from, till time.Duration) {
	s.Step("kill -9 " + n.Name)
	s.Load.Lose(n.Name)
	from = s.Load.Now()
	n.Kill()
	return from, s.Load.Now()
}

// stop stops a node (SIGSTOP), some time between the moments returned.
func (s *Stage) stop(n *proc.Node) (from, till time.Duration, err error) {
	s.Load.Lose(n.Name)
	from = s.Load.Now()
	err = n.Pause()
	return from, s.Load.Now(), err
}

// goOn lets a stopped node go on. It is asked at once, as by callers that know nothing of it.
func (s *Stage) goOn(n *proc.Node) error {
	err := n.Resume()
	s.Load.Back(n.Name)
	return err
}

// leave has nodes leave, all at once, by SIGTERM, and waits until they are gone.
func (s *Stage) leave(nodes ...*proc.Node) {
	for _, n := range nodes {
		s.Load.Avoid(n.Name)
	}
	s.terminate(nodes...)
}

// terminate sends SIGTERM and waits. A node that has to be killed after, or fails, is noted.
func (s *Stage) terminate(nodes ...*proc.Node) {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = n.Stop(proc.StopTimeout) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			s.row.fail("%s does not end well: %v", nodes[i].Name, err)
		}
	}
}

// restart starts a node that has ended again. It is asked once it is ready; see serve.
func (s *Stage) restart(n *proc.Node) error {
	s.Step("starting " + n.Name)
	return s.cluster.Restart(n)
}

// serve waits until nodes are ready, and has the load ask each from then on. It returns how long the last one took.
func (s *Stage) serve(nodes ...*proc.Node) (time.Duration, error) {
	from := time.Now()
	waiting := slices.Clone(nodes)
	err := s.within(proc.StartTimeout, func() error {
		for i := 0; i < len(waiting); {
			n := waiting[i]
			if err := n.Ready(s.ctx); err != nil {
				if !n.Running() {
					return fmt.Errorf("%s has ended: %v", n.Name, n.Err())
				}
				i++
				continue
			}
			s.Load.Up(n.Name, n.Checks())
			waiting = slices.Delete(waiting, i, i+1)
		}
		if len(waiting) > 0 {
			return fmt.Errorf("%s is not ready", waiting[0].Name)
		}
		return nil
	})
	return time.Since(from), err
}

// lending is how long after the last check every hit that was lent is back, and no denial is remembered any more: they last 200 ms and a second.
const lending = 1500 * time.Millisecond

// finish pauses the load and asks for what is left of all keys, once nothing is on loan: that would be denied, and be missing in the account.
func (s *Stage) finish() error {
	s.Load.Pause()
	if err := s.sleep(lending); err != nil {
		return err
	}
	return s.Load.Finish(s.ctx, s.Keys)
}

// agree waits until all nodes that run have one ring and see each other, and nobody else, alive.
func (s *Stage) agree() error {
	s.Step("until all nodes agree")
	return s.cluster.Agree(s.ctx)
}
