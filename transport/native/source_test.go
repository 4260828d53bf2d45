package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
)

// What the walk read, said plainly, to be compared with what a general decoder read.
type plainCheck struct {
	key     string
	limits  string
	hits    int64
	receipt bucket.Receipt
	wants   bool
}

// readPlain reads a body with the door's own readers. The body is copied, as JSON is unescaped in place.
func readPlain(d *Door, body []byte, json bool) (checks []plainCheck, timeout int64, err error) {
	c := d.acquire(time.Now())
	defer c.release()
	if err := c.parse(bytes.Clone(body), json); err != nil {
		return nil, 0, err
	}
	for i, it := range c.items {
		k := c.checks[it.first]
		p := plainCheck{key: string(k.Key), hits: k.Hits, receipt: k.Receipt, wants: it.receipt}
		for _, l := range k.Limits {
			p.limits += l.Text + ";"
		}
		if i != it.first || it.n != 1 {
			return nil, 0, fmt.Errorf("item %d has checks %d+%d", i, it.first, it.n)
		}
		checks = append(checks, p)
	}
	return checks, c.timeout.Milliseconds(), nil
}

// reference reads the same from what a general decoder made of the body, and says what the rules have against it.
// Attributes are refused, as the doors of these tests have no policy.
func reference(body any) (checks []plainCheck, timeout int64, err error) {
	timeout = 1000
	bad := func(what string) ([]plainCheck, int64, error) { return nil, 0, fmt.Errorf("%s", what) }
	top, ok := body.(map[string]any)
	if !ok {
		return bad("not an object")
	}
	for k, v := range top {
		switch k {
		case "checks":
		case "timeout_ms":
			if v != nil {
				n, ok := v.(int64)
				if !ok || n < 1 || n > 10000 {
					return bad("timeout_ms")
				}
				timeout = n
			}
		default:
			return bad("unknown field")
		}
	}
	list, ok := top["checks"].([]any)
	if !ok || len(list) == 0 || len(list) > 1000 {
		return bad("checks")
	}
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return bad("check")
		}
		p := plainCheck{hits: 1}
		for k, v := range m {
			switch k {
			case "key", "limits", "hits", "receipt":
			default:
				if v != nil || k != "policy" && k != "attributes" && k != "render" {
					return bad("unknown or out of place: " + k)
				}
			}
		}
		if p.key, ok = m["key"].(string); !ok || len(p.key) == 0 || len(p.key) > 512 || !utf8.ValidString(p.key) {
			return bad("key")
		}
		if v := m["hits"]; v != nil {
			if p.hits, ok = v.(int64); !ok || p.hits > 4294967295 || p.hits < -4294967295 {
				return bad("hits")
			}
		}
		switch v := m["receipt"].(type) {
		case nil:
		case bool:
			p.wants = v
		case string:
			var n uint64
			if len(v) == 0 || len(v) > 16 || strings.Trim(v, "0123456789abcdefABCDEF") != "" {
				return bad("receipt")
			}
			if _, err := fmt.Sscanf(v, "%x", &n); err != nil || n == 0 || p.hits >= 0 {
				return bad("receipt")
			}
			p.receipt = bucket.Receipt(n)
		default:
			return bad("receipt")
		}
		l, ok := m["limits"].([]any)
		if !ok || len(l) == 0 || len(l) > 16 {
			return bad("limits")
		}
		var limits []transport.Limit
		for _, e := range l {
			text, ok := e.(string)
			if !ok {
				return bad("limit")
			}
			parsed, err := bucket.Parse(text)
			if err != nil {
				return bad("limit")
			}
			limits = append(limits, transport.NewLimit("", transport.Inline, parsed))
		}
		for _, l := range transport.FoldLimits(limits) {
			p.limits += l.Text + ";"
		}
		checks = append(checks, p)
	}
	return checks, timeout, nil
}

// ints turns json.Number into int64 where it is written as a whole number, and leaves the rest.
func ints(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = ints(v[k])
		}
	case []any:
		for i := range v {
			v[i] = ints(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		if int64(v) >= 0 {
			return int64(v)
		}
	case []byte:
		return string(v)
	}
	return v
}

// twice reports whether some object of the JSON text has a field twice.
func twice(dec *json.Decoder) bool {
	t, err := dec.Token()
	if err != nil {
		return false
	}
	found := false
	switch t {
	case json.Delim('{'):
		seen := map[string]bool{}
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return found
			}
			found = found || seen[k.(string)]
			seen[k.(string)] = true
			found = twice(dec) || found
		}
		_, _ = dec.Token()
	case json.Delim('['):
		for dec.More() {
			found = twice(dec) || found
		}
		_, _ = dec.Token()
	}
	return found
}

var jsonSeeds = []string{
	`{"checks":[{"key":"account:42","limits":["100/1m","1000/1h"],"hits":1}]}`,
	`{"checks":[{"key":"k","limits":["2/1m","3/60s"],"hits":-2,"receipt":"beef"}],"timeout_ms":20}`,
	` { "checks" : [ { "key" : "\u00e9\ud834\udd1e\n\"\\\/" , "limits" : [ "2/1m" ] , "hits" : null , "receipt" : true } ] } `,
	`{"checks":[{"key":"k","limits":["2/1m"],"hits":-0}]}`,
	`{"checks":[{"attributes":{"ip":"192.0.2.1","token":"x"},"render":true}]}`,
	`{"checks":[{"key":"k","key":"l","limits":["2/1m"]}]}`,
	`{"checks":[{"key":"\ud834","limits":["2/1m"]}]}`,
	`{"checks":[{"key":"a\u0000b","limits":["2/1m"]}]}`,
	`{"checks":[],"checks":[{}]}`,
}

// The door's JSON is encoding/json's, but for what it refuses on purpose.
func FuzzJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	d := New(Config{Checker: doortest.New()})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > transport.MaxRequest {
			return
		}
		if !isJSON(body) {
			return
		}
		got, gotMS, err := readPlain(d, body, true)
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		var v any
		generalErr := dec.Decode(&v)
		if generalErr == nil {
			if _, e := dec.Token(); e != io.EOF {
				generalErr = fmt.Errorf("something follows")
			}
		}
		if generalErr != nil {
			if err == nil {
				t.Fatalf("%q: accepted; encoding/json: %v", body, generalErr)
			}
			return
		}
		want, wantMS, refErr := reference(ints(v))
		// Stricter on purpose: doubles, bytes that are not UTF-8, and halves of surrogate pairs (which encoding/json
		// turns into U+FFFD).
		strict := twice(json.NewDecoder(bytes.NewReader(body))) || !utf8.Valid(body) || strings.Contains(fmt.Sprint(v), "\ufffd")
		switch {
		case err == nil && refErr != nil:
			t.Fatalf("%q: accepted, should not be: %v", body, refErr)
		case err != nil && refErr == nil && !strict:
			t.Fatalf("%q: refused: %v", body, err)
		case err == nil && (gotMS != wantMS || !reflect.DeepEqual(got, want)):
			t.Fatalf("%q:\ngot  %v %d\nwant %v %d", body, got, gotMS, want, wantMS)
		}
		if err == nil && twice(json.NewDecoder(bytes.NewReader(body))) {
			t.Fatalf("%q: a field is there twice", body)
		}
	})
}

// The door's msgpack is vmihailenco's. That one may only be asked about what the door has accepted: five bytes can
// make it ask for 34 GiB.
func FuzzMsgpack(f *testing.F) {
	for _, s := range jsonSeeds[:4] {
		f.Add([]byte(toMsgpack(f, s)))
	}
	f.Add([]byte("\x81\xa6checks\x91\x82\xc4\x03key\xd9\x01k\xa6limits\xdc\x00\x01\xda\x00\x042/1m"))
	f.Add([]byte("\x81\xa6checks\xdd\x00\x00\x00\x01\xde\x00\x03\xa3key\xc6\x00\x00\x00\x01k\xa6limits\x91\xa42/1m\xa4hits\xd3\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	d := New(Config{Checker: doortest.New()})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > transport.MaxRequest {
			return
		}
		got, gotMS, err := readPlain(d, body, false)
		if err != nil {
			return
		}
		var v map[string]any
		dec := msgpack.NewDecoder(bytes.NewReader(body))
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("%q: accepted; msgpack: %v", body, err)
		}
		if _, err := dec.PeekCode(); err == nil {
			t.Fatalf("%q: accepted, though something follows", body)
		}
		want, wantMS, err := reference(ints(any(v)))
		if err != nil {
			t.Fatalf("%q: accepted, should not be: %v", body, err)
		}
		if gotMS != wantMS || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\ngot  %v %d\nwant %v %d", body, got, gotMS, want, wantMS)
		}
	})
}

// A whole request may allocate so much and no more, whatever it claims: a check takes 20 bytes of body at least, and
// some hundreds for its place in the batch, its decision and its answer.
func FuzzBudget(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(toMsgpack(f, jsonSeeds[0])))
	f.Add([]byte("\x81\xa6checks\xdd\x00\x00\x03\xe8"))
	f.Add([]byte("\x81\xa6checks\x91\x82\xa3key\xc6\xff\xff\xff\xffk"))
	f.Add([]byte("\xdf\xff\xff\xff\xff" + strings.Repeat("\xa0", 100)))
	f.Add([]byte(`{"checks":[` + strings.Repeat(`{"key":"k","limits":["2/1m"]},`, 50) + `{"key":"k"}]}`))
	c := doortest.New()
	c.Forget = true
	d := New(Config{Checker: c})
	f.Add([]byte("\x81\xa6checks\x9f" + strings.Repeat("\x81\xaaattributes\x81\xa4path\xa7/assets", 15)))
	f.Add([]byte(`{"checks":[{"attributes":{"method":"POST","path":"/login?a=b","ip":"192.0.2.1","token":"t","email":"e"},"render":true}]}`))
	// A check that a policy counts takes more room for its bytes: a plan, up to four keys, headers and a body.
	planned := New(Config{Checker: c, Policies: set(parse(f, shop))})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, x := range []struct {
			d    *Door
			most int
		}{{d, 64*len(body) + 64<<10}, {planned, 512*len(body) + 64<<10}} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := post(t, x.d, string(body))
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > uint64(x.most) {
				t.Fatalf("%d bytes of body made it allocate %d", len(body), got)
			}
			switch r.StatusCode() {
			case 200, 400, 413:
			default:
				t.Fatalf("%q: answered %d", body, r.StatusCode())
			}
			clear(c.Spent)
		}
	})
}

// Whatever the widths of its numbers and lengths, msgpack reads the same.
func TestMsgpackWidths(t *testing.T) {
	d := New(Config{Checker: doortest.New()})
	for _, hits := range []string{"\x05", "\xcc\x05", "\xcd\x00\x05", "\xce\x00\x00\x00\x05", "\xcf\x00\x00\x00\x00\x00\x00\x00\x05",
		"\xd0\x05", "\xd1\x00\x05", "\xd2\x00\x00\x00\x05", "\xd3\x00\x00\x00\x00\x00\x00\x00\x05"} {
		for _, key := range []string{"\xa1k", "\xd9\x01k", "\xda\x00\x01k", "\xdb\x00\x00\x00\x01k", "\xc4\x01k", "\xc5\x00\x01k", "\xc6\x00\x00\x00\x01k"} {
			for _, m := range []string{"\x83", "\xde\x00\x03", "\xdf\x00\x00\x00\x03"} {
				for _, a := range []string{"\x91", "\xdc\x00\x01", "\xdd\x00\x00\x00\x01"} {
					body := "\x81\xa6checks" + a + m + "\xa3key" + key + "\xa6limits" + a + "\xa49/1m\xa4hits" + hits
					got, _, err := readPlain(d, []byte(body), false)
					if err != nil || len(got) != 1 || got[0] != (plainCheck{key: "k", limits: "9/1m;", hits: 5}) {
						t.Fatalf("%q: %v, %v", body, got, err)
					}
				}
			}
		}
	}
	for bytes, want := range map[string]int64{"\xff": -1, "\xe0": -32, "\xd0\x80": -128, "\xd1\x80\x00": -32768, "\xd2\x80\x00\x00\x00": -1 << 31,
		"\xd3\xff\xff\xff\xff\x00\x00\x00\x01": -4294967295, "\xce\xff\xff\xff\xff": 4294967295, "\x7f": 127, "\xcc\xff": 255} {
		s := msgpackSource{b: []byte(bytes)}
		if got, err := s.integer(); got != want || err != nil || len(s.b) != 0 {
			t.Errorf("%q: %d, %v", bytes, got, err)
		}
	}
}

// Every prefix of a good request is refused, in both formats.
func TestTruncated(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	text := `{"checks":[{"key":"k\u00e9","limits":["2/1m","3/1h"],"hits":-100000,"receipt":"beef"}],"timeout_ms":2000}`
	for _, body := range []string{text, toMsgpack(t, text)} {
		for n := range len(body) {
			if r := post(t, d, body[:n]); r.StatusCode() != 400 {
				t.Fatalf("%q: %d", body[:n], r.StatusCode())
			}
		}
		if r := post(t, d, body); r.StatusCode() != 200 {
			t.Fatalf("%q: %d %s", body, r.StatusCode(), r.Body())
		}
	}
	if len(c.Batches) != 2 {
		t.Errorf("decided %d requests", len(c.Batches))
	}
}
