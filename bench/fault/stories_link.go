package fault

import (
	"fmt"
	"time"
)

// Links between two members that fail, while all others see both.

func linkScenarios() []Scenario {
	return []Scenario{
		{
			Name: "link", About: "the link between two of three is cut; the ring does not change",
			Nodes: 3, Cuts: true, Lasts: 30 * time.Second, Quick: 20 * time.Second,
			story: func(s *Stage) error {
				return link(s, func(a, b int) error { return s.Net.CutBoth(s.ctx, []int{a}, []int{b}) })
			},
		},
		{
			Name: "link-one-way", About: "the same, and what the other sends does arrive",
			Nodes: 3, Cuts: true, Lasts: 30 * time.Second, Quick: 20 * time.Second,
			story: func(s *Stage) error {
				return link(s, func(a, b int) error { return s.Net.Cut(s.ctx, []int{a}, []int{b}) })
			},
		},
	}
}

func link(s *Stage, cut func(a, b int) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	a, b := s.Run%3, (s.Run+1)%3
	s.Step(fmt.Sprintf("n%d cannot reach n%d", a, b))
	if err := cut(a, b); err != nil {
		return err
	}
	// Membership is looked at all the while. That a member is suspected for a moment changes no ring.
	rings := map[string]bool{}
	for end := s.Load.Now() + s.span(15*time.Second, 6*time.Second); s.Load.Now() < end; {
		if err := s.sleep(250 * time.Millisecond); err != nil {
			return err
		}
		for _, n := range s.cluster.Nodes {
			v, err := n.View(s.ctx)
			if err != nil {
				return err
			}
			rings[v.Ring] = true
		}
	}
	s.row.note(len(rings) == 1, "%d ring throughout", len(rings))
	s.Step("healed")
	if err := s.Net.Heal(s.ctx); err != nil {
		return err
	}
	if err := s.agree(); err != nil {
		return err
	}
	return s.sleep(2 * time.Second)
}
