package fault

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRowIsJudgedByItsBounds(t *testing.T) {
	for _, x := range []struct {
		name string
		a    Account
		b    Bounds
		says string
	}{
		{"exact", Account{}, Bounds{}, ""},
		{"over", Account{Over: 3}, Bounds{Over: 2}, "3 over"},
		{"over within", Account{Over: 3, MostOver: 3}, Bounds{Over: 3}, ""},
		{"over, by limits", Account{Over: 300, MostOver: 1}, Bounds{OverLimits: 1}, ""},
		{"over, by limits, on one key", Account{Over: 11, MostOver: 1.1}, Bounds{OverLimits: 1}, "1.10 times"},
		{"under on one key", Account{Under: 5, MostUnder: 2}, Bounds{Under: 1}, "5 under"},
		{"under on many", Account{Under: 5, MostUnder: 1}, Bounds{Under: 1}, ""},
		{"under on a key that is lent", Account{Under: 5, MostUnderLent: 2}, Bounds{Under: 1}, "5 under"},
		{"under within what was on loan", Account{Under: 5, MostUnderLent: 5}, Bounds{Under: 1, Lent: 4}, ""},
		{"failed", Account{Failed: 4}, Bounds{Failed: 3}, "4 failed"},
		{"failed, not judged", Account{Failed: 4}, Bounds{Unjudged: true}, ""},
		{"lost", Account{Lost: 4}, Bounds{}, ""},
		{"slow", Account{Slowest: 301 * time.Millisecond}, Bounds{Slowest: 300 * time.Millisecond}, "slowest 301ms"},
		{"slow, not judged", Account{Slowest: time.Second}, Bounds{}, ""},
	} {
		x.a.Asked = 1
		r := &Row{Account: x.a, Bounds: x.b}
		r.judge()
		if r.Wrong() != (x.says != "") || !strings.Contains(r.Verdict(), x.says) {
			t.Errorf("%s: %s", x.name, r.Verdict())
		}
	}
	r := &Row{}
	if r.judge(); !r.Wrong() {
		t.Error("a row that has asked nothing has passed")
	}
}

func TestPrint(t *testing.T) {
	good := &Row{Scenario: "calm", Run: 1, Account: Account{Asked: 9, Admitted: 10, Due: 10, Slowest: 5 * time.Millisecond}}
	good.note(true, "ready after 1.0 s")
	bad := &Row{Scenario: "kill-load", Run: 2, Account: Account{Asked: 9, Admitted: 14, Due: 10, Over: 4, Examples: []string{"k0: 14"}}, Bounds: Bounds{Over: 3}}
	bad.judge()
	bad.note(false, "not ready")
	skipped := &Row{Scenario: "link", Run: 1, Skipped: "no root"}
	split := &Row{Scenario: "split", Run: 1, Account: Account{Asked: 9, Over: 7, MostOver: 0.5}, Bounds: Bounds{OverLimits: 1}}
	var b bytes.Buffer
	if err := Print(&b, []*Row{good, bad, skipped, split}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	for _, want := range []string{
		"calm 1 10 10 0 0 0 0 5 ms ready after 1.0 s ok",
		"kill-load 2 14 10 4 ≤ 3 0 0 0 0 ms FAILED",
		"link 1 – – – – – – – skipped: no root",
		"split 1 0 0 7, 0.5 × limit ≤ 1 0 0 0 0 ms ok",
		"kill-load, run 2: 4 over; not ready", "k0: 14",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
}

func TestEveryScenarioIsOneOfAKind(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Scenarios() {
		if names[s.Name] || s.About == "" || s.Nodes < 3 || s.story == nil || s.Lasts < s.Quick || s.Quick <= 0 {
			t.Errorf("%+v", s)
		}
		names[s.Name] = true
	}
}

// Who only comes and goes in order costs nobody a hit that was lent.
func TestNothingOnLoanIsLostInOrder(t *testing.T) {
	inOrder := []string{"calm", "join-leave", "rolling", "data"}
	for _, s := range Scenarios() {
		if b := s.bounds(); b.Under != 1 || (b.Lent == 0) != slices.Contains(inOrder, s.Name) {
			t.Errorf("%s: %+v", s.Name, b)
		}
	}
}

func TestAStintWithoutTheFlagsIsNamed(t *testing.T) {
	// echo says what it is given: serve --help.
	if err := hasFlags(t.Context(), "echo", []string{"--data", "DIR", "--on-split"}); err == nil || !strings.Contains(err.Error(), "no --data, --on-split") {
		t.Errorf("got %v", err)
	}
	if err := hasFlags(t.Context(), "/no/such/program", nil); err != nil {
		t.Errorf("no flags: %v", err)
	}
	row, err := Run(t.Context(), Scenario{Name: "x", Flags: []string{"--data"}}, Options{Binary: "echo"})
	if err != nil || !row.Wrong() || !strings.Contains(row.Verdict(), "no --data") {
		t.Errorf("%v, %v", row, err)
	}
}

func TestCountersThatAreTold(t *testing.T) {
	for line, name := range map[string]string{
		`stint_partition_resets_total{cause="join"} 12`: "partition_resets_total",
		`stint_backup_pending 3`:                        "backup_pending",
		`stint_wakes_total 1e+06`:                       "wakes_total",
		`stint_lines 5`:                                 "",
		`# HELP stint_wakes_total Wakes.`:               "",
		`go_gc_resets_total 5`:                          "",

		`stint_partitions_opened_total{why="copied"} 7`:  "partitions_opened_total_copied",
		`stint_partitions_opened_total{why="reset"} 7`:   "partitions_opened_total_reset",
		`stint_partitions_shut_total{how="claimed"} 7`:   "partitions_shut_total_claimed",
		`stint_partitions_held 7`:                        "",
		`stint_partitions_opened_total{why="began"} +Ix`: "",
	} {
		if got, _, ok := tell(line); ok != (name != "") || got != name && ok {
			t.Errorf("%s: %q, %v", line, got, ok)
		}
	}
}
