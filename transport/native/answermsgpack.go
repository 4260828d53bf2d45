package native

import "encoding/binary"

// appendMsgpack writes a decision as MessagePack, with the same fields as the JSON.
func appendMsgpack(b []byte, v *view) []byte {
	n := 1
	if v.by != nil {
		n += 5
		if v.policy {
			n += 2
		}
	}
	for _, there := range [...]bool{v.via != "", v.never, len(v.shadow) > 0, v.receipt != 0, v.render, v.render, v.render && v.body != nil} {
		if there {
			n++
		}
	}
	b = appendMsgpackHead(b, 0x80, 0xde, n)
	b = append(b, "\xa7allowed"...)
	b = appendMsgpackBool(b, v.allowed)
	if v.by != nil {
		b = append(b, "\xa5limit"...)
		b = appendMsgpackUint(b, uint64(v.limit))
		b = append(b, "\xa9remaining"...)
		b = appendMsgpackUint(b, uint64(v.remaining))
		b = append(b, "\xa8reset_ms"...)
		b = appendMsgpackUint(b, uint64(v.reset))
		b = append(b, "\xa8retry_ms"...)
		b = appendMsgpackUint(b, uint64(v.retry))
		b = append(b, "\xa2by"...)
		b = appendMsgpackText(b, v.by.Text)
	}
	if v.via != "" {
		b = append(b, "\xa3via"...)
		b = appendMsgpackText(b, v.via)
	}
	if v.policy && v.by != nil {
		b = append(b, "\xa4rule"...)
		b = appendMsgpackText(b, v.rule)
		b = append(b, "\xa7current"...)
		b = appendMsgpackUint(b, v.current)
	}
	if v.never {
		b = append(b, "\xa5never\xc3"...)
	}
	if len(v.shadow) > 0 {
		b = append(b, "\xa6shadow"...)
		b = appendMsgpackHead(b, 0x90, 0xdc, len(v.shadow))
		for _, name := range v.shadow {
			b = appendMsgpackText(b, name)
		}
	}
	if v.receipt != 0 {
		b = append(b, "\xa7receipt"...)
		var hex [16]byte
		b = appendMsgpackText(b, appendReceipt(hex[:0], v.receipt))
	}
	if v.render {
		b = append(b, "\xa6status"...)
		b = appendMsgpackUint(b, uint64(v.status))
		b = append(b, "\xa7headers"...)
		b = appendMsgpackHead(b, 0x80, 0xde, len(v.headers))
		for _, h := range v.headers {
			b = appendMsgpackText(b, h.Name)
			b = appendMsgpackText(b, h.Value)
		}
		if v.body != nil {
			b = append(b, "\xa4body"...)
			b = appendMsgpackText(b, v.body)
		}
	}
	return b
}

// appendMsgpackHead begins a map or an array of n: the short form up to 15, else that with a length of two bytes. A
// request has at most 1,000 checks, and nothing else here is counted in thousands.
func appendMsgpackHead(b []byte, short, long byte, n int) []byte {
	if n < 16 {
		return append(b, short|byte(n))
	}
	return binary.BigEndian.AppendUint16(append(b, long), uint16(n))
}

func appendMsgpackText[S string | []byte](b []byte, s S) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendMsgpackBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func appendMsgpackUint(b []byte, n uint64) []byte {
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0xcc, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}
