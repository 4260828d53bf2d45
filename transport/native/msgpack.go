package native

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep a request nests: request, checks, check, limits or attributes.
const maxDepth = 4

// A msgpackSource reads MessagePack. It takes any width of a number or a length, and bin where str is due, as some
// libraries write byte strings; it refuses floats and extensions, which no field is.
type msgpackSource struct {
	b     []byte // what is left
	left  [maxDepth]uint32
	depth int
}

func (s *msgpackSource) reset(b []byte) { *s = msgpackSource{b: b} }

func (s *msgpackSource) object() error {
	if len(s.b) == 0 {
		return errEnds
	}
	var n uint32
	switch t := s.b[0]; {
	case t&0xf0 == 0x80:
		n, s.b = uint32(t&0x0f), s.b[1:]
	case t == 0xde && len(s.b) >= 3:
		n, s.b = uint32(binary.BigEndian.Uint16(s.b[1:])), s.b[3:]
	case t == 0xdf && len(s.b) >= 5:
		n, s.b = binary.BigEndian.Uint32(s.b[1:]), s.b[5:]
	default:
		return s.wrong("a map")
	}
	// A field is two bytes at least.
	if uint64(n)*2 > uint64(len(s.b)) {
		return fmt.Errorf("a map of %d fields with %d bytes left", n, len(s.b))
	}
	return s.enter(n)
}

func (s *msgpackSource) array() (int, error) {
	if len(s.b) == 0 {
		return 0, errEnds
	}
	var n uint32
	switch t := s.b[0]; {
	case t&0xf0 == 0x90:
		n, s.b = uint32(t&0x0f), s.b[1:]
	case t == 0xdc && len(s.b) >= 3:
		n, s.b = uint32(binary.BigEndian.Uint16(s.b[1:])), s.b[3:]
	case t == 0xdd && len(s.b) >= 5:
		n, s.b = binary.BigEndian.Uint32(s.b[1:]), s.b[5:]
	default:
		return 0, s.wrong("an array")
	}
	if uint64(n) > uint64(len(s.b)) {
		return 0, fmt.Errorf("an array of %d with %d bytes left", n, len(s.b))
	}
	return int(n), s.enter(n)
}

func (s *msgpackSource) enter(n uint32) error {
	if s.depth == maxDepth {
		return fmt.Errorf("nested deeper than a request is")
	}
	s.left[s.depth] = n
	s.depth++
	return nil
}

func (s *msgpackSource) field() ([]byte, bool, error) {
	if more, _ := s.element(); !more {
		return nil, false, nil
	}
	// Names are compared, never passed on, so it does not matter whether they are UTF-8.
	name, err := s.bytes()
	return name, true, err
}

func (s *msgpackSource) element() (bool, error) {
	if s.left[s.depth-1] == 0 {
		s.depth--
		return false, nil
	}
	s.left[s.depth-1]--
	return true, nil
}

func (s *msgpackSource) text() ([]byte, error) {
	text, err := s.bytes()
	if err == nil && !utf8.Valid(text) {
		return nil, errUTF8
	}
	return text, err
}

func (s *msgpackSource) bytes() ([]byte, error) {
	if len(s.b) == 0 {
		return nil, errEnds
	}
	var n uint32
	b := s.b
	switch t := b[0]; {
	case t&0xe0 == 0xa0:
		n, b = uint32(t&0x1f), b[1:]
	case (t == 0xd9 || t == 0xc4) && len(b) >= 2:
		n, b = uint32(b[1]), b[2:]
	case (t == 0xda || t == 0xc5) && len(b) >= 3:
		n, b = uint32(binary.BigEndian.Uint16(b[1:])), b[3:]
	case (t == 0xdb || t == 0xc6) && len(b) >= 5:
		n, b = binary.BigEndian.Uint32(b[1:]), b[5:]
	default:
		return nil, s.wrong("a text")
	}
	if uint64(n) > uint64(len(b)) {
		return nil, errEnds
	}
	s.b = b[n:]
	return b[:n:n], nil
}

func (s *msgpackSource) integer() (int64, error) {
	if len(s.b) == 0 {
		return 0, errEnds
	}
	b := s.b
	switch t := b[0]; {
	case t < 0x80:
		s.b = b[1:]
		return int64(t), nil
	case t >= 0xe0:
		s.b = b[1:]
		return int64(int8(t)), nil
	case t == 0xcc && len(b) >= 2:
		s.b = b[2:]
		return int64(b[1]), nil
	case t == 0xcd && len(b) >= 3:
		s.b = b[3:]
		return int64(binary.BigEndian.Uint16(b[1:])), nil
	case t == 0xce && len(b) >= 5:
		s.b = b[5:]
		return int64(binary.BigEndian.Uint32(b[1:])), nil
	case t == 0xcf && len(b) >= 9:
		n := int64(binary.BigEndian.Uint64(b[1:]))
		if n < 0 {
			return 0, errRange
		}
		s.b = b[9:]
		return n, nil
	case t == 0xd0 && len(b) >= 2:
		s.b = b[2:]
		return int64(int8(b[1])), nil
	case t == 0xd1 && len(b) >= 3:
		s.b = b[3:]
		return int64(int16(binary.BigEndian.Uint16(b[1:]))), nil
	case t == 0xd2 && len(b) >= 5:
		s.b = b[5:]
		return int64(int32(binary.BigEndian.Uint32(b[1:]))), nil
	case t == 0xd3 && len(b) >= 9:
		s.b = b[9:]
		return int64(binary.BigEndian.Uint64(b[1:])), nil
	}
	return 0, s.wrong("a whole number")
}

func (s *msgpackSource) boolean() (bool, error) {
	if !s.isBoolean() {
		return false, s.wrong("true or false")
	}
	t := s.b[0]
	s.b = s.b[1:]
	return t == 0xc3, nil
}

func (s *msgpackSource) isBoolean() bool { return len(s.b) > 0 && s.b[0]&0xfe == 0xc2 }

func (s *msgpackSource) null() bool {
	if len(s.b) > 0 && s.b[0] == 0xc0 {
		s.b = s.b[1:]
		return true
	}
	return false
}

func (s *msgpackSource) end() error {
	if len(s.b) > 0 {
		return errTrailing
	}
	return nil
}

// wrong says that something else than what was due comes next, or that it is cut off.
func (s *msgpackSource) wrong(due string) error {
	if len(s.b) == 0 {
		return errEnds
	}
	var is string
	switch t := s.b[0]; {
	case t < 0x80, t >= 0xe0, t >= 0xcc && t <= 0xd3:
		is = "a number"
	case t&0xf0 == 0x80, t == 0xde, t == 0xdf:
		is = "a map"
	case t&0xf0 == 0x90, t == 0xdc, t == 0xdd:
		is = "an array"
	case t&0xe0 == 0xa0, t >= 0xd9 && t <= 0xdb, t >= 0xc4 && t <= 0xc6:
		is = "a text"
	case t == 0xc0:
		is = "nil"
	case t == 0xc2, t == 0xc3:
		is = "true or false"
	case t == 0xca, t == 0xcb:
		is = "a float"
	case t == 0xc1:
		is = "a byte that msgpack does not use"
	default:
		is = "an extension"
	}
	if is == due || is == "a number" && due == "a whole number" {
		return errEnds // the right kind, so its length is what is missing
	}
	return fmt.Errorf("%s is due here, not %s", due, is)
}
