package fault

import (
	"fmt"
	"time"
)

// Clusters that fall into two: two nodes here, three there. Both sides go on, each with the whole limit (full) or with its
// share; when they meet, what both have admitted is added up.

func splitScenarios() (all []Scenario) {
	for _, p := range []struct{ full, quick time.Duration }{{15 * time.Second, 8 * time.Second}, {90 * time.Second, 15 * time.Second}} {
		name := fmt.Sprintf("split-%.0f", p.full.Seconds())
		all = append(all, Scenario{
			Name: name, About: fmt.Sprintf("five nodes are split 2/3 for %v, on_split full; one ring within 15 s after", p.full),
			Nodes: 5, Cuts: true, Flags: []string{"--on-split", "full"}, Lasts: p.full + 30*time.Second, Quick: p.quick + 30*time.Second, Middle: middle(p.full, p.quick),
			story: func(s *Stage) error { return split(s, s.span(p.full, p.quick), false) },
		}, Scenario{
			Name: name + "-share", About: "the same, on_split share, for windows that begin 1 s after the cut",
			Nodes: 5, Cuts: true, Flags: []string{"--on-split", "share"}, Lasts: p.full + 30*time.Second, Quick: p.quick + 30*time.Second, Middle: middle(p.full, p.quick),
			story: func(s *Stage) error { return split(s, s.span(p.full, p.quick), true) },
		})
	}
	return all
}

// middle is when the keys of the middle kind would reach their limit in an undivided cluster, so that in this one both sides
// reach it, or their shares of it, before they meet: the smaller one hears two checks in five.
func middle(full, quick time.Duration) func(bool) time.Duration {
	return func(isQuick bool) time.Duration {
		d := full
		if isQuick {
			d = quick
		}
		return 4*time.Second + d/4
	}
}

// sides is how many parts a split cluster has.
const sides = 2

func split(s *Stage, d time.Duration, share bool) error {
	if err := s.begin(); err != nil {
		return err
	}
	// n0, which the others have joined, is on another side in every second run.
	two, three := []int{0, 1}, []int{2, 3, 4}
	if s.Run%2 == 1 {
		two, three = []int{3, 4}, []int{0, 1, 2}
	}
	s.Step(fmt.Sprintf("split for %v", d))
	cutting := s.Load.Now()
	if err := s.Net.CutBoth(s.ctx, two, three); err != nil {
		return err
	}
	cut := s.Load.Now()
	if share {
		if err := s.sleep(time.Second); err != nil {
			return err
		}
		s.fresh()
	}
	if err := s.sleep(d - (s.Load.Now() - cut)); err != nil {
		return err
	}
	s.Step("healed")
	healed := s.Load.Now()
	if err := s.Net.Heal(s.ctx); err != nil {
		return err
	}
	const within = 15 * time.Second
	err := s.agree()
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	took := s.Load.Now() - healed
	if err != nil {
		return fmt.Errorf("%s after healing: %w", seconds(took), err)
	}
	s.row.note(took <= within, "one ring after %s", seconds(took))
	if err := s.holders(healed, within); err != nil {
		return err
	}
	merged := s.Load.Now()
	s.after = append(s.after, func(r *Records) { s.row.Bounds.Under = max(1, r.InFlight(cutting, cut)) })
	if !share {
		s.row.Bounds.OverLimits = sides - 1
		keys := s.Keys
		s.after = append(s.after, func(r *Records) {
			now := r.OverAt(keys, forever)
			s.row.note(now == r.OverAt(keys, merged), "%d over at the heal, %d when merged, %d in the end", r.OverAt(keys, healed), r.OverAt(keys, merged), now)
		})
	}
	return s.sleep(3 * time.Second)
}

// fresh has the row be about new keys, which nobody has asked for yet. The old ones are only told of.
func (s *Stage) fresh() {
	old := s.Keys
	s.Keys = s.Load.NewKeys(fmt.Sprintf("fresh/%d/", s.Run), len(old), s.mid)
	s.Load.Use(s.Keys)
	s.after = append(s.after, func(r *Records) {
		s.row.note(true, "%d over on keys from before the cut", r.OverAt(old, forever))
	})
}
