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

// A Request is a POST /v1/check in msgpack, head and body, with the keys left to be filled in. It belongs to one caller.
type Request struct {
	bytes []byte
	keys  []int // where the digits of each check's key are
	hits  int   // where the four bytes of hits are, in a request made by newSpend
}

// NewRequest returns a request of so many checks, one hit each, of keys that begin with prefix, under one limit.
func NewRequest(host, prefix, limit string, checks int) *Request {
	return newRequest(host, prefix, limit, checks, []byte{1})
}

// newSpend returns a request of one check whose hits can be set.
func newSpend(host, prefix, limit string) *Request {
	return newRequest(host, prefix, limit, 1, []byte{0xce, 0, 0, 0, 0})
}

func newRequest(host, prefix, limit string, checks int, hits []byte) *Request {
	r := &Request{}
	b := append([]byte{0x81}, str("checks")...)
	b = append(b, 0xdc)
	b = binary.BigEndian.AppendUint16(b, uint16(checks))
	for range checks {
		b = append(b, 0x83)
		b = append(b, str("key")...)
		b = append(b, str(prefix+"00000000")...)
		r.keys = append(r.keys, len(b)-digits)
		b = append(b, str("limits")...)
		b = append(b, 0x91)
		b = append(b, str(limit)...)
		b = append(b, str("hits")...)
		b = append(b, hits...)
		r.hits = len(b) - 4
	}
	head := "POST /v1/check HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/msgpack\r\nContent-Length: " +
		strconv.Itoa(len(b)) + "\r\n\r\n"
	for i := range r.keys {
		r.keys[i] += len(head)
	}
	r.hits += len(head)
	r.bytes = append([]byte(head), b...)
	return r
}

// Set fills in the keys, as many as the request has checks, and returns what to send. It is valid until the next Set.
func (r *Request) Set(keys []uint32) []byte {
	for i, at := range r.keys {
		k := keys[i]
		for j := at + digits - 1; j >= at; j-- {
			r.bytes[j] = byte('0' + k%10)
			k /= 10
		}
	}
	return r.bytes
}

func (r *Request) setHits(hits uint32) { binary.BigEndian.PutUint32(r.bytes[r.hits:], hits) }

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
