package fault

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// columns of the table; those in left are text.
var (
	columns = []string{"scenario", "run", "admitted", "due", "over", "under", "failed", "lost", "slowest", "also", "verdict"}
	left    = map[string]bool{"scenario": true, "also": true, "verdict": true}
)

// Print writes the rows as a table, and below it, for each that has failed, examples.
func Print(w io.Writer, rows []*Row) error {
	lines := [][]string{columns}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	var b strings.Builder
	align(&b, lines)
	for _, r := range rows {
		if !r.Wrong() {
			continue
		}
		fmt.Fprintf(&b, "\n%s, run %d: %s\n", r.Scenario, r.Run, strings.Join(r.Why, "; "))
		for _, e := range r.Examples {
			fmt.Fprintf(&b, "  %s\n", e)
		}
		if r.Logs != "" {
			fmt.Fprintf(&b, "  logs in %s\n", r.Logs)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Row) cells() []string {
	verdict := r.Verdict()
	if r.Wrong() {
		verdict = "FAILED" // why stands below
	}
	if r.Asked == 0 {
		return []string{r.Scenario, strconv.Itoa(r.Run), "–", "–", "–", "–", "–", "–", "–", strings.Join(r.Also, ", "), verdict}
	}
	bounded := func(n, most uint64) string {
		if most == 0 {
			return strconv.FormatUint(n, 10)
		}
		return fmt.Sprintf("%d ≤ %d", n, most)
	}
	over := bounded(r.Over, r.Bounds.Over)
	if r.Bounds.OverLimits > 0 {
		over = fmt.Sprintf("%d, %.1f × limit ≤ %d", r.Over, r.MostOver, r.Bounds.OverLimits)
	}
	n := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return []string{
		r.Scenario, strconv.Itoa(r.Run), n(r.Admitted), n(r.Due), over, n(r.Under),
		bounded(r.Failed, r.Bounds.Failed), n(r.Lost), millis(r.Slowest), strings.Join(r.Also, ", "), verdict,
	}
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
			if left[columns[i]] {
				c += pad
			} else {
				c = pad + c
			}
			line.WriteString(c + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func millis(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1e3, 'f', 0, 64) + " ms"
}
