package native

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/transport/door/doortest"
)

// refused expects a problem with this status, about this check (−1: none), that says this.
func refused(t testing.TB, d *Door, body string, status, check int, says string) {
	t.Helper()
	r := post(t, d, body)
	show := body[:min(len(body), 200)]
	if r.StatusCode() != status || string(r.Header.ContentType()) != "application/problem+json" {
		t.Errorf("%q: answered %d %s %s", show, r.StatusCode(), r.Header.ContentType(), r.Body())
		return
	}
	p := struct {
		Type, Title, Detail string
		Status              int
		Check               *int
	}{}
	if err := json.Unmarshal(r.Body(), &p); err != nil {
		t.Fatalf("%q: the problem is not JSON: %v: %s", show, err, r.Body())
	}
	got := -1
	if p.Check != nil {
		got = *p.Check
	}
	if p.Status != status || got != check || p.Title == "" || p.Type == "" || !strings.Contains(p.Detail, says) {
		t.Errorf("%q: %s\nwant check %d, %q", show, r.Body(), check, says)
	}
	if len(p.Detail) > 1000 {
		t.Errorf("%q: a problem of %d bytes", show, len(p.Detail))
	}
}

const good = `{"key":"k","limits":["2/1m"]}`

// Every rule about a request, in both formats where msgpack can say it; and nothing is ever spent.
func TestRefused(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	for _, x := range []struct {
		body  string
		check int
		says  string
	}{
		{`{}`, -1, "checks: there is none"},
		{`{"checks":[]}`, -1, "checks: there is none"},
		{`{"checks":null}`, -1, "checks: there is none"},
		{`{"checks":{}}`, -1, "checks: an array is due"},
		{`{"checks":1}`, -1, "checks: an array is due"},
		{`{"check":[]}`, -1, `unknown field "check"; a request has checks and timeout_ms`},
		{`{"checks":[` + good + `],"timeout_ms":0}`, -1, "timeout_ms is 0; it goes from 1 to 10000"},
		{`{"checks":[` + good + `],"timeout_ms":10001}`, -1, "timeout_ms is 10001"},
		{`{"checks":[` + good + `],"timeout_ms":-1}`, -1, "timeout_ms is -1"},
		{`{"checks":[` + good + `],"timeout_ms":1.5}`, -1, "timeout_ms: a whole number is due"},
		{`{"checks":[` + good + `],"timeout_ms":"1"}`, -1, "timeout_ms: a whole number is due here, not a text"},
		{`{"checks":[` + good + `,1]}`, 1, "is due here, not a number"},
		{`{"checks":[` + good + `,"x"]}`, 1, "is due here, not a text"},
		{`{"checks":[` + good + `,{}]}`, 1, "neither key and limits nor attributes"},
		{`{"checks":[` + good + `,{"limits":["2/1m"]}]}`, 1, "key is missing"},
		{`{"checks":[` + good + `,{"key":null,"limits":["2/1m"]}]}`, 1, "key is missing"},
		{`{"checks":[` + good + `,{"key":"k"}]}`, 1, "limits is missing"},
		{`{"checks":[` + good + `,{"key":"k","limits":[]}]}`, 1, "0 of them"},
		{`{"checks":[` + good + `,{"key":"k","limits":"2/1m"}]}`, 1, "limits: an array is due here, not a text"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m",3]}]}`, 1, "limits: [1]: a text is due here, not a number"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m","10/60"]}]}`, 1, `limits[1]: limit "10/60": window "60" has no unit`},
		{`{"checks":[` + good + `,{"key":"k","limits":[` + strings.Repeat(`"2/1m",`, 16) + `"2/1m"]}]}`, 1, "limits: more than 16"},
		{`{"checks":[` + good + `,{"key":"","limits":["2/1m"]}]}`, 1, "key is empty"},
		{`{"checks":[` + good + `,{"key":"` + strings.Repeat("k", 513) + `","limits":["2/1m"]}]}`, 1, "key is 513 bytes"},
		{`{"checks":[` + good + `,{"key":7,"limits":["2/1m"]}]}`, 1, "key: a text is due here, not a number"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":4294967296}]}`, 1, "hits is 4294967296"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":-4294967296}]}`, 1, "hits is -4294967296"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":18446744073709551615}]}`, 1, "hits: a number that does not fit"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":1.5}]}`, 1, "hits: a whole number is due"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":true}]}`, 1, "hits: a whole number is due here, not true or false"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hit":1}]}`, 1, `unknown field "hit"`},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"` + strings.Repeat("x", 100000) + `":1}]}`, 1, `unknown field "xxx`},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"policy":"p"}]}`, 1, "policy and render go with attributes"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"render":true}]}`, 1, "policy and render go with attributes"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"attributes":{}}]}`, 1, "attributes and key or limits together"},
		{`{"checks":[` + good + `,{"attributes":{},"limits":["2/1m"]}]}`, 1, "attributes and key or limits together"},
		{`{"checks":[` + good + `,{"attributes":{},"receipt":true}]}`, 1, "receipt goes with key and limits"},
		{`{"checks":[` + good + `,{"attributes":{}}]}`, 1, "no policy is loaded"},
		{`{"checks":[` + good + `,{"attributes":[]}]}`, 1, "is due here, not an array"},
		{`{"checks":[` + good + `,{"attributes":{"ip":1}}]}`, 1, `attributes: "ip": a text is due`},
		{`{"checks":[` + good + `,{"attributes":{` + manyAttributes(65) + `}}]}`, 1, "attributes: more than 64"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"receipt":"beef"}]}`, 1, "hits must be negative"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":-1,"receipt":"beet"}]}`, 1, `"beet" is not a receipt`},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":-1,"receipt":"0"}]}`, 1, `"0" is not a receipt`},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":-1,"receipt":"11112222333344445"}]}`, 1, "is not a receipt"},
		{`{"checks":[` + good + `,{"key":"k","limits":["2/1m"],"hits":-1,"receipt":5}]}`, 1, "receipt: true or the receipt of an earlier"},
	} {
		refused(t, d, x.body, 400, x.check, x.says)
		refused(t, d, toMsgpack(t, x.body), 400, x.check, x.says)
	}
	if len(c.Batches) > 0 {
		t.Errorf("%d bad requests were decided", len(c.Batches))
	}
	if s := d.Stats(); s.Bad == 0 || s.OK+s.Unavailable+s.TooLarge+s.Checks != 0 {
		t.Errorf("counted %+v", s)
	}
}

func manyAttributes(n int) string {
	var b []string
	for i := range n {
		b = append(b, fmt.Sprintf(`"a%d":"x"`, i))
	}
	return strings.Join(b, ",")
}

// What only JSON can get wrong.
func TestRefusedJSON(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	for _, x := range []struct {
		body  string
		check int
		says  string
	}{
		{`{`, -1, "ends too early"},
		{` {"checks`, -1, "ends too early"},
		{`{"checks":[`, 0, "ends too early"},
		{`{"checks":[` + good, -1, "ends too early"},
		{`{"checks":[` + good + `]`, -1, "ends too early"},
		{`{"checks":[` + good + `]} x`, -1, "something follows the request"},
		{`{"checks":[` + good + `]}{}`, -1, "something follows the request"},
		{`{"checks":[` + good + `],}`, -1, "a comma before the closing }"},
		{`{"checks":[` + good + `,]}`, -1, "a comma before the closing ]"},
		{`{"checks":[` + good + ` ` + good + `]}`, -1, "a comma or ] is due here, not an object"},
		{`{,"checks":[` + good + `]}`, -1, "a field's name in quotes is due here, not ','"},
		{`{checks:[` + good + `]}`, -1, "a field's name in quotes is due here"},
		{`{'checks':[` + good + `]}`, -1, "a field's name in quotes is due here"},
		{`{"checks"=[` + good + `]}`, -1, "a colon is due here, not '='"},
		{`{"checks":[` + good + `],"checks":[]}`, -1, "checks is there twice"},
		{`{"checks":[` + good + `],"check\u0073":[]}`, -1, "checks is there twice"},
		{`{"checks":null,"checks":[` + good + `]}`, -1, "checks is there twice"},
		{`{"timeout_ms":1,"checks":[` + good + `],"timeout_ms":1}`, -1, "timeout_ms is there twice"},
		{`{"Checks":[` + good + `]}`, -1, `unknown field "Checks"`},
		{`{"checks":[{"key":"a","key":"b","limits":["2/1m"]}]}`, 0, "key is there twice"},
		{`{"checks":[{"key":null,"key":"b","limits":["2/1m"]}]}`, 0, "key is there twice"},
		{`{"checks":[{"attributes":{"ip":"1","ip":"2"}}]}`, 0, `attributes: "ip" is there twice`},
		{`{"checks":[{"attributes":{"ip":null,"ip":"2"}}]}`, 0, `attributes: "ip" is there twice`},
		{`{"checks":[{"key":"a` + "\n" + `","limits":["2/1m"]}]}`, 0, "a bare control character"},
		{`{"checks":[{"key":"\n` + "\t" + `","limits":["2/1m"]}]}`, 0, "a bare control character"},
		{`{"checks":[{"key":"` + "\xff" + `","limits":["2/1m"]}]}`, 0, "not UTF-8"},
		{`{"checks":[{"key":"\n` + "\xc3" + `","limits":["2/1m"]}]}`, 0, "not UTF-8"},
		{`{"checks":[{"key":"\ud834","limits":["2/1m"]}]}`, 0, "half of a surrogate pair"},
		{`{"checks":[{"key":"\udd1e","limits":["2/1m"]}]}`, 0, "half of a surrogate pair"},
		{`{"checks":[{"key":"\udd1e\ud834","limits":["2/1m"]}]}`, 0, "half of a surrogate pair"},
		{`{"checks":[{"key":"\ud834\n","limits":["2/1m"]}]}`, 0, "half of a surrogate pair"},
		{`{"checks":[{"key":"\ud834\u0041","limits":["2/1m"]}]}`, 0, "half of a surrogate pair"},
		{`{"checks":[{"key":"\ud834\uzzzz","limits":["2/1m"]}]}`, 0, "four hex digits"},
		{`{"checks":[{"key":"\u12","limits":["2/1m"]}]}`, 0, "four hex digits"},
		{`{"checks":[{"key":"\x41","limits":["2/1m"]}]}`, 0, "an unknown escape"},
		{`{"checks":[{"key":"\`, 0, "ends too early"},
		{`{"checks":[{"key":"\u12`, 0, "ends too early"},
		{`{"checks":[{"key":"k","limits":["2/1m"],"hits":01}]}`, 0, "begins with 0"},
		{`{"checks":[{"key":"k","limits":["2/1m"],"hits":1e3}]}`, 0, "a whole number is due"},
		{`{"checks":[{"key":"k","limits":["2/1m"],"hits":+1}]}`, 0, "a whole number is due"},
		{`{"checks":[{"key":"k","limits":["2/1m"],"hits":-}]}`, 0, "a whole number is due"},
		{`{"checks":[{"key":"k","limits":["2/1m"],"hits":9223372036854775808}]}`, 0, "does not fit"},
		{`{"checks":[{"key":"k","limits":["2/1m"],"hits":99999999999999999999999}]}`, 0, "does not fit"},
		{`{"checks":[{"attributes":{"ip":"1"},"render":truefalse}]}`, 0, "a comma or } is due"},
		{`{"checks":[{"attributes":{"ip":"1"},"render":tru}]}`, 0, "true or false is due"},
		{`{"checks":[{"attributes":{"ip":{"a":"b"}}}]}`, 0, "a text is due here, not an object"},
	} {
		refused(t, d, x.body, 400, x.check, x.says)
	}
	for _, deep := range []string{strings.Repeat(`{"checks":[`, 90000), `{"checks":` + strings.Repeat(`[`, 1<<20-20)} {
		if r := post(t, d, deep); r.StatusCode() != 400 {
			t.Errorf("deep nesting: %d", r.StatusCode())
		}
	}
	if len(c.Batches) > 0 {
		t.Errorf("%d bad requests were decided", len(c.Batches))
	}
}

// What only msgpack can get wrong.
func TestRefusedMsgpack(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	const checks = "\x81\xa6checks\x91"
	for _, x := range []struct {
		body  string
		check int
		says  string
	}{
		{"", -1, "the body is empty"},
		{"\x00", -1, "neither a JSON object nor a msgpack map"},
		{"[1]", -1, "neither a JSON object nor a msgpack map"},
		{"\x1f\x8b\x08", -1, "if it is compressed, send it plain"},
		{"key=1&limits=2", -1, "neither a JSON object nor a msgpack map"},
		{"\x81", -1, "a map of 1 fields with 0 bytes left"},
		{"\xde", -1, "ends too early"},
		{"\xde\xff\xff", -1, "a map of 65535 fields with 0 bytes left"},
		{"\xdf\xff\xff\xff\xff", -1, "a map of 4294967295 fields with 0 bytes left"},
		{"\x81\xa6checks\xdd\x00\x00\x03\xe8", -1, "an array of 1000 with 0 bytes left"},
		{"\x81\xa6checks\xdd\xff\xff\xff\xff", -1, "an array of 4294967295 with 0 bytes left"},
		{"\x81\xa6checks\xdd\xff\xff", -1, "ends too early"},
		{"\x81\xdb\xff\xff\xff\xffchecks", -1, "ends too early"},
		{"\x81\xa6check", -1, "ends too early"},
		{"\x81\x01\x90", -1, "a text is due here, not a number"},
		{checks + "\x82\xa3key\xc6\xff\xff\xff\xffk", 0, "ends too early"},
		{checks + "\x82\xa3key\xa1k\xa6limits\xdd\x7f\xff\xff\xff", 0, "an array of 2147483647 with 0 bytes left"},
		{checks + "\x82\xa3key\xa1\xff\xa6limits\x91\xa42/1m", 0, "not UTF-8"},
		{checks + "\x82\xa3key\xa1k\xa6limits\x91\xc0", 0, "a text is due here, not nil"},
		{checks + "\x83\xa3key\xa1k\xa3key\xa1k\xa6limits\x91\xa42/1m", 0, "key is there twice"},
		{checks + "\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xca\x3f\x80\x00\x00", 0, "a whole number is due here, not a float"},
		{checks + "\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", 0, "a whole number is due here, not a float"},
		{checks + "\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xd3\x00", 0, "ends too early"},
		{checks + "\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xd4\x01\x01", 0, "not an extension"},
		{checks + "\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xc1", 0, "a byte that msgpack does not use"},
		{toMsgpack(t, `{"checks":[`+good+`]}`) + "\x00", -1, "something follows the request"},
	} {
		refused(t, d, x.body, 400, x.check, x.says)
	}
	if len(c.Batches) > 0 {
		t.Errorf("%d bad requests were decided", len(c.Batches))
	}
}

func TestTooLarge(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	most := `{"checks":[` + strings.Repeat(good+",", 999) + good + `]}`
	more := `{"checks":[` + strings.Repeat(good+",", 1000) + good + `]}`
	refused(t, d, more, 413, -1, "checks: more than 1000")
	refused(t, d, toMsgpack(t, more), 413, -1, "checks: more than 1000")
	refused(t, d, `{"checks":[`+good+`]}`+strings.Repeat(" ", 1<<20), 413, -1, "the most is 1048576")
	if len(c.Batches) > 0 {
		t.Error("decided")
	}
	for _, body := range []string{most, toMsgpack(t, most), `{"checks":[` + good + `]}` + strings.Repeat(" ", 1<<20-len(good)-13)} {
		if r := post(t, d, body); r.StatusCode() != 200 {
			t.Errorf("%d bytes: %d %s", len(body), r.StatusCode(), r.Body())
		}
	}
	if s := d.Stats(); s.TooLarge != 3 || s.OK != 3 || s.Bad != 0 || s.Checks != 2001 {
		t.Errorf("counted %+v", s)
	}
}

func TestMethod(t *testing.T) {
	d := New(Config{Checker: doortest.New()})
	for _, m := range []string{"GET", "PUT", "DELETE", "OPTIONS", "HEAD", "post"} {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.Header.SetMethod(m)
		d.Handle(&ctx)
		if ctx.Response.StatusCode() != 405 || string(ctx.Response.Header.Peek("Allow")) != "POST" || string(ctx.Response.Header.ContentType()) != "application/problem+json" {
			t.Errorf("%s: %d, Allow %q", m, ctx.Response.StatusCode(), ctx.Response.Header.Peek("Allow"))
		}
	}
}

// toMsgpack says in msgpack what a JSON text says; whole numbers stay whole.
func toMsgpack(t testing.TB, text string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	b, err := msgpack.Marshal(numbers(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		var u uint64
		if _, err := fmt.Sscan(v.String(), &u); err == nil && fmt.Sprint(u) == v.String() {
			return u
		}
		f, _ := v.Float64()
		return f
	}
	return v
}
