package client

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// An answer in MessagePack, by hand. Lengths and counts are only believed as far as there are bytes for them, and nothing is
// allocated but the texts that a policy's decision has, each no longer than its bytes. What it does not know it skips: a later server may say more.

// Bounds of an answer.
const (
	maxAnswerCheck  = 512      // bytes of a decision without a policy: the longest limit is 128, all else below 150
	maxAnswerPolicy = 64 << 10 // of one with a policy: its body and headers
	maxAnswer       = 8 << 20  // of an answer: beyond this a request should have asked for less
	maxSkip         = 8        // how deep a value may nest that is skipped

	// maxWait is the longest time that an answer may speak of: a window is 366 days at most, and the debt of a token bucket is longer
	// only where somebody spends for years ahead.
	maxWait = 100 * 366 * 24 * time.Hour
)

var errAnswer = errors.New("the answer is not one to this request: is that a stint node's port for checks?")

// answerSize is how many bytes an answer to the calls may have.
func answerSize(calls []*call) int {
	most := 4 << 10 // an error's text
	for _, k := range calls {
		for i := range k.asks {
			if k.asks[i].limits == nil {
				most += maxAnswerPolicy
			} else {
				most += maxAnswerCheck
			}
		}
	}
	return min(most, maxAnswer)
}

// readAnswer reads an answer's decisions into the calls, in order. On an error some may have been written.
func readAnswer(body []byte, calls []*call) error {
	r := reader{b: body}
	checks := 0
	for _, k := range calls {
		checks += len(k.asks)
	}
	seen := false
	for range r.mapHead() {
		if name := r.text(); string(name) != "decisions" || seen {
			r.skip(0)
			continue
		}
		seen = true
		if n := r.arrayHead(); n != checks {
			return errAnswer
		}
		for _, k := range calls {
			for i := range k.asks {
				r.decision(&k.decisions[i], &k.asks[i])
			}
		}
	}
	if r.bad || !seen || len(r.b) != 0 {
		return errAnswer
	}
	return nil
}

// A reader takes values off the front of b. Once something is wrong it is bad, and returns nothing any more.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) decision(d *Decision, a *ask) {
	*d = Decision{}
	allowed := false
	for range r.mapHead() {
		name := r.text()
		switch string(name) {
		case "allowed":
			d.Allowed, allowed = r.boolean(), true
		case "limit":
			d.Limit = r.count()
		case "remaining":
			d.Remaining = r.count()
		case "reset_ms":
			d.Reset = r.milliseconds()
		case "retry_ms":
			d.Retry = r.milliseconds()
		case "by":
			d.By = limitText(r.text(), a.limits)
		case "via":
			d.Via = via(r.text())
		case "never":
			d.Never = r.boolean()
		case "receipt":
			d.Receipt = r.receipt()
		case "rule":
			d.Rule = string(r.text())
		case "current":
			d.Current = r.uint()
		case "shadow":
			d.Shadow = r.texts()
		case "status":
			d.answer().Status = int(min(r.uint(), 999))
		case "headers":
			d.answer().Headers = r.headers()
		case "body":
			d.answer().Body = append([]byte(nil), r.text()...)
		default:
			r.skip(0)
		}
	}
	if !allowed {
		r.fail()
	}
}

func (d *Decision) answer() *Answer {
	if d.Answer == nil {
		d.Answer = new(Answer)
	}
	return d.Answer
}

// limitText is the text of one of the limits that were asked for, which needs no memory of its own.
func limitText(text []byte, limits []transport.Limit) string {
	for i := range limits {
		if limits[i].Text == string(text) {
			return limits[i].Text
		}
	}
	return string(text)
}

// via is the word's Via. A word of later days says at least that somebody has decided.
func via(word []byte) transport.Via {
	for v := range transport.Via(transport.Vias) {
		if string(word) == v.String() {
			return v
		}
	}
	return transport.ViaHolder
}

func (r *reader) fail() { r.bad, r.b = true, nil }

// head takes a byte and n that follow it, or fails.
func (r *reader) head(n int) []byte {
	if len(r.b) < 1+n {
		r.fail()
		return nil
	}
	h := r.b[:1+n]
	r.b = r.b[1+n:]
	return h
}

// mapHead returns the number of fields of a map: each is two bytes at least.
func (r *reader) mapHead() int { return r.countHead(0x80, 0xde, 2) }

func (r *reader) arrayHead() int { return r.countHead(0x90, 0xdc, 1) }

// countHead reads the head of a map or an array, and returns 0 if it claims more than there are bytes for.
func (r *reader) countHead(short, long byte, each uint64) int {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	var n uint64
	switch t := r.b[0]; {
	case t&0xf0 == short:
		n, r.b = uint64(t&0x0f), r.b[1:]
	case t == long:
		if h := r.head(2); h != nil {
			n = uint64(binary.BigEndian.Uint16(h[1:]))
		}
	case t == long+1:
		if h := r.head(4); h != nil {
			n = uint64(binary.BigEndian.Uint32(h[1:]))
		}
	default:
		r.fail()
	}
	if n*each > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// text returns the bytes of a text; they are the answer's own.
func (r *reader) text() []byte {
	if len(r.b) == 0 {
		r.fail()
		return nil
	}
	var n uint64
	switch t := r.b[0]; {
	case t&0xe0 == 0xa0:
		n, r.b = uint64(t&0x1f), r.b[1:]
	case t == 0xd9 || t == 0xc4:
		if h := r.head(1); h != nil {
			n = uint64(h[1])
		}
	case t == 0xda || t == 0xc5:
		if h := r.head(2); h != nil {
			n = uint64(binary.BigEndian.Uint16(h[1:]))
		}
	case t == 0xdb || t == 0xc6:
		if h := r.head(4); h != nil {
			n = uint64(binary.BigEndian.Uint32(h[1:]))
		}
	default:
		r.fail()
	}
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	text := r.b[:n:n]
	r.b = r.b[n:]
	return text
}

func (r *reader) texts() []string {
	var list []string
	for range r.arrayHead() {
		if text := r.text(); !r.bad {
			list = append(list, string(text))
		}
	}
	return list
}

func (r *reader) headers() []Header {
	var list []Header
	for range r.mapHead() {
		name, value := r.text(), r.text()
		if !r.bad {
			list = append(list, Header{string(name), string(value)})
		}
	}
	return list
}

func (r *reader) boolean() bool {
	h := r.head(0)
	if h == nil || h[0]&0xfe != 0xc2 {
		r.fail()
		return false
	}
	return h[0] == 0xc3
}

// uint reads a whole number that is not negative.
func (r *reader) uint() uint64 {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	t := r.b[0]
	if t < 0x80 {
		r.b = r.b[1:]
		return uint64(t)
	}
	if t < 0xcc || t > 0xd3 {
		r.fail()
		return 0
	}
	// The eight types with 1, 2, 4 and 8 bytes: without a sign, then with one.
	size := 1 << ((t - 0xcc) & 3)
	h := r.head(size)
	if h == nil {
		return 0
	}
	var n uint64
	for _, b := range h[1:] {
		n = n<<8 | uint64(b)
	}
	if t >= 0xd0 && n>>(8*size-1) != 0 {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) count() uint32 {
	n := r.uint()
	if n > 1<<32-1 {
		r.fail()
		return 0
	}
	return uint32(n)
}

func (r *reader) milliseconds() time.Duration {
	n := r.uint()
	if n > uint64(maxWait/time.Millisecond) {
		return maxWait
	}
	return time.Duration(n) * time.Millisecond
}

func (r *reader) receipt() bucket.Receipt {
	n, err := strconv.ParseUint(string(r.text()), 16, 64)
	if err != nil {
		r.fail()
		return 0
	}
	return bucket.Receipt(n)
}

// skip takes a value that nobody asked for.
func (r *reader) skip(depth int) {
	if len(r.b) == 0 || depth == maxSkip {
		r.fail()
		return
	}
	switch t := r.b[0]; {
	case t < 0x80, t >= 0xe0, t == 0xc0, t == 0xc2, t == 0xc3:
		r.b = r.b[1:]
	case t&0xf0 == 0x80, t == 0xde, t == 0xdf:
		for range r.mapHead() {
			if r.skip(depth + 1); r.bad {
				return
			}
			if r.skip(depth + 1); r.bad {
				return
			}
		}
	case t&0xf0 == 0x90, t == 0xdc, t == 0xdd:
		for range r.arrayHead() {
			if r.skip(depth + 1); r.bad {
				return
			}
		}
	case t&0xe0 == 0xa0, t >= 0xd9 && t <= 0xdb, t >= 0xc4 && t <= 0xc6:
		r.text()
	case t == 0xca:
		r.head(4)
	case t == 0xcb:
		r.head(8)
	case t >= 0xcc && t <= 0xd3:
		r.head(1 << ((t - 0xcc) & 3))
	case t >= 0xd4 && t <= 0xd8: // extensions of 1, 2, 4, 8, 16 bytes, and a byte for which
		r.head(1 + 1<<(t-0xd4))
	default: // longer extensions, and a byte that is not used
		r.fail()
	}
}
