package policy

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// One flat field out of a JSON body. A body that is not an object, or not JSON to its last byte, has no fields. Names are
// compared in any case, as Go's decoder compares them: {"email":"new","EMAIL":"real"} must not count as `new` where the
// application goes by `real`, so it counts as neither.

// isObject reports whether a body is one JSON object. It allocates nothing and goes no deeper than encoding/json does.
func isObject(body []byte) bool {
	i := skipSpace(body, 0)
	return i < len(body) && body[i] == '{' && json.Valid(body)
}

// appendField appends the value of a field of body, for which isObject holds: a string's text, a number in its shortest
// form, true or false. Null, objects and arrays are absent, and so is a field that is there twice with different values.
func appendField(dst, body []byte, field []byte) ([]byte, bool) {
	from, found := len(dst), false
	for i := skipSpace(body, 0) + 1; ; {
		i = skipSpace(body, i)
		if body[i] == '}' {
			return dst, found
		}
		if body[i] == ',' {
			i = skipSpace(body, i+1)
		}
		nameEnd := skipValue(body, i)
		mine := sameName(body[i:nameEnd], field)
		i = skipSpace(body, skipSpace(body, nameEnd)+1) // past the colon
		end := skipValue(body, i)
		if mine {
			mark, ok := len(dst), false
			if dst, ok = appendScalar(dst, body[i:end]); !ok {
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
		i = end
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns where the value that starts at i ends.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // behind a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

func sameName(quoted, field []byte) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return bytes.EqualFold(quoted[1:len(quoted)-1], field)
	}
	var s string
	return json.Unmarshal(quoted, &s) == nil && bytes.EqualFold([]byte(s), field)
}

func appendScalar(dst, raw []byte) ([]byte, bool) {
	switch raw[0] {
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return append(dst, raw[1:len(raw)-1]...), true
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return dst, false
		}
		return append(dst, s...), true
	case 't', 'f':
		return append(dst, raw...), true
	case 'n', '{', '[':
		return dst, false
	}
	return appendNumber(dst, raw)
}

// appendNumber appends a number in one form for all its spellings: 42 for 42.0 and 4.2e1. An application takes them for
// one, so they are one caller.
func appendNumber(dst, raw []byte) ([]byte, bool) {
	if !bytes.ContainsAny(raw, ".eE") {
		if string(raw) == "-0" {
			raw = raw[1:]
		}
		return append(dst, raw...), true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil:
		return dst, false
	case f == 0:
		return append(dst, '0'), true
	case f == math.Trunc(f) && math.Abs(f) < 1<<63:
		return strconv.AppendInt(dst, int64(f), 10), true
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64), true
}
