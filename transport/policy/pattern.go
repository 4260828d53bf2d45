package policy

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is one entry of a rule's `match`: `[METHOD ][HOST]/[PATH]`, in the words of Go's http.ServeMux. It differs
// in one place: all rules that match apply, so there is no precedence, and a final slash of the request counts only for
// patterns that end in `/` or `{$}`. Matching is in match.go.
//
// Three spellings of other routers that ServeMux would take literally (`*`, `:id`, a query) are faults here: a rule that
// silently matches nothing limits nothing.
type pattern struct {
	text     string
	method   string // "" is any; GET takes HEAD too
	host     string // lower-case, "" is any
	segments []segment
	end      patternEnd
	rest     string // the name in {rest...}
}

// A segment is what stands between two slashes.
type segment struct {
	text string // unescaped; of a wildcard, its name
	wild bool
}

type patternEnd uint8

const (
	endExact   patternEnd = iota // /a: this path, with or without a final slash
	endSubtree                   // /a/: everything below, and /a/ itself
	endSlash                     // /a/{$}: /a/ alone
	endRest                      // /a/{rest...}: everything below, and /a itself with or without a slash
)

const (
	maxPattern  = 1024 // bytes of a pattern: a longer path is no endpoint
	maxSegments = 64   // segments of a pattern; a request keeps as many and a few more (see target)
)

// knownMethod reports whether anybody uses the method; a pattern with another one earns a warning.
func knownMethod(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY",
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "PURGE":
		return true
	}
	return false
}

// parsePattern reads `[METHOD ][HOST]/[PATH]` and returns every fault of it, as "rest of the list" in POLICY.md has
// them. With faults, the pattern is what could be read of it, and must not be matched.
func parsePattern(text string) (pattern, []fault) {
	p := pattern{text: text}
	var faults []fault
	bad := func(at, n int, hint, format string, args ...any) {
		faults = append(faults, fault{at, max(n, 1), fmt.Sprintf(format, args...), hint})
	}
	if strings.TrimSpace(text) == "" {
		bad(0, len(text), "GET /items", "an empty pattern")
		return p, faults
	}
	if len(text) > maxPattern {
		bad(0, 1, "", "the pattern is %d bytes; the most is %d", len(text), maxPattern)
		return p, faults
	}

	at := 0 // where the part still unread begins
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		p.method = text[:i]
		at = i + len(text[i:]) - len(strings.TrimLeft(text[i:], " \t"))
		switch up := strings.ToUpper(p.method); {
		case !isToken(p.method):
			bad(0, i, "one pattern has one method; match takes a list", "%q is not a method", p.method)
		case up != p.method:
			bad(0, i, repairPattern(text), "method %q must be upper case", p.method)
			p.method = up
		}
	}
	slash := strings.IndexByte(text[at:], '/')
	host := text[at:]
	if slash >= 0 {
		host = text[at : at+slash]
	}
	hint := repairPattern(text)
	switch name, port, _ := strings.Cut(host, ":"); {
	case host == "" && slash < 0:
		bad(at-1, 1, hint, "no path; a path starts with /")
	case host == "":
	case p.method == "" && slash < 0 && knownMethod(strings.ToUpper(host)):
		bad(0, len(host), strings.ToUpper(host)+" /", "%q has no path; a path starts with /", text)
	case !isHost(name), !strings.Contains(name, ".") && name != "localhost":
		bad(at, len(host), hint, "%q is read as a host; a path starts with /", host)
	case port != "" || len(name) < len(host):
		bad(at+len(name), len(host)-len(name), "", "a host has no port here: one rule counts for all ports")
	case slash < 0:
		bad(at, len(host), hint, "host %q has no path; a path starts with /", host)
	}
	p.host = strings.TrimSuffix(strings.ToLower(host), ".")
	if slash < 0 {
		return p, faults
	}
	p.readPath(at+slash, bad)
	return p, faults
}

// readPath reads the segments of text[at:], which starts with a slash.
func (p *pattern) readPath(at int, bad func(at, n int, hint, format string, args ...any)) {
	if i := strings.IndexAny(p.text[at:], "?#"); i >= 0 {
		bad(at+i, len(p.text)-at-i, "for a parameter: attributes: { x: { query: x } } and when: { x: … }", "a pattern has no query")
		return
	}
	if i := strings.IndexAny(p.text[at:], " \t"); i >= 0 {
		bad(at+i, 1, "a space in a path is written %20", "a space in a path")
		return
	}
	for at < len(p.text) {
		at++ // the slash
		if at == len(p.text) {
			p.end = endSubtree
			return
		}
		seg := p.text[at:]
		if i := strings.IndexByte(seg, '/'); i >= 0 {
			seg = seg[:i]
		}
		last := at+len(seg) == len(p.text)
		if len(p.segments) == maxSegments {
			bad(at, len(seg), "", "more than %d segments", maxSegments)
			return
		}
		open := strings.IndexByte(seg, '{')
		switch {
		case open < 0:
			p.readLiteral(at, seg, bad)
		case !strings.Contains(seg[open:], "}"):
			bad(at+open, 1, "", `"{" without "}"`)
		case open > 0 || seg[len(seg)-1] != '}':
			bad(at, len(seg), "/"+seg[open:open+strings.IndexByte(seg[open:], '}')+1], "a wildcard is a whole segment")
		default:
			p.readWildcard(at, seg, last, bad)
		}
		at += len(seg)
	}
}

func (p *pattern) readLiteral(at int, seg string, bad func(at, n int, hint, format string, args ...any)) {
	text, err := url.PathUnescape(seg)
	switch {
	case seg == "" || isDot(seg) || isDotDot(seg):
		bad(at, max(len(seg), 1), "", "paths are cleaned of //, . and .. before they are matched: this would match nothing")
	case strings.IndexByte(seg, '}') >= 0:
		bad(at+strings.IndexByte(seg, '}'), 1, "", `"}" without "{"`)
	case err != nil:
		i := strings.IndexByte(seg, '%')
		bad(at+i, min(3, len(seg)-i), "a percent sign is written %25", "%q is not an escape", seg[i:min(i+3, len(seg))])
	case strings.IndexByte(seg, '*') >= 0:
		hint := "{id} is one segment"
		if at+len(seg) == len(p.text) {
			hint += ", {rest...} is all that follow"
		}
		bad(at+strings.IndexByte(seg, '*'), 1, hint, `"*" is not a wildcard here`)
	case seg[0] == ':' && isIdentifier(seg[1:]):
		bad(at, len(seg), "{"+seg[1:]+"}", "%q is not a wildcard here", seg)
	}
	p.segments = append(p.segments, segment{text: text})
}

func (p *pattern) readWildcard(at int, seg string, last bool, bad func(at, n int, hint, format string, args ...any)) {
	name := seg[1 : len(seg)-1]
	if name == "$" {
		if !last {
			bad(at, len(seg), "", "{$} only at the end")
		}
		p.end = endSlash
		return
	}
	name, multi := strings.CutSuffix(name, "...")
	switch {
	case multi && !last:
		bad(at, len(seg), "", "... only at the end: {%s...} takes all that follows", name)
	case name == "":
		bad(at, len(seg), "{id}", "a wildcard needs a name")
	case !isIdentifier(name):
		bad(at, len(seg), "", "wildcard %q: a name is a Go identifier: letters, digits and _, no digit first", name)
	case p.hasWildcard(name):
		bad(at, len(seg), "", "wildcard {%s} is here twice", name)
	}
	if multi {
		p.end, p.rest = endRest, name
		return
	}
	p.segments = append(p.segments, segment{text: name, wild: true})
}

// hasWildcard reports whether the pattern has {name} or {name...}.
func (p *pattern) hasWildcard(name string) bool {
	for _, s := range p.segments {
		if s.wild && s.text == name {
			return true
		}
	}
	return p.end == endRest && p.rest == name
}

// covers reports whether p matches every request that q matches. It is for warnings: where it is not sure it says no.
func (p *pattern) covers(q *pattern) bool {
	if p.method != "" && p.method != q.method && !(p.method == "GET" && q.method == "HEAD") {
		return false
	}
	if p.host != "" && p.host != q.host || len(q.segments) < len(p.segments) {
		return false
	}
	for i, s := range p.segments {
		if !s.wild && (q.segments[i].wild || q.segments[i].text != s.text) {
			return false
		}
	}
	same := len(q.segments) == len(p.segments)
	switch p.end {
	case endSubtree:
		return !same || q.end == endSubtree || q.end == endSlash || len(p.segments) == 0
	case endRest:
		return true
	case endSlash:
		return same && (q.end == endSlash || len(p.segments) == 0 && q.end == endExact)
	default:
		return same && (q.end == endExact || q.end == endSlash)
	}
}

// repairPattern is the nearest pattern to text that could have been meant: the method in capitals, a slash
// before the path, wildcards closed.
func repairPattern(text string) string {
	method, rest := "", text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		method, rest = strings.ToUpper(text[:i])+" ", strings.TrimLeft(text[i:], " \t")
	}
	host, path, found := strings.Cut(rest, "/")
	if strings.Contains(host, ".") && isHost(host) || host == "localhost" || found && host == "" {
		rest = host + "/" + path
	} else {
		rest = "/" + rest
	}
	parts := strings.Split(rest, "/")
	for i, s := range parts {
		if strings.LastIndexByte(s, '{') > strings.LastIndexByte(s, '}') {
			parts[i] = s + "}"
		}
	}
	return method + strings.Join(parts, "/")
}

// isToken reports whether s is an HTTP token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isHost(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 }

func isIdentifier(s string) bool {
	for i, c := range s {
		if c == utf8.RuneError || !unicode.IsLetter(c) && c != '_' && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}
