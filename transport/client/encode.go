package client

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A request in MessagePack, by hand:
//
//	{"checks": [CHECK, …], "timeout_ms": N}
//
// Each check is written when its caller asks, outside of any lock; a request is those bytes one after another, between bodyHead and bodyTail.

const (
	bodyHead  = "\x82\xa6checks\xdc\x00\x00" // the last two bytes: how many
	bodyTail  = "\xaatimeout_ms\xcd\x00\x00" // the last two bytes: how long
	maxCheck  = 48 << 10                     // bytes of one check: 16 limits and the longest key are below 3 KiB; the rest is for attributes
	maxChecks = transport.MaxRequest - 256   // bytes of the checks of one request

	maxAttributes = 64 // as the API has it
)

// appendCheck appends a check with a key and limits, and returns where its key and where its limits end.
func appendCheck(b, key []byte, limits []transport.Limit, hits int64, receipt bucket.Receipt, want bool) (out []byte, keyEnd, limitsEnd int) {
	fields := byte(2)
	if hits != 1 {
		fields++
	}
	if receipt != 0 || want {
		fields++
	}
	b = append(b, 0x80|fields)
	b = append(b, "\xa3key"...)
	b = appendText(b, key)
	keyEnd = len(b)
	b = append(b, "\xa6limits"...)
	b = appendHead(b, 0x90, 0xdc, len(limits))
	for i := range limits {
		b = appendText(b, limits[i].Text)
	}
	limitsEnd = len(b)
	b = appendHits(b, hits)
	switch {
	case receipt != 0:
		b = append(b, "\xa7receipt"...)
		var hex [16]byte
		b = appendText(b, strconv.AppendUint(hex[:0], uint64(receipt), 16))
	case want:
		b = append(b, "\xa7receipt\xc3"...)
	}
	return b, keyEnd, limitsEnd
}

// appendAttributes appends a check that a policy is to look at.
func appendAttributes(b []byte, check *Check, hits int64) []byte {
	fields := byte(1)
	for _, there := range [...]bool{hits != 1, check.Policy != "", check.Render} {
		if there {
			fields++
		}
	}
	b = append(b, 0x80|fields)
	b = append(b, "\xaaattributes"...)
	b = appendHead(b, 0x80, 0xde, len(check.Attributes))
	for name, value := range check.Attributes {
		b = appendText(b, name)
		b = appendText(b, value)
	}
	b = appendHits(b, hits)
	if check.Policy != "" {
		b = append(b, "\xa6policy"...)
		b = appendText(b, check.Policy)
	}
	if check.Render {
		b = append(b, "\xa6render\xc3"...)
	}
	return b
}

// validAttributes says what is wrong with a check for a policy, as far as it can be told without the policy.
func validAttributes(check *Check) error {
	switch {
	case check.Key != "" || len(check.Limits) > 0:
		return fmt.Errorf("both Attributes, Policy or Render and Key or Limits: the policy picks keys and limits; send one or the other")
	case check.Receipt != 0 || check.WantReceipt:
		return fmt.Errorf("receipts go with Key and Limits, not with Attributes")
	case len(check.Attributes) == 0 || len(check.Attributes) > maxAttributes:
		return fmt.Errorf("attributes: %d of them; a check has 1 to %d", len(check.Attributes), maxAttributes)
	case !utf8.ValidString(check.Policy):
		return fmt.Errorf("policy is not UTF-8")
	}
	size := len(check.Policy)
	for name, value := range check.Attributes {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("attributes: %q or its value is not UTF-8", name)
		}
		size += len(name) + len(value) + 10
	}
	if size > maxCheck-128 {
		return fmt.Errorf("attributes: %d bytes; the most is %d", size, maxCheck-128)
	}
	return nil
}

func appendHits(b []byte, hits int64) []byte {
	switch {
	case hits == 1:
		return b
	case hits < 0:
		b = append(b, "\xa4hits\xd3"...)
		return binary.BigEndian.AppendUint64(b, uint64(hits))
	case hits < 1<<7:
		b = append(b, "\xa4hits"...)
		return append(b, byte(hits))
	}
	b = append(b, "\xa4hits\xce"...)
	return binary.BigEndian.AppendUint32(b, uint32(hits))
}

// appendHead begins a map or an array of n < 65536.
func appendHead(b []byte, short, long byte, n int) []byte {
	if n < 16 {
		return append(b, short|byte(n))
	}
	return binary.BigEndian.AppendUint16(append(b, long), uint16(n))
}

func appendText[S string | []byte](b []byte, s S) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n)) // maxCheck is below 64 KiB
	}
	return append(b, s...)
}
