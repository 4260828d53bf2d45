package report

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A Change is one figure of one row in two runs. Figures are ratios to the echo of the same round, so that two machines, or two days of one, can
// be compared; allocations and bytes are plain numbers.
type Change struct {
	Row, Server, Figure string
	Old, New            float64 // medians over the rounds
	OldSpread           float64 // (most − least) / median over the rounds
	NewSpread           float64
}

// By is the change, as a part of Old.
func (c Change) By() float64 { return over(c.New-c.Old, c.Old) }

// Beyond reports whether the change is more than either run's rounds differ among themselves. Of one round there is no telling.
func (c Change) Beyond() bool {
	spread := max(c.OldSpread, c.NewSpread)
	return spread > 0 && math.Abs(c.By()) > spread
}

// figures are those that are compared; less is better but for rates.
var figures = []struct {
	name string
	open bool // only in open loop
	of   func(Round) float64
}{
	{"rate, of echo", false, func(r Round) float64 { return r.RateOf }},
	{"CPU, of echo", false, func(r Round) float64 { return r.CPUOf }},
	{"p99, of echo", true, func(r Round) float64 { return r.P99Of }},
	{"allocations", false, func(r Round) float64 { return r.Allocs }},
}

// Compare returns the changes of all rows that both runs have, in the order of the newer, and the names of rows that only one of them has.
func Compare(old, now *Report) (changes []Change, alone []string) {
	before := map[string]*Row{}
	for _, x := range old.Rows {
		before[x.key()] = x
	}
	for _, x := range now.Rows {
		o := before[x.key()]
		if o == nil {
			alone = append(alone, "new: "+x.title())
			continue
		}
		delete(before, x.key())
		for _, f := range figures {
			if f.open && x.Open == 0 {
				continue
			}
			a, b := known(o.each(f.of)), known(x.each(f.of))
			if len(a) == 0 || len(b) == 0 || x.Server == "echo" && f.name != "allocations" {
				continue
			}
			changes = append(changes, Change{x.rowName(), x.server(), f.name, median(a), median(b), spread(a), spread(b)})
		}
	}
	for _, x := range old.Rows {
		if before[x.key()] != nil {
			alone = append(alone, "old: "+x.title())
		}
	}
	for _, m := range now.Memory {
		for _, o := range old.Memory {
			if o.Keys == m.Keys && o.Limit == m.Limit && o.Nodes == m.Nodes && o.Variant == m.Variant {
				changes = append(changes, Change{Row: thousands(uint64(m.Keys)) + " keys", Server: "stint", Figure: "bytes a line", Old: o.BytesPerLine, New: m.BytesPerLine})
			}
		}
	}
	return changes, alone
}

// key is the same for the same row of two runs: the rate of an open loop follows from what the server can do, so it is not part of it.
func (x *Row) key() string {
	open := x.Open
	if x.Share > 0 {
		open = -x.Share
	}
	return fmt.Sprint(x.Group, "|", x.Workload, "|", x.Keys, "|", x.Batch, "|", open, "|", x.Server, "|", x.Nodes, "|", x.Variant)
}

// rowName is the row's name without the rate of its open loop, which differs between runs.
func (x *Row) rowName() string {
	y := *x
	n := ""
	if x.Share > 0 {
		y.Open, y.Share = 0, 0
		n = fmt.Sprintf(", open loop at %g %%", x.Share)
	}
	n = y.name() + n
	if x.Group != "" {
		n = x.Group + ": " + n
	}
	return n
}

func (x *Row) title() string { return x.rowName() + ", " + x.server() }

var compareColumns = []column{
	{"row", ""}, {"server", ""}, {"figure", ""}, {"old", ""}, {"new", ""}, {"change", "%"}, {"spread old", "%"}, {"new", "%"}, {"", ""},
}

// PrintCompare writes what has changed between two runs.
func PrintCompare(w io.Writer, old, now *Report) error {
	var b strings.Builder
	for _, r := range []struct {
		name string
		*Report
	}{{"old", old}, {"new", now}} {
		fmt.Fprintf(&b, "%s: %s  %s\n     %s\n", r.name, r.Started.Format("2006-01-02T15:04:05Z07:00"), r.Command, r.Machine)
	}
	changes, alone := Compare(old, now)
	lines := [][]string{nil, nil}
	for _, c := range compareColumns {
		lines[0], lines[1] = append(lines[0], c.name), append(lines[1], c.unit)
	}
	percent := func(f float64) string { return fmt.Sprintf("%.1f", 100*f) }
	var row, server string
	for _, c := range changes {
		name, who := c.Row, c.Server
		if name == row && who == server {
			name, who = "", ""
		}
		row, server = c.Row, c.Server
		said := ""
		if c.Beyond() {
			said = "beyond the spread"
		}
		lines = append(lines, []string{
			name, who, c.Figure, number(c.Old), number(c.New), fmt.Sprintf("%+.1f", 100*c.By()), percent(c.OldSpread), percent(c.NewSpread), said,
		})
	}
	b.WriteString("\n")
	align(&b, lines, len(compareColumns))
	if len(alone) > 0 {
		b.WriteString("\nonly in one of them:\n  " + strings.Join(alone, "\n  ") + "\n")
	}
	if old.Machine.CPU != now.Machine.CPU || old.Machine.Cores != now.Machine.Cores || old.Callers != now.Callers {
		b.WriteString("\nThe two runs are of different machines or callers: mind what the ratios can bear.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
