package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stint-limiter/stint/bench/plot"
)

// Plots draws what the report has figures for, each picture by its file name.
func (r *Report) Plots() map[string][]byte {
	all := map[string][]byte{}
	r.bars(all, "throughput.svg", "Checks per second", "checks/s", func(m Median) float64 { return m.Rate }, func(m Median) float64 { return m.RateOf })
	r.bars(all, "cpu.svg", "Processor time of all server processes per check", "µs/check", func(m Median) float64 { return m.CPU }, func(m Median) float64 { return m.CPUOf })
	r.variants(all)
	r.byNodes(all)
	r.byBatch(all)
	r.byKeys(all)
	r.latencies(all)
	return all
}

// WritePlots writes the pictures into a directory and returns their names.
func (r *Report) WritePlots(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("write plots: %w", err)
	}
	var names []string
	for name, svg := range r.Plots() {
		if err := os.WriteFile(filepath.Join(dir, name), svg, 0o644); err != nil {
			return nil, fmt.Errorf("write plots: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// plain reports whether the row is of the run's first group, in closed loop, with the workload's own number of keys.
func (x *Row) plain() bool { return x.Group == "" && x.Open == 0 && !strings.Contains(x.Workload, ":") }

// bars draws one figure by workload and server, in a panel for each batch size, with its ratio to the echo beside it.
func (r *Report) bars(all map[string][]byte, file, title, unit string, of, ratioOf func(Median) float64) {
	b := plot.Bars{Title: title, Unit: unit}
	var sizes []int
	for _, x := range r.Rows {
		if x.plain() && !slices.Contains(sizes, x.Batch) {
			sizes = append(sizes, x.Batch)
		}
	}
	slices.Sort(sizes)
	for _, size := range sizes {
		p := plot.Panel{Title: "one check a request"}
		if size > 1 {
			p.Title = fmt.Sprintf("%d checks a request", size)
		}
		for _, x := range r.Rows {
			if !x.plain() || x.Batch != size || of(x.Median) == 0 {
				continue
			}
			bar := plot.Bar{Name: x.Server, Value: of(x.Median), Text: number(of(x.Median))}
			if of(x.Median) >= 1000 {
				bar.Text = thousands(uint64(of(x.Median) + 0.5))
			}
			if f := ratioOf(x.Median); f > 0 && x.Server != "echo" {
				bar.Text += " (" + ratio(f) + " ×)"
			}
			if n := len(p.Groups); n == 0 || p.Groups[n-1].Name != x.Workload {
				p.Groups = append(p.Groups, plot.Group{Name: x.Workload})
			}
			g := &p.Groups[len(p.Groups)-1]
			g.Bars = append(g.Bars, bar)
		}
		if len(p.Groups) > 0 {
			b.Panels = append(b.Panels, p)
		}
	}
	if len(b.Panels) > 0 {
		all[file] = b.SVG()
	}
}

// variants draws what the clusters cost, by workload.
func (r *Report) variants(all map[string][]byte) {
	groups := map[string]*plot.Group{}
	var order []string
	several := false
	for _, x := range r.Rows {
		if x.Server != "stint" || x.Open > 0 || x.Median.CPUOf == 0 || strings.Contains(x.Workload, ":") {
			continue
		}
		name := x.name()
		if groups[name] == nil {
			groups[name] = &plot.Group{Name: name}
			order = append(order, name)
		}
		g := groups[name]
		g.Bars = append(g.Bars, plot.Bar{Name: strings.TrimPrefix(x.server(), "stint, "), Value: x.Median.CPUOf, Text: ratio(x.Median.CPUOf)})
		several = several || len(g.Bars) > 1
	}
	if !several {
		return
	}
	p := plot.Panel{Title: "to the echo measured in turn"}
	for _, name := range order {
		if len(groups[name].Bars) > 1 {
			p.Groups = append(p.Groups, *groups[name])
		}
	}
	all["variants.svg"] = plot.Bars{Title: "Stint's processor time per check, by kind of cluster", Unit: "× of the echo", Panels: []plot.Panel{p}}.SVG()
}

// A curve is gathered point by point under its name.
type curves struct {
	series []plot.Series
	ticks  []plot.Tick
}

func (c *curves) add(name string, x, y float64, tick string) {
	if y == 0 {
		return
	}
	i := slices.IndexFunc(c.series, func(s plot.Series) bool { return s.Name == name })
	if i < 0 {
		i = len(c.series)
		c.series = append(c.series, plot.Series{Name: name})
	}
	c.series[i].Points = append(c.series[i].Points, [2]float64{x, y})
	if !slices.ContainsFunc(c.ticks, func(t plot.Tick) bool { return t.At == x }) {
		c.ticks = append(c.ticks, plot.Tick{At: x, Text: tick})
	}
}

// draw draws the curves that have more than one point, if there is one.
func (c *curves) draw(all map[string][]byte, file string, l plot.Lines) {
	for _, s := range c.series {
		if len(s.Points) > 1 {
			slices.SortFunc(s.Points, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
			l.Series = append(l.Series, s)
		}
	}
	if len(l.Series) == 0 {
		return
	}
	l.Ticks = c.ticks
	all[file] = l.SVG()
}

func (r *Report) byNodes(all map[string][]byte) {
	var c curves
	for _, x := range r.Rows {
		if x.Server == "stint" && x.Open == 0 && x.Variant == "" && !strings.Contains(x.Workload, ":") {
			c.add(x.name(), float64(x.Nodes), x.Median.CPUOf, fmt.Sprint(x.Nodes))
		}
	}
	c.draw(all, "cost-nodes.svg", plot.Lines{
		Title: "Stint's processor time per check, summed over all nodes", X: "nodes", Y: "× of the echo measured in turn",
	})
}

func (r *Report) byBatch(all map[string][]byte) {
	var c curves
	for _, x := range r.Rows {
		if x.plain() && x.Workload == "uniform" {
			c.add(x.Server, float64(x.Batch), x.Median.CPU, thousands(uint64(x.Batch)))
		}
	}
	c.draw(all, "cost-batch.svg", plot.Lines{
		Title: "Processor time per check, uniform keys", X: "checks a request", Y: "µs/check", LogX: true, LogY: true,
	})
}

func (r *Report) byKeys(all map[string][]byte) {
	var c curves
	for _, x := range r.Rows {
		name, _, _ := strings.Cut(x.Workload, ":")
		if x.Group == "" && x.Open == 0 && name == "uniform" && x.Batch == 100 {
			c.add(x.Server, float64(x.Keys), x.Median.CPU, plot.Text(float64(x.Keys)))
		}
	}
	c.draw(all, "cost-keys.svg", plot.Lines{
		Title: "Processor time per check, uniform keys, 100 a request", X: "keys", Y: "µs/check", LogX: true,
	})
}

// latencies draws the percentiles of each open loop of the first group. Their places on the axis are those of the parts that are slower.
func (r *Report) latencies(all map[string][]byte) {
	open := map[string]*curves{}
	titles := map[string]string{}
	for _, x := range r.Rows {
		if x.Open == 0 || x.Group != "" {
			continue
		}
		file := fmt.Sprintf("latency-%s-%d-%g.svg", strings.ReplaceAll(x.Workload, ":", "-"), x.Batch, cmp.Or(x.Share, x.Open))
		if open[file] == nil {
			open[file], titles[file] = &curves{}, "Latency: "+x.name()
		}
		for _, p := range []struct {
			slower, us float64
			text       string
		}{{2, x.Latency.P50, "p50"}, {10, x.Latency.P90, "p90"}, {100, x.Latency.P99, "p99"}, {1000, x.Latency.P999, "p99.9"}} {
			open[file].add(x.Server, p.slower, p.us/1e3, p.text)
		}
	}
	for file, c := range open {
		c.draw(all, file, plot.Lines{Title: titles[file], X: "percentile of requests", Y: "ms since a request was due", LogX: true, LogY: true})
	}
}
