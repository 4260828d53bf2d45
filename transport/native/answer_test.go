package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
)

// The answers as the design shows them, byte for byte.
func TestGoldenJSON(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	answered(t, d, `{"checks":[{"key":"account:42","limits":["100/1m","1000/1h"],"hits":1}]}`, 200,
		`{"decisions":[{"allowed":true,"limit":100,"remaining":99,"reset_ms":59000,"retry_ms":0,"by":"100/1m","via":"holder"}]}`)

	// Hits default to 1; the limit is told in its shortest form; 0 peeks; negative gives back.
	answered(t, d, `{"checks":[{"key":"k","limits":["2/60s"]},{"key":"k","limits":["2/1m"],"hits":0},{"key":"k","limits":["2/1m"],"hits":1},{"key":"k","limits":["2/1m"]},{"key":"k","limits":["2/1m"],"hits":-2}]}`, 200,
		`{"decisions":[`+
			`{"allowed":true,"limit":2,"remaining":1,"reset_ms":59000,"retry_ms":0,"by":"2/1m","via":"holder"},`+
			`{"allowed":true,"limit":2,"remaining":1,"reset_ms":59000,"retry_ms":0,"by":"2/1m","via":"holder"},`+
			`{"allowed":true,"limit":2,"remaining":0,"reset_ms":59000,"retry_ms":0,"by":"2/1m","via":"holder"},`+
			`{"allowed":false,"limit":2,"remaining":0,"reset_ms":59000,"retry_ms":59000,"by":"2/1m","via":"holder"},`+
			`{"allowed":true,"limit":2,"remaining":2,"reset_ms":0,"retry_ms":0,"by":"2/1m","via":"holder"}]}`)

	answered(t, d, `{"checks":[{"key":"n","limits":["2/1m"],"hits":3}]}`, 200,
		`{"decisions":[{"allowed":false,"limit":2,"remaining":2,"reset_ms":0,"retry_ms":0,"by":"2/1m","via":"holder","never":true}]}`)

	// A receipt, asked for and given back.
	answered(t, d, `{"checks":[{"key":"r","limits":["2/1m"],"receipt":true}]}`, 200,
		`{"decisions":[{"allowed":true,"limit":2,"remaining":1,"reset_ms":59000,"retry_ms":0,"by":"2/1m","via":"holder","receipt":"beef"}]}`)
	answered(t, d, `{"checks":[{"key":"r","limits":["2/1m"],"hits":-1,"receipt":"beef"}]}`, 200,
		`{"decisions":[{"allowed":true,"limit":2,"remaining":2,"reset_ms":0,"retry_ms":0,"by":"2/1m","via":"holder"}]}`)
	if k := c.Batches[len(c.Batches)-1][0]; k.Receipt != 0xbeef {
		t.Errorf("gave back to %x", k.Receipt)
	}
}

func TestUndecided(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	two := `{"checks":[{"key":"a","limits":["2/1m"]},{"key":"b","limits":["2/1m"]}]}`

	c.Answer = doortest.Nobody(true)
	answered(t, d, two, 200, `{"decisions":[{"allowed":true,"via":"unavailable"},{"allowed":true,"via":"unavailable"}]}`)

	c.Answer = doortest.Nobody(false)
	answered(t, d, two, 503, `{"decisions":[{"allowed":false,"via":"unavailable"},{"allowed":false,"via":"unavailable"}]}`)
	if got := post(t, d, two).Header.Peek("Retry-After"); string(got) != "1" {
		t.Errorf("Retry-After %q", got)
	}

	// One that somebody could decide, and it is 200.
	c.Answer = func(k *transport.Check, d *transport.Decision) {
		if string(k.Key) == "a" {
			doortest.Nobody(false)(k, d)
		}
	}
	if r := post(t, d, two); r.StatusCode() != 200 || r.Header.Peek("Retry-After") != nil {
		t.Errorf("%d, Retry-After %q", r.StatusCode(), r.Header.Peek("Retry-After"))
	}

	c.Answer = func(_ *transport.Check, d *transport.Decision) {
		*d = transport.Decision{Outcome: bucket.Outcome{Allowed: true, Full: true, By: -1}, Via: transport.ViaFull}
	}
	answered(t, d, two, 200, `{"decisions":[{"allowed":true,"via":"full"},{"allowed":true,"via":"full"}]}`)

	if s := d.Stats(); s.OK != 3 || s.Unavailable != 2 || s.Checks != 10 || s.Via[transport.ViaUnavailable] != 7 || s.Via[transport.ViaFull] != 2 || s.Via[transport.ViaHolder] != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 59 * time.Second: 59000} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v is %d ms, want %d", d, got, want)
		}
	}
}

// Both formats say the same, whatever there is to say.
func TestFormatsAgree(t *testing.T) {
	l, _ := bucket.Parse("100/1m")
	by := transport.NewLimit("", transport.Inline, l)
	views := []view{
		{allowed: true},
		{allowed: true, via: "unavailable"},
		{by: &by, via: "holder", limit: 1, remaining: 200, reset: 60000, retry: 1 << 33, never: true},
		{allowed: true, by: &by, via: "lease", limit: 4294967295, remaining: 70000, policy: true, rule: "global", current: 1 << 40, shadow: []string{"a", "b"}, receipt: 1<<64 - 1},
		{by: &by, via: "holder", policy: true, rule: "r", render: true, status: 429, body: []byte(strings.Repeat(`{"é":"\n"}`, 10000))},
		{by: &by, via: "holder", render: true, status: 429, body: []byte("x")},
	}
	for i := range 40 { // more headers than the short form of a map has room for
		views[4].headers = append(views[4].headers, header(fmt.Sprintf("X-%d", i), strings.Repeat("v", i*10)))
	}
	for i := range views {
		j := appendJSON(nil, &views[i])
		m := appendMsgpack(nil, &views[i])
		var fromJSON, fromMsgpack map[string]any
		dec := json.NewDecoder(bytes.NewReader(j))
		dec.UseNumber()
		if err := dec.Decode(&fromJSON); err != nil {
			t.Fatalf("%s: %v", j, err)
		}
		md := msgpack.NewDecoder(bytes.NewReader(m))
		if err := md.Decode(&fromMsgpack); err != nil {
			t.Fatalf("%x: %v", m, err)
		}
		if _, err := md.PeekCode(); err == nil {
			t.Fatalf("view %d: msgpack goes on after its map", i)
		}
		if a, b := plain(fromJSON), plain(fromMsgpack); !reflect.DeepEqual(a, b) {
			t.Errorf("JSON    %v\nmsgpack %v", a, b)
		}
	}
}

// plain makes numbers of both decoders comparable.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case string, bool, nil:
		return v
	default:
		return fmt.Sprint(v)
	}
}
