package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// digits is how long the number in a key is.
const digits = 8

// A Request is a request for checks, head and body, with the keys left to be filled in. It belongs to one caller.
type Request struct {
	bytes []byte
	keys  []int // where the digits of each check's key are
	hits  int   // where the hits are, in a request whose hits can be set
	text  bool  // they are decimal digits, with room for ten, not four bytes

	mixture *mixture // of a workload whose checks are of several forms
}

// A part is one check, encoded, with room for what differs.
type part struct {
	bytes  []byte
	digits int // where those of the key are
	hits   int // where the hits are, if they can be set
}

// A frame is what is around the checks of a request.
type frame struct {
	path, contentType string
	begin, between    string // of the body
	end               string
}

func (f *frame) head(host string) string {
	return "POST " + f.path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: " + f.contentType + "\r\nContent-Length: "
}

// request puts a request together from so many checks of one form.
func (f *frame) request(host string, p part, checks int) *Request {
	r := &Request{}
	body := []byte(f.begin)
	for i := range checks {
		if i > 0 {
			body = append(body, f.between...)
		}
		r.keys = append(r.keys, len(body)+p.digits)
		r.hits = len(body) + p.hits
		body = append(body, p.bytes...)
	}
	body = append(body, f.end...)
	head := f.head(host) + strconv.Itoa(len(body)) + "\r\n\r\n"
	for i := range r.keys {
		r.keys[i] += len(head)
	}
	r.hits += len(head)
	r.bytes = append([]byte(head), body...)
	return r
}

// stintFrame is Stint's, and the echo's.
func stintFrame(checks int) *frame {
	b := append([]byte{0x81}, str("checks")...)
	b = append(b, 0xdc)
	b = binary.BigEndian.AppendUint16(b, uint16(checks))
	return &frame{path: "/v1/check", contentType: "application/msgpack", begin: string(b)}
}

// stintPart is one check in msgpack. Hits of 0 are left to be set.
func stintPart(prefix string, limits []string, hits uint32) part {
	var p part
	b := append([]byte{0x83}, str("key")...)
	b = append(b, str(prefix+"00000000")...)
	p.digits = len(b) - digits
	b = append(b, str("limits")...)
	b = append(b, 0x90|byte(len(limits)))
	for _, l := range limits {
		b = append(b, str(l)...)
	}
	b = append(b, str("hits")...)
	if hits > 0 && hits < 128 {
		p.bytes = append(b, byte(hits))
		return p
	}
	b = append(b, 0xce)
	p.hits = len(b)
	p.bytes = binary.BigEndian.AppendUint32(b, hits)
	return p
}

// NewRequest returns a request to Stint of so many checks, one hit each, of keys that begin with prefix, under one limit.
func NewRequest(host, prefix, limit string, checks int) *Request {
	return stintFrame(checks).request(host, stintPart(prefix, []string{limit}, 1), checks)
}

// newSpend returns a request to Stint of one check whose hits can be set.
func newSpend(host, prefix string, limits []string) *Request {
	return stintFrame(1).request(host, stintPart(prefix, limits, 0), 1)
}

// newWorkloadRequest returns a request to Stint for the checks of a workload.
func newWorkloadRequest(host, prefix string, w *Workload) *Request {
	f := stintFrame(w.Batch)
	if len(w.Terms) == 1 {
		return f.request(host, stintPart(prefix, w.Terms[0].Limits, w.Terms[0].Hits), w.Batch)
	}
	m := &mixture{head: []byte(f.head(host)), begin: []byte(f.begin)}
	for _, t := range w.Terms {
		m.parts = append(m.parts, stintPart(prefix, t.Limits, t.Hits))
	}
	return &Request{mixture: m}
}

// Set fills in the keys, as many as the request has checks, and returns what to send. It is valid until the next Set.
func (r *Request) Set(keys []uint32) []byte {
	if r.mixture != nil {
		return r.mixture.set(keys)
	}
	for i, at := range r.keys {
		setDigits(r.bytes[at:at+digits], keys[i])
	}
	return r.bytes
}

func setDigits(b []byte, k uint32) {
	for j := len(b) - 1; j >= 0; j-- {
		b[j] = byte('0' + k%10)
		k /= 10
	}
}

func (r *Request) setHits(hits uint32) {
	if !r.text {
		binary.BigEndian.PutUint32(r.bytes[r.hits:], hits)
		return
	}
	// White space before a number is none of its digits.
	b := r.bytes[r.hits : r.hits+len(textHits)]
	copy(b, textHits)
	for j := len(b) - 1; j == len(b)-1 || hits > 0; j-- {
		b[j] = byte('0' + hits%10)
		hits /= 10
	}
}

// textHits is room for any number of hits.
const textHits = "          "

// A mixture is what a request is put together from where checks differ in length: for every request anew.
type mixture struct {
	head, begin []byte
	parts       []part // of key k: parts[k % len(parts)]
	buf         []byte
}

func (m *mixture) set(keys []uint32) []byte {
	const blank = 10 + len("\r\n\r\n") // the digits of any length, and the empty line
	room := len(m.head) + blank
	if cap(m.buf) < room {
		m.buf = make([]byte, room, 4<<10)
	}
	b := append(m.buf[:room], m.begin...)
	for _, k := range keys {
		p := &m.parts[int(k)%len(m.parts)]
		at := len(b) + p.digits
		b = append(b, p.bytes...)
		setDigits(b[at:at+digits], k)
	}
	m.buf = b
	// Now that the length is known the head goes right before the body.
	var n [10]byte
	length := strconv.AppendInt(n[:0], int64(len(b)-room), 10)
	from := room - len("\r\n\r\n") - len(length) - len(m.head)
	at := from + copy(b[from:], m.head)
	at += copy(b[at:], length)
	copy(b[at:], "\r\n\r\n")
	return b[from:]
}

// str encodes a string of less than 256 bytes.
func str(s string) []byte {
	if len(s) < 32 {
		return append([]byte{0xa0 | byte(len(s))}, s...)
	}
	return append([]byte{0xd9, byte(len(s))}, s...)
}

// A Via is where a decision came from: an index into Vias.
type Via uint8

// Vias are the words that an answer may have for `via`; the last stands for any other.
var Vias = [...]string{"holder", "lease", "denied-cache", "claimed", "full", "unavailable", "other"}

const (
	viaLease       = 1
	viaDeniedCache = 2
	viaFull        = 4
	viaUnavailable = 5
	viaOther       = Via(len(Vias) - 1)
)

// Shares counts decisions by Via.
type Shares [len(Vias)]uint64

var (
	allowedField = str("allowed")
	viaField     = str("via")
)

// Scan finds the decisions in the body of an answer: `allowed` and `via` of each, in order, by looking for the
// encoded names of the two fields. No value in an answer has these bytes in it: what Stint sends is numbers,
// names from fixed lists, and the limit's text. It returns how many there were; those beyond len(replies) are an error.
func Scan(body []byte, replies []Reply, via *Shares) (int, error) {
	n := 0
	i := bytes.Index(body, allowedField)
	for i >= 0 {
		body = body[i+len(allowedField):]
		if n == len(replies) {
			return n, fmt.Errorf("more decisions than the %d checks", n)
		}
		if len(body) == 0 {
			return n, errShort
		}
		switch body[0] {
		case 0xc2:
			replies[n] = Denied
		case 0xc3:
			replies[n] = Admitted
		default:
			return n, fmt.Errorf("decision %d: allowed is 0x%02x, no bool", n, body[0])
		}
		// The decision ends where the next begins.
		i = bytes.Index(body, allowedField)
		one := body
		if i >= 0 {
			one = body[:i]
		}
		if v := scanVia(one); v >= 0 {
			via[v]++
			if v == viaFull || v == viaUnavailable {
				replies[n] = Failed
			}
		}
		n++
	}
	return n, nil
}

var errShort = errors.New("the answer ends in the middle of a decision")

// scanVia returns the decision's via, −1 where it has none.
func scanVia(b []byte) int {
	i := bytes.Index(b, viaField)
	if i < 0 || i+len(viaField) >= len(b) {
		return -1
	}
	b = b[i+len(viaField):]
	n := int(b[0] & 0x1f)
	if b[0]&0xe0 != 0xa0 || n >= len(b) {
		return int(viaOther)
	}
	for v, name := range Vias {
		if string(b[1:1+n]) == name {
			return v
		}
	}
	return int(viaOther)
}
