package policy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// How problems are written: for people, for programs, and for GitHub's review page.

// WriteText writes every problem as `FILE:LINE:COL: message`, the form that editors and CI jump to, then the source
// line, then carets under exactly the words that are wrong and the repair behind them; at the end the count.
func (ps Problems) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range ps {
		ps[i].text(b)
	}
	if s := ps.counts(); s != "" {
		fmt.Fprintln(b, s)
	}
	return b.Flush()
}

// counts is the last line: `20 errors`, `1 error, 2 warnings`. Notes are not counted: they ask for nothing.
func (ps Problems) counts() string {
	var parts []string
	for _, s := range []Severity{Error, Warning} {
		if n := ps.Count(s); n > 0 {
			parts = append(parts, plural(n, s.String()))
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func (p *Problem) text(b *bufio.Writer) {
	b.WriteString(p.where())
	if p.Severity != Error {
		b.WriteString(p.Severity.String() + ": ")
	}
	b.WriteString(printable(p.Message))
	b.WriteByte('\n')
	if p.Source == "" {
		if p.Hint != "" {
			fmt.Fprintf(b, "    %s\n", printable(p.Hint))
		}
		return
	}
	// The line loses its indentation; what stands in front of the carets repeats its tabs, so that they line up
	// whatever a tab is wide.
	line := []rune(p.Source)
	from := min(max(p.Col-1-p.shift, 0), len(line))
	indent := 0
	for indent < from && (line[indent] == ' ' || line[indent] == '\t') {
		indent++
	}
	fmt.Fprintf(b, "    %s\n    ", printable(strings.TrimRight(string(line[indent:]), " \t")))
	for _, r := range line[indent:from] {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat("^", max(1, min(p.Len, max(1, len(line)-from)))))
	if p.Hint != "" {
		b.WriteString("  " + printable(p.Hint))
	}
	b.WriteByte('\n')
}

func (p *Problem) where() string {
	if p.Line == 0 {
		return printable(p.File) + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", printable(p.File), p.Line, p.Col)
}

// printable keeps what a policy file says from steering the terminal that it is shown on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// WriteJSON writes the problems as one JSON array of {file, line, col, len, severity, message, hint, source}.
func (ps Problems) WriteJSON(w io.Writer) error {
	type problem struct {
		File     string `json:"file"`
		Line     int    `json:"line"`
		Col      int    `json:"col"`
		Len      int    `json:"len"`
		Severity string `json:"severity"`
		Message  string `json:"message"`
		Hint     string `json:"hint,omitempty"`
		Source   string `json:"source,omitempty"`
	}
	list := make([]problem, len(ps))
	for i, p := range ps {
		list[i] = problem{p.File, p.Line, p.Col, p.Len, p.Severity.String(), p.Message, p.Hint, p.Source}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// WriteGitHub writes the problems as GitHub's workflow commands, which show up on the changed line of a pull request:
// `::error file=…,line=…,col=…,endColumn=…::message`. A note is a notice there.
func (ps Problems) WriteGitHub(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, p := range ps {
		level := p.Severity.String()
		if p.Severity == Note {
			level = "notice"
		}
		message := p.Message
		if p.Hint != "" {
			message += " (" + p.Hint + ")"
		}
		fmt.Fprintf(b, "::%s file=%s", level, githubProperty.Replace(p.File))
		if p.Line > 0 {
			fmt.Fprintf(b, ",line=%d,col=%d,endColumn=%d", p.Line, p.Col, p.Col+p.Len)
		}
		fmt.Fprintf(b, "::%s\n", githubData.Replace(message))
	}
	return b.Flush()
}
