package hold_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// scenarioExpect reads what is to be so at a time.
func scenarioExpect(t *testing.T, line int, words []string, num func(int) int) func(p *play) {
	want := strings.Join(words[1:], " ")
	last := func() int { return num(len(words)) }
	switch words[0] {
	case "holder": // one, and who
		return func(p *play) {
			var holders []string
			for _, n := range p.world.alive() {
				if n.holds(0) && !n.paused {
					holders = append(holders, n.name)
				}
			}
			if got := strings.Join(holders, " "); got != want {
				p.failf("%q holds, not %q", got, want)
			}
		}
	case "state":
		return func(p *play) {
			if _, s := p.nodes[words[1]].m.Hold(0); s.String() != words[2] {
				p.failf("%s is %v, not %s", words[1], s, words[2])
			}
		}
	case "route":
		return func(p *play) {
			r := p.nodes[words[1]].m.Route(0)
			if got := strings.TrimSpace(r.Way.String() + " " + r.To); got != strings.Join(words[2:], " ") {
				p.failf("the route at %s is %q", words[1], got)
			}
		}
	case "keeper":
		return func(p *play) {
			for _, n := range p.world.alive() {
				if n.holds(0) && n.m.Explain(0).Keeper != words[1] {
					p.failf("%s has %q for its keeper, not %s", n.name, n.m.Explain(0).Keeper, words[1])
				}
			}
		}
	case "has": // has NAME N: how much of the key its lines count
		n := num(3)
		return func(p *play) {
			if got := p.nodes[words[1]].parts[0].lines.total(0); got != n {
				p.failf("%s counts %d, not %d", words[1], got, n)
			}
		}
	case "admitted", "failed", "longest", "holds", "lost":
		least, most := 0, last()
		switch {
		case len(words) == 2:
			least = most
		case words[1] == "to":
		case len(words) == 4 && words[2] == "to":
			least = num(2)
		default:
			t.Fatalf("line %d: %v: want N, `to N` or `M to N`", line+1, words)
		}
		return func(p *play) {
			got := p.count(words[0])
			if got < least || got > most {
				p.failf("%s: %d, not %d to %d", words[0], got, least, most)
			}
		}
	case "one":
		if want != "decider" {
			break
		}
		return func(p *play) {
			if len(p.stale) > 0 {
				p.failf("two decided: %s", p.stale[0])
			}
		}
	case "why":
		whys := []hold.Why{hold.Began, hold.Handed, hold.Copied, hold.Reset, hold.Resumed}
		i := slices.IndexFunc(whys, func(y hold.Why) bool { return y.String() == words[1] })
		if i < 0 {
			break
		}
		n := num(3)
		return func(p *play) {
			if got := p.claims[whys[i]]; got != n {
				p.failf("%d times %s, not %d", got, words[1], n)
			}
		}
	}
	t.Fatalf("line %d: %v is nothing to expect", line+1, words)
	return nil
}

// count is one number of the world's.
func (p *play) count(what string) int {
	switch what {
	case "admitted":
		return p.admitted[0][0]
	case "failed":
		return p.failures
	case "longest":
		return int((p.longest + ms - time.Nanosecond) / ms)
	case "holds": // how often somebody came to hold it
		n := 0
		for _, k := range p.claims {
			n += k
		}
		return n
	}
	lost := p.spent[0][0]
	for _, n := range p.world.alive() {
		if n.holds(0) {
			return lost - n.parts[0].lines.total(0)
		}
	}
	return lost
}
