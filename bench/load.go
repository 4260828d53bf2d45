package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/report"
)

// loadWord loads servers that already run. The servers' processor time is not known here, so it is not shown.
func loadWord(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	addrs := f.String("addr", "127.0.0.1:7070", "addresses to ask in turn, separated by commas: all nodes of one cluster")
	text := f.String("workload", "uniform", "what to ask; see help")
	duration := f.Duration("duration", 10*time.Second, "how long")
	callers := f.Int("callers", 64, "callers at the same time")
	arrivals := f.String("arrivals", "poisson", "open loop: poisson or constant")
	seed := f.Uint64("seed", 1, "of keys and arrivals")
	jsonFile := f.String("json", "", "write the figures to this `file`")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	it, err := parseItem(*text)
	if err != nil {
		return err
	}
	if it.percent > 0 {
		return fmt.Errorf("--workload %s: the closed loop's rate is not known here; say requests per second, %s@2000; %w", it.text, it.name, errUsage)
	}
	if *duration <= 0 || *callers < 1 || *callers > 10_000 {
		return fmt.Errorf("--duration is more than 0, --callers from 1 to 10000; %w", errUsage)
	}
	w, err := load.NewWorkload(it.name, it.batch, *callers, *seed)
	if err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	list := strings.Split(*addrs, ",")
	s, err := load.NewSession(load.HTTP{Addrs: list}, w, strconv.FormatUint(rand.Uint64(), 36)+"/", *callers)
	if err != nil {
		return err
	}
	defer s.Close()
	p := report.NewProgress(os.Stderr, warm+*duration)
	p.Step(warm, "%s: warming", it.text)
	err = s.Warm(ctx, warm/2)
	var t load.Stretch
	own := ownCPU()
	if err == nil {
		p.Step(*duration, "%s", it.text)
		if it.rate > 0 {
			t = s.Open(ctx, *duration, load.Arrivals{Rate: it.rate, Poisson: *arrivals == "poisson", Seed: *seed})
		} else {
			t = s.Closed(ctx, *duration)
		}
		own = ownCPU() - own
		s.Finish(ctx)
	}
	p.Close()
	if err != nil {
		return err
	}
	v := s.Verdict()
	row := &report.Row{
		Workload: it.name, Keys: w.Keys, Batch: it.batch, Open: it.rate, Server: "stint", Nodes: len(list),
		Rounds: []report.Round{report.NewRound(t, 0, own)}, Latency: summary([]*hdrhistogram.Histogram{t.Latency}), Verdict: &v,
	}
	if t.Err != nil {
		row.Error = t.Err.Error()
	}
	row.Sum(nil, nil)
	rep := &report.Report{
		Version: report.Version, Started: time.Now().Truncate(time.Second), Command: "bench load " + strings.Join(args, " "),
		Machine: report.ThisMachine(ctx), Callers: *callers, Seed: *seed, Rows: []*report.Row{row},
	}
	if err := rep.Print(os.Stdout); err != nil {
		return err
	}
	if *jsonFile != "" {
		if err := rep.WriteFile(*jsonFile); err != nil {
			return err
		}
	}
	if !v.Exact() {
		return errWrong
	}
	return ctx.Err()
}
