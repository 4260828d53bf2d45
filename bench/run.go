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
	others    string
	servers   string
	callers   int
	port      int
	arrivals  string
	seed      uint64
	json      string
	plots     string
	keep      bool
	quick     bool
	all       bool

	stint      string
	stintFlags string
	nodes      string
	backups    string
	leases     string
	cross      bool
	gubernator string
	memory     int
	processors int
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.DurationVar(&o.duration, "duration", 3*time.Second, "length of one measured stretch")
	f.IntVar(&o.rounds, "rounds", 3, "how often each workload is measured on each server, in turn")
	f.StringVar(&o.workloads, "workloads", defaultPlan, "what to measure; see help")
	f.StringVar(&o.others, "variant-workloads", variantPlan, "what to measure of the clusters after the first")
	f.StringVar(&o.servers, "servers", "echo,redis,stint", "whom to measure, in this order: echo, echoes (one for each node), redis, ratelimit, gubernator, stint")
	f.IntVar(&o.callers, "callers", 64, "callers at the same time")
	f.IntVar(&o.port, "port", 0, "the first node's `port`; the others are 10 higher each (0: free ones)")
	f.StringVar(&o.arrivals, "arrivals", "poisson", "open loop: poisson or constant")
	f.Uint64Var(&o.seed, "seed", 1, "of keys and arrivals")
	f.StringVar(&o.json, "json", "", "write the figures to this `file` (default out/bench-TIME.json)")
	f.StringVar(&o.plots, "plots", "", "draw plots into this `directory`")
	f.BoolVar(&o.keep, "keep-logs", false, "leave the servers' logs in place")
	f.BoolVar(&o.quick, "quick", false, "one round of half-second stretches: does it work at all? The figures mean little")
	f.BoolVar(&o.all, "all", false, "the whole matrix: all servers, batch sizes, numbers of keys, 3, 1 and 5 nodes, backups and leases on and off, memory (half an hour)")

	f.StringVar(&o.stint, "stint", "", "the stint `binary` (default: build ./cmd/stint)")
	f.StringVar(&o.stintFlags, "stint-flags", "", "further `flags` for every node, such as '--patience 2'")
	f.StringVar(&o.nodes, "nodes", "3", "nodes of the Stint cluster; with several `numbers`, 3,1,5, the others are measured after the first, each beside an echo")
	f.StringVar(&o.backups, "backups", "on", "`on|off`, or both: on,off")
	f.StringVar(&o.leases, "leases", "on", "`on|off`, or both: on,off")
	f.BoolVar(&o.cross, "cross", false, "each combination of --nodes, --backups and --leases, not one change at a time")
	f.IntVar(&o.processors, "processors", 0, "GOMAXPROCS of each node, and of each of the echoes, that share a machine (0: as many as it has)")
	f.StringVar(&o.gubernator, "gubernator", "", "`HOST:PORT` of the HTTP gateway of a gubernator that runs already, for --servers …,gubernator,…")
	f.IntVar(&o.memory, "memory", 0, "in the end, fill a node with so many `keys`, as the word memory does (0: don't)")
	return f
}

func (o *options) check(f *flag.FlagSet) error {
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	unless := func(name string, then func()) {
		if !set[name] {
			then()
		}
	}
	if o.all {
		unless("servers", func() { o.servers = "echo,echoes,redis,ratelimit,stint" })
		unless("workloads", func() { o.workloads = fullPlan })
		unless("nodes", func() { o.nodes = "3,1,5" })
		unless("backups", func() { o.backups = "on,off" })
		unless("leases", func() { o.leases = "on,off" })
		unless("memory", func() { o.memory = 5_000_000 })
	}
	if o.quick {
		unless("duration", func() { o.duration = 500 * time.Millisecond })
		unless("rounds", func() { o.rounds = 1 })
	}
	if o.gubernator != "" && !slices.Contains(strings.Split(o.servers, ","), "gubernator") {
		unless("servers", func() { o.servers = strings.Replace(o.servers, ",stint", ",gubernator,stint", 1) })
	}
	switch {
	case o.duration < 100*time.Millisecond:
		return fmt.Errorf("--duration %v: processor time is counted in steps of 10 ms, so at least 100ms; %w", o.duration, errUsage)
	case o.rounds < 1 || o.callers < 1:
		return fmt.Errorf("--rounds and --callers are at least 1; %w", errUsage)
	case o.callers > 10_000:
		return fmt.Errorf("--callers %d: at most 10000, each has a connection to every node; %w", o.callers, errUsage)
	case o.arrivals != "poisson" && o.arrivals != "constant":
		return fmt.Errorf("--arrivals %q: poisson or constant; %w", o.arrivals, errUsage)
	case o.processors < 0:
		return fmt.Errorf("--processors %d: at least 0; %w", o.processors, errUsage)
	case o.memory < 0 || o.memory > maxMemoryKeys:
		return fmt.Errorf("--memory %d: from 0 to %d keys; %w", o.memory, maxMemoryKeys, errUsage)
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
	groups, err := o.groups()
	if err != nil {
		return err
	}
	var planned time.Duration
	for _, g := range groups { // a wrong name should not be found after minutes
		for _, it := range g.plan {
			if _, err := load.NewWorkload(it.name, it.batch, o.callers, o.seed); err != nil {
				return fmt.Errorf("%w; %w", err, errUsage)
			}
		}
		planned += time.Duration(len(g.plan)*len(g.servers)) * (warm + time.Duration(o.rounds)*o.duration)
	}
	g, err := proc.NewGroup() // for the binary; each group of servers has one of its own
	if err != nil {
		return err
	}
	defer closeGroup(g, &err)
	if err := o.build(ctx, g, groups); err != nil {
		return err
	}

	rep := &report.Report{
		Version: report.Version, Started: time.Now().Truncate(time.Second), Command: "bench " + strings.Join(append([]string{"run"}, args...), " "),
		Machine: report.ThisMachine(ctx), Callers: o.callers, Seed: o.seed, Skipped: map[string]string{},
	}
	m := &measurement{o: o, rep: rep, run: strconv.FormatUint(rand.Uint64(), 36)}
	m.progress = report.NewProgress(os.Stderr, planned)
	for _, g := range groups {
		if err = m.measure(ctx, g); err != nil {
			break
		}
	}
	m.progress.Close()
	if err == nil && o.memory > 0 {
		err = o.measureMemory(ctx, rep)
	}
	// What was measured until a failure is shown all the same.
	if len(rep.Rows) > 0 {
		if e := o.show(rep); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	if len(rep.Rows) == 0 {
		return fmt.Errorf("nobody to measure: %v", rep.Skipped)
	}
	if slices.ContainsFunc(rep.Rows, wrong) || slices.ContainsFunc(rep.Memory, wrongMemory) {
		return errWrong
	}
	return nil
}

// build builds stint once, where it is measured and no binary was named.
func (o *options) build(ctx context.Context, g *proc.Group, groups []group) (err error) {
	needed := o.memory > 0
	for _, x := range groups {
		needed = needed || slices.Contains(x.servers, "stint")
	}
	if needed {
		o.stint, err = stintBinary(ctx, g, o.stint)
	}
	return err
}

// measure starts a group's servers, measures its plan and ends them.
func (m *measurement) measure(ctx context.Context, x group) (err error) {
	g, err := proc.NewGroup()
	if err != nil {
		return err
	}
	g.Keep = m.o.keep
	defer closeGroup(g, &err)
	if g.Keep {
		fmt.Fprintln(os.Stderr, "logs in", g.Dir)
	}
	m.group, m.servers, m.closed = x.name, nil, map[loadID]float64{}
	m.progress.Say("starting %s", strings.Join(x.servers, ", "))
	for _, name := range x.servers {
		s, err := start(ctx, g, name, m.o, x.variant, m.servers)
		var absent errAbsent
		if errors.As(err, &absent) {
			if x.name != "" {
				name = x.name + ": " + name
			}
			m.rep.Skipped[name] = absent.reason
			continue
		}
		if err != nil {
			return err
		}
		defer s.close()
		m.servers = append(m.servers, s)
	}
	if x.name != "" && len(m.servers) < len(x.servers) {
		return nil // an echo alone says nothing
	}
	if len(m.servers) == 0 {
		return nil
	}
	for _, it := range x.plan {
		if err := m.item(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// measureMemory is the word memory, as the last part of a run.
func (o *options) measureMemory(ctx context.Context, rep *report.Report) error {
	mo := memoryOptions{keys: o.memory, stint: o.stint, stintFlags: o.stintFlags, rate: memoryRate, rest: 10 * time.Second, load: 10 * time.Second}
	m, err := mo.measure(ctx)
	if err != nil {
		return err
	}
	rep.Memory = append(rep.Memory, m)
	return nil
}

// show prints the report, writes its JSON, and draws the plots that were asked for.
func (o *options) show(rep *report.Report) error {
	if err := rep.Print(os.Stdout); err != nil {
		return err
	}
	if o.json == "" {
		o.json = filepath.Join("out", "bench-"+rep.Started.UTC().Format("20060102-150405")+".json")
	}
	if err := rep.WriteFile(o.json); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "figures in", o.json)
	return draw(rep, o.plots)
}

// wrong reports whether a row is Stint's and its count is not what was due. A rival's wrong count is shown; it is not
// a failure of this run.
func wrong(r *report.Row) bool { return r.Server == "stint" && r.Verdict != nil && !r.Verdict.Exact() }

func wrongMemory(m *report.Memory) bool { return m.Bad != "" }
