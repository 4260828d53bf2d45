package forwardauth

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
	"github.com/stint-limiter/stint/transport/policy"
)

func TestMain(m *testing.M) {
	// fasthttp writes the Date header of the process from one goroutine that never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// The policy of these tests: two answers per address, and one per e-mail at the login.
const shop = `
name: shop
client_ip: { trusted_proxies: [10.0.0.0/8] }
attributes:
  email: { json: email }
  user: { header: X-User-Id }
rules:
  all:
    match: [/assets, "/user/{id}", shop.example/hosted, /login]
    key: [user, ip]
    limits: 2/1m
  login:
    match: POST /login
    key: [email]
    limits: 1/1h
headers:
  X-Limit: ${limit}
  X-Left: ${remaining}
denied:
  body: '{"error":"slow down","rule":"${rule}"}'
`

func set(t testing.TB, texts ...string) func() []*policy.Policy {
	t.Helper()
	var set []*policy.Policy
	for _, text := range texts {
		p, problems := policy.Parse("test.yaml", []byte(text))
		if p == nil {
			t.Fatal(problems)
		}
		set = append(set, p)
	}
	return func() []*policy.Policy { return set }
}

// ask asks the door as a proxy at 10.0.0.1 would; headers are lines.
func ask(t testing.TB, d *Door, query string, headers ...string) *fasthttp.Response {
	t.Helper()
	return askBody(t, d, query, "", headers...)
}

func askBody(t testing.TB, d *Door, query, body string, headers ...string) *fasthttp.Response {
	t.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5}, nil)
	ctx.Request.SetRequestURI("/v1/auth" + query)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		ctx.Request.Header.Add(name, value)
	}
	ctx.Request.SetBodyString(body)
	d.Handle(&ctx)
	return &ctx.Response
}

func get(uri, from string) []string {
	return []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: " + uri, "X-Forwarded-For: " + from}
}

func nginx(uri, from string) []string {
	return []string{"X-Original-Method: GET", "X-Original-URI: " + uri, "X-Forwarded-For: " + from}
}

// expect checks status and, where they are not "-", headers and body.
func expect(t testing.TB, r *fasthttp.Response, status int, left, retry, body string) {
	t.Helper()
	if r.StatusCode() != status || left != "-" && string(r.Header.Peek("X-Left")) != left || retry != "-" && string(r.Header.Peek("Retry-After")) != retry || body != "-" && string(r.Body()) != body {
		t.Errorf("got %d X-Left %q Retry-After %q %s\nwant %d %q %q %s", r.StatusCode(), r.Header.Peek("X-Left"), r.Header.Peek("Retry-After"), r.Body(), status, left, retry, body)
	}
}

func refused(t testing.TB, r *fasthttp.Response, says string) {
	t.Helper()
	var p struct {
		Status int
		Detail string
	}
	if err := json.Unmarshal(r.Body(), &p); err != nil || r.StatusCode() != 400 || p.Status != 400 || string(r.Header.ContentType()) != "application/problem+json" || !strings.Contains(p.Detail, says) {
		t.Errorf("got %d %s %s, want %q", r.StatusCode(), r.Header.ContentType(), r.Body(), says)
	}
}

const slow = `{"error":"slow down","rule":"all"}`

func TestCaddyAndTraefik(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(t, shop)})
	a := get("/assets?x=1", "192.0.2.1")
	expect(t, ask(t, d, "", a...), 200, "1", "", "")
	expect(t, ask(t, d, "", a...), 200, "0", "", "")
	r := ask(t, d, "", a...)
	expect(t, r, 429, "0", "59", slow)
	if string(r.Header.ContentType()) != "application/json" || string(r.Header.Peek("X-Limit")) != "2" {
		t.Errorf("%s", &r.Header)
	}
	// Another address, by the one client_ip that a policy believes.
	expect(t, ask(t, d, "", get("/assets", "192.0.2.2")...), 200, "1", "", "")
	// An address that the client made up stands before the one the proxy saw.
	expect(t, ask(t, d, "", get("/assets", "192.0.2.9, 192.0.2.1")...), 429, "0", "59", slow)
	// No rule.
	r = ask(t, d, "", get("/health", "192.0.2.1")...)
	expect(t, r, 200, "", "", "")
	if n := len(r.Header.ContentType()); n != 0 && r.Header.Peek("X-Limit") != nil {
		t.Errorf("headers where no rule matched: %s", &r.Header)
	}
	if s := d.Stats(); s != (Stats{Allowed: 4, Unmatched: 1, Denied: 2}) {
		t.Errorf("counted %+v", s)
	}
}

func TestNginx(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(t, shop)})
	a := nginx("/user/7", "192.0.2.1")
	expect(t, ask(t, d, "?deny_status=403", a...), 200, "1", "", "")

	// Asked for the denial before there is one: a denial all the same, and nothing is counted.
	expect(t, ask(t, d, "?denial=1", a...), 429, "1", "1", slow)
	expect(t, ask(t, d, "?deny_status=403", a...), 200, "0", "", "")

	expect(t, ask(t, d, "?deny_status=403", a...), 403, "0", "59", slow)
	for range 3 {
		expect(t, ask(t, d, "?denial=1", a...), 429, "0", "59", slow)
	}
	expect(t, ask(t, d, "?denial=1&deny_status=420", a...), 420, "0", "59", slow)
	for _, batch := range c.Batches[4:] {
		if batch[0].Hits != 0 {
			t.Errorf("rendering a denial took %+v", batch)
		}
	}
	for at, n := range c.Spent {
		if n != 2 {
			t.Errorf("%v has %d", at, n)
		}
	}
	// denial=0 is a question like any other.
	expect(t, ask(t, d, "?denial=0", nginx("/assets", "192.0.2.3")...), 200, "1", "", "")

	// A denial that no limit has anything to say about is one without the policy's words, never a 200.
	for _, uri := range []string{"/health", "/assets"} {
		if uri == "/assets" {
			c.Answer = doortest.Nobody(true)
		}
		r := ask(t, d, "?denial=1", nginx(uri, "192.0.2.4")...)
		expect(t, r, 429, "", "1", "-")
		if string(r.Header.ContentType()) != "application/problem+json" {
			t.Errorf("%s: %s", uri, &r.Header)
		}
	}
}

func TestSeveralKeys(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(t, shop)})
	ask := func(from, email string) *fasthttp.Response {
		return askBody(t, d, "", fmt.Sprintf(`{"email":%q}`, email),
			"X-Forwarded-Method: POST", "X-Forwarded-Uri: /login", "X-Forwarded-For: "+from, "Content-Type: application/json")
	}
	expect(t, ask("192.0.2.1", "e"), 200, "0", "", "")
	expect(t, ask("192.0.2.2", "e"), 429, "0", "59", `{"error":"slow down","rule":"login"}`)
	// The second address has its hit back.
	if len(c.Batches) != 3 || c.Batches[2][0].Hits != -1 || c.Batches[2][0].Receipt != doortest.Receipt || string(c.Batches[2][0].Key) != string(c.Batches[1][0].Key) {
		t.Errorf("%+v", c.Batches)
	}
	// Peeked, nothing goes back, as nothing was taken.
	c.Batches = nil
	expect(t, askBody(t, d, "?denial=1", `{"email":"e"}`, "X-Forwarded-Method: POST", "X-Forwarded-Uri: /login", "X-Forwarded-For: 192.0.2.3", "Content-Type: application/json"),
		429, "-", "59", `{"error":"slow down","rule":"login"}`)
	if len(c.Batches) != 1 {
		t.Errorf("%+v", c.Batches)
	}
}

func TestRefused(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(t, shop)})
	a := get("/assets", "192.0.2.1")
	for query, says := range map[string]string{
		"?policy=bar":                      `no policy is called "bar"; loaded: shop`,
		"?policy=":                         "policy is empty",
		"?deny_satus=403":                  `unknown parameter "deny_satus"; known: policy, deny_status, denial, timeout_ms`,
		"?deny_status=":                    `deny_status is ""`,
		"?deny_status=200":                 `deny_status is "200"; it goes from 400 to 599`,
		"?deny_status=600":                 `deny_status is "600"`,
		"?deny_status=abc":                 `deny_status is "abc"`,
		"?deny_status=403&deny_status=401": "deny_status is there twice",
		"?denial=yes":                      `denial is "yes"; it is 1 or 0`,
		"?timeout_ms=0":                    "timeout_ms is 0; it goes from 1 to 10000",
		"?timeout_ms=10001":                "timeout_ms is 10001",
		"?timeout_ms=x":                    `timeout_ms is "x"`,
		"?timeout_ms=99999999999999999999": "timeout_ms is",
	} {
		refused(t, ask(t, d, query, a...), says)
	}
	for says, headers := range map[string][]string{
		"neither X-Forwarded-Method nor X-Original-Method is there": {"X-Forwarded-Uri: /assets"},
		"neither X-Forwarded-Uri nor X-Original-URI is there":       {"X-Forwarded-Method: GET"},
		"X-Forwarded-Uri and X-Original-URI differ":                 {"X-Forwarded-Method: GET", "X-Forwarded-Uri: /assets", "X-Original-URI: /health"},
		"X-Forwarded-Method and X-Original-Method differ":           {"X-Forwarded-Method: GET", "X-Original-Method: POST", "X-Forwarded-Uri: /assets"},
		"X-Forwarded-Host and X-Original-Host differ":               {"X-Original-Method: GET", "X-Original-URI: /assets", "X-Original-Host: a", "X-Forwarded-Host: b"},
		"X-Forwarded-Uri is there twice with different values":      {"X-Forwarded-Method: GET", "X-Forwarded-Uri: /assets", "X-Forwarded-Uri: /health"},
		"X-Original-URI is there twice with different values":       {"X-Original-Method: GET", "X-Original-URI: /assets", "X-Original-URI: /health"},
		"X-Forwarded-Host is there twice with different values":     {"X-Forwarded-Method: GET", "X-Forwarded-Uri: /assets", "X-Forwarded-Host: a", "X-Forwarded-Host: b"},
	} {
		refused(t, ask(t, d, "", headers...), says)
	}
	if len(c.Batches) > 0 {
		t.Errorf("bad requests were decided: %v", c.Batches)
	}
	if s := d.Stats(); s.Bad != 21 || s.Allowed+s.Denied != 0 {
		t.Errorf("counted %+v", s)
	}

	// The same header twice, saying the same, is no harm; nor are both families that agree.
	expect(t, ask(t, d, "", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /assets", "X-Forwarded-Uri: /assets", "X-Original-URI: /assets", "X-Forwarded-For: 192.0.2.1"), 200, "1", "", "")

	refused(t, ask(t, New(Config{Checker: c}), "", a...), "no policy is loaded")
	two := New(Config{Checker: c, Policies: set(t, shop, strings.Replace(shop, "name: shop", "name: bar", 1))})
	refused(t, ask(t, two, "", a...), "several policies are loaded, so policy must name one of: shop, bar")
	expect(t, ask(t, two, "?policy=bar", a...), 200, "1", "", "")
}

func TestHost(t *testing.T) {
	d := New(Config{Checker: doortest.New(), Policies: set(t, shop)})
	for _, h := range []string{"X-Forwarded-Host: shop.example", "X-Original-Host: shop.example", "Host: shop.example"} {
		if r := ask(t, d, "", append(get("/hosted", "192.0.2.1"), h)...); r.Header.Peek("X-Limit") == nil {
			t.Errorf("%s: no rule matched", h)
		}
	}
	if r := ask(t, d, "", append(get("/hosted", "192.0.2.1"), "Host: shop.example", "X-Forwarded-Host: other.example")...); r.Header.Peek("X-Limit") != nil {
		t.Error("Host was taken before X-Forwarded-Host")
	}
}

// //user/7 is a path and not a host, and the limiter sees what the router behind it will see.
func TestPaths(t *testing.T) {
	d := New(Config{Checker: doortest.New(), Policies: set(t, shop)})
	for _, uri := range []string{"//user/7", "/user//7", "/x/../user/7", "/us%65r/7", "/user/7/", "/user/7?a=b"} {
		if r := ask(t, d, "", get(uri, "192.0.2.1")...); r.Header.Peek("X-Limit") == nil && r.StatusCode() == 200 {
			t.Errorf("%s: no rule matched", uri)
		}
	}
}

func TestUndecided(t *testing.T) {
	c := doortest.New()
	c.Answer = func(k *transport.Check, d *transport.Decision) { doortest.Nobody(k.Unavailable.Allows())(k, d) }
	d := New(Config{Checker: c, Policies: set(t, shop)})
	expect(t, ask(t, d, "", get("/assets", "192.0.2.1")...), 200, "", "", "")
	d = New(Config{Checker: c, Policies: set(t, strings.Replace(shop, "headers:", "failure_mode: deny\nheaders:", 1))})
	expect(t, ask(t, d, "", get("/assets", "192.0.2.1")...), 503, "", "1", slow)
	expect(t, ask(t, d, "?deny_status=403", get("/assets", "192.0.2.1")...), 403, "", "1", slow)
	if s := d.Stats(); s != (Stats{Denied: 2, Unavailable: 2}) {
		t.Errorf("counted %+v", s)
	}
}

// Headers are spelled as the policy spells them, and Content-Type is there once.
func TestHeadersAsWritten(t *testing.T) {
	d := New(Config{Checker: doortest.New(), Policies: set(t, `
name: spelled
rules:
  all: { key: [ip], limits: 1/1m }
headers: { X-RateLimit-Limit: "${limit}" }
denied: { headers: { content-type: text/x }, body: "no" }
`)})
	ask(t, d, "", get("/", "192.0.2.1")...)
	r := ask(t, d, "", get("/", "192.0.2.1")...)
	lines := r.Header.String()
	if !strings.Contains(lines, "\r\nX-RateLimit-Limit: 1\r\n") || strings.Count(strings.ToLower(lines), "content-type: ") != 1 || string(r.Header.ContentType()) != "text/x" {
		t.Errorf("%s", lines)
	}
}

// More keys at once than a policy may count by: failure_mode, and where that allows, what can be limited is.
func TestUnplanned(t *testing.T) {
	var text strings.Builder
	text.WriteString("name: many\nattributes:\n")
	for i := range 5 {
		fmt.Fprintf(&text, "  a%d: { header: X-A%d }\n", i, i)
	}
	text.WriteString("rules:\n")
	var a []string
	for i := range 5 {
		fmt.Fprintf(&text, "  r%d: { match: /x, key: [a%d], limits: %d/1m }\n", i, i, i+1)
		a = append(a, fmt.Sprintf("X-A%d: v", i))
	}
	a = append(a, get("/x", "192.0.2.1")...)
	c := doortest.New()
	d := New(Config{Checker: c, Policies: set(t, text.String()), FailureMode: transport.Deny})
	expect(t, ask(t, d, "", a...), 503, "-", "1", "-")
	expect(t, ask(t, d, "?deny_status=403", a...), 403, "-", "1", "-")
	if len(c.Batches) > 0 {
		t.Error("asked")
	}
	d = New(Config{Checker: c, Policies: set(t, text.String())})
	expect(t, ask(t, d, "", a...), 200, "-", "-", "")
	expect(t, ask(t, d, "", a...), 429, "-", "59", "-")
}

// deadlines remembers the deadline it was given.
type deadlines struct {
	*doortest.Counter
	last time.Time
}

func (d *deadlines) Check(r *transport.Request) {
	d.last = r.Deadline
	d.Counter.Check(r)
}

func TestDeadline(t *testing.T) {
	c := &deadlines{Counter: doortest.New()}
	d := New(Config{Checker: c, Policies: set(t, shop)})
	for query, want := range map[string]time.Duration{"": time.Second, "?timeout_ms=20": 20 * time.Millisecond, "?timeout_ms=10000&denial=1": 10 * time.Second} {
		from := time.Now()
		ask(t, d, query, get("/assets", "192.0.2.1")...)
		if to := time.Now(); c.last.Before(from.Add(want)) || c.last.After(to.Add(want)) {
			t.Errorf("%s: the deadline is %v after the request came", query, c.last.Sub(from))
		}
	}
}

// Any method asks, whatever its own; callers at once do not see each other's answers.
func TestConcurrent(t *testing.T) {
	c := doortest.New()
	c.Forget = true
	d := New(Config{Checker: c, Policies: set(t, shop)})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				user := fmt.Sprintf("X-User-Id: %d-%d", g, i)
				for _, left := range []string{"1", "0"} {
					expect(t, ask(t, d, "", append(get("/assets", "192.0.2.1"), user)...), 200, left, "", "")
				}
				expect(t, ask(t, d, "?deny_status=401", append(nginx("/assets", "192.0.2.1"), user)...), 401, "0", "59", slow)
			}
		})
	}
	wg.Wait()
}

// Whatever a client gets its proxy to pass on: an answer, and never a 500.
func FuzzDoor(f *testing.F) {
	f.Add("", "GET", "/assets", "192.0.2.1", "", []byte(""))
	f.Add("?denial=1", "POST", "/login?a=%zz", "192.0.2.1, ::1", "shop.example", []byte(`{"email":"e"}`))
	f.Add("?deny_status=403&policy=shop&timeout_ms=5", "", "//user/7", "x", "[::", []byte{0xff})
	c := doortest.New()
	c.Forget = true
	d := New(Config{Checker: c, Policies: set(f, shop)})
	f.Fuzz(func(t *testing.T, query, method, uri, from, host string, body []byte) {
		clear(c.Spent)
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.SetRequestURI("/v1/auth" + query)
		ctx.Request.Header.Set("X-Forwarded-Method", method)
		ctx.Request.Header.Set("X-Forwarded-Uri", uri)
		ctx.Request.Header.Set("X-Forwarded-For", from)
		ctx.Request.Header.Set("X-Forwarded-Host", host)
		ctx.Request.Header.Set("Content-Type", "application/json")
		ctx.Request.SetBody(body)
		d.Handle(&ctx)
		if s := ctx.Response.StatusCode(); s != 200 && (s < 400 || s >= 600 || s == http.StatusInternalServerError && !strings.Contains(query, "deny_status")) {
			t.Fatalf("answered %d %s", s, ctx.Response.Body())
		}
	})
}
