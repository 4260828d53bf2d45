package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// columns of the table: a name and, below it, the unit. The first two are left-aligned.
var columns = [][2]string{
	{"workload", ""}, {"server", ""},
	{"checks/s", ""}, {"of echo", "×"},
	{"p50", "ms"}, {"p99", "ms"}, {"p99.9", "ms"},
	{"CPU", "µs/check"}, {"of echo", "×"}, {"generator", "µs/check"},
	{"admitted", "hits"}, {"due", "hits"}, {"failed", "checks"}, {"", ""},
}

// Print writes the report as a table, with the machine above it and what was skipped or went wrong below.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", r.Started.Format(time.RFC3339)+"  "+r.Command, r.Machine)
	lines := [][]string{nil, nil}
	for _, c := range columns {
		lines[0], lines[1] = append(lines[0], c[0]), append(lines[1], c[1])
	}
	last := ""
	for _, x := range r.Rows {
		name := x.name()
		if name == last {
			name = "" // once per block
		} else {
			last = name
		}
		lines = append(lines, x.cells(name))
	}
	align(&b, lines)
	b.WriteString(r.notes())
	_, err := io.WriteString(w, b.String())
	return err
}

func (x *Row) name() string {
	n := x.Workload
	if x.Batch > 1 {
		n += fmt.Sprintf(", %d a request", x.Batch)
	}
	if x.Open > 0 {
		n += fmt.Sprintf(", open loop %s/s", thousands(uint64(x.Open)))
	}
	return n
}

func (x *Row) cells(name string) []string {
	server := x.Server
	if x.Nodes > 1 {
		server += fmt.Sprintf(", %d nodes", x.Nodes)
	}
	m := x.Median
	c := []string{
		name, server,
		thousands(uint64(m.Rate + 0.5)), ratio(m.RateOf),
		ms(x.Latency.P50), ms(x.Latency.P99), ms(x.Latency.P999),
		number(m.CPU), ratio(m.CPUOf), number(m.OwnCPU),
	}
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
	case v.Under > 0:
		judged = "FAILED: " + thousands(v.Under) + " under"
	}
	return append(c, thousands(v.Admitted-min(v.Admitted, v.Bulk)), due, thousands(v.Failed), judged)
}

// late is the median over the rounds of the generator's own lateness, in µs; 0 in a closed loop.
func (x *Row) late() float64 { return median(x.each(func(r Round) float64 { return r.Late })) }

// notes says what the table cannot.
func (r *Report) notes() string {
	var b strings.Builder
	for _, x := range r.Rows {
		if x.Verdict != nil && x.Verdict.Bad != "" {
			fmt.Fprintf(&b, "%s, %s: %s\n", x.name(), x.Server, x.Verdict.Bad)
		}
		if late := x.late(); late > 0 {
			fmt.Fprintf(&b, "%s, %s: the generator itself was late by %s ms at p99, which is in the latency\n", x.name(), x.Server, ms(late))
		}
		if x.Error != "" {
			fmt.Fprintf(&b, "%s, %s: first failure: %s\n", x.name(), x.Server, x.Error)
		}
	}
	for _, name := range sortedKeys(r.Skipped) {
		fmt.Fprintf(&b, "%s: skipped: %s\n", name, r.Skipped[name])
	}
	if b.Len() > 0 {
		return "\n" + b.String()
	}
	return ""
}

// align writes the lines in columns two spaces apart, numbers to the right.
func align(b *strings.Builder, lines [][]string) {
	width := make([]int, len(columns))
	for _, l := range lines {
		for i, c := range l {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, l := range lines {
		var line strings.Builder
		for i, c := range l {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < 2 || i == len(l)-1 {
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
