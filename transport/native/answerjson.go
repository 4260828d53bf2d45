package native

import (
	"strconv"

	"github.com/stint-limiter/stint/transport"
)

// appendJSON writes a decision as JSON.
func appendJSON(b []byte, v *view) []byte {
	b = append(b, `{"allowed":`...)
	b = strconv.AppendBool(b, v.allowed)
	if v.by != nil {
		b = append(b, `,"limit":`...)
		b = strconv.AppendUint(b, uint64(v.limit), 10)
		b = append(b, `,"remaining":`...)
		b = strconv.AppendUint(b, uint64(v.remaining), 10)
		b = append(b, `,"reset_ms":`...)
		b = strconv.AppendInt(b, v.reset, 10)
		b = append(b, `,"retry_ms":`...)
		b = strconv.AppendInt(b, v.retry, 10)
		b = append(b, `,"by":`...)
		b = transport.AppendJSONString(b, v.by.Text)
	}
	if v.via != "" {
		b = append(b, `,"via":"`...)
		b = append(b, v.via...)
		b = append(b, '"')
	}
	if v.policy && v.by != nil {
		b = append(b, `,"rule":`...)
		b = transport.AppendJSONString(b, v.rule)
		b = append(b, `,"current":`...)
		b = strconv.AppendUint(b, v.current, 10)
	}
	if v.never {
		b = append(b, `,"never":true`...)
	}
	if len(v.shadow) > 0 {
		b = append(b, `,"shadow":[`...)
		for i, name := range v.shadow {
			if i > 0 {
				b = append(b, ',')
			}
			b = transport.AppendJSONString(b, name)
		}
		b = append(b, ']')
	}
	if v.receipt != 0 {
		b = append(b, `,"receipt":"`...)
		b = appendReceipt(b, v.receipt)
		b = append(b, '"')
	}
	if v.render {
		b = append(b, `,"status":`...)
		b = strconv.AppendInt(b, int64(v.status), 10)
		b = append(b, `,"headers":{`...)
		for i, h := range v.headers {
			if i > 0 {
				b = append(b, ',')
			}
			b = transport.AppendJSONString(b, h.Name)
			b = append(b, ':')
			b = transport.AppendJSONString(b, h.Value)
		}
		b = append(b, '}')
		if v.body != nil {
			b = append(b, `,"body":`...)
			b = transport.AppendJSONString(b, v.body)
		}
	}
	return append(b, '}')
}
