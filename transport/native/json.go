package native

import (
	"fmt"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonSource reads JSON (RFC 8259) strictly: where encoding/json would guess, it refuses. Bytes that are not UTF-8
// and half surrogate pairs would become U+FFFD there, and two callers could come to share one key; fractions and
// exponents are refused where a whole number is due. (That a field is there twice is the walk's to see.)
//
// Escapes are undone in place, in the body, as they are never shorter than what they stand for.
type jsonSource struct {
	b     []byte
	i     int
	fresh bool // an object or array has just been entered: no comma is due before what comes
}

func (s *jsonSource) reset(b []byte) { *s = jsonSource{b: b} }

// next skips white space and returns the byte that follows, 0 at the end. A NUL byte is in no JSON outside a string,
// where it is refused as well.
func (s *jsonSource) next() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *jsonSource) object() error {
	if s.next() != '{' {
		return s.wrong("an object")
	}
	s.i++
	s.fresh = true
	return nil
}

func (s *jsonSource) array() (int, error) {
	if s.next() != '[' {
		return 0, s.wrong("an array")
	}
	s.i++
	s.fresh = true
	return -1, nil
}

func (s *jsonSource) field() ([]byte, bool, error) {
	more, err := s.more('}')
	if !more || err != nil {
		return nil, false, err
	}
	if s.next() != '"' {
		return nil, false, s.wrong("a field's name in quotes")
	}
	name, err := s.text()
	if err != nil {
		return nil, false, err
	}
	if s.next() != ':' {
		return nil, false, s.wrong("a colon")
	}
	s.i++
	return name, true, nil
}

func (s *jsonSource) element() (bool, error) { return s.more(']') }

// more passes the comma before the next member, or the bracket that ends them.
func (s *jsonSource) more(end byte) (bool, error) {
	c := s.next()
	fresh := s.fresh
	s.fresh = false
	switch {
	case c == end:
		s.i++
		return false, nil
	case fresh:
		return true, nil
	case c == ',':
		s.i++
		if s.next() == end {
			return false, fmt.Errorf("a comma before the closing %c, at byte %d", end, s.i)
		}
		return true, nil
	}
	return false, s.wrong("a comma or " + string(end))
}

func (s *jsonSource) text() ([]byte, error) {
	if s.next() != '"' {
		return nil, s.wrong("a text")
	}
	var high byte
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		c := s.b[i]
		high |= c
		switch {
		case c == '"':
			s.i = i + 1
			return s.checked(s.b[start:i:i], high)
		case c == '\\':
			return s.escaped(start, i, high)
		case c < ' ':
			return nil, fmt.Errorf("a bare control character in a text, at byte %d; write it as \\u%04x", i, c)
		}
	}
	return nil, errEnds
}

func (s *jsonSource) checked(text []byte, high byte) ([]byte, error) {
	if high >= utf8.RuneSelf && !utf8.Valid(text) {
		return nil, errUTF8
	}
	return text, nil
}

// escaped goes on reading a text at its first backslash, b[i], and writes the plain text over the escaped one.
func (s *jsonSource) escaped(start, i int, high byte) ([]byte, error) {
	b, w := s.b, i
	for i < len(b) {
		c := b[i]
		switch {
		case c == '"':
			s.i = i + 1
			return s.checked(b[start:w:w], high)
		case c < ' ':
			return nil, fmt.Errorf("a bare control character in a text, at byte %d; write it as \\u%04x", i, c)
		case c != '\\':
			high |= c
			b[w] = c
			w++
			i++
			continue
		}
		if i+1 >= len(b) {
			return nil, errEnds
		}
		switch c := b[i+1]; c {
		case '"', '\\', '/':
			b[w] = c
		case 'b':
			b[w] = '\b'
		case 'f':
			b[w] = '\f'
		case 'n':
			b[w] = '\n'
		case 'r':
			b[w] = '\r'
		case 't':
			b[w] = '\t'
		case 'u':
			r, n, err := s.rune(i)
			if err != nil {
				return nil, err
			}
			// Written before the loop reads on: the longest rune, four bytes, takes twelve of escapes.
			w += utf8.EncodeRune(b[w:w+utf8.RuneLen(r)], r)
			i += n
			continue
		default:
			return nil, fmt.Errorf("an unknown escape, \\ and then byte 0x%02x, at byte %d", c, i)
		}
		w++
		i += 2
	}
	return nil, errEnds
}

// rune reads the \uXXXX at b[i], or the pair of them that a surrogate needs, and says how many bytes that was.
func (s *jsonSource) rune(i int) (rune, int, error) {
	r, err := s.hex4(i)
	if err != nil || !utf16.IsSurrogate(r) {
		return r, 6, err
	}
	if i+12 <= len(s.b) && s.b[i+6] == '\\' && s.b[i+7] == 'u' {
		low, err := s.hex4(i + 6)
		if err != nil {
			return 0, 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12, nil
		}
	}
	return 0, 0, fmt.Errorf("half of a surrogate pair, \\u%04x, at byte %d", r, i)
}

func (s *jsonSource) hex4(i int) (rune, error) {
	if i+6 > len(s.b) {
		return 0, errEnds
	}
	var r rune
	for _, c := range s.b[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, fmt.Errorf("\\u without four hex digits, at byte %d", i)
		}
	}
	return r, nil
}

func (s *jsonSource) integer() (int64, error) {
	c := s.next()
	i := s.i
	negative := c == '-'
	if negative {
		i++
	}
	first := i
	var n uint64
	for ; i < len(s.b) && s.b[i] >= '0' && s.b[i] <= '9'; i++ {
		if n > math.MaxInt64/10 {
			return 0, errRange
		}
		n = n*10 + uint64(s.b[i]-'0')
		if n > math.MaxInt64 {
			return 0, errRange
		}
	}
	switch {
	case i == first:
		return 0, s.wrong("a whole number")
	case i-first > 1 && s.b[first] == '0':
		return 0, fmt.Errorf("a number that begins with 0, at byte %d", s.i)
	case i < len(s.b) && (s.b[i] == '.' || s.b[i]|0x20 == 'e'):
		return 0, fmt.Errorf("a whole number is due here, not a fraction or an exponent, at byte %d", s.i)
	}
	s.i = i
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}

func (s *jsonSource) boolean() (bool, error) {
	switch {
	case s.word("true"):
		return true, nil
	case s.word("false"):
		return false, nil
	}
	return false, s.wrong("true or false")
}

func (s *jsonSource) isBoolean() bool {
	c := s.next()
	return c == 't' || c == 'f'
}

func (s *jsonSource) null() bool { return s.word("null") }

func (s *jsonSource) word(w string) bool {
	s.next()
	if rest := s.b[s.i:]; len(rest) < len(w) || string(rest[:len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

func (s *jsonSource) end() error {
	s.next()
	if s.i < len(s.b) {
		return errTrailing
	}
	return nil
}

func (s *jsonSource) wrong(due string) error {
	c := s.next()
	var is string
	switch {
	case s.i >= len(s.b):
		return errEnds
	case c == '{':
		is = "an object"
	case c == '[':
		is = "an array"
	case c == '"':
		is = "a text"
	case c == '-' || c >= '0' && c <= '9':
		is = "a number"
	case c == 't' || c == 'f':
		is = "true or false"
	case c == 'n':
		is = "null"
	case c > ' ' && c < 0x7f:
		is = "'" + string(c) + "'"
	default:
		is = fmt.Sprintf("byte 0x%02x", c)
	}
	return fmt.Errorf("%s is due here, not %s, at byte %d", due, is, s.i)
}
