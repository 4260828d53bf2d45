package policy

import "strings"

// A target is a request's URI, cut up for matching without allocating: a limiter must never be looser than the router
// behind it, so the path is read as the most forgiving router would.
//
//   - Segments are unescaped one by one, after the cut at the slashes: %2F stays inside its segment. `//`, `.` and `..`,
//     also written %2e, are folded.
//   - Not all routers read %2F so, some know other signs, and some fold nothing: where a path has one of these it is read
//     once more (parseLoosely, parseUnfolded), and a rule applies that matches any reading.
//   - The rules are those of url.ParseRequestURI, never of url.Parse: `//verify/` is a path, not a host. `http://host/path`
//     is a proxy's form of the request and its host outdoes the Host header.
//   - An escape that is none (`%zz`) stays as it is. Strict routers answer 400 and nothing is lost; forgiving ones
//     read it that way, and their wildcards match it.
//   - A fragment (`#`) is no part of a request, but a client can send one: Node's url.parse drops it, so the query ends there.
//   - What is no path at all (`*`, `host:443`, nothing) matches no pattern, but still the rules without any and `otherwise`.
type target struct {
	segs  []string // still escaped; at most keptSegments
	depth int      // how many segments there are
	slash bool     // the path ends in a slash
	path  bool     // there is a path
	up    bool     // `..` was folded away
	host  string   // from an absolute URI, else the caller's
	query string
}

// keptSegments is how many segments of a request are kept: all that a pattern can name and one more. Deeper ones are
// counted, and {rest...} over more than these has no value.
const keptSegments = maxSegments + 1

// parse reads a URI. host is the Host header.
func (t *target) parse(uri, host string) { t.read(uri, host, false, true) }

// parseLoosely reads a URI that hasSecondReading as routers do that differ from net/http's:
//
//   - /a%2Fb is /a/b where the path is unescaped before it is cut (WSGI and ASGI: Django, Flask, FastAPI; nginx's
//     locations), and so are /a\b and /a%5Cb on IIS;
//   - /a;x=1 is /a, and /b/..;/a too, where a semicolon begins parameters of a segment (servlets: Tomcat, Jetty, Spring);
//   - /a#x is /a where a fragment is dropped (Node: Express).
func (t *target) parseLoosely(uri, host string) { t.read(uri, host, true, true) }

// parseUnfolded reads a URI with `..` in it as routers do that fold nothing (Express, Fastify, Flask, FastAPI): there
// /hooks/../status is below /hooks/. Signs that routers disagree about are read loosely.
func (t *target) parseUnfolded(uri, host string) { t.read(uri, host, true, false) }

// hasSecondReading reports whether the path of a URI has a sign in it that routers disagree about.
func hasSecondReading(uri string) bool {
	for i := 0; i < len(uri); i++ {
		switch uri[i] {
		case '?':
			return false
		case ';', '#', '\\':
			return true
		case '%':
			if separatorAt(uri[i:]) > 0 {
				return true
			}
		}
	}
	return false
}

// separatorAt is the length of the loose separator that s begins with, 0 if there is none.
func separatorAt(s string) int {
	switch {
	case s[0] == '/' || s[0] == '\\':
		return 1
	case len(s) >= 3 && s[0] == '%' && (s[1] == '2' && s[2]|0x20 == 'f' || s[1] == '5' && s[2]|0x20 == 'c'):
		return 3
	}
	return 0
}

// separator finds the next separator of segments: where it is, at the end if there is none, and how long.
func separator(s string, loose bool) (at, n int) {
	if !loose {
		if at = strings.IndexByte(s, '/'); at < 0 {
			at = len(s)
		}
		return at, 1
	}
	for at < len(s) {
		if n = separatorAt(s[at:]); n > 0 {
			return at, n
		}
		at++
	}
	return at, 1
}

func (t *target) read(uri, host string, loose, fold bool) {
	t.segs, t.depth, t.slash, t.path, t.up, t.host, t.query = t.segs[:0], 0, false, false, false, host, ""
	if uri == "" {
		return
	}
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		uri, t.query = uri[:i], uri[i+1:]
		t.query, _, _ = strings.Cut(t.query, "#")
	}
	if loose {
		uri, _, _ = strings.Cut(uri, "#")
	}
	if uri == "" || uri[0] != '/' {
		// http://host/path, and http:/path too, which Go's server takes.
		i := strings.IndexByte(uri, ':')
		if i <= 0 || !isScheme(uri[:i]) {
			return
		}
		if uri = uri[i+1:]; strings.HasPrefix(uri, "//") {
			uri = uri[2:]
			if i = strings.IndexByte(uri, '/'); i < 0 {
				i = len(uri)
			}
			if authority := uri[strings.LastIndexByte(uri[:i], '@')+1 : i]; authority != "" {
				t.host = authority
			}
			uri = uri[i:]
		}
		if uri != "" && uri[0] != '/' {
			return
		}
	}
	t.path = true
	t.slash = true // of "", an absolute URI's root
	for i, n := 0, 1; i+n <= len(uri); {
		uri = uri[i+n:]
		i, n = separator(uri, loose)
		seg := uri[:i]
		if loose {
			seg, _, _ = strings.Cut(seg, ";")
		}
		switch {
		case seg == "" || isDot(seg):
			t.slash = true
		case fold && isDotDot(seg):
			t.slash, t.up = true, true
			if t.depth > 0 {
				t.depth--
				t.segs = t.segs[:min(t.depth, len(t.segs))]
			}
		default:
			if t.depth < keptSegments { // then all before it are kept
				t.segs = append(t.segs, seg)
			}
			t.depth++
			t.slash = false
		}
	}
}

// forget lets go of the request, and keeps the memory.
func (t *target) forget() {
	clear(t.segs[:cap(t.segs)])
	t.host, t.query = "", ""
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && s[0]|0x20-'a' < 26
}

// isDot reports whether a segment is `.`, escaped or not; isDotDot whether it is `..`.
func isDot(s string) bool {
	n, ok := dots(s)
	return ok && n == 1
}

func isDotDot(s string) bool {
	n, ok := dots(s)
	return ok && n == 2
}

func dots(s string) (n int, ok bool) {
	if len(s) > len("%2e%2e") {
		return 0, false
	}
	for len(s) > 0 {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && s[2]|0x20 == 'e':
			s = s[3:]
		default:
			return 0, false
		}
		n++
	}
	return n, true
}

// unescapeByte reads the first character of an escaped text: the byte and how much it took. An escape that is none is
// read as a percent sign, and ok is false.
func unescapeByte(s string, plus bool) (c byte, n int, ok bool) {
	switch {
	case s[0] == '+' && plus:
		return ' ', 1, true
	case s[0] != '%':
		return s[0], 1, true
	case len(s) < 3:
		return '%', 1, false
	}
	hi, lo := unhex(s[1]), unhex(s[2])
	if hi > 15 || lo > 15 {
		return '%', 1, false
	}
	return hi<<4 | lo, 3, true
}

func unhex(c byte) byte {
	switch {
	case c-'0' < 10:
		return c - '0'
	case c|0x20-'a' < 6:
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// appendUnescaped appends s unescaped, as unescapeByte has it; ok is false if an escape was none.
func appendUnescaped(dst []byte, s string, plus bool) (out []byte, ok bool) {
	ok = true
	for len(s) > 0 {
		c, n, good := unescapeByte(s, plus)
		dst = append(dst, c)
		s = s[n:]
		ok = ok && good
	}
	return dst, ok
}

// equalUnescaped reports whether s, unescaped, is plain.
func equalUnescaped(s, plain string, plus bool) bool {
	for len(s) > 0 {
		if plain == "" {
			return false
		}
		c, n, _ := unescapeByte(s, plus)
		if c != plain[0] {
			return false
		}
		s, plain = s[n:], plain[1:]
	}
	return plain == ""
}
