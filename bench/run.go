package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bench/report"
)

// options are the flags of run.
type options struct {
	duration  time.Duration
	rounds    int
	workloads string
	servers   string
	callers   int
	nodes     int
	port      int
	arrivals  string
	seed      uint64
	json      string
	stint     string
	keep      bool
	quick     bool
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.DurationVar(&o.duration, "duration", 3*time.Second, "length of one measured stretch")
	f.IntVar(&o.rounds, "rounds", 3, "how often each workload is measured on each server, in turn")
	f.StringVar(&o.workloads, "workloads", defaultPlan, "what to measure; see help")
	f.StringVar(&o.servers, "servers", "echo,redis,stint", "whom to measure, in this order")
	f.IntVar(&o.callers, "callers", 64, "callers at the same time")
	f.IntVar(&o.nodes, "nodes", 3, "nodes of the Stint cluster")
	f.IntVar(&o.port, "port", 0, "the first node's `port`; the others are 10 higher each (0: free ones)")
	f.StringVar(&o.arrivals, "arrivals", "poisson", "open loop: poisson or constant")
	f.Uint64Var(&o.seed, "seed", 1, "of keys and arrivals")
	f.StringVar(&o.json, "json", "", "write the figures to this `file` (default out/bench-TIME.json)")
	f.StringVar(&o.stint, "stint", "", "the stint `binary` (default: build ./cmd/stint)")
	f.BoolVar(&o.keep, "keep-logs", false, "leave the servers' logs in place")
	f.BoolVar(&o.quick, "quick", false, "one round of half-second stretches: does it work at all? The figures mean little")
	return f
}

func (o *options) check(f *flag.FlagSet) error {
	if o.quick {
		set := map[string]bool{}
		f.Visit(func(f *flag.Flag) { set[f.Name] = true })
		if !set["duration"] {
			o.duration = 500 * time.Millisecond
		}
		if !set["rounds"] {
			o.rounds = 1
		}
	}
	switch {
	case o.duration < 100*time.Millisecond:
		return fmt.Errorf("--duration %v: processor time is counted in steps of 10 ms, so at least 100ms; %w", o.duration, errUsage)
	case o.rounds < 1 || o.callers < 1 || o.nodes < 1:
		return fmt.Errorf("--rounds, --callers and --nodes are at least 1; %w", errUsage)
	case o.callers > 10_000:
		return fmt.Errorf("--callers %d: at most 10000, each has a connection to every node; %w", o.callers, errUsage)
	case o.arrivals != "poisson" && o.arrivals != "constant":
		return fmt.Errorf("--arrivals %q: poisson or constant; %w", o.arrivals, errUsage)
	}
	return nil
}

// errWrong is exit status 1 for a count that is wrong.
var errWrong = errors.New("FAILED: Stint has admitted more or less than was due")

// runWord starts the servers, measures, prints the table and writes the JSON.
func runWord(ctx context.Context, args []string) (err error) {
	o := &options{}
	f := o.flags()
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := o.check(f); err != nil {
		return err
	}
	plan, err := parsePlan(o.workloads)
	if err != nil {
		return err
	}
	for _, it := range plan { // a wrong name should not be found after minutes
		if _, err := load.NewWorkload(it.name, it.batch, o.callers, o.seed); err != nil {
			return fmt.Errorf("%w; %w", err, errUsage)
		}
	}
	g, err := proc.NewGroup()
	if err != nil {
		return err
	}
	g.Keep = o.keep
	defer closeGroup(g, &err)

	rep := &report.Report{
		Version: report.Version, Started: time.Now().Truncate(time.Second), Command: "bench " + strings.Join(append([]string{"run"}, args...), " "),
		Machine: report.ThisMachine(ctx), Callers: o.callers, Seed: o.seed, Skipped: map[string]string{},
	}
	names := strings.Split(o.servers, ",")
	fmt.Fprintf(os.Stderr, "starting %s\n", strings.Join(names, ", "))
	var servers []*server
	for _, name := range names {
		s, err := start(ctx, g, name, o)
		var absent errAbsent
		if errors.As(err, &absent) {
			rep.Skipped[name] = absent.reason
			continue
		}
		if err != nil {
			return err
		}
		defer s.close()
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return fmt.Errorf("nobody to measure: %v", rep.Skipped)
	}

	m := &measurement{o: o, servers: servers, rep: rep, run: strconv.FormatUint(rand.Uint64(), 36)}
	m.progress = report.NewProgress(os.Stderr, time.Duration(len(plan)*len(servers))*(warm+time.Duration(o.rounds)*o.duration))
	for _, it := range plan {
		if err = m.item(ctx, it); err != nil {
			break
		}
	}
	m.progress.Close()
	// What was measured until a failure is shown all the same.
	if len(rep.Rows) > 0 {
		rep.Print(os.Stdout)
		if e := o.save(rep); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rep.Rows, wrong) {
		return errWrong
	}
	return nil
}

// wrong reports whether a row is Stint's and its count is not what was due. A rival's wrong count is shown; it is not
// a failure of this run.
func wrong(r *report.Row) bool { return r.Server == "stint" && r.Verdict != nil && !r.Verdict.Exact() }

func (o *options) save(rep *report.Report) error {
	if o.json == "" {
		o.json = filepath.Join("out", "bench-"+rep.Started.UTC().Format("20060102-150405")+".json")
	}
	if err := rep.WriteFile(o.json); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "figures in", o.json)
	return nil
}
