package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// sources is a policy in which every request is counted by one attribute, or by `ip` where it is absent.
func sources(t testing.TB, source string) *Policy {
	t.Helper()
	return parse1(t, "name: p\nattributes: { a: "+source+" }\nrules: { r: { key: [a, ip], limits: 1/1m } }\n")
}

func keyOf(t testing.TB, p *Policy, r *Request) string {
	t.Helper()
	var plan Plan
	if err := p.Plan(r, t0, &plan); err != nil || len(plan.Checks) != 1 {
		t.Fatalf("%d checks, %v", len(plan.Checks), err)
	}
	return string(plan.Checks[0].Key)
}

const absentKey = "ip=192.0.2.1"

func TestSources(t *testing.T) {
	for _, x := range []struct{ source, request, want string }{
		{"{ header: x-user-id }", "X-User-Id: 42", "a=42"},
		{"{ header: X-User-Id }", "X-User-Id:   42 ", "a=42"},
		{"{ header: X-User-Id }", "X-User-Id: ", absentKey},
		{"{ header: X-User-Id }", "X-User-Id: 42|X-User-Id: 42", "a=42"},
		{"{ header: X-User-Id }", "X-User-Id: 42|X-User-Id: 43", absentKey},
		{"{ header: X-User-Id, lower: true }", "X-User-Id: BOB Ärger ", `a="bob ärger"`},
		{"{ bearer: Authorization }", "Authorization: Bearer 12345", "a=sha256:5994471abb01112a"},
		{"{ bearer: Authorization }", "Authorization: bEARER   12345 ", "a=sha256:5994471abb01112a"},
		{"{ bearer: Authorization }", "Authorization: Basic 12345", absentKey},
		{"{ bearer: Authorization }", "Authorization: Bearer", absentKey},
		{"{ bearer: Authorization }", "Authorization: Bearer ", absentKey},
		{"{ bearer: Authorization }", "Authorization: Bearer 1|Authorization: Bearer 2", absentKey},
		{"{ cookie: sid }", "Cookie: x=1; sid=12345; y=2", "a=sha256:5994471abb01112a"},
		{"{ cookie: sid }", `Cookie: sid="12345"`, "a=sha256:5994471abb01112a"},
		{"{ cookie: sid }", `Cookie: sid=1%323%345`, "a=sha256:5994471abb01112a"}, // as Express and PHP read it
		{"{ cookie: sid }", `Cookie: sid="\0612345"`, absentKey},                  // Python reads 12345
		{"{ cookie: sid }", "Cookie: sid=1; sid=12345", absentKey},
		{"{ cookie: sid }", "Cookie: sid=1|Cookie: sid=12345", absentKey},
		{"{ cookie: sid }", "Cookie: SID=1; sid", absentKey},
		{"{ query: seller }", "?seller=7", "a=7"},
		{"{ query: seller }", "?x&s%65ller=7%2B+8&&", `a="7+ 8"`},
		{"{ query: seller }", "?seller=7&seller=7", "a=7"},
		{"{ query: seller }", "?seller=x1&seller=real", absentKey},
		{"{ query: seller }", "?seller=&seller=real", absentKey},
		{"{ query: seller }", "?seller=%zz&seller=real", absentKey},
		{"{ query: seller }", "?seller=x1;seller=real", absentKey},
		{"{ query: seller }", "?seller=x1&a=b;seller=real", absentKey},
		{"{ query: seller }", "?seller=real;x=1", absentKey},
		{"{ query: seller }", "?a=b;c=d&seller=7", "a=7"},
		{"{ query: seller }", "?Seller=7&seller", absentKey},
		{"{ json: email }", `body {"email":"a@b.c"}`, "a=a@b.c"},
		{"{ json: email }", ` body  { "x" : {"email":"no"} , "email" : "a\u0040b.c" } `, "a=a@b.c"},
		{"{ json: email }", `body {"email":42,"y":[{}],"z":"\""}`, "a=42"},
		{"{ json: email }", `body {"email":42.0}`, "a=42"},
		{"{ json: email }", `body {"email":4.2e1}`, "a=42"},
		{"{ json: email }", `body {"email":-0.0}`, "a=0"},
		{"{ json: email }", `body {"email":-0}`, "a=0"},
		{"{ json: email }", `body {"email":1.50}`, "a=1.5"},
		{"{ json: email }", `body {"email":12345678901234567890}`, "a=12345678901234567890"},
		{"{ json: email }", `body {"email":1e999}`, absentKey},
		{"{ json: email }", `body {"email":true}`, "a=true"},
		{"{ json: email }", `body {"email":null}`, absentKey},
		{"{ json: email }", `body {"email":["a"]}`, absentKey},
		{"{ json: email }", `body {"email":""}`, absentKey},
		{"{ json: email }", `body {"email":"a","email":"a"}`, "a=a"},
		{"{ json: email }", `body {"email":"a","email":"b"}`, absentKey},
		{"{ json: email }", `body {"email":"a","EMAIL":"b"}`, absentKey},
		{"{ json: email }", `body {"email":"a","\u0065mail":"b"}`, absentKey},
		{"{ json: email }", `body {"email":"a"`, absentKey},
		{"{ json: email }", `body {"email":"a"}x`, absentKey},
		{"{ json: email }", `body ["email","a"]`, absentKey},
		{"{ json: email }", `body email=a`, absentKey},
		{"{ form: email }", `body x=1&email=a%40b.c`, "a=a@b.c"},
		{"{ form: email }", `body email=1&email=2`, absentKey},
		{"{ form: email }", `body {"email":"a"}`, absentKey},
		{"{ form: email }", "body --x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na\r\n--x--", absentKey},
		{"[{ header: X-A }, { query: a }]", "?a=2", "a=2"},
		{"[{ header: X-A }, { query: a }]", "?a=2|X-A: 1", "a=1"},
		{"[{ header: X-A }, { query: a }]", "?a=2|X-A: 1|X-A: 3", "a=2"},
		{"{ json: email, lower: true, secret: true }", `body {"email":" 12345 "}`, "a=sha256:5994471abb01112a"},
	} {
		uri, more := "/", []string{}
		for _, m := range strings.Split(x.request, "|") {
			if m = strings.TrimLeft(m, " "); strings.HasPrefix(m, "?") {
				uri += m
			} else {
				more = append(more, m)
			}
		}
		if got := keyOf(t, sources(t, x.source), ask(t, "POST "+uri, more...)); got != x.want {
			t.Errorf("%s from %s: %s, want %s", x.source, x.request, got, x.want)
		}
	}
}

func TestPathSource(t *testing.T) {
	p := parse1(t, `
name: p
attributes: { id: { path: id } }
rules:
  one: { match: "GET /a/{id}", key: [id], limits: 1/1m }
  two: { match: "GET /{id}/{x}", key: [id], limits: 2/1m }
  three: { match: ["GET /a/7", "GET /a/{x}"], key: [ip], limits: 3/1m }
`)
	wantPlan(t, p, ask(t, "GET /a/7"), "id=7: one 1/1m; id=a: two 2/1m; ip=192.0.2.1: three 3/1m")
	wantPlan(t, p, ask(t, "GET /a/a"), "id=a: one 1/1m, two 2/1m; ip=192.0.2.1: three 3/1m")
	wantPlan(t, p, ask(t, "GET /a/x%2Fy"), `id="x/y": one 1/1m; id=a: two 2/1m; ip=192.0.2.1: three 3/1m`)
}

func TestAttributesByName(t *testing.T) {
	p := parse1(t, `
name: p
client_ip: { trusted_proxies: [private], ipv6_prefix: 64 }
attributes:
  token: { bearer: Authorization }
  email: { json: email, lower: true }
  id: { path: id }
rules:
  a: { match: "/x/{id}", key: [token+email, email, id], limits: 1/1m }
  b: { key: [ip], limits: 2/1m }
`)
	for _, x := range []struct {
		attrs map[string]string
		want  string
	}{
		{map[string]string{"token": "12345", "email": " A@B.c"}, "token=sha256:5994471abb01112a,email=a@b.c: a 1/1m"},
		{map[string]string{"email": "A"}, "email=a: a 1/1m"},
		{map[string]string{"email": " ", "id": "9"}, "id=9: a 1/1m"},
		{map[string]string{}, "id=7: a 1/1m"},
		{map[string]string{"ip": "2001:db8::1"}, "id=7: a 1/1m; ip=2001:db8::/64: b 2/1m"},
		{map[string]string{"ip": "10.0.0.1"}, "id=7: a 1/1m; ip=10.0.0.1: b 2/1m"},
		{map[string]string{"ip": " 10.0.0.1"}, "id=7: a 1/1m; ip=10.0.0.1: b 2/1m"},
		{map[string]string{"ip": "not,an=address"}, `id=7: a 1/1m; ip="not,an=address": b 2/1m`},
		{map[string]string{"email": strings.Repeat("x", 129)}, "email=" + hashOf("", strings.Repeat("x", 129)) + ": a 1/1m"},
	} {
		wantPlan(t, p, &Request{Method: "GET", URI: "/x/7", Attributes: x.attrs}, x.want)
	}
}

func hashOf(key, value string) string {
	sum := sha256.Sum256([]byte(value))
	if key != "" {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(value))
		copy(sum[:], h.Sum(nil))
	}
	return "sha256:" + hex.EncodeToString(sum[:8])
}

func TestHashKey(t *testing.T) {
	for _, key := range []string{"", "k", strings.Repeat("k", 64), strings.Repeat("k", 65)} {
		p := sources(t, "{ header: X-A, secret: true }")
		p.SetHashKey([]byte(key))
		for _, v := range []string{"12345", strings.Repeat("v", 300)} {
			if got, want := keyOf(t, p, ask(t, "GET /", "X-A: "+v)), "a="+hashOf(key, v); got != want {
				t.Errorf("under %q: %s, want %s", key, got, want)
			}
		}
		if got, want := keyOf(t, p, ask(t, "GET /", "X-A: ")), absentKey; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestKeyText(t *testing.T) {
	p := parse1(t, "name: p\nattributes: { user: { header: X-U }, seller: { header: X-S } }\nrules: { r: { key: [user+seller, user], limits: 1/1m } }\n")
	for _, x := range []struct{ user, seller, want string }{
		{"42", "7", "user=42,seller=7"},
		{"42", "", "user=42"},
		{"42,seller=7", "", `user="42,seller=7"`},
		{`42",seller="7`, "", `user="42\",seller=\"7"`},
		{`a\`, "", `user="a\\"`},
		{"sha256:5994471abb01112a", "", `user="sha256:5994471abb01112a"`},
		{"a\tb\x00\x7f", "", `user="a\x09b\x00\x7f"`},
		{"\xff\xc3", "", `user="\xff\xc3"`},
		{"é", "", `user="é"`},
		{"\u202eabc\u0085", "", `user="\xe2\x80\xaeabc\xc2\x85"`},
		{"a.b_c@d~e-f", "", "user=a.b_c@d~e-f"},
		{strings.Repeat("x", 128), "", "user=" + strings.Repeat("x", 128)},
		{strings.Repeat("x", 129), "7", "user=" + hashOf("", strings.Repeat("x", 129)) + ",seller=7"},
	} {
		h := map[string][]string{"X-U": {x.user}, "X-S": {x.seller}}
		r := &Request{Method: "GET", URI: "/", Header: func(n string) []string { return h[n] }}
		if got := keyOf(t, p, r); got != x.want {
			t.Errorf("%q, %q: %s, want %s", x.user, x.seller, got, x.want)
		}
	}
	// A key that would come out too long is a hash.
	h := map[string][]string{"X-U": {strings.Repeat("\x01", 128)}, "X-S": {strings.Repeat("\x02", 128)}}
	r := &Request{Method: "GET", URI: "/", Header: func(n string) []string { return h[n] }}
	long := "user=\"" + strings.Repeat(`\x01`, 128) + "\",seller=\"" + strings.Repeat(`\x02`, 128) + "\""
	if got := keyOf(t, p, r); got != hashOf("", long) {
		t.Errorf("a long key is %q", got)
	}
}

// Two callers never have one key, whatever they put into their attributes; and a key is always fit to travel.
func FuzzKey(f *testing.F) {
	f.Add("42", "7", "42,seller=7", "")
	f.Add(`a"`, `b\`, "\x00", "\xff")
	p := parse1(f, "name: p\nattributes: { user: { header: X-U }, seller: { header: X-S } }\nrules: { r: { key: [user+seller, user, seller, ip], limits: 1/1m } }\n")
	f.Fuzz(func(t *testing.T, u1, s1, u2, s2 string) {
		of := func(u, s string) string {
			h := map[string][]string{"X-U": {u}, "X-S": {s}}
			return keyOf(t, p, &Request{URI: "/", Peer: ask(t, "GET /").Peer, Header: func(n string) []string { return h[n] }})
		}
		one, two := of(u1, s1), of(u2, s2)
		trim := func(s string) string { return strings.Trim(s, " \t") }
		if same := trim(u1) == trim(u2) && trim(s1) == trim(s2); same != (one == two) {
			t.Fatalf("(%q, %q) is %q, (%q, %q) is %q", u1, s1, one, u2, s2, two)
		}
		if len(one) > 512 || len(one) == 0 || !utf8.ValidString(one) || strings.ContainsAny(one, "\x00\n\r\x1b") {
			t.Fatalf("key %q", one)
		}
	})
}

// A field that we find is what encoding/json finds; one that is there once and flat we do find.
func FuzzJSONField(f *testing.F) {
	for _, s := range []string{`{"email":"a"}`, `{"a":{"email":1},"email":[1,{"x":"}"}]}`, `{"\u0065mail":"\ud800"}`, `{"email":1e5 }`, `{}`, `[`, `{"email":true,"Email":true}`, strings.Repeat(`{"a":`, 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		var got []byte
		ok := false
		if isObject(body) {
			got, ok = appendField(nil, body, []byte("email"))
		}
		if string(body) != before {
			t.Fatal("the body was changed")
		}
		var m map[string]any
		if json.Unmarshal(body, &m) != nil {
			if ok {
				t.Fatalf("%q: %q out of what is no object", body, got)
			}
			return
		}
		if !ok || !utf8.Valid(body) {
			return
		}
		for k, v := range m {
			s, isText := v.(string)
			if strings.EqualFold(k, "email") && isText && s != string(got) {
				t.Fatalf("%q: %q, encoding/json has %q", body, got, s)
			}
		}
	})
}

// What we find in a query, net/url finds too, and as the only value.
func FuzzPairs(f *testing.F) {
	for _, s := range []string{"seller=7", "a=b&seller=%37", "seller=1&seller=2", "seller=1;x", "&&=&seller", "s%65ller=+", "seller=%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := appendPair(nil, s, "seller")
		if !ok {
			if len(got) > 0 {
				t.Fatalf("%q: absent, and %q", s, got)
			}
			return
		}
		q, _ := url.ParseQuery(s)
		if len(q["seller"]) == 0 {
			t.Fatalf("%q: %q, net/url has none", s, got)
		}
		for _, v := range q["seller"] {
			if v != string(got) {
				t.Fatalf("%q: %q, net/url has %q", s, got, q["seller"])
			}
		}
	})
}
