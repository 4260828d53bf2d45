package transport

import (
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// ProblemType is the media type of what AppendJSON writes.
const ProblemType = "application/problem+json"

// A Problem is a request that was not decided: an application/problem+json answer (RFC 9457). Nothing was spent.
type Problem struct {
	Status int    // HTTP status, 400 to 599
	Title  string // the status in words; "" takes HTTP's own
	Detail string // what is wrong, with what, and what to do
	Check  int    // index of the bad check, -1 where it is the request as a whole
}

func (p *Problem) Error() string {
	if p.Check >= 0 {
		return fmt.Sprintf("checks[%d]: %s", p.Check, p.Detail)
	}
	return p.Detail
}

// AppendJSON appends the problem as JSON. The type is about:blank, which says that the title is the status in words;
// `check` is there where one check is to blame.
func (p *Problem) AppendJSON(b []byte) []byte {
	title := p.Title
	if title == "" {
		title = http.StatusText(p.Status)
	}
	b = append(b, `{"type":"about:blank","title":`...)
	b = AppendJSONString(b, title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(p.Status), 10)
	b = append(b, `,"detail":`...)
	b = AppendJSONString(b, p.Error())
	if p.Check >= 0 {
		b = append(b, `,"check":`...)
		b = strconv.AppendInt(b, int64(p.Check), 10)
	}
	return append(b, '}')
}

// AppendJSONString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD, so that what is written is
// JSON whatever the caller sent.
func AppendJSONString[S string | []byte](b []byte, s S) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			// At most four bytes are looked at, so the conversion stays on the stack.
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			b = append(b, s[from:i]...)
			b = append(b, `\ufffd`...)
			i++
			from = i
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
