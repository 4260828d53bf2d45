package hold_test

import (
	"flag"
	"testing"

	"github.com/stint-limiter/stint/node/hold"
)

var rulesSeeds = flag.Int("world.rules", 0, "run so many seeds of every class without each rule, and print what breaks")

// ruleNames are all rules that a machine can be told to leave out.
var ruleNames = []struct {
	name string
	rule hold.Rules
}{
	{"start ID", hold.RuleStartID},
	{"ask", hold.RuleAsk},
	{"probe", hold.RuleProbe},
	{"promise", hold.RulePromise},
	{"lower name", hold.RuleLowerName},
	{"wake", hold.RuleWake},
	{"wake before every event", hold.RuleWakeEvery},
	{"step down", hold.RuleStepDown},
	{"freeze", hold.RuleFreeze},
	{"claim back", hold.RuleClaimBack},
	{"keep old", hold.RuleKeepOld},
	{"newest", hold.RuleNewest},
	{"acknowledge", hold.RuleAcknowledge},
	{"whole copy", hold.RuleWholeCopy},
	{"keeper", hold.RuleKeeper},
	{"in flight", hold.RuleInFlight},
	{"floor", hold.RuleFloor},
	{"home agrees", hold.RuleHomeAgrees},
	{"good", hold.RuleGood},
	{"return copy", hold.RuleReturnCopy},
	{"copies go home", hold.RuleRemoteHome},
	{"remember releases", hold.RuleReleaseRemember},
}

func TestRulesMatrix(t *testing.T) {
	if *rulesSeeds == 0 {
		t.Skip("prints a table; see -world.rules")
	}
	for _, r := range ruleNames {
		for _, c := range classes {
			bad, first := 0, ""
			kinds := map[string]int{}
			for seed := range uint64(*rulesSeeds) {
				w := plan(c, seed, r.rule)
				if wrong := judge(c, w); len(wrong) > 0 {
					bad++
					if first == "" {
						first = wrong[0]
					}
					for _, s := range wrong {
						k := s
						for i, ch := range s {
							if ch == ' ' {
								k = s[:i]
								break
							}
						}
						kinds[k]++
					}
				}
			}
			if bad > 0 {
				t.Logf("%-24s %-10s %3d of %d %v %.160s", r.name, c.name, bad, *rulesSeeds, kinds, first)
			}
		}
	}
}
