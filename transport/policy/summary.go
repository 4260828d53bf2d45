package policy

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/stint-limiter/stint/transport"
)

// What a file means, in a table: a policy that parses is not yet the policy that one wanted.

// WriteCheck writes what `stint policy check` prints for one file: its errors and warnings, and if there is no error,
// what it means, with the notes at the end. p may be nil, as Parse returns it.
func WriteCheck(w io.Writer, p *Policy, ps Problems) error {
	if p == nil {
		return ps.WriteText(w)
	}
	b := bufio.NewWriter(w)
	warnings := ps.Of(Warning)
	for i := range warnings {
		warnings[i].text(b)
	}
	if len(warnings) > 0 {
		b.WriteByte('\n')
	}
	limits := 0
	for _, r := range p.rules {
		limits += len(r.limits)
	}
	fmt.Fprintf(b, "%s: ok: %s, %s", printable(p.File), plural(len(p.rules), "rule"), plural(limits, "limit"))
	if s := ps.counts(); s != "" {
		fmt.Fprintf(b, ", %s", s)
	}
	fmt.Fprintf(b, "\n\n%s", p.Summary())
	notes := ps.Of(Note)
	if len(notes) > 0 {
		b.WriteByte('\n')
	}
	for _, n := range notes {
		fmt.Fprintf(b, "  note: %s", printable(n.Message))
		if n.Hint != "" {
			fmt.Fprintf(b, " (%s)", printable(n.Hint))
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}

// Summary is a table of the policy's rules and a line on what is sent, for people.
func (p *Policy) Summary() string {
	rows := [][]string{{"rule", "applies to", "counted by", "limits"}}
	for _, r := range p.rules {
		rows = append(rows, p.summaryRows(r)...)
	}
	// Patterns have spaces in them, so the gap behind them is wider.
	gaps := []int{2, 3, 2, 0}
	widths := make([]int, len(gaps))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := " "
		pad := 1
		for i, cell := range row {
			line += strings.Repeat(" ", pad) + cell
			pad = widths[i] - utf8.RuneCountInString(cell) + gaps[i]
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "\n  %s; %s\n", p.denialText(&p.denied), p.alwaysText())
	for _, r := range p.rules {
		if r.denied != nil {
			fmt.Fprintf(&b, "  %s: %s\n", r.name, p.denialText(r.denied))
		}
	}
	return b.String()
}

// summaryRows is a rule in the table: one row, or one for each pattern where it has several.
func (p *Policy) summaryRows(r *rule) [][]string {
	var where []string
	switch {
	case r.otherwise:
		where = []string{"all other requests"}
	case len(r.patterns) == 0:
		where = []string{"every request"}
	}
	for i := range r.patterns {
		where = append(where, printable(r.patterns[i].text))
	}
	for i, c := range r.when {
		word := "when "
		if i > 0 {
			word = "and "
		}
		where = append(where, "  "+word+p.attributeName(c.attribute)+" is "+printable(strings.Join(c.values, " or ")))
	}
	keys := make([]string, len(r.keys))
	for i, k := range r.keys {
		keys[i] = p.keyText(k)
	}
	limits := make([]string, len(r.limits))
	for i := range r.limits {
		limits[i] = r.limits[i].Text
	}
	last := strings.Join(limits, ", ")
	for _, more := range []struct {
		is   bool
		text string
	}{
		{r.shadow, "shadow: never denies"},
		{len(r.overrides) > 0, plural(len(r.overrides), "override")},
		{r.mode == transport.Deny, "denies when nobody can answer"},
	} {
		if more.is {
			last += "; " + more.text
		}
	}
	rows := [][]string{{r.name, where[0], strings.Join(keys, ", else "), last}}
	for _, w := range where[1:] {
		rows = append(rows, []string{"", w})
	}
	return rows
}

// denialText is `429 with Retry-After and 116 bytes of application/json`.
func (p *Policy) denialText(d *denied) string {
	var with, without []string
	for _, h := range d.headers {
		switch {
		case h.removed:
			without = append(without, h.name)
		case !strings.EqualFold(h.name, "Content-Type"):
			with = append(with, h.name)
		}
	}
	with = append(with, d.bodyText())
	s := fmt.Sprintf("%d with %s", d.status, with[len(with)-1])
	if n := len(with) - 1; n > 0 {
		s = fmt.Sprintf("%d with %s and %s", d.status, strings.Join(with[:n], ", "), with[n])
	}
	if len(without) > 0 {
		s += ", without " + strings.Join(without, ", ")
	}
	return s
}

func (d *denied) bodyText() string {
	if d.problem {
		return "a body of application/problem+json"
	}
	text, _ := d.body.dummy()
	if text == "" {
		return "no body"
	}
	about := ""
	for _, part := range d.body.parts {
		if part.literal == "" {
			about = "about "
		}
	}
	return fmt.Sprintf("%s%s of %s", about, plural(len(text), "byte"), printable(d.contentType))
}

func (p *Policy) alwaysText() string {
	var names []string
	for _, h := range p.headers {
		if !h.removed {
			names = append(names, h.name)
		}
	}
	if len(names) == 0 {
		return "no headers on other answers"
	}
	return "on every answer " + strings.Join(names, ", ")
}
