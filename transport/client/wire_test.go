package client

import (
	"bytes"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/transport"
)

func callOf(t testing.TB, n int) *call {
	t.Helper()
	limits, err := transport.NewLimitCache().Limits([][]byte{[]byte("100/1m")})
	if err != nil {
		t.Fatal(err)
	}
	k := newCall()
	for range n {
		k.addCheck(&Client{}, []byte("k"), limits, 1, 0, false)
	}
	k.decisions = make([]Decision, n)
	return k
}

// The decoder beside a reflective encoder, over every field and every width of number.
func TestDecode(t *testing.T) {
	type m = map[string]any
	for _, x := range []struct {
		wire any
		want Decision
	}{
		{m{"allowed": true}, Decision{Allowed: true}},
		{m{"allowed": false, "via": "unavailable"}, Decision{Via: transport.ViaUnavailable}},
		{m{"allowed": true, "limit": uint32(math.MaxUint32), "remaining": uint16(700), "reset_ms": uint64(86400000), "retry_ms": int64(0), "by": "100/1m", "via": "lease"},
			Decision{Allowed: true, Limit: math.MaxUint32, Remaining: 700, Reset: 24 * time.Hour, By: "100/1m", Via: transport.ViaLease}},
		{m{"allowed": false, "never": true, "via": "claimed", "retry_ms": uint64(math.MaxUint64)}, Decision{Never: true, Via: transport.ViaClaimed, Retry: maxWait}},
		{m{"allowed": true, "receipt": "660d3d3aa8a23001"}, Decision{Allowed: true, Receipt: 0x660d3d3aa8a23001}},
		{m{"allowed": false, "rule": "r", "current": 12345678901, "shadow": []string{"a", "b"}, "status": 429, "headers": m{"Retry-After": "3"}, "body": "no\n", "by": "9/1h"},
			Decision{Rule: "r", Current: 12345678901, Shadow: []string{"a", "b"}, By: "9/1h", Answer: &Answer{429, []Header{{"Retry-After", "3"}}, []byte("no\n")}}},
		{m{"allowed": true, "later": m{"x": []any{1, -7, 1.5, float32(2), nil, true, "s", []byte("b"), m{"y": strings.Repeat("z", 300)}}}, "via": "a word of later days"},
			Decision{Allowed: true}},
	} {
		body, err := msgpack.Marshal(m{"decisions": []any{x.wire, x.wire}, "more": m{"a": 1}})
		if err != nil {
			t.Fatal(err)
		}
		k := callOf(t, 2)
		if err := readAnswer(body, []*call{k}); err != nil {
			t.Errorf("%v: %v", x.wire, err)
		} else if !reflect.DeepEqual(k.decisions[1], x.want) {
			t.Errorf("%v: %+v, not %+v", x.wire, k.decisions[1], x.want)
		}
		for cut := range body {
			if readAnswer(body[:cut], []*call{callOf(t, 2)}) == nil {
				t.Errorf("%v: cut at %d of %d, and good", x.wire, cut, len(body))
			}
		}
	}
	for _, bad := range []any{
		m{}, m{"decisions": []any{}}, m{"decisions": []any{m{}}}, m{"decisions": []any{m{"allowed": 1}}}, m{"decisions": m{"allowed": true}},
		m{"decisions": []any{m{"allowed": true, "limit": -1}}}, m{"decisions": []any{m{"allowed": true, "limit": uint64(1) << 32}}},
		m{"decisions": []any{m{"allowed": true, "receipt": "xyz"}}}, m{"decisions": []any{m{"allowed": true, "limit": 1.5}}},
		m{"decisions": []any{m{"allowed": true}, m{"allowed": true}}}, []any{}, "decisions",
		m{"decisions": []any{m{"allowed": true}}, "deep": []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{}}}}}}}}}},
	} {
		body, err := msgpack.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if readAnswer(body, []*call{callOf(t, 1)}) == nil {
			t.Errorf("%v is good", bad)
		}
	}
}

// Lengths that are a lie cost nothing.
func TestAnswersThatClaimTooMuch(t *testing.T) {
	for _, body := range []string{
		"\xdf\xff\xff\xff\xff", "\x81\xa9decisions\xdd\xff\xff\xff\xff", "\x81\xa9decisions\x91\xdf\x7f\xff\xff\xff",
		"\x81\xdb\xff\xff\xff\xff", "\x81\xa9decisions\x91\x82\xa7allowed\xc3\xa6shadow\xdd\x00\xff\xff\xff",
		"\x81\xa9decisions\x91\x82\xa7allowed\xc3\xa7headers\xdf\x00\xff\xff\xff", "\x81\xa9decisions\x91\x82\xa7allowed\xc3\xa4body\xc6\xff\xff\xff\xff",
		"\x81\xa1x" + strings.Repeat("\x91", 1000),
	} {
		k := callOf(t, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if readAnswer([]byte(body), []*call{k}) == nil {
				t.Errorf("%q is good", body)
			}
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%q: %d bytes", body, grown)
		}
	}
}

// The encoder beside a reflective decoder.
func TestEncode(t *testing.T) {
	type check struct {
		Key        string            `msgpack:"key"`
		Limits     []string          `msgpack:"limits"`
		Hits       *int64            `msgpack:"hits"`
		Receipt    any               `msgpack:"receipt"`
		Attributes map[string]string `msgpack:"attributes"`
		Policy     string            `msgpack:"policy"`
		Render     bool              `msgpack:"render"`
	}
	n := func(n int64) *int64 { return &n }
	c := &Client{limits: transport.NewLimitCache()}
	k := newCall()
	long := map[string]string{"path": "/" + strings.Repeat("x", 70), "body": strings.Repeat("y", 3000)}
	for i := range 20 {
		long[strings.Repeat("n", i+1)] = "v"
	}
	var want []check
	for _, x := range []struct {
		ask  Check
		want check
	}{
		{Check{Key: "k", Limits: []string{"100/1m", " 1000/60m "}}, check{Key: "k", Limits: []string{"100/1m", "1000/1h"}}},
		{Check{Key: strings.Repeat("k", 300), Limits: []string{"20/1m", "10/1m"}, Hits: 2}, check{Key: strings.Repeat("k", 300), Limits: []string{"10/1m"}, Hits: n(2)}},
		{Check{Key: "k", Limits: []string{"1/1s"}, Peek: true}, check{Key: "k", Limits: []string{"1/1s"}, Hits: n(0)}},
		{Check{Key: "k", Limits: []string{"1/1s"}, Hits: 4294967295, WantReceipt: true}, check{Key: "k", Limits: []string{"1/1s"}, Hits: n(4294967295), Receipt: true}},
		{Check{Key: "k", Limits: []string{"1/1s"}, Hits: -4294967295, Receipt: 0xbeef}, check{Key: "k", Limits: []string{"1/1s"}, Hits: n(-4294967295), Receipt: "beef"}},
		{Check{Attributes: long, Policy: "p", Render: true, Hits: 200}, check{Attributes: long, Policy: "p", Render: true, Hits: n(200)}},
		{Check{Attributes: map[string]string{"a": "b"}}, check{Attributes: map[string]string{"a": "b"}}},
	} {
		if err := c.add(k, &x.ask); err != nil {
			t.Errorf("%+v: %v", x.ask, err)
		}
		want = append(want, x.want)
	}
	l := lane{c: c, flight: []*call{k}}
	node := newNode(c, "host:7070")
	request := l.make(node, 200*time.Millisecond)
	head, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	if lines := strings.Split(string(head), "\r\n"); lines[0] != "POST /v1/check HTTP/1.1" || lines[1] != "Host: host:7070" {
		t.Errorf("%q", lines)
	}
	var got struct {
		Checks  []check `msgpack:"checks"`
		Timeout int     `msgpack:"timeout_ms"`
	}
	if err := msgpack.Unmarshal(body, &got); err != nil || got.Timeout != 175 {
		t.Errorf("%v, timeout %d", err, got.Timeout)
	}
	if !reflect.DeepEqual(got.Checks, want) {
		t.Errorf("%+v\nnot %+v", got.Checks, want)
	}
}

// Any bytes: an error or decisions, no crash, and no more memory than the bytes are worth.
func FuzzAnswer(f *testing.F) {
	for _, v := range []any{
		map[string]any{"decisions": []any{map[string]any{"allowed": true, "limit": 100, "remaining": 99, "reset_ms": 60000, "retry_ms": 0, "by": "100/1m", "via": "holder"}}},
		map[string]any{"decisions": []any{map[string]any{"allowed": false, "headers": map[string]string{"A": "b"}, "body": "x", "shadow": []string{"s"}, "z": []any{1.5, nil}}}},
	} {
		b, err := msgpack.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		k := callOf(t, 1)
		err := readAnswer(body, []*call{k})
		d := &k.decisions[0]
		if err == nil && (d.Retry < 0 || d.Reset < 0 || d.Retry > maxWait || d.Via.String() == "unknown") {
			t.Fatalf("%+v", d)
		}
		size := len(d.By) + len(d.Rule)
		for _, s := range d.Shadow {
			size += len(s)
		}
		if d.Answer != nil {
			size += len(d.Answer.Body)
			for _, h := range d.Answer.Headers {
				size += len(h.Name) + len(h.Value)
			}
		}
		if size > len(body) {
			t.Fatalf("%d bytes of text from %d", size, len(body))
		}
	})
}
