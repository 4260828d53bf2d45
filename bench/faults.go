package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stint-limiter/stint/bench/fault"
	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bench/report"
)

type faultOptions struct {
	only, binary, json, flags string
	runs                      int
	list                      bool
	of                        fault.Options
}

func (o *faultOptions) flagSet() *flag.FlagSet {
	f := flag.NewFlagSet("faults", flag.ContinueOnError)
	f.StringVar(&o.only, "only", "", "`scenarios` to run, NAME,… (default: all; see --list)")
	f.BoolVar(&o.list, "list", false, "say what scenarios there are, and run none")
	f.IntVar(&o.runs, "runs", 3, "how often to run each; another node is hit in every run")
	f.IntVar(&o.of.Keys, "keys", 200, "`keys` to ask for")
	f.IntVar(&o.of.Callers, "callers", 32, "`callers` that ask one check after another")
	f.Int64Var(&o.of.Rate, "rate", 1000, "`checks` a second, but where a scenario asks as fast as it can")
	f.BoolVar(&o.of.Quick, "quick", false, "shorter pauses and splits, and one run unless --runs says otherwise")
	f.StringVar(&o.json, "json", "", "`file` to write all figures to")
	f.StringVar(&o.binary, "stint", "", "the stint `binary` (default: build ./cmd/stint)")
	f.StringVar(&o.flags, "flags", "", "further `flags` for every node, such as '--patience 2'")
	f.BoolVar(&o.of.Keep, "keep", false, "keep the logs of rows that fail")
	return f
}

// chosen returns the scenarios to run.
func (o *faultOptions) chosen() ([]fault.Scenario, error) {
	all := fault.Scenarios()
	if o.only == "" {
		return all, nil
	}
	var some []fault.Scenario
	for name := range strings.SplitSeq(o.only, ",") {
		i := slices.IndexFunc(all, func(s fault.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--only %q: there is no such scenario, see --list; %w", name, errUsage)
		}
		some = append(some, all[i])
	}
	return some, nil
}

func (o *faultOptions) check(f *flag.FlagSet) error {
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.of.Quick && !set["runs"] {
		o.runs = 1
	}
	o.of.Flags = strings.Fields(o.flags)
	switch {
	case o.runs < 1 || o.of.Keys < 1:
		return fmt.Errorf("--runs and --keys are at least 1; %w", errUsage)
	case o.of.Callers < 1 || o.of.Callers > 1000:
		return fmt.Errorf("--callers %d: 1 to 1000; %w", o.of.Callers, errUsage)
	case o.of.Rate < 1 || o.of.Rate > 1_000_000:
		return fmt.Errorf("--rate %d: 1 to 1000000; %w", o.of.Rate, errUsage)
	}
	return nil
}

// A faultsReport is what --json writes.
type faultsReport struct {
	Version int            `json:"version"`
	Started time.Time      `json:"started"`
	Command string         `json:"command"`
	Machine report.Machine `json:"machine"`
	Rows    []*fault.Row   `json:"rows"`
}

// faultsWord runs the scenarios, one row each and run, and prints the table. It is an error when a row has failed.
func faultsWord(ctx context.Context, args []string) (err error) {
	o := &faultOptions{}
	f := o.flagSet()
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := o.check(f); err != nil {
		return err
	}
	chosen, err := o.chosen()
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range chosen {
			fmt.Printf("  %-15s %s\n", s.Name, s.About)
		}
		return nil
	}
	g, err := proc.NewGroup() // for the binary; each scenario has a group of its own
	if err != nil {
		return err
	}
	defer closeGroup(g, &err)
	if o.of.Binary, err = stintBinary(ctx, g, o.binary); err != nil {
		return err
	}
	rep := &faultsReport{
		Version: 1, Started: time.Now().Truncate(time.Second), Machine: report.ThisMachine(ctx),
		Command: "bench " + strings.Join(append([]string{"faults"}, args...), " "),
	}
	if err := o.runAll(ctx, chosen, rep); err != nil {
		return err
	}
	fmt.Printf("%s  %s\n%s\n\n", rep.Started.Format(time.RFC3339), rep.Command, rep.Machine)
	if err := fault.Print(os.Stdout, rep.Rows); err != nil {
		return err
	}
	if o.json != "" {
		if err := rep.write(o.json); err != nil {
			return err
		}
	}
	wrong := 0
	for _, r := range rep.Rows {
		if r.Wrong() {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("FAILED: %d of %d rows", wrong, len(rep.Rows))
	}
	return nil
}

// runAll runs each scenario so many times, all of them once before any a second time.
func (o *faultOptions) runAll(ctx context.Context, chosen []fault.Scenario, rep *faultsReport) error {
	var planned time.Duration
	for _, s := range chosen {
		planned += time.Duration(o.runs) * o.of.Duration(s)
	}
	progress := report.NewProgress(os.Stderr, planned)
	defer progress.Close()
	for run := range o.runs {
		for _, s := range chosen {
			name := s.Name
			if o.runs > 1 {
				name += fmt.Sprintf(" %d/%d", run+1, o.runs)
			}
			of := o.of
			of.Run = run
			of.Step = func(what string) { progress.Say("%s: %s", name, what) }
			progress.Step(of.Duration(s), "%s", name)
			row, err := fault.Run(ctx, s, of)
			if err != nil {
				return err
			}
			rep.Rows = append(rep.Rows, row)
			progress.Say("%s: %s", name, row.Verdict())
		}
	}
	// Runs of one scenario stand together.
	slices.SortStableFunc(rep.Rows, func(a, b *fault.Row) int { return place(chosen, a.Scenario) - place(chosen, b.Scenario) })
	return nil
}

func place(chosen []fault.Scenario, name string) int {
	return slices.IndexFunc(chosen, func(s fault.Scenario) bool { return s.Name == name })
}

func (r *faultsReport) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
