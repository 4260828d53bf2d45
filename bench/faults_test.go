package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFaultsAreChosen(t *testing.T) {
	o := &faultOptions{}
	f := o.flagSet()
	if err := f.Parse([]string{"--quick", "--only", "rolling,calm", "--flags", "--patience 2"}); err != nil {
		t.Fatal(err)
	}
	if err := o.check(f); err != nil || o.runs != 1 || len(o.of.Flags) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if some, err := o.chosen(); err != nil || len(some) != 2 || some[0].Name != "rolling" {
		t.Errorf("%+v, %v", some, err)
	}
	o = &faultOptions{}
	if err := o.check(o.flagSet()); err != nil || o.runs != 3 {
		t.Errorf("%+v, %v", o, err)
	}
}

// Some of the scenarios with real processes, in their short form. `go run ./bench faults` has all of them.
func TestFaults(t *testing.T) {
	if os.Getenv("STINT_FAULTS") == "" {
		t.Skip("set STINT_FAULTS: make test does, once the other tests are done, for it takes the whole machine")
	}
	file := filepath.Join(t.TempDir(), "x.json")
	// A machine that runs tests may be busy with other things: patience is for that, and nothing is said of how quick a failover is.
	err := dispatch(t.Context(), []string{"faults", "--quick", "--flags", "--patience 3", "--json", file,
		"--only", "calm,join-leave,rolling,kill-idle,quick-restart,pause-1"})
	b, e := os.ReadFile(file)
	if e != nil {
		t.Fatal(err, e)
	}
	var rep faultsReport
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 6 {
		t.Errorf("%d rows", len(rep.Rows))
	}
	for _, r := range rep.Rows {
		slow := func(why string) bool { return strings.HasPrefix(why, "slowest") }
		if r.Why = slices.DeleteFunc(r.Why, slow); r.Wrong() {
			t.Errorf("%s: %s; %q", r.Scenario, r.Verdict(), r.Examples)
		}
	}
	t.Log(err)
}
