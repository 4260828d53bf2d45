package fault

import "time"

// Members that come and go as operators have them do. Nothing is lost and nothing fails.

func memberScenarios() []Scenario {
	return []Scenario{
		{
			Name: "calm", About: "no fault at all: what is wrong here is wrong with the harness, or with everything",
			Nodes: 3, Lasts: 10 * time.Second, Quick: 5 * time.Second,
			story: func(s *Stage) error {
				s.row.Bounds.Under = 0
				return s.sleep(s.span(5*time.Second, 2*time.Second))
			},
		},
		{
			Name: "join-leave", About: "a fourth and a fifth node join together, then leave together; each is ready within 5 s",
			Nodes: 3, More: 2, Lasts: 25 * time.Second, Quick: 15 * time.Second, story: joinLeave,
		},
		{
			Name: "rolling", About: "all nodes are restarted, one after the other",
			Nodes: 3, Lasts: 35 * time.Second, Quick: 25 * time.Second, story: rolling,
		},
		{
			Name: "data", About: "the whole cluster is ended by SIGTERM and started again, with --data",
			Nodes: 3, Flags: []string{"--data", "DIR"}, Lasts: 30 * time.Second, Quick: 20 * time.Second, story: data,
		},
	}
}

func joinLeave(s *Stage) error {
	if err := s.sleep(s.span(3*time.Second, 2*time.Second)); err != nil {
		return err
	}
	s.Step("two join")
	a, err := s.cluster.Add()
	if err != nil {
		return err
	}
	b, err := s.cluster.Add()
	if err != nil {
		return err
	}
	took, err := s.serve(a, b)
	if err != nil {
		return err
	}
	s.row.note(took <= 5*time.Second, "ready after %s", seconds(took))
	if err := s.agree(); err != nil {
		return err
	}
	if err := s.sleep(s.span(4*time.Second, 2*time.Second)); err != nil {
		return err
	}
	s.Step("two leave")
	s.leave(a, b)
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(s.span(3*time.Second, time.Second))
}

func rolling(s *Stage) error {
	if err := s.sleep(2 * time.Second); err != nil {
		return err
	}
	for i := range s.row.Nodes {
		n := s.node(i)
		s.Step("restarting " + n.Name)
		s.leave(n)
		if err := s.restart(n); err != nil {
			return err
		}
		if _, err := s.serve(n); err != nil {
			return err
		}
		if err := s.agree(); err != nil {
			return err
		}
		if err := s.sleep(s.span(2*time.Second, time.Second)); err != nil {
			return err
		}
	}
	return nil
}

func data(s *Stage) error {
	s.row.Bounds.Unjudged = true // while nobody is there
	if err := s.sleep(s.span(5*time.Second, 3*time.Second)); err != nil {
		return err
	}
	s.Step("all leave")
	s.Load.Pause()
	s.leave(s.cluster.Nodes...)
	for _, n := range s.cluster.Nodes {
		if err := s.restart(n); err != nil {
			return err
		}
	}
	took, err := s.serve(s.cluster.Nodes...)
	if err != nil {
		return err
	}
	s.row.note(true, "ready again after %s", seconds(took))
	if err := s.agree(); err != nil {
		return err
	}
	s.Load.Resume()
	return s.sleep(s.span(3*time.Second, time.Second))
}
