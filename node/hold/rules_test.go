package hold_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stint-limiter/stint/node/hold"
)

var rulesOnly = flag.String("world.without", "", "with -world.rules: these rules only, separated by commas")

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

// TestRulesMatrix prints which classes of fault schedules show what each rule is for; docs/protocol-tests.md has its table.
func TestRulesMatrix(t *testing.T) {
	if *rulesSeeds == 0 {
		t.Skip("prints a table; see -world.rules")
	}
	for _, r := range ruleNames {
		if *rulesOnly != "" && !slices.Contains(strings.Split(*rulesOnly, ","), r.name) {
			continue
		}
		shown := false
		for _, c := range classes {
			if *worldClass != "" && !slices.Contains(strings.Split(*worldClass, ","), c.name) {
				continue
			}
			bad, first, kinds := 0, "", map[string]int{}
			for seed := *worldFirst; seed < *worldFirst+uint64(*rulesSeeds); seed++ {
				wrong := judge(c, plan(c, seed, r.rule))
				if len(wrong) == 0 {
					continue
				}
				if bad++; bad == 1 {
					first = fmt.Sprint(seed)
				}
				seen := map[string]bool{}
				for _, s := range wrong {
					kind, _, _ := strings.Cut(s, " ")
					if !seen[kind] {
						seen[kind] = true
						kinds[kind]++
					}
				}
			}
			if bad > 0 {
				shown = true
				t.Logf("| %s | %s | %d of %d | %s | %s |", r.name, c.name, bad, *rulesSeeds, strings.Trim(fmt.Sprint(kinds), "map[]"), first)
			}
		}
		if !shown {
			t.Logf("| %s | – | 0 of %d in each class | | |", r.name, *rulesSeeds)
		}
	}
}
