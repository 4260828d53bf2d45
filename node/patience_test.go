package node

import "testing"

// Of members whose factors differ each warns of each, once, and of nobody else; they are members all the same. A member that is back with the right
// factor ends that.
func TestOtherPatienceIsSaid(t *testing.T) {
	const words = "a member has another patience"
	inBubble(t, func(t *testing.T) {
		s := newSim(t, t.Name(), 1, false)
		defer s.end()
		s.patience = map[string]float64{"a": 1, "b": 1, "c": 2.5}
		s.boot()
		s.back("d") // says nothing, as an older build
		s.settle(calmIn)
		said := func(name string) (now, ever int) {
			return len(s.get(name).members.View().OtherPatience()), s.logs(name, words)
		}
		for name, want := range map[string]int{"a": 1, "b": 1, "c": 2, "d": 0} {
			if now, ever := said(name); now != want || ever != want {
				t.Errorf("%s: %d differ, %d warnings, want %d", name, now, ever, want)
			}
		}
		s.leave(s.get("c"))
		s.patience["c"] = 1
		s.back("c")
		s.settle(calmIn)
		for name, want := range map[string]int{"a": 1, "b": 1, "c": 2, "d": 0} {
			if now, ever := said(name); now != 0 || ever != want {
				t.Errorf("%s, later: %d differ, %d warnings, want %d", name, now, ever, want)
			}
		}
	})
}
