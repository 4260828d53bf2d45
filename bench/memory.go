package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bench/report"
)

const (
	// maxMemoryKeys is what 24 GiB have room for, here and in the node.
	maxMemoryKeys = 50_000_000
	// A prober asks for so many checks a second: a stall of a millisecond is seen. It has enough callers to ask on time also while answers are late.
	probeRate, probeCallers = 1000, 32
	// longest bounds one step: a prober has a queue for all of it.
	longest = 10 * time.Minute
	// memoryBatch is how many keys one request asks for.
	memoryBatch = 100
)

// memoryOptions are the flags of memory.
type memoryOptions struct {
	keys       int
	stint      string
	stintFlags string
	rate       float64
	rest, load time.Duration
	json       string
}

// The node is not filled and loaded as fast as it can: where all cores are busy a probe waits for them, not for the node.
const memoryRate = 100_000

// memoryCallers fill and load.
const memoryCallers = 8

func (o *memoryOptions) flags() *flag.FlagSet {
	f := flag.NewFlagSet("memory", flag.ContinueOnError)
	f.IntVar(&o.keys, "keys", 5_000_000, "how many `keys` to fill the node with")
	f.StringVar(&o.stint, "stint", "", "the stint `binary` (default: build ./cmd/stint)")
	f.StringVar(&o.stintFlags, "stint-flags", "", "further `flags` for the node")
	f.Float64Var(&o.rate, "rate", memoryRate, "keys a second to fill and load it with, 100 a request")
	f.DurationVar(&o.rest, "rest", 10*time.Second, "how long to leave the full node alone, but for the probes")
	f.DurationVar(&o.load, "load", 10*time.Second, "how long to load it then")
	f.StringVar(&o.json, "json", "", "write the figures to this `file` (default out/memory-TIME.json)")
	return f
}

func (o *memoryOptions) check() error {
	switch {
	case o.keys < 1000 || o.keys > maxMemoryKeys:
		return fmt.Errorf("--keys %d: from 1000 to %d; %w", o.keys, maxMemoryKeys, errUsage)
	case !(o.rate >= 1000) || o.rate > 10_000_000:
		return fmt.Errorf("--rate %v: from 1000 to 10000000; %w", o.rate, errUsage)
	case float64(o.keys)/o.rate > longest.Seconds()-10 || max(o.rest, o.load) >= longest:
		return fmt.Errorf("--keys %d at --rate %v, --rest and --load: each is to take less than %v; %w", o.keys, o.rate, longest, errUsage)
	case o.rest < 100*time.Millisecond || o.load < 100*time.Millisecond:
		return fmt.Errorf("--rest and --load are at least 100ms; %w", errUsage)
	}
	return nil
}

// memoryWord fills one node and prints what a line costs and how long the node stood still.
func memoryWord(ctx context.Context, args []string) (err error) {
	o := &memoryOptions{}
	f := o.flags()
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	g, err := proc.NewGroup()
	if err != nil {
		return err
	}
	defer closeGroup(g, &err)
	if o.stint, err = stintBinary(ctx, g, o.stint); err != nil {
		return err
	}
	rep := &report.Report{
		Version: report.Version, Started: time.Now().Truncate(time.Second), Command: "bench " + strings.Join(append([]string{"memory"}, args...), " "),
		Machine: report.ThisMachine(ctx), Callers: memoryCallers,
	}
	m, err := o.measure(ctx)
	if err != nil {
		return err
	}
	rep.Memory = append(rep.Memory, m)
	if err := rep.Print(os.Stdout); err != nil {
		return err
	}
	if o.json == "" {
		o.json = filepath.Join("out", "memory-"+rep.Started.UTC().Format("20060102-150405")+".json")
	}
	if err := rep.WriteFile(o.json); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "figures in", o.json)
	if wrongMemory(m) {
		return errWrong
	}
	return nil
}

// A filling is a measurement of memory under way.
type filling struct {
	node   *server
	probes []*probe // of the node, then of the echo
	m      *report.Memory
}

// A probe asks one server for one key again and again.
type probe struct {
	session *load.Session
	lat     *hdrhistogram.Histogram // of the present step
	failed  error                   // the first check that failed
}

// measure starts one node and an echo, fills the node, leaves it alone, loads it, and looks at it in each step.
func (o *memoryOptions) measure(ctx context.Context) (m *report.Memory, err error) {
	g, err := proc.NewGroup()
	if err != nil {
		return nil, err
	}
	defer closeGroup(g, &err)
	flags := append([]string{"--max-lines", strconv.Itoa(o.keys + o.keys/8 + 10_000)}, strings.Fields(o.stintFlags)...)
	node, err := startStint(ctx, g, &options{stint: o.stint, stintFlags: strings.Join(flags, " ")}, variant{nodes: 1, backups: true, leases: true})
	if err != nil {
		return nil, err
	}
	echo, err := startEcho(ctx, g, 0)
	if err != nil {
		return nil, err
	}
	w, err := load.NewWorkload("uniform:"+strconv.Itoa(o.keys), memoryBatch, memoryCallers, 1)
	if err != nil {
		return nil, err
	}
	run := strconv.FormatUint(rand.Uint64(), 36)
	filler, err := load.NewSession(node.target, w, run+"/", memoryCallers)
	if err != nil {
		return nil, err
	}
	defer filler.Close()

	fl := &filling{node: node, m: &report.Memory{Keys: o.keys, Limit: w.Terms[0].Limits[0], Nodes: 1, Variant: o.stintFlags}}
	for _, s := range []*server{node, echo} {
		p, err := newProbe(ctx, s, run)
		if err != nil {
			return nil, err
		}
		defer p.session.Close()
		fl.probes = append(fl.probes, p)
	}
	filling := time.Duration(float64(o.keys) / o.rate * 1e9)
	progress := report.NewProgress(os.Stderr, o.rest/2+filling+o.rest+o.load)
	defer progress.Close()

	progress.Step(o.rest/2, "memory: before")
	if err := fl.step(ctx, "before", func() float64 { sleep(ctx, o.rest/2); return 0 }); err != nil {
		return nil, err
	}
	progress.Step(filling, "memory: filling")
	if err := fl.step(ctx, "while filling", func() float64 {
		t := filler.Fill(ctx, o.rate, nil)
		fl.m.Seconds = t.Elapsed.Seconds()
		return t.Rate()
	}); err != nil {
		return nil, err
	}
	progress.Step(o.rest, "memory: at rest")
	if err := fl.step(ctx, "at rest", func() float64 { sleep(ctx, o.rest); return 0 }); err != nil {
		return nil, err
	}
	progress.Step(o.load, "memory: under load")
	if err := fl.step(ctx, "under load", func() float64 {
		t := filler.Open(ctx, o.load, load.Arrivals{Rate: o.rate / memoryBatch})
		return t.Rate()
	}); err != nil {
		return nil, err
	}
	fl.m.Sum()
	fl.judge(filler.Verdict())
	if wrongMemory(fl.m) {
		fmt.Fprintf(os.Stderr, "the node's log ends\n%s", node.cluster.Tails(20))
	}
	return fl.m, nil
}

// judge says what is wrong with the counts: each key was asked for once, and all of them are there.
func (fl *filling) judge(v load.Verdict) {
	filled := fl.m.Steps[1]
	switch {
	case !v.Exact():
		fl.m.Bad = fmt.Sprintf("%d hits over, %d under: %s", v.Over, v.Under, v.Bad)
	case v.Failed > 0:
		fl.m.Bad = fmt.Sprintf("%d checks failed", v.Failed)
	case filled.Lines < float64(fl.m.Keys):
		fl.m.Bad = fmt.Sprintf("%.0f lines in memory after %d keys", filled.Lines, fl.m.Keys)
	}
	for _, p := range fl.probes {
		if p.failed != nil && fl.m.Bad == "" {
			fl.m.Bad = fmt.Sprintf("a probe failed: %v", p.failed)
		}
	}
}

func newProbe(ctx context.Context, s *server, run string) (*probe, error) {
	w, err := load.NewWorkload("hot:1", 1, probeCallers, 1)
	if err != nil {
		return nil, err
	}
	session, err := load.NewSession(s.target, w, run+"/probe/", probeCallers)
	if err != nil {
		return nil, err
	}
	if err := session.Warm(ctx, 100*time.Millisecond); err != nil {
		session.Close()
		return nil, fmt.Errorf("probe %s: %w", s.name, err)
	}
	return &probe{session: session}, nil
}

// step does one step, with the probes beside it, and looks at the node after. What it does returns a rate.
//
// Probes are open loops: a check is due each millisecond, and its latency runs from then. So all that were due while the server, or the machine,
// stood still have their share of it.
func (fl *filling) step(ctx context.Context, name string, do func() float64) error {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, p := range fl.probes {
		wg.Go(func() {
			t := p.session.Open(probing, longest, load.Arrivals{Rate: probeRate})
			p.lat = t.Latency
			if t.Err != nil && p.failed == nil {
				p.failed = t.Err
			}
		})
	}
	rate := do()
	stop()
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	rss, err := fl.node.rss()
	if err != nil {
		return err
	}
	s := report.MemoryStep{
		Name: name, RSS: rss, Rate: rate, Lines: sum(ctx, fl.node.cluster, "stint_lines"),
		GC: 1e6 * sum(ctx, fl.node.cluster, `go_gc_duration_seconds{quantile="1"}`),
	}
	s.Node = summary([]*hdrhistogram.Histogram{fl.probes[0].lat})
	s.Echo = summary([]*hdrhistogram.Histogram{fl.probes[1].lat})
	fl.m.Steps = append(fl.m.Steps, s)
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
