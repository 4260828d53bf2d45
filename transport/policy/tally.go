package policy

import (
	"sync/atomic"

	"github.com/stint-limiter/stint/transport"
)

// What became of the requests that each rule counted, for metrics: a shadow rule is of no use unless somebody can see
// whom it would have denied.

// RuleStats are the counters of one rule. They only rise, and begin again when the policy is reloaded.
type RuleStats struct {
	Policy, Rule string
	Allowed      uint64 // requests it counted that were allowed, by all rules, and by it though it be a shadow
	Denied       uint64 // requests that it denied: its was the deciding limit
	WouldDeny    uint64 // requests that it would have denied, were it not a shadow
}

type tally struct{ allowed, denied, wouldDeny atomic.Uint64 }

// Tally counts an answered plan. The doors call it once for each request that was decided, after Render; not for a peek. It may
// be called from many goroutines, and allocates nothing.
func (p *Policy) Tally(plan *Plan, decisions []transport.Decision, a *Answer) {
	run := p.ready()
	if a.By != nil && !a.Allowed {
		run.byName[a.By.Rule].tally.denied.Add(1)
	}
	for i := range decisions[:min(len(decisions), len(plan.Checks))] {
		limits := plan.Checks[i].Limits
		// The limits of one rule stand beside each other: each rule is counted once.
		for from := 0; from < len(limits); {
			rule, shadowed := limits[from].Rule, false
			for ; from < len(limits) && limits[from].Rule == rule; from++ {
				shadowed = shadowed || decisions[i].Shadowed&(1<<from) != 0
			}
			switch t := &run.byName[rule].tally; {
			case shadowed:
				t.wouldDeny.Add(1)
			case a.Allowed:
				t.allowed.Add(1)
			}
		}
	}
}

// RuleStats returns the counters of all rules, in file order.
func (p *Policy) RuleStats() []RuleStats {
	out := make([]RuleStats, 0, len(p.rules))
	for _, r := range p.rules {
		t := &r.tally
		out = append(out, RuleStats{Policy: p.Name, Rule: r.name, Allowed: t.allowed.Load(), Denied: t.denied.Load(), WouldDeny: t.wouldDeny.Load()})
	}
	return out
}
