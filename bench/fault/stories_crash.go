package fault

import (
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// Members that crash. What they had admitted and not yet backed up is lost, and that is nothing after an idle moment.

func crashScenarios() []Scenario {
	return []Scenario{
		{
			Name: "kill-idle", About: "kill -9 of one of four after half a second without load; no check takes over 300 ms",
			Nodes: 4, Lasts: 25 * time.Second, Quick: 20 * time.Second, story: killIdle,
		},
		{
			Name: "quick-restart", About: "the same, and it is started again within 200 ms",
			Nodes: 4, Lasts: 20 * time.Second, Quick: 15 * time.Second, story: quickRestart,
		},
		{
			Name: "kill-load", About: "kill -9 of one of four under as much load as there can be",
			Nodes: 4, Lasts: 25 * time.Second, Quick: 20 * time.Second, story: killLoad,
		},
		{
			Name: "join-kill", About: "a fifth node joins, then the one that had most copies is killed",
			Nodes: 4, More: 1, Lasts: 30 * time.Second, Quick: 25 * time.Second, story: joinKill,
		},
		{
			Name: "two-kills", About: "a node is killed, and a minute later the one that has taken over from it, while all keys deny",
			Nodes: 4, Lasts: 100 * time.Second, Quick: 35 * time.Second, story: twoKills,
		},
	}
}

func killIdle(s *Stage) error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.idle(); err != nil {
		return err
	}
	s.kill(s.node(1))
	s.row.Bounds.Slowest = 300 * time.Millisecond
	s.Load.Resume()
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(time.Second)
}

func quickRestart(s *Stage) error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.idle(); err != nil {
		return err
	}
	n := s.node(1)
	at, _ := s.kill(n)
	if err := s.restart(n); err != nil {
		return err
	}
	gone := s.Load.Now() - at
	s.row.note(gone <= 200*time.Millisecond, "started after %v", gone.Round(time.Millisecond))
	s.Load.Resume()
	took, err := s.serve(n)
	if err != nil {
		return err
	}
	s.row.note(true, "ready after %s", seconds(took))
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(s.span(3*time.Second, 2*time.Second))
}

// unacknowledged is how far back what a holder had admitted may be in no backup: changed lines go every 50 ms, and their
// acknowledgement takes a moment. Nobody outside can see it more closely.
const unacknowledged = 100 * time.Millisecond

func killLoad(s *Stage) error {
	if err := s.begin(); err != nil {
		return err
	}
	n, other := s.node(1), s.node(2)
	held, err := s.held(n, other)
	if err != nil {
		return err
	}
	s.Step("as fast as it goes")
	s.Load.Rate(0)
	if err := s.sleep(s.span(3*time.Second, 2*time.Second)); err != nil {
		return err
	}
	from, till := s.kill(n)
	if err := s.sleep(s.span(3*time.Second, 2*time.Second)); err != nil {
		return err
	}
	s.Load.Rate(s.Rate)
	s.after = append(s.after, func(r *Records) {
		s.row.Bounds.Over = r.AdmittedOn(held, from-unacknowledged, till)
		s.row.Bounds.Under = max(1, r.InFlight(from, till))
		s.row.note(true, "%d keys held by %s; over is bounded by what was admitted on them in its last %v", len(held), n.Name, unacknowledged)
	})
	return s.agree()
}

func joinKill(s *Stage) error {
	if err := s.begin(); err != nil {
		return err
	}
	// The victim has copies of most keys, and loses some of that to the newcomer.
	old, err := s.explain(s.node(0))
	if err != nil {
		return err
	}
	victim := s.most(old, func(e explanation) string { return e.Backup })
	s.Step("one joins")
	n, err := s.cluster.Add()
	if err != nil {
		return err
	}
	took, err := s.serve(n)
	if err != nil {
		return err
	}
	s.row.note(took <= 5*time.Second, "ready after %s", seconds(took))
	if err := s.agree(); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	if err := s.idle(); err != nil {
		return err
	}
	s.kill(victim)
	s.Load.Resume()
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(2 * time.Second)
}

func twoKills(s *Stage) error {
	if err := s.begin(); err != nil {
		return err
	}
	s.Step("until all keys deny")
	if err := s.finish(); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	first := s.node(1)
	before, err := s.explain(s.node(0))
	if err != nil {
		return err
	}
	s.Load.Resume()
	s.kill(first)
	if err := s.sleep(s.span(time.Minute, 15*time.Second)); err != nil {
		return err
	}
	if err := s.agree(); err != nil {
		return err
	}
	now, err := s.explain(s.node(0))
	if err != nil {
		return err
	}
	// Who has most of what the first one held.
	var inherited []explanation
	for i, e := range now {
		if before[i].Holder == first.Name {
			inherited = append(inherited, e)
		}
	}
	second := s.most(inherited, func(e explanation) string { return e.Holder })
	s.row.note(len(inherited) > 0, "%d keys of %s, then of %s", len(inherited), first.Name, second.Name)
	s.kill(second)
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(2 * time.Second)
}

// begin loads the cluster until the keys of few hits deny, and all copies are whole.
func (s *Stage) begin() error {
	s.Step("under load")
	if err := s.sleep(3 * time.Second); err != nil {
		return err
	}
	return s.settle()
}

// most returns the node that runs and is named most often.
func (s *Stage) most(all []explanation, name func(explanation) string) *proc.Node {
	count := map[string]int{}
	for _, e := range all {
		count[name(e)]++
	}
	running := s.cluster.Running()
	best := running[len(running)-1]
	for _, n := range running {
		if count[n.Name] > count[best.Name] {
			best = n
		}
	}
	return best
}
