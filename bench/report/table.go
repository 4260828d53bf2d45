package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A column of a table: its name and, below it, the unit.
type column struct{ name, unit string }

// costs and latencies are the two tables; the first two columns are left-aligned, and the last.
var (
	costs = []column{
		{"workload", ""}, {"server", ""},
		{"checks/s", ""}, {"of echo", "×"}, {"of redis", "×"},
		{"CPU", "µs/check"}, {"of echo", "×"}, {"allocated", "/check"}, {"generator", "µs/check"}, {"answers from", "%"},
	}
	latencies = []column{
		{"workload", ""}, {"server", ""},
		{"p50", "ms"}, {"p99", "ms"}, {"of echo", "×"}, {"p99.9", "ms"}, {"longest", "ms"},
		{"admitted", "hits"}, {"due", "hits"}, {"failed", "checks"}, {"", ""},
	}
)

// Print writes the report as tables, with the machine above them and what was skipped or went wrong below.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", r.Started.Format(time.RFC3339)+"  "+r.Command, r.Machine)
	if len(r.Rows) > 0 {
		b.WriteString("\nCost\n")
		r.table(&b, costs, (*Row).costCells)
		b.WriteString("\nLatency of requests, and counts\n")
		r.table(&b, latencies, (*Row).latencyCells)
	}
	for _, m := range r.Memory {
		m.print(&b)
	}
	if notes := r.notes(); notes != "" {
		b.WriteString("\n" + notes)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes one line a row, with a line before each group but the first.
func (r *Report) table(b *strings.Builder, columns []column, cells func(*Row) []string) {
	lines := [][]string{nil, nil}
	for _, c := range columns {
		lines[0], lines[1] = append(lines[0], c.name), append(lines[1], c.unit)
	}
	var last, group string
	for _, x := range r.Rows {
		if x.Group != group {
			group, last = x.Group, ""
			lines = append(lines, []string{"– " + group + " –"})
		}
		name := x.name()
		if name == last {
			name = "" // once per block
		} else {
			last = name
		}
		lines = append(lines, append([]string{name, x.server()}, cells(x)...))
	}
	align(b, lines, len(columns))
}

// name says what was asked for.
func (x *Row) name() string {
	n := x.Workload
	if _, keys, ok := strings.Cut(n, ":"); ok {
		n = strings.TrimSuffix(n, ":"+keys) + ", " + thousands(uint64(x.Keys)) + " keys"
	}
	if x.Batch > 1 {
		n += fmt.Sprintf(", %d a request", x.Batch)
	}
	if x.Open > 0 {
		n += fmt.Sprintf(", open loop %s/s", thousands(uint64(x.Open)))
	}
	if x.Share > 0 {
		n += fmt.Sprintf(" (%g %%)", x.Share)
	}
	return n
}

// server says who was asked.
func (x *Row) server() string {
	s := x.Server
	if x.Nodes > 1 {
		s += fmt.Sprintf(", %d nodes", x.Nodes)
	} else if x.Server == "stint" {
		s += ", 1 node"
	}
	if x.Variant != "" {
		s += ", " + x.Variant
	}
	return s
}

func (x *Row) costCells() []string {
	m := x.Median
	return []string{
		thousands(uint64(m.Rate + 0.5)), ratio(m.RateOf), ratio(m.RateRedis),
		number(m.CPU), ratio(m.CPUOf), number(m.Allocs), number(m.OwnCPU), x.via(),
	}
}

// via says where the answers came from, most first; those of less than half a percent are left out.
func (x *Row) via() string {
	n := x.shares()
	if len(n) == 0 || x.Server != "stint" {
		return ""
	}
	words := slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b)) })
	var s []string
	for _, w := range words {
		if p := strconv.FormatFloat(100*n[w], 'f', 0, 64); p != "0" {
			s = append(s, w+" "+p)
		}
	}
	return strings.Join(s, ", ")
}

func (x *Row) latencyCells() []string {
	m, l := x.Median, x.Latency
	c := []string{ms(l.P50), ms(l.P99), ratio(m.P99Of), ms(l.P999), ms(l.Max)}
	v := x.Verdict
	if v == nil {
		return append(c, "–", "–", thousands(m.FailedN), "")
	}
	// Without what Finish has spent in bulk, which would hide the checks behind a number with twelve digits.
	due, judged := thousands(v.Due-min(v.Due, v.Bulk)), ""
	if v.Refill {
		due = "≥ " + due
	}
	switch {
	case v.Over > 0:
		judged = "FAILED: " + thousands(v.Over) + " over"
	case v.Under > 0 && v.Exact():
		judged = thousands(v.Under) + " under, lost on loan"
	case v.Under > 0:
		judged = "FAILED: " + thousands(v.Under) + " under"
	}
	return append(c, thousands(v.Admitted-min(v.Admitted, v.Bulk)), due, thousands(v.Failed), judged)
}

// late is the median over the rounds of the generator's own lateness, in µs; 0 in a closed loop.
func (x *Row) late() float64 { return median(x.each(func(r Round) float64 { return r.Late })) }

// notes says what the tables cannot.
func (r *Report) notes() string {
	var b strings.Builder
	for _, x := range r.Rows {
		name := x.name() + ", " + x.Server
		if x.Group != "" {
			name = x.Group + ": " + name
		}
		if v := x.Verdict; v != nil {
			if v.Bad != "" {
				fmt.Fprintf(&b, "%s: %s\n", name, v.Bad)
			}
			if v.Lent > 0 {
				fmt.Fprintf(&b, "%s: %s hits were denied while another node had them on loan, and admitted when asked for again\n", name, thousands(v.Lent))
			}
		}
		if p := x.shares()["claimed"]; p > 0 || x.Wakes > 0 {
			fmt.Fprintf(&b, "%s: nodes were starved for longer than their timers allow, %d times, and %.1f %% of the answers were claimed: then a hit may count twice\n", name, x.Wakes, 100*p)
		}
		if late := x.late(); late > 0 {
			fmt.Fprintf(&b, "%s: the generator itself was late by %s ms at p99, which is in the latency\n", name, ms(late))
		}
		if x.Error != "" {
			fmt.Fprintf(&b, "%s: first failure: %s\n", name, x.Error)
		}
	}
	for _, name := range r.shared() {
		b.WriteString(name + "\n")
	}
	for _, name := range sortedKeys(r.Skipped) {
		fmt.Fprintf(&b, "%s: skipped: %s\n", name, r.Skipped[name])
	}
	return b.String()
}

// shared says which servers were told to use fewer processors at once.
func (r *Report) shared() []string {
	var lines []string
	for _, x := range r.Rows {
		if line := fmt.Sprintf("%s: each process had GOMAXPROCS=%d, and all together the machine's %d processors", x.server(), x.Procs, r.Machine.Cores); x.Procs > 0 && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// align writes the lines in columns two spaces apart, all but the first two and the last to the right. A line of one cell is a heading.
func align(b *strings.Builder, lines [][]string, columns int) {
	width := make([]int, columns)
	for _, l := range lines {
		for i, c := range l {
			if len(l) > 1 {
				width[i] = max(width[i], utf8.RuneCountInString(c))
			}
		}
	}
	for _, l := range lines {
		var line strings.Builder
		for i, c := range l {
			pad := strings.Repeat(" ", max(width[i]-utf8.RuneCountInString(c), 0))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < 2 || i == columns-1 {
				line.WriteString(c + pad)
			} else {
				line.WriteString(pad + c)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number writes three digits or so: 0.84, 11.2, 229.
func number(f float64) string {
	switch {
	case f == 0:
		return "–"
	case f < 10:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	default:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
}

func ratio(f float64) string {
	if f == 0 {
		return "–"
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// ms writes µs as ms.
func ms(us float64) string { return number(us / 1e3) }
