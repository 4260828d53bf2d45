package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/report"
)

// warm is how long a server is loaded, unmeasured, before a workload's first round: connections are opened, keys are
// seen for the first time, pools fill.
const warm = 500 * time.Millisecond

// A measurement is a run under way: one group of servers after another.
type measurement struct {
	o        *options
	rep      *report.Report
	run      string // begins every key, so that no run meets another's
	progress *report.Progress

	group   string
	servers []*server
	closed  map[loadID]float64 // requests per second that the group's Stint, else its first server, has reached in closed loop, by workload
}

// A contest is one server in one item: its session stays open over all rounds, so that keys, connections and the
// account go on.
type contest struct {
	*server
	session *load.Session
	row     *report.Row
	latency []*hdrhistogram.Histogram
	lost    float64 // before the first check
	wakes   float64 // likewise
}

// item measures one workload on all servers of the group in turn, and adds its rows to the report.
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
	contests, err := m.contests(ctx, it, w, offered)
	defer func() {
		for _, c := range contests {
			c.session.Close()
		}
	}()
	if err != nil {
		return err
	}
	for round := range m.o.rounds {
		for _, c := range contests {
			m.progress.Step(m.o.duration, "%s: round %d of %d, %s", m.named(it), round+1, m.o.rounds, c.name)
			if err := m.stretch(ctx, c, offered, uint64(round)); err != nil {
				return fmt.Errorf("%s, %s: %w", m.named(it), c.name, err)
			}
		}
	}
	for _, c := range contests {
		if c.counts {
			m.progress.Say("%s: counting, %s", m.named(it), c.name)
			c.session.Finish(ctx)
			v := c.session.Verdict()
			v.Lost = uint64(max(c.server.lost(ctx)-c.lost, 0))
			c.row.Verdict = &v
			c.row.Wakes = uint64(max(c.server.wakes(ctx)-c.wakes, 0))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.row.Latency = summary(c.latency)
		c.row.Sum(rowOf(contests, "echo"), rowOf(contests, "redis"))
		m.rep.Rows = append(m.rep.Rows, c.row)
	}
	if r := rowOf(contests, "stint"); !it.open() && r != nil {
		m.closed[it.id()] = r.Median.Rate / float64(it.batch)
	} else if !it.open() && len(contests) > 0 {
		m.closed[it.id()] = contests[0].row.Median.Rate / float64(it.batch)
	}
	return nil
}

// named is the item with its group, for progress and errors.
func (m *measurement) named(it item) string {
	if m.group == "" {
		return it.text
	}
	return m.group + ", " + it.text
}

// contests opens a session with every server that can be asked for the workload, and warms it.
func (m *measurement) contests(ctx context.Context, it item, w *load.Workload, offered float64) ([]*contest, error) {
	var contests []*contest
	for _, s := range m.servers {
		m.progress.Step(warm, "%s: warming %s", m.named(it), s.name)
		prefix := fmt.Sprintf("%s/%s/", m.run, it.text)
		session, err := load.NewSession(s.target, w, prefix, m.o.callers)
		var unable load.Unable
		if errors.As(err, &unable) {
			m.rep.Skipped[s.name+", "+it.text] = unable.Error()
			continue
		}
		if err != nil {
			return contests, fmt.Errorf("%s: %w", s.name, err)
		}
		lost, wakes := s.lost(ctx), s.wakes(ctx)
		err = session.Warm(ctx, warm/2)
		if err != nil && s.rival() && ctx.Err() == nil {
			session.Close()
			m.rep.Skipped[s.name+", "+it.text] = err.Error() // what a rival cannot do is no reason to measure nothing else
			continue
		}
		contests = append(contests, &contest{server: s, session: session, lost: lost, wakes: wakes, row: &report.Row{
			Group: m.group, Workload: it.name, Keys: w.Keys, Batch: it.batch, Open: offered, Share: it.percent,
			Server: s.name, Nodes: s.nodes, Procs: s.gomaxprocs, Variant: s.variant,
		}})
		if err != nil {
			return contests, fmt.Errorf("warm %s with %s: %w", s.name, m.named(it), err)
		}
	}
	return contests, nil
}

// rowOf returns the row of a server, nil where it is not among the contests.
func rowOf(contests []*contest, name string) *report.Row {
	i := slices.IndexFunc(contests, func(c *contest) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return contests[i].row
}

// share returns the rate of requests that is the item's share of what Stint has reached in closed loop; where it is not
// measured, of what the first server has. All servers are then asked at this rate, for latencies compare only at the same load.
func (m *measurement) share(it item) (float64, error) {
	rate := m.closed[it.id()]
	if rate == 0 {
		return 0, fmt.Errorf("%s: no rate of the closed loop to take a share of", it.text)
	}
	return max(float64(int(rate*it.percent/100)), 1), nil
}

// stretch runs one measured stretch. The processor time is read right before it and right after the last answer, so it covers
// exactly the requests that are counted. Allocations are read around that, and one look at them is taken off.
func (m *measurement) stretch(ctx context.Context, c *contest, offered float64, round uint64) error {
	mallocs := c.mallocs(ctx)
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
	mallocs = c.mallocs(ctx) - mallocs - c.scrape
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.Err != nil && c.row.Error == "" {
		c.row.Error = s.Err.Error()
	}
	r := report.NewRound(s, after-before, own)
	if n := s.Checks - s.Failed; n > 0 && c.cluster != nil {
		r.Allocs = max(mallocs, 1) / float64(n) // 0 would say that it is not known
	}
	c.row.Rounds = append(c.row.Rounds, r)
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
		P50: us(h.ValueAtQuantile(50)), P90: us(h.ValueAtQuantile(90)), P99: us(h.ValueAtQuantile(99)), P999: us(h.ValueAtQuantile(99.9)), Max: us(h.Max()),
	}
}
