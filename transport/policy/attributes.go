package policy

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// What a request says about its caller. An attribute is its first source that is present, worked out once for a request
// and only if some rule that matches wants it. Empty is absent; so is what was sent twice with different values (pairs.go)
// and what is in a body that we did not see, cannot parse, or that is over MaxBody. Absent means the next key
// in the rule's list, which is never looser by the author's own order.
//
// Values given by name (Request.Attributes) stand before the sources and pass through the same rules; secret and lower hold
// for them if any source of the attribute has them.

// A reading is one attribute of one request.
type reading struct {
	state    readingState
	asIs     bool // an address or a hash: stands unquoted in a key
	from, to int  // in lookup.text
}

type readingState uint8

const (
	unread readingState = iota
	absent
	present
)

// A lookup reads the attributes of one request. It is part of a Plan, for its memory.
type lookup struct {
	*runner
	r        *Request
	target   target
	others   [2]target // further readings of the path, before the first where they match
	more     int       // how many of them there are
	matched  *target   // that which the pattern at hand matched
	readings []reading
	text     []byte       // of all readings
	net      netip.Prefix // what the client's address is counted as; not valid before it is read
	body     readingState // present: a JSON object
}

// maxKeptText is how much memory a lookup keeps for the next request: a body's field may have been larger.
const maxKeptText = 64 << 10

func (l *lookup) begin(run *runner, r *Request) {
	l.runner, l.r = run, r
	l.target.parse(r.URI, r.Host)
	l.matched, l.more = &l.target, 0
	up := l.target.up
	if hasSecondReading(r.URI) {
		l.others[0].parseLoosely(r.URI, r.Host)
		l.more, up = 1, up || l.others[0].up
	}
	if up {
		l.others[l.more].parseUnfolded(r.URI, r.Host)
		l.more++
	}
	if cap(l.readings) < len(run.attributes) {
		l.readings = make([]reading, len(run.attributes))
	}
	l.readings = l.readings[:len(run.attributes)]
	clear(l.readings)
	if cap(l.text) > maxKeptText {
		l.text = nil
	}
	l.text, l.net, l.body = l.text[:0], netip.Prefix{}, unread
}

// end lets go of the request.
func (l *lookup) end() {
	l.r = nil
	l.target.forget()
	for i := range l.others[:l.more] {
		l.others[i].forget()
	}
}

// value returns an attribute's text, and whether it is present. m is the pattern that the rule at hand matched, nil if it
// has none. The text is good until the next call.
func (l *lookup) value(attribute int, m *pattern) (text []byte, asIs, ok bool) {
	v := &l.readings[attribute+1]
	if v.state == unread || l.attributes[attribute+1].ofPath {
		from := len(l.text)
		*v = reading{state: absent}
		if attribute == ipAttribute {
			l.readAddress(v)
		} else {
			l.read(v, &l.attributes[attribute+1], m)
		}
		if v.state == absent {
			*v = reading{state: absent}
			l.text = l.text[:from]
		} else {
			v.to = len(l.text)
		}
	}
	return l.text[v.from:v.to], v.asIs, v.state == present
}

func (l *lookup) readAddress(v *reading) {
	v.from = len(l.text)
	ip := netip.Addr{}
	if l.r.Attributes != nil {
		given := strings.TrimSpace(l.r.Attributes["ip"]) // a piece of X-Forwarded-For, cut at the comma
		if ip = parseAddr(given); !ip.IsValid() {
			// Taken as given: the application knows what it counts by.
			l.text = append(l.text, given...)
			l.finish(v, false, false)
			return
		}
	} else if ip = l.policy.clientIP.address(l.r); !ip.IsValid() {
		return
	}
	l.net = l.policy.clientIP.network(ip)
	l.text = appendNetwork(l.text, l.net)
	v.state, v.asIs = present, true
}

func (l *lookup) read(v *reading, a *runAttribute, m *pattern) {
	if given, ok := l.r.Attributes[a.name]; ok {
		v.from = len(l.text)
		l.text = append(l.text, given...)
		l.finish(v, a.lower, a.secret)
		return
	}
	for i := range a.sources {
		s := &a.sources[i]
		v.from = len(l.text)
		if l.readSource(s, m) {
			l.finish(v, s.lower, s.secret)
			if v.state == present {
				return
			}
		}
		l.text = l.text[:v.from]
	}
}

// readSource appends what a source has, and reports whether it has anything.
func (l *lookup) readSource(s *runSource, m *pattern) (ok bool) {
	switch s.kind {
	case fromHeader, fromBearer, fromCookie:
		if l.r.Header == nil {
			return false
		}
		lines := l.r.Header(s.header)
		if s.kind == fromCookie {
			l.text, ok = appendCookie(l.text, lines, s.name)
		} else {
			l.text, ok = appendHeader(l.text, lines, s.kind == fromBearer)
		}
	case fromQuery:
		l.text, ok = appendPair(l.text, l.target.query, s.name)
	case fromPath:
		if m != nil {
			l.text, ok = m.appendWildcard(l.text, s.name, l.matched)
		}
	case fromForm:
		if len(l.r.Body) <= MaxBody {
			l.text, ok = appendPair(l.text, bodyText(l.r.Body), s.name)
		}
	case fromJSON:
		if l.body == unread {
			l.body = absent
			if len(l.r.Body) <= MaxBody && isObject(l.r.Body) {
				l.body = present
			}
		}
		if l.body == present {
			l.text, ok = appendField(l.text, l.r.Body, s.field)
		}
	}
	return ok
}

// finish makes of text[v.from:] what an attribute is: trimmed and in lower case, hashed, or absent.
func (l *lookup) finish(v *reading, lower, secret bool) {
	if lower {
		l.text = append(l.text[:v.from], lowered(l.text[v.from:])...)
	}
	if len(l.text) == v.from {
		return
	}
	v.state = present
	if secret {
		from := v.from
		v.from, v.asIs = len(l.text), true
		l.text = l.hash.append(l.text, from)
	}
}

func lowered(b []byte) []byte {
	b = bytes.TrimSpace(b)
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return bytes.ToLower(b)
		}
		if c-'A' < 26 {
			b[i] = c | 0x20
		}
	}
	return b
}

// bodyText is a urlencoded body as a string. It is copied, since it is small and few ask for it.
func bodyText(body []byte) string { return string(body) }

// holds reports whether the attribute has one of the values.
func (l *lookup) holds(c *runCondition, m *pattern) bool {
	text, _, ok := l.value(c.attribute, m)
	if !ok {
		return false
	}
	for i := range c.matchers {
		want := &c.matchers[i]
		switch {
		case want.prefix:
			if strings.HasPrefix(string(text), want.text) {
				return true
			}
		case string(text) == want.text:
			return true
		case c.attribute == ipAttribute && want.net.Contains(l.net.Addr()):
			return true
		}
	}
	return false
}

// appendKey appends the key of an alternative; dst is as it was where some part is absent.
func (l *lookup) appendKey(dst []byte, a *alternative, m *pattern) ([]byte, bool) {
	from := len(dst)
	for i, attribute := range a.parts {
		text, asIs, ok := l.value(attribute, m)
		if !ok {
			return dst[:from], false
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		if !asIs && len(text) > maxPart {
			end := len(l.text)
			l.text = append(l.text, text...) // text may be anywhere in it
			l.text = l.hash.append(l.text, end)
			dst = appendPart(dst, l.attributes[attribute+1].name, l.text[len(l.text)-hashedLen:], true)
			l.text = l.text[:end]
			continue
		}
		dst = appendPart(dst, l.attributes[attribute+1].name, text, asIs)
	}
	return l.hash.shorten(dst, from), true
}
