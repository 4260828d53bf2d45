package policy

import (
	"unicode/utf8"

	"github.com/stint-limiter/stint/transport"
)

// How a caller is written as a key: its attributes in the order of the rule's key, name=value, with commas between.
//
//	ip=192.0.2.1
//	ip=2001:db8:0:7::/64
//	user=42,seller=7
//	user="a,b=\"c\"\x0a"
//	token=sha256:5994471abb01112a
//
// There is one way to write each caller and one caller for each way. A value of letters, digits and . _ @ ~ - stands as it
// is. Any other is quoted, with `"` and `\` behind a backslash and control characters, bidirectional marks and bytes that
// are no UTF-8 as \x and two digits; so neither a comma nor `=` can forge a pair, nor a colon a hash. Hashes stand
// unquoted: of what is secret, and of what is over maxPart bytes. The address is the
// client's own only in `ip`, a name that no attribute can have.

const (
	maxPart = 128 // bytes of a value that stands in clear: a longer one is a token that should have been secret, or an attack
)

// appendPart appends one pair; value must not lie in dst. In a hashed value nothing is left to escape.
func appendPart(dst []byte, name string, value []byte, asIs bool) []byte {
	dst = append(append(dst, name...), '=')
	if asIs || isBare(value) {
		return append(dst, value...)
	}
	dst = append(dst, '"')
	for i := 0; i < len(value); {
		c := value[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(value[i:])
			if r == utf8.RuneError && n == 1 || isInvisible(r) {
				for _, c := range value[i : i+n] {
					dst = appendEscape(dst, c)
				}
			} else {
				dst = append(dst, value[i:i+n]...)
			}
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = appendEscape(dst, c)
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'x', digits[c>>4], digits[c&15])
}

func isBare(value []byte) bool {
	for _, c := range value {
		if !isAlnum(c) && c != '.' && c != '_' && c != '@' && c != '~' && c != '-' {
			return false
		}
	}
	return len(value) > 0
}

// isInvisible reports whether a log would look other than it is with the character in it: C1 controls, marks that turn
// the direction of writing, separators and the byte order mark. A list of our own, since what Unicode calls printable
// grows with each release, and a key must be the same on every node.
func isInvisible(r rune) bool {
	return r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff || r == 0x061c
}

// shorten replaces dst[from:], a key that came out longer than a key may be, by its hash: eight attributes full of control
// characters. A hash without a name in front is like no other key.
func (h *secretHash) shorten(dst []byte, from int) []byte {
	if len(dst)-from <= transport.MaxKey {
		return dst
	}
	end := len(dst)
	dst = h.append(dst, from)
	copy(dst[from:], dst[end:])
	return dst[:from+hashedLen]
}
