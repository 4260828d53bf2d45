package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A template is text with `${value}` in it; `$${` is a literal `${`. No value carries anything that the caller sent, so a
// template can neither leak a key nor be broken out of.
type template struct {
	text  string
	parts []part
}

// A part of a template is literal text, or a value where literal is "".
type part struct {
	literal string
	value   value
	at, n   int // where it is in the text
}

// A value is what `${…}` may name.
type value uint8

const (
	valueLimit value = iota
	valueRemaining
	valueCurrent
	valueWindow
	valueReset
	valueResetUnix
	valueResetTime
	valueRetryAfter
	valueRule
	valueRateLimit
	valueRateLimitPolicy
	valueCount
)

// A valueKind says where a value fits.
type valueKind uint8

const (
	kindInteger valueKind = iota // a number, in JSON with or without quotes
	kindText                     // in JSON between quotes
	kindField                    // a structured field: has quotes of its own, so it breaks a JSON body
)

var values = [valueCount]struct {
	name  string
	kind  valueKind
	dummy string // what stands for it while a body is checked
}{
	valueLimit:           {"limit", kindInteger, "100"},
	valueRemaining:       {"remaining", kindInteger, "0"},
	valueCurrent:         {"current", kindInteger, "100"},
	valueWindow:          {"window", kindInteger, "60"},
	valueReset:           {"reset", kindInteger, "30"},
	valueResetUnix:       {"reset_unix", kindInteger, "1612197198"},
	valueResetTime:       {"reset_time", kindText, "2021-02-01T16:33:18.000Z"},
	valueRetryAfter:      {"retry_after", kindInteger, "30"},
	valueRule:            {"rule", kindText, "rule"},
	valueRateLimit:       {"ratelimit", kindField, `"rule";r=0;t=30`},
	valueRateLimitPolicy: {"ratelimit_policy", kindField, `"rule";q=100;w=60`},
}

// valueNames lists what `${…}` may name, in the order of the table in POLICY.md.
func valueNames() []string {
	names := make([]string, valueCount)
	for v := range values {
		names[v] = values[v].name
	}
	return names
}

// parseTemplate reads text with ${value} in it. With faults, the template is what could be read of it; a value that
// is not known is left out.
func parseTemplate(text string) (template, []fault) {
	t := template{text: text}
	var faults []fault
	from := 0 // where the literal text that is not yet a part begins
	literal := func(to int, s string) {
		if s != "" {
			t.parts = append(t.parts, part{literal: s, at: from, n: to - from})
		}
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		if strings.HasPrefix(rest, "$${") {
			literal(i, text[from:i])
			from = i
			literal(i+3, "${")
			i += 3
			from = i
			continue
		}
		if !strings.HasPrefix(rest, "${") {
			i++
			continue
		}
		literal(i, text[from:i])
		// The name ends at the first character that cannot be of one, so that a brace that belongs to the JSON around it
		// is not taken for the missing one.
		n := 2
		for n < len(rest) && strings.IndexByte("{}\"'$<>\n\r,;", rest[n]) < 0 {
			n++
		}
		switch {
		case n == len(rest) || rest[n] != '}':
			n = 2 + len(nameAtStart(rest[2:]))
			faults = append(faults, fault{i, n, `"${" without "}"`, closeHint(rest[2:n])})
		case n == 2:
			n = 3
			faults = append(faults, fault{i, n, `"${" without "}"`, `a value is ${limit}, ${remaining}, …; a literal "${" is written "$${"`})
		default:
			name := rest[2:n]
			n++
			if v := slices.Index(valueNames(), name); v >= 0 {
				t.parts = append(t.parts, part{value: value(v), at: i, n: n})
			} else {
				faults = append(faults, fault{i, n, fmt.Sprintf("unknown value ${%s}", name), didYouMean(strings.TrimSpace(name), valueNames())})
			}
		}
		i += n
		from = i
	}
	literal(len(text), text[from:])
	return t, faults
}

func closeHint(name string) string {
	if slices.Contains(valueNames(), name) {
		return "${" + name + "}"
	}
	return `a literal "${" is written "$${"`
}

// nameAtStart is the longest beginning of s that could be a value's name.
func nameAtStart(s string) string {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '_' {
			return s[:i]
		}
	}
	return s
}

// uses reports whether the template has the value in it.
func (t *template) uses(v value) bool {
	for i := range t.parts {
		if t.parts[i].literal == "" && t.parts[i].value == v {
			return true
		}
	}
	return false
}

// dummy is the template with a plausible value for each `${…}`, to see whether a body is JSON then. origin
// says which byte of the template's text stands behind byte i of the dummy; for i past the end, its end.
func (t *template) dummy() (text string, origin func(i int) int) {
	var b strings.Builder
	starts := make([]int, len(t.parts)) // of each part in the dummy
	for i, p := range t.parts {
		starts[i] = b.Len()
		if p.literal != "" {
			b.WriteString(p.literal)
		} else {
			b.WriteString(values[p.value].dummy)
		}
	}
	end := b.Len()
	return b.String(), func(i int) int {
		if i >= end {
			return len(t.text)
		}
		k, found := slices.BinarySearch(starts, i)
		if !found {
			k--
		}
		if p := t.parts[k]; p.literal != "" && p.n == len(p.literal) {
			return p.at + i - starts[k]
		}
		return t.parts[k].at
	}
}

// append appends the template with the numbers of a decision put in.
func (t *template) append(dst []byte, n *numbers) []byte {
	for i := range t.parts {
		if p := &t.parts[i]; p.literal != "" {
			dst = append(dst, p.literal...)
		} else {
			dst = n.append(dst, p.value)
		}
	}
	return dst
}

// numbers are what the values stand for in one answer.
type numbers struct {
	limit, remaining uint32
	current          uint64
	window           int64 // seconds
	reset            int64 // seconds from now
	resetUnix        int64
	retryAfter       int64
	rule             string
	fields           func(dst []byte, v value) []byte // the structured fields; nil: they are empty
}

func (n *numbers) append(dst []byte, v value) []byte {
	switch v {
	case valueLimit:
		return strconv.AppendUint(dst, uint64(n.limit), 10)
	case valueRemaining:
		return strconv.AppendUint(dst, uint64(n.remaining), 10)
	case valueCurrent:
		return strconv.AppendUint(dst, n.current, 10)
	case valueWindow:
		return strconv.AppendInt(dst, n.window, 10)
	case valueReset:
		return strconv.AppendInt(dst, n.reset, 10)
	case valueResetUnix:
		return strconv.AppendInt(dst, n.resetUnix, 10)
	case valueResetTime:
		return time.Unix(n.resetUnix, 0).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	case valueRetryAfter:
		return strconv.AppendInt(dst, n.retryAfter, 10)
	case valueRule:
		return append(dst, n.rule...)
	case valueRateLimit, valueRateLimitPolicy:
		if n.fields != nil {
			return n.fields(dst, v)
		}
	}
	return dst
}
