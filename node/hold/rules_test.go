package hold_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
	{"loans", hold.RuleLoans},
}

// shown has, for each rule that a class of fault schedules shows, a class and how many of its seeds are enough.
var shown = []struct {
	rule, class string
	seeds       uint64
}{
	{"start ID", "restart", 6},
	{"ask", "link", 4},
	{"probe", "link", 20},
	{"wake", "pause1", 12},
	{"step down", "pause1", 8},
	{"freeze", "blip", 30},
	{"keep old", "twocrash", 60},
	{"newest", "reboot", 30},
	{"acknowledge", "shortpause", 6},
	{"whole copy", "crash", 6},
	{"good", "split", 12},
	{"loans", "join", 6},
}

// unseen are the rules that nothing here shows, and why they are kept.
var unseen = map[string]string{
	"lower name":              "a tie-break: without it two claimers that cross both end busy, and one of them is quicker the next time",
	"wake before every event": "node's own look at the age of its tick, before it decides, covers for it; see n_stopped_receiver.txt",
	"copies go home":          "whoever would be home if the holder were gone is home itself where that is another",
	"remember releases":       "it saves a round of 130 ms, where a Release overtakes its Ask",
}

// TestRules turns each rule off, to see that it is missed: by a class of fault schedules here, by a timeline in TestScenarios, or by nothing,
// and then it says so.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range shown {
		seen[x.rule] = true
		c := classes[slices.IndexFunc(classes, func(c class) bool { return c.name == x.class })]
		t.Run(x.rule, func(t *testing.T) {
			for seed := range x.seeds {
				if wrong := judge(c, plan(c, seed, ruleNamed(t, x.rule))); len(wrong) > 0 {
					t.Logf("%s, seed %d: %s", x.class, seed, wrong[0])
					return
				}
			}
			t.Errorf("%d seeds of %s come out right without it", x.seeds, x.class)
		})
	}
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(l, "shows "); ok {
				seen[name] = true
			}
		}
	}
	for _, r := range ruleNames {
		if why := unseen[r.name]; seen[r.name] == (why != "") {
			t.Errorf("rule %q: shown %v, and listed as not shown: %q", r.name, seen[r.name], why)
		}
	}
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
