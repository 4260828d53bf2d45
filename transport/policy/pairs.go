package policy

import (
	"bytes"
	"strings"
)

// Values out of a query, a urlencoded body, a Cookie header. What is there twice with different values is absent: one of
// the two is what the application goes by, and we cannot know which, so a caller could make up a new one for each request
// in the place that the application does not look at.

// appendPair appends the value of name in a query or a urlencoded body. A semicolon parts two pairs for some
// applications and none for others; a value that one stands next to is absent, and so is one with a bad escape.
func appendPair(dst []byte, s, name string) ([]byte, bool) {
	from, found := len(dst), false
	for s != "" {
		var piece string
		piece, s, _ = strings.Cut(s, "&")
		ambiguous := strings.IndexByte(piece, ';') >= 0
		for piece != "" {
			var pair string
			pair, piece, _ = strings.Cut(piece, ";")
			k, v, _ := strings.Cut(pair, "=")
			if !equalUnescaped(k, name, true) {
				continue
			}
			if ambiguous {
				return dst[:from], false
			}
			mark, ok := len(dst), false
			if dst, ok = appendUnescaped(dst, v, true); !ok {
				return dst[:from], false
			}
			if found {
				if !bytes.Equal(dst[from:mark], dst[mark:]) {
					return dst[:from], false
				}
				dst = dst[:mark]
			}
			found = true
		}
	}
	return dst, found
}

// appendCookie appends the value of a cookie (RFC 6265, 4.2.1), unescaped: Express and PHP do that, and there one session
// could be written in as many ways as it has letters (sid=abc, sid=%61bc). So it could in octal escapes within quotes, which
// Python reads; such a value is absent.
func appendCookie(dst []byte, lines []string, name string) ([]byte, bool) {
	value, found := "", false
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			k, v, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !ok || k != name {
				continue
			}
			if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
				if strings.IndexByte(v, '\\') >= 0 {
					return dst, false
				}
			}
			if found && v != value {
				return dst, false
			}
			value, found = v, true
		}
	}
	if found {
		dst, _ = appendUnescaped(dst, value, false)
	}
	return dst, found
}

// appendHeader appends the value of a header. With bearer, its value is what follows the scheme `Bearer`, in any case.
func appendHeader(dst []byte, lines []string, bearer bool) ([]byte, bool) {
	value := ""
	for i, line := range lines {
		line = strings.Trim(line, " \t")
		if bearer {
			const scheme = "bearer"
			if len(line) <= len(scheme) || !strings.EqualFold(line[:len(scheme)], scheme) || line[len(scheme)] != ' ' && line[len(scheme)] != '\t' {
				return dst, false
			}
			line = strings.TrimLeft(line[len(scheme):], " \t")
		}
		if i > 0 && line != value {
			return dst, false
		}
		value = line
	}
	return append(dst, value...), len(lines) > 0
}
