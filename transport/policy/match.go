package policy

import (
	"net/textproto"
	"strings"
)

// match reports whether the pattern matches a request. It allocates nothing, but for escaped segments under
// ignore_case.
func (p *pattern) match(method string, t *target, ignoreCase bool) bool {
	return t.path && p.matchMethod(method) && (p.host == "" || sameHost(t.host, p.host)) && p.matchPath(t, ignoreCase)
}

// matchMethod takes the method in any case: a few frameworks do.
func (p *pattern) matchMethod(method string) bool {
	return p.method == "" || sameMethod(method, p.method) || p.method == "GET" && sameMethod(method, "HEAD")
}

func sameMethod(method, want string) bool {
	return len(method) == len(want) && (method == want || strings.EqualFold(method, want))
}

func (p *pattern) matchPath(t *target, ignoreCase bool) bool {
	n := len(p.segments)
	if t.depth < n {
		return false
	}
	switch p.end {
	case endExact:
		if t.depth != n {
			return false
		}
	case endSlash:
		if t.depth != n || !t.slash {
			return false
		}
	case endSubtree:
		if t.depth == n && !t.slash {
			return false
		}
	}
	for i := range p.segments {
		if s := &p.segments[i]; !s.wild && !sameSegment(t.segs[i], s.text, ignoreCase) {
			return false
		}
	}
	return true
}

// appendWildcard appends what {name} stands for in a request that the pattern matched.
func (p *pattern) appendWildcard(dst []byte, name string, t *target) ([]byte, bool) {
	for i := range p.segments {
		if s := &p.segments[i]; s.wild && s.text == name {
			dst, _ = appendUnescaped(dst, t.segs[i], false)
			return dst, true
		}
	}
	if p.end != endRest || p.rest != name || t.depth > len(t.segs) {
		return dst, false
	}
	for i := len(p.segments); i < t.depth; i++ {
		if i > len(p.segments) {
			dst = append(dst, '/')
		}
		dst, _ = appendUnescaped(dst, t.segs[i], false)
	}
	return dst, true
}

func sameSegment(seg, literal string, ignoreCase bool) bool {
	escaped := strings.IndexByte(seg, '%') >= 0
	switch {
	case !ignoreCase && !escaped:
		return seg == literal
	case !ignoreCase:
		return equalUnescaped(seg, literal, false)
	case escaped:
		b, _ := appendUnescaped(nil, seg, false)
		seg = string(b)
	}
	return strings.EqualFold(seg, literal)
}

// sameHost compares a Host header with a pattern's host: without port, without the root's dot, in any case.
func sameHost(host, want string) bool {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), want)
}

func canonicalHeader(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }
