package bucket

import (
	"strconv"
	"strings"
)

// A ParseError says what is wrong with a limit's text and where.
type ParseError struct {
	Text string // the whole limit as it was written
	At   int    // where the wrong part begins, in bytes from 0
	Len  int    // how long it is, in bytes; at least 1, even where something is missing
	Msg  string // what is wrong: `unknown unit "x"`
	Hint string // the repair, or "": `units: ms, s, m, h, d, w`
}

func (e *ParseError) Error() string { return "limit \"" + e.Text + "\": " + e.Msg }

// MaxLimitText is the longest limit that Parse reads, in bytes: the longest valid one, with some blanks, is half of it.
const MaxLimitText = 128

const (
	form     = `COUNT/WINDOW [algorithm] [burst=N], such as 100/1m`
	badCount = "a count is a whole number from 1 to 4294967295"
	badSpan  = "a window is from 100ms to 366d"
)

// Parse reads a limit, `COUNT/WINDOW [algorithm] [burst=N]`. Its errors are of type *ParseError.
func Parse(text string) (Limit, error) {
	p := parser{text: text}
	l := p.limit()
	if p.err != nil {
		return Limit{}, p.err
	}
	return l, nil
}

// A parser reads one limit; the first error stays.
type parser struct {
	text string
	err  *ParseError
}

func (p *parser) fail(at, n int, msg, hint string) {
	if p.err == nil {
		p.err = &ParseError{Text: p.text, At: at, Len: max(n, 1), Msg: msg, Hint: hint}
	}
}

// A word is a part of the text, and where it begins.
type word struct {
	s  string
	at int
}

// words splits the text at blanks.
func (p *parser) words() []word {
	var ws []word
	from := -1
	for i := 0; i <= len(p.text); i++ {
		blank := i == len(p.text) || p.text[i] == ' ' || p.text[i] == '\t'
		if blank && from >= 0 {
			ws, from = append(ws, word{p.text[from:i], from}), -1
		} else if !blank && from < 0 {
			from = i
		}
	}
	return ws
}

func (p *parser) limit() (l Limit) {
	if len(p.text) > MaxLimitText {
		p.text = p.text[:MaxLimitText] + "…"
		p.fail(0, MaxLimitText, "a limit is at most 128 bytes", form)
		return l
	}
	ws := p.words()
	if len(ws) == 0 {
		p.fail(0, 1, "it is empty", form)
		return l
	}
	count, window, ok := strings.Cut(ws[0].s, "/")
	if !ok {
		p.fail(ws[0].at, len(ws[0].s), `no "/" between count and window`, form)
		return l
	}
	l.Count = p.count(word{count, ws[0].at}, badCount, "a count of 0 denies everything")
	span := word{window, ws[0].at + len(count) + 1}

	// The calendar's words are for fixed_window, so a window is read for its algorithm, though that comes later.
	var algorithm, burst, extra word
	for _, w := range ws[1:] {
		switch isBurst := strings.HasPrefix(w.s, "burst="); {
		case isBurst && burst.s == "":
			burst = w
		case !isBurst && algorithm.s == "":
			algorithm = w
		case extra.s == "":
			extra = w
		}
	}
	l.Window = p.window(span, algorithm.s == algorithms[FixedWindow], l.Count)
	if algorithm.s != "" {
		l.Algorithm = p.algorithm(algorithm)
	}
	p.burst(&l, burst)
	if extra.s != "" {
		p.fail(extra.at, len(extra.s), "one algorithm and one burst at most", form)
	}
	return l
}

// count reads a whole number.
func (p *parser) count(w word, msg, zero string) uint32 {
	n, err := strconv.ParseUint(w.s, 10, 32)
	switch {
	case err != nil:
		p.fail(w.at, len(w.s), msg, "")
	case n == 0:
		p.fail(w.at, len(w.s), zero, "")
	}
	return uint32(n)
}

// algorithms are the names, as the constants are numbered.
var algorithms = [...]string{"sliding_window", "fixed_window", "token_bucket"}

// String returns the name that a limit's text has for it.
func (a Algorithm) String() string {
	if int(a) < len(algorithms) {
		return algorithms[a]
	}
	return "algorithm " + strconv.Itoa(int(a))
}

func (p *parser) algorithm(w word) Algorithm {
	for a, name := range algorithms {
		if w.s == name {
			return Algorithm(a)
		}
	}
	p.fail(w.at, len(w.s), "unknown algorithm "+strconv.Quote(w.s), "known: fixed_window, sliding_window, token_bucket")
	return 0
}

func (p *parser) burst(l *Limit, w word) {
	if w.s == "" {
		if l.Algorithm == TokenBucket {
			l.Burst = l.Count
		}
		return
	}
	if l.Algorithm != TokenBucket {
		p.fail(w.at, len(w.s), "burst is for token_bucket", "")
		return
	}
	n := word{w.s[len("burst="):], w.at + len("burst=")}
	l.Burst = p.count(n, "a burst is a whole number from 1 to 4294967295", "a burst of 0 denies everything")
	if l.Burst < l.Count {
		p.fail(w.at, len(w.s), w.s+" is below the count, "+strconv.FormatUint(uint64(l.Count), 10)+": it would never be reached", "")
	}
}

// A unit is one unit of a window. They are in the order in which String tries them.
type unit struct {
	name string
	ms   Window
}

var units = [...]unit{{"w", week}, {"d", day}, {"h", 60 * 60 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}}

const unitHint = "units: ms, s, m, h, d, w"

// A calendar is a word for a fixed window in UTC.
var calendars = [...]unit{{"day", day}, {"week", week}, {"month", Month}}

func (p *parser) window(w word, calendar bool, count uint32) Window {
	n := strconv.FormatUint(uint64(count), 10)
	for _, c := range calendars {
		if w.s != c.name {
			continue
		}
		if calendar {
			return c.ms
		}
		hint := n + `/1` + w.s[:1] + `, or "` + n + "/" + w.s + ` fixed_window" for the UTC calendar ` + w.s
		if c.ms == Month {
			hint = n + `/30d, or "` + n + `/month fixed_window" for the UTC calendar month`
		}
		p.fail(w.at, len(w.s), w.s+" is for fixed_window", hint)
		return 0
	}
	if w.s == "" {
		p.fail(w.at, 1, "the window is missing", form)
		return 0
	}
	us, ok := p.duration(w)
	switch {
	case !ok:
		return 0
	case us < int64(MinWindow)*1000 || us > int64(MaxWindow)*1000:
		p.fail(w.at, len(w.s), badSpan, "")
	case us%1000 != 0:
		p.fail(w.at, len(w.s), "a window is whole milliseconds", "")
	}
	return Window(us / 1000)
}

// duration reads 1h30m, 1.5s, 2w: numbers with units, as time.ParseDuration does but with d and w. It is in µs, of which
// more than a window may have are told as one too many.
func (p *parser) duration(w word) (us int64, ok bool) {
	tooLong := int64(MaxWindow)*1000 + 1
	for rest := w; rest.s != ""; {
		digits := 0
		for digits < len(rest.s) && (isDigit(rest.s[digits]) || rest.s[digits] == '.') {
			digits++
		}
		end := digits
		for end < len(rest.s) && !isDigit(rest.s[end]) && rest.s[end] != '.' {
			end++
		}
		number, name := rest.s[:digits], rest.s[digits:end]
		whole, fraction, dot := strings.Cut(number, ".")
		switch {
		case digits == 0 && (name == "-" || name == "+"):
			p.fail(w.at, len(w.s), badSpan, "")
			return 0, false
		case digits == 0 && knownUnit(name):
			p.fail(rest.at, end, "window "+strconv.Quote(name)+" has no number", "1"+name)
			return 0, false
		case digits == 0, whole+fraction == "", dot && strings.Contains(fraction, "."):
			p.fail(rest.at, max(end, 1), "a window is a number and a unit: "+strconv.Quote(rest.s[:end]), unitHint)
			return 0, false
		case name == "":
			p.noUnit(w, rest, number)
			return 0, false
		case !knownUnit(name):
			p.fail(rest.at+digits, end-digits, "unknown unit "+strconv.Quote(name), unitHint)
			return 0, false
		}
		part := tooLong
		if v, err := strconv.ParseInt("0"+whole, 10, 64); err == nil && v <= tooLong/unitMicros(name) {
			part = v * unitMicros(name)
		}
		f, exact := fractionOf(fraction, unitMicros(name))
		if !exact {
			p.fail(rest.at, end, "a window is whole milliseconds", "")
			return 0, false
		}
		us = min(us+part+f, tooLong)
		rest = word{rest.s[end:], rest.at + end}
	}
	return us, true
}

// noUnit is what 10/60 is told: it does not say of what.
func (p *parser) noUnit(w, rest word, number string) {
	hint := unitHint
	if count, _, ok := strings.Cut(strings.TrimLeft(p.text, " \t"), "/"); ok && rest.at == w.at {
		hint = count + "/" + number + "s is " + number + " seconds"
		if number == "1" {
			hint = count + "/1s is a second"
		}
		hint += "; " + count + "/1m is a minute"
	}
	p.fail(rest.at, len(rest.s), "window "+strconv.Quote(rest.s)+" has no unit", hint)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func knownUnit(name string) bool { return unitMicros(name) != 0 }

func unitMicros(name string) int64 {
	switch name {
	case "us", "µs", "μs":
		return 1
	}
	for _, u := range units {
		if u.name == name {
			return int64(u.ms) * 1000
		}
	}
	return 0
}

// fractionOf returns the digits behind a point as a part of unit, if that is a whole number of µs.
func fractionOf(digits string, unit int64) (int64, bool) {
	digits = strings.TrimRight(digits, "0")
	if len(digits) > 9 {
		return 0, false
	}
	n, scale := int64(0), int64(1)
	for _, c := range digits {
		n, scale = n*10+int64(c-'0'), scale*10
	}
	// A week is 6e11 µs, so the product is below 1e21: divide what can be divided first.
	for scale > 1 && unit%10 == 0 {
		unit, scale = unit/10, scale/10
	}
	return n * unit / scale, n*unit%scale == 0
}

// String writes the limit in its shortest form, which Parse reads back as the same limit: 100/1m, 10000/1d fixed_window.
func (l Limit) String() string {
	b := make([]byte, 0, 40)
	b = strconv.AppendUint(b, uint64(l.Count), 10)
	b = append(b, '/')
	b = append(b, l.Window.String()...)
	if l.Algorithm != SlidingWindow {
		b = append(b, ' ')
		b = append(b, l.Algorithm.String()...)
	}
	if l.Algorithm == TokenBucket && l.Burst != l.Count {
		b = append(b, " burst="...)
		b = strconv.AppendUint(b, uint64(l.Burst), 10)
	}
	return string(b)
}

// String writes the window in its shortest form: 90s but 1m, 1h30m, 1w, month.
func (w Window) String() string {
	if w == Month {
		return "month"
	}
	best := ""
	for i := range units {
		// From each unit on: 90m and 1h30m are both right, and of the same length the one with larger units is read faster.
		s, rest := "", w
		for _, v := range units[i:] {
			if n := rest / v.ms; n > 0 {
				s += strconv.FormatInt(int64(n), 10) + v.name
				rest -= n * v.ms
			}
		}
		if s != "" && rest == 0 && (best == "" || len(s) < len(best)) {
			best = s
		}
	}
	if best == "" {
		return "0s"
	}
	return best
}
