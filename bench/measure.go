package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/report"
)

// warm is how long a server is loaded, unmeasured, before a workload's first round: connections are opened, keys are
// seen for the first time, pools fill.
const warm = 500 * time.Millisecond

// A measurement is a run under way.
type measurement struct {
	o        *options
	servers  []*server
	rep      *report.Report
	run      string // begins every key, so that no run meets another's
	progress *report.Progress
}

// A contest is one server in one item: its session stays open over all rounds, so that keys, connections and the
// account go on.
type contest struct {
	*server
	session *load.Session
	row     *report.Row
	latency []*hdrhistogram.Histogram
}

// item measures one workload on all servers in turn, and adds its rows to the report.
func (m *measurement) item(ctx context.Context, it item) error {
	w, err := load.NewWorkload(it.name, it.batch, m.o.callers, m.o.seed)
	if err != nil {
		return err
	}
	offered := it.rate
	if it.percent > 0 {
		if offered, err = m.share(it); err != nil {
			return err
		}
	}
	var contests []*contest
	defer func() {
		for _, c := range contests {
			c.session.Close()
		}
	}()
	for _, s := range m.servers {
		prefix := fmt.Sprintf("%s/%s/", m.run, it.text)
		session, err := load.NewSession(s.target, w, prefix, m.o.callers)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		contests = append(contests, &contest{server: s, session: session, row: &report.Row{
			Workload: it.name, Batch: it.batch, Open: offered, Server: s.name, Nodes: s.nodes,
		}})
		m.progress.Step(warm, "%s: warming %s", it.text, s.name)
		if err := session.Warm(ctx, warm/2); err != nil {
			return fmt.Errorf("warm %s with %s: %w", s.name, it.text, err)
		}
	}
	for round := range m.o.rounds {
		for _, c := range contests {
			m.progress.Step(m.o.duration, "%s: round %d of %d, %s", it.text, round+1, m.o.rounds, c.name)
			if err := m.stretch(ctx, c, offered, uint64(round)); err != nil {
				return fmt.Errorf("%s, %s: %w", it.text, c.name, err)
			}
		}
	}
	for _, c := range contests {
		if c.counts {
			c.session.Finish(ctx)
			v := c.session.Verdict()
			c.row.Verdict = &v
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.row.Latency = summary(c.latency)
		m.rep.Rows = append(m.rep.Rows, c.row)
		c.row.Sum(m.rep.Find(it.name, it.batch, offered, "echo"))
	}
	return nil
}

// share returns the rate of requests that is the item's share of what Stint has reached in closed loop; where it is not
// measured, of what the first server has. All servers are then asked at this rate, for latencies compare only at the same load.
func (m *measurement) share(it item) (float64, error) {
	r := m.rep.Find(it.name, it.batch, 0, "stint")
	if r == nil {
		r = m.rep.Find(it.name, it.batch, 0, m.servers[0].name)
	}
	if r == nil || r.Median.Rate == 0 {
		return 0, fmt.Errorf("%s: no rate of the closed loop to take a share of", it.text)
	}
	rate := r.Median.Rate / float64(it.batch) * it.percent / 100
	return max(float64(int(rate)), 1), nil
}

// stretch runs one measured stretch. The processor time is read right before it and right after the last answer, so it covers
// exactly the requests that are counted.
func (m *measurement) stretch(ctx context.Context, c *contest, offered float64, round uint64) error {
	before, err := c.cpu()
	if err != nil {
		return err
	}
	own := ownCPU()
	var s load.Stretch
	if offered > 0 {
		s = c.session.Open(ctx, m.o.duration, load.Arrivals{Rate: offered, Poisson: m.o.arrivals == "poisson", Seed: m.o.seed + round})
	} else {
		s = c.session.Closed(ctx, m.o.duration)
	}
	own = ownCPU() - own
	after, err := c.cpu()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.Err != nil && c.row.Error == "" {
		c.row.Error = s.Err.Error()
	}
	c.row.Rounds = append(c.row.Rounds, report.NewRound(s, after-before, own))
	c.latency = append(c.latency, s.Latency)
	return nil
}

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// summary merges the latencies of all rounds.
func summary(all []*hdrhistogram.Histogram) report.Latency {
	h := all[0]
	for _, o := range all[1:] {
		h.Merge(o)
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	return report.Latency{
		P50: us(h.ValueAtQuantile(50)), P99: us(h.ValueAtQuantile(99)), P999: us(h.ValueAtQuantile(99.9)), Max: us(h.Max()),
	}
}
