package native

import "github.com/stint-limiter/stint/transport"

// The decision on a check that named its key and limits has the same fields nearly always, and is written here in one go. It is byte for byte
// what appendMsgpack makes of viewPlain (TestQuickAnswer).

// The beginning and the end of such a decision. Fixed texts are written together with what follows or goes before them.
const (
	quickAllowed = "\x87\xa7allowed\xc3\xa5limit"
	quickDenied  = "\x87\xa7allowed\xc2\xa5limit"
)

var quickVia = func() (out [transport.Vias]string) {
	for v := range out {
		out[v] = string(appendMsgpackText([]byte("\xa3via"), transport.Via(v).String()))
	}
	return out
}()

// quickAnswer writes the decision d that the limit by has made, for a check that asked for no receipt. It reports false, and has written
// nothing, where there is more to say.
func quickAnswer(b []byte, d *transport.Decision, by *transport.Limit) ([]byte, bool) {
	if d.Never || by == nil || int(d.Via) >= len(quickVia) {
		return b, false
	}
	if d.Allowed {
		b = append(b, quickAllowed...)
	} else {
		b = append(b, quickDenied...)
	}
	b = appendMsgpackUint(b, uint64(d.Limit))
	b = append(b, "\xa9remaining"...)
	b = appendMsgpackUint(b, uint64(d.Remaining))
	b = append(b, "\xa8reset_ms"...)
	b = appendMsgpackUint(b, uint64(milliseconds(d.Reset)))
	b = append(b, "\xa8retry_ms"...)
	b = appendMsgpackUint(b, uint64(milliseconds(d.Retry)))
	b = append(b, "\xa2by"...)
	b = appendMsgpackText(b, by.Text)
	return append(b, quickVia[d.Via]...), true
}
