package fault

import (
	"fmt"
	"time"
)

// Members that stand still and go on as if nothing had been: SIGSTOP, a virtual machine that is moved, a machine that starves.

func pauseScenarios() (all []Scenario) {
	for _, p := range []struct{ full, quick time.Duration }{
		{time.Second, time.Second}, {12 * time.Second, 6 * time.Second}, {90 * time.Second, 15 * time.Second},
	} {
		all = append(all, Scenario{
			Name: fmt.Sprintf("pause-%.0f", p.full.Seconds()), About: fmt.Sprintf("one of three is stopped for %v and goes on; one holder each within 5 s", p.full),
			Nodes: 3, Lasts: p.full + 15*time.Second, Quick: p.quick + 15*time.Second,
			story: func(s *Stage) error { return pause(s, s.span(p.full, p.quick)) },
		})
	}
	return append(all, Scenario{
		Name: "stumble", About: "one after the other is stopped for 90 to 190 ms, too short to be claimed from; a hit counts once", Nodes: 3,
		Lasts: 30 * time.Second, Quick: 12 * time.Second, story: stumble,
	})
}

// stumble has nodes find themselves stopped with batches under way.
func stumble(s *Stage) error {
	if err := s.begin(); err != nil {
		return err
	}
	s.Step("one after the other stands still for a moment")
	stops := 0
	for ends := s.Load.Now() + s.span(20*time.Second, 6*time.Second); s.Load.Now() < ends; stops++ {
		n := s.node(stops % 3)
		if err := n.Pause(); err != nil { // callers go on asking it, and wait
			return err
		}
		if err := s.sleep(time.Duration(90+stops*37%101) * time.Millisecond); err != nil {
			return err
		}
		if err := n.Resume(); err != nil {
			return err
		}
		if err := s.sleep(100 * time.Millisecond); err != nil {
			return err
		}
	}
	s.row.Bounds.Under = 0
	s.row.note(true, "%d stops", stops)
	return s.sleep(2 * time.Second)
}

func pause(s *Stage, d time.Duration) error {
	if err := s.begin(); err != nil {
		return err
	}
	n := s.node(1)
	held, err := s.held(n, s.node(2))
	if err != nil {
		return err
	}
	s.Step(fmt.Sprintf("%s stands still for %v", n.Name, d))
	from, till, err := s.stop(n)
	if err != nil {
		return err
	}
	if err := s.sleep(d); err != nil {
		return err
	}
	back := s.Load.Now()
	if err := s.goOn(n); err != nil {
		return err
	}
	s.row.Bounds.Failed = 3
	s.after = append(s.after, func(r *Records) {
		// What it admits in its last moments, and has not copied yet, comes back with it; but until then another decides, without it:
		// COUNT 10, 9 spent and copied; the tenth at n1, which stops 20 ms later; n0 claims with 9, and admits a tenth.
		flying, late := r.InFlight(from, till), r.AdmittedOn(held, from-unacknowledged, till)
		s.row.Bounds.Over = flying + late
		s.row.Bounds.Under = max(1, flying)
		s.row.note(true, "%d in flight, %d admitted on its %d keys in its last %v", flying, late, len(held), unacknowledged)
	})
	if err := s.holders(back, 5*time.Second); err != nil {
		return err
	}
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(2 * time.Second)
}
