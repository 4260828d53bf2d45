package policy

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A page is the text of a policy file and knows where in it each byte of a scalar's value was written, so that carets
// stand under exactly the wrong words also inside quotes, escapes and blocks.
type page struct {
	src   string // without a byte order mark
	lines []int  // where each line begins
}

func newPage(src string) *page {
	p := &page{src: src, lines: []int{0}}
	for i := 0; i < len(src); {
		n := lineBreak(src[i:])
		if n > 0 {
			p.lines = append(p.lines, i+n)
		}
		i += max(n, 1)
	}
	return p
}

// lineBreak returns the length of the line break that s begins with, 0 where there is none. The breaks are those of
// the YAML scanner, so that our line numbers are its.
func lineBreak(s string) int {
	switch {
	case strings.HasPrefix(s, "\r\n"):
		return 2
	case s == "":
		return 0
	case s[0] == '\n' || s[0] == '\r':
		return 1
	case strings.HasPrefix(s, "\u0085"):
		return 2
	case strings.HasPrefix(s, "\u2028"), strings.HasPrefix(s, "\u2029"):
		return 3
	}
	return 0
}

// line returns a line, counted from 1, without its break.
func (p *page) line(n int) string {
	if n < 1 || n > len(p.lines) {
		return ""
	}
	s := p.src[p.lines[n-1]:]
	if n < len(p.lines) {
		s = p.src[p.lines[n-1]:p.lines[n]]
	}
	for i := range s {
		if lineBreak(s[i:]) > 0 {
			return s[:i]
		}
	}
	return s
}

// offset returns the byte at which a line and column begin, both counted from 1.
func (p *page) offset(line, col int) int {
	if line < 1 || line > len(p.lines) {
		return len(p.src)
	}
	at := p.lines[line-1]
	for ; col > 1 && at < len(p.src); col-- {
		_, n := utf8.DecodeRuneInString(p.src[at:])
		at += n
	}
	return at
}

// place is the reverse of offset.
func (p *page) place(at int) (line, col int) {
	lo, hi := 0, len(p.lines) // lines[lo] ≤ at < lines[hi]
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; p.lines[mid] <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + 1, utf8.RuneCountInString(p.src[p.lines[lo]:at]) + 1
}

// spread returns, for each byte of a scalar's value and for its end, where it was written.
func (p *page) spread(n *yaml.Node) []int {
	start := p.skipProperties(p.offset(n.Line, n.Column))
	var at []int
	ok := false
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		at, ok = p.literal(n)
	case n.Style&yaml.FoldedStyle != 0:
		at, ok = p.folded(n, start)
	default:
		at, ok = p.flow(n, start)
	}
	if !ok { // a form we do not follow: the whole value then
		at = make([]int, len(n.Value)+1)
		for i := range at {
			at[i] = start
		}
	}
	return at
}

// skipProperties steps over `&anchor` and `!tag` in front of a value.
func (p *page) skipProperties(at int) int {
	for at < len(p.src) && (p.src[at] == '&' || p.src[at] == '!') {
		if p.src[at] == '&' { // a name's end is an anchor's: `&a?x` is the value ?x
			for at++; at < len(p.src) && (isAlnum(p.src[at]) || p.src[at] == '_' || p.src[at] == '-'); at++ {
			}
		} else if end := strings.IndexAny(p.src[at:], " \t\r\n"); end >= 0 {
			at += end
		} else {
			return at
		}
		for at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[at]) >= 0 {
			at++
		}
	}
	return at
}

// literal places a `|` block: its lines are the source's, less the indentation.
func (p *page) literal(n *yaml.Node) ([]int, bool) {
	at := make([]int, 0, len(n.Value)+1)
	number := n.Line
	if first := p.skipProperties(p.offset(n.Line, n.Column)); first < len(p.src) {
		number, _ = p.place(first)
	}
	end := p.offset(number, 1)
	for text := range strings.Lines(n.Value) {
		number++
		if number > len(p.lines) {
			return nil, false
		}
		line := p.line(number)
		body := strings.TrimSuffix(text, "\n")
		if !strings.HasSuffix(line, body) {
			return nil, false
		}
		begin := p.lines[number-1] + len(line) - len(body)
		for i := range len(text) {
			at = append(at, begin+i)
		}
		end = begin + len(body)
	}
	return append(at, end), true
}

// folded places a `>` block. Folding changes white space only, so the rest is found in its order.
func (p *page) folded(n *yaml.Node, start int) ([]int, bool) {
	number, _ := p.place(start)
	s := p.offset(number+1, 1)
	at := make([]int, 0, len(n.Value)+1)
	for i := range len(n.Value) {
		c := n.Value[i]
		if c != ' ' && c != '\t' && c != '\n' {
			for s < len(p.src) && p.src[s] != c {
				if strings.IndexByte(" \t\r\n", p.src[s]) < 0 {
					return nil, false
				}
				s++
			}
		}
		at = append(at, min(s, len(p.src)))
		if s < len(p.src) && (p.src[s] == c || c == ' ' && p.src[s] == '\n') {
			s++
		}
	}
	return append(at, min(s, len(p.src))), true
}

// flow places a plain or a quoted value: it reads the source by YAML's rules and checks that the same value comes out.
func (p *page) flow(n *yaml.Node, s int) ([]int, bool) {
	double, single := n.Style&yaml.DoubleQuotedStyle != 0, n.Style&yaml.SingleQuotedStyle != 0
	if double || single {
		s++ // the quote
	}
	v := n.Value
	at := make([]int, 0, len(v)+1)
	put := func(text string, from int) bool {
		if !strings.HasPrefix(v[len(at):], text) {
			return false
		}
		for range len(text) {
			at = append(at, from)
		}
		return true
	}
	for len(at) < len(v) {
		if s >= len(p.src) {
			return nil, false
		}
		rest := p.src[s:]
		switch c := rest[0]; {
		case c == ' ' || c == '\t' || lineBreak(rest) > 0:
			// White space within a line stays; with line breaks in it, one is a space and n are n-1 breaks.
			run, breaks := 0, 0
			for run < len(rest) {
				if b := lineBreak(rest[run:]); b > 0 {
					breaks++
					run += b
				} else if rest[run] == ' ' || rest[run] == '\t' {
					run++
				} else {
					break
				}
			}
			ok := true
			switch {
			case breaks == 0:
				for i := range run {
					ok = ok && put(rest[i:i+1], s+i)
				}
			case breaks == 1:
				ok = put(" ", s)
			default:
				ok = put(strings.Repeat("\n", breaks-1), s)
			}
			if !ok {
				return nil, false
			}
			s += run
		case double && c == '\\':
			text, size, ok := unescape(rest)
			if !ok || !put(text, s) {
				return nil, false
			}
			s += size
		case single && c == '\'':
			if !put("'", s) {
				return nil, false
			}
			s += 2
		default:
			if !put(rest[:1], s) {
				return nil, false
			}
			s++
		}
	}
	return append(at, s), true
}

// unescape reads one escape of a double-quoted value: its text and its length in the source.
func unescape(s string) (text string, size int, ok bool) {
	if len(s) < 2 {
		return "", 0, false
	}
	digits := 0
	switch s[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		if b := lineBreak(s[1:]); b > 0 { // an escaped break joins the lines
			size = 1 + b
			for size < len(s) && (s[size] == ' ' || s[size] == '\t') {
				size++
			}
			return "", size, true
		}
		const names, values = "0abt\tnvfre \"/\\N_LP", "\x00\a\b\t\t\n\v\f\r\x1b \"/\\\u0085\u00a0\u2028\u2029"
		i := strings.IndexByte(names, s[1])
		if i < 0 {
			return "", 0, false
		}
		for r := range strings.SplitSeq(values, "") {
			if i == 0 {
				return r, 2, true
			}
			i--
		}
		return "", 0, false
	}
	if len(s) < 2+digits {
		return "", 0, false
	}
	var r rune
	for _, c := range s[2 : 2+digits] {
		h := strings.IndexRune("0123456789abcdef", c|0x20)
		if h < 0 {
			return "", 0, false
		}
		r = r<<4 | rune(h)
	}
	return string(r), 2 + digits, true
}
