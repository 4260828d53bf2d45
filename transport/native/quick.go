package native

import (
	"unicode/utf8"

	"github.com/stint-limiter/stint/transport"
)

// Nearly all checks in MessagePack look alike: a map of key, limits and perhaps hits, in short forms. Such a check is read here in one
// go, without a call per value. What is not known here, right or wrong, is left to the walk: so nothing is refused here, and there is
// no rule here that is not in walk.go. FuzzQuick holds the two against each other.

// maxMemo bounds the limits that a call remembers, in bytes as they came: four limits of an ordinary length.
const maxMemo = 64

// quickCheck reads the check that comes next, and reports whether it did. If not, nothing has happened.
func (c *call) quickCheck(s *msgpackSource) bool {
	b := s.b
	if len(b) == 0 || b[0] < 0x82 || b[0] > 0x83 { // a map of two or three
		return false
	}
	fields := b[0] - 0x80
	b = b[1:]
	var key []byte
	var limits []transport.Limit
	hits, counted := int64(1), false
	for ; fields > 0; fields-- {
		switch {
		case key == nil && len(b) > 4 && string(b[:4]) == "\xa3key":
			if key, b = quickText(b[4:]); len(key) == 0 || !utf8.Valid(key) { // too long it cannot be: MaxKey is 512
				return false
			}
		case limits == nil && len(b) > 7 && string(b[:7]) == "\xa6limits":
			if limits, b = c.quickLimits(b[7:]); limits == nil {
				return false
			}
		case !counted && len(b) > 5 && string(b[:5]) == "\xa4hits":
			counted = true
			if b[5] < 0x80 {
				hits, b = int64(b[5]), b[6:]
				continue
			}
			wide := msgpackSource{b: b[5:]}
			var err error
			if hits, err = wide.integer(); err != nil || transport.ValidHits(hits) != nil {
				return false
			}
			b = wide.b
		default:
			return false
		}
	}
	if key == nil || limits == nil {
		return false
	}
	s.b = b
	c.items = append(c.items, item{first: len(c.checks), n: 1})
	c.checks = append(c.checks, transport.Check{Key: key, Limits: limits, Hits: hits})
	return true
}

// quickText reads a text of less than 256 bytes, whatever its bytes are; nil if something else comes.
func quickText(b []byte) (text, rest []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	n, from := int(b[0]&0x1f), 1
	if b[0]&0xe0 != 0xa0 {
		if b[0] != 0xd9 || len(b) < 2 {
			return nil, nil
		}
		n, from = int(b[1]), 2
	}
	n += from
	if n > len(b) {
		return nil, nil
	}
	return b[from:n:n], b[n:]
}

// quickLimits reads up to 15 limits; nil if something else comes. An application sends the same limits with check after check, so those that
// were read last are known by their bytes: a value in MessagePack ends where it says, so what begins with those bytes begins with that value.
func (c *call) quickLimits(b []byte) (limits []transport.Limit, rest []byte) {
	if n := len(c.memo); n > 0 && len(b) >= n && string(b[:n]) == string(c.memo) {
		return c.memoLimits, b[n:]
	}
	if b[0] < 0x91 || b[0] > 0x9f {
		return nil, nil
	}
	rest = b[1:]
	c.texts = c.texts[:0]
	for range b[0] - 0x90 {
		var text []byte
		if text, rest = quickText(rest); text == nil {
			return nil, nil
		}
		c.texts = append(c.texts, text)
	}
	limits, err := c.door.limits.Limits(c.texts)
	if err != nil {
		return nil, nil
	}
	if n := len(b) - len(rest); n <= maxMemo {
		c.memo, c.memoLimits = append(c.memo[:0], b[:n]...), limits
	}
	return limits, rest
}
