package policy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func mustPattern(t testing.TB, text string) pattern {
	t.Helper()
	p, faults := parsePattern(text)
	if len(faults) > 0 {
		t.Fatalf("parsePattern(%q): %v", text, faults)
	}
	return p
}

// matches says whether a request `METHOD [HOST]/PATH` matches a pattern.
func matches(t testing.TB, text, request string, ignoreCase bool) bool {
	t.Helper()
	p := mustPattern(t, text)
	method, uri, _ := strings.Cut(request, " ")
	host := ""
	if i := strings.IndexByte(uri, '/'); i > 0 && !strings.Contains(uri, "://") {
		host, uri = uri[:i], uri[i:]
	}
	var tgt target
	tgt.parse(uri, host)
	return p.match(method, &tgt, ignoreCase)
}

func TestPatternMatches(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"GET /items", "GET /items|HEAD /items|GET /items/|GET //items|GET /./items|GET /x/../items|GET /items?a=b|GET /%69tems|GET example.com/items|GET http://h/items|get /items",
			"POST /items|GET /items/7|GET /Items|GET /item|GET /x/items|GET *"},
		{"HEAD /items", "HEAD /items", "GET /items"},
		{"/items", "GET /items|PURGE /items", "GET /"},
		{"/items/", "GET /items/|GET /items/7|GET /items/7/8|GET /items/.", "GET /items|GET /itemsx"},
		{"/items/{$}", "GET /items/|GET /items//", "GET /items|GET /items/7"},
		{"/", "GET /|GET /a|GET /a/b|GET //", "OPTIONS *|CONNECT host:443"},
		{"/{$}", "GET /|GET http://host|GET /a/..|GET /?q", "GET /a"},
		{"/items/{id}", "GET /items/7|GET /items/7/|GET /items/a%2Fb|GET /items/%zz|GET /items/%2e%2e%2e", "GET /items|GET /items/|GET /items/7/8|GET /items/x/.."},
		{"/items/{rest...}", "GET /items|GET /items/|GET /items/7/8", "GET /item"},
		{"/a%2Fb", "GET /a%2Fb|GET /a%2fb", "GET /a/b"},
		{"/a%20b", "GET /a%20b", "GET /a+b"},
		{"POST api.example.com/x", "POST api.example.com/x|POST API.example.com:8080/x|POST api.example.com./x|POST http://u@api.example.com:80/x", "POST /x|POST example.com/x"},
		{"localhost/x", "GET localhost/x", "GET other/x"},
	} {
		for _, request := range strings.Split(c.yes, "|") {
			if !matches(t, c.pattern, request, false) {
				t.Errorf("%s does not match %s", c.pattern, request)
			}
		}
		for _, request := range strings.Split(c.no, "|") {
			if matches(t, c.pattern, request, false) {
				t.Errorf("%s matches %s", c.pattern, request)
			}
		}
	}
}

func TestPatternIgnoreCase(t *testing.T) {
	for _, request := range []string{"GET /Verify/7", "GET /VERIFY/7", "GET /%56erify/7"} {
		if !matches(t, "GET /verify/{id}", request, true) {
			t.Errorf("does not match %s", request)
		}
		if matches(t, "GET /verify/{id}", request, false) {
			t.Errorf("matches %s without ignore_case", request)
		}
	}
}

// Each fault as `from-to message | hint`, columns from 0.
func TestPatternFaults(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"get /items", `0+3 method "get" must be upper case | GET /items`},
		{"POST items/{id", `5+5 "items" is read as a host; a path starts with / | POST /items/{id}` + "\n" + `11+1 "{" without "}" | `},
		{"items", `0+5 "items" is read as a host; a path starts with / | /items`},
		{"GET", `0+3 "GET" has no path; a path starts with / | GET /`},
		{"GET ", `3+1 no path; a path starts with / | GET /`},
		{"example.com", `0+11 host "example.com" has no path; a path starts with / | example.com/`},
		{"example.com:80/", `11+3 a host has no port here: one rule counts for all ports | `},
		{"", `0+1 an empty pattern | GET /items`},
		{"POST,PUT /x", `0+8 "POST,PUT" is not a method | one pattern has one method; match takes a list` + ""},
		{"/b_{id}", `1+6 a wildcard is a whole segment | /{id}`},
		{"/{id}x", `1+5 a wildcard is a whole segment | /{id}`},
		{"/{x...}/y", `1+6 ... only at the end: {x...} takes all that follows | `},
		{"/{$}/y", `1+3 {$} only at the end | `},
		{"/{}", `1+2 a wildcard needs a name | {id}`},
		{"/{1}", `1+3 wildcard "1": a name is a Go identifier: letters, digits and _, no digit first | `},
		{"/{a}/{a}", `5+3 wildcard {a} is here twice | `},
		{"/a//b", `3+1 paths are cleaned of //, . and .. before they are matched: this would match nothing | `},
		{"/a/../b", `3+2 paths are cleaned of //, . and .. before they are matched: this would match nothing | `},
		{"/a}/b", `2+1 "}" without "{" | `},
		{"/a%zz", `2+3 "%zz" is not an escape | a percent sign is written %25`},
		{"/a/*", `3+1 "*" is not a wildcard here | {id} is one segment, {rest...} is all that follow`},
		{"/a/:id", `3+3 ":id" is not a wildcard here | {id}`},
		{"/a?b=c", `2+4 a pattern has no query | for a parameter: attributes: { x: { query: x } } and when: { x: … }`},
		{"GET /a b", `6+1 a space in a path | a space in a path is written %20`},
		{"/" + strings.Repeat("a/", 65), `129+1 more than 64 segments | `},
		{"/" + strings.Repeat("a", 1024), `0+1 the pattern is 1025 bytes; the most is 1024 | `},
	} {
		_, faults := parsePattern(c.pattern)
		var got []string
		for _, f := range faults {
			got = append(got, fmt.Sprintf("%d+%d %s | %s", f.at, f.n, f.msg, f.hint))
		}
		if g := strings.Join(got, "\n"); g != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.pattern, g, c.want)
		}
	}
}

func TestPatternMethodKnown(t *testing.T) {
	if p := mustPattern(t, "FOO /x"); knownMethod(p.method) || !knownMethod("PATCH") {
		t.Error("FOO is known, or PATCH is not")
	}
}

func TestPatternWildcards(t *testing.T) {
	for _, c := range []struct{ pattern, uri, name, want string }{
		{"/a/{id}", "/a/7", "id", "7"},
		{"/a/{id}", "/a/x%2Fy", "id", "x/y"},
		{"/a/{rest...}", "/a/b//c%20d/", "rest", "b/c d"},
		{"/a/{rest...}", "/a/", "rest", ""},
	} {
		p := mustPattern(t, c.pattern)
		var tgt target
		tgt.parse(c.uri, "")
		got, ok := p.appendWildcard(nil, c.name, &tgt)
		if !ok || string(got) != c.want {
			t.Errorf("%s on %s: {%s} is %q, %v; want %q", c.pattern, c.uri, c.name, got, ok, c.want)
		}
	}
	p := mustPattern(t, "/{rest...}")
	var tgt target
	tgt.parse(strings.Repeat("/a", keptSegments+1), "")
	if _, ok := p.appendWildcard(nil, "rest", &tgt); ok {
		t.Error("a rest of which a part was dropped has a value")
	}
	if !p.match("GET", &tgt, false) {
		t.Error("a deep path does not match {rest...}")
	}
}

func randomPath(r *rand.Rand, words []string) string {
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteByte('/')
		b.WriteString(words[r.IntN(len(words))])
	}
	if b.Len() == 0 || r.IntN(3) == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

// On clean paths one pattern matches what a ServeMux with that pattern alone serves. Where ServeMux would redirect, or
// where a final slash is the only difference, ours is meant to differ; those are left out.
func TestPatternAgainstServeMux(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 6000 {
		text := randomPath(r, []string{"a", "b", "{x}", "a%20b", "é"})
		text = strings.Replace(text, "{x}", "{y}", 1)
		if strings.Count(text, "{x}") > 1 {
			continue
		}
		text += []string{"", "", "/", "/{$}", "/{rest...}"}[r.IntN(5)]
		text = strings.ReplaceAll(text, "//", "/")
		text = []string{"", "GET ", "POST ", "HEAD "}[r.IntN(4)] + []string{"", "", "h.example"}[r.IntN(3)] + text
		path := randomPath(r, []string{"a", "b", "c", "a%20b", "a%2Fb", "%61", "%C3%A9", "7"})
		host := []string{"h.example", "h.example:80", "other"}[r.IntN(3)]
		method := []string{"GET", "HEAD", "POST", "PUT"}[r.IntN(4)]

		p := mustPattern(t, text)
		if strings.HasSuffix(path, "/") && p.end == endExact && path != "/" || p.end == endRest && !strings.HasSuffix(path, "/") && strings.Count(path, "/") == len(p.segments) {
			continue // documented: the final slash
		}
		mux := http.NewServeMux()
		served := false
		mux.HandleFunc(text, func(http.ResponseWriter, *http.Request) { served = true })
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		mux.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: method, Host: host, URL: u, RequestURI: path})

		var tgt target
		tgt.parse(path, host)
		if got := p.match(method, &tgt, false); got != served {
			t.Fatalf("%q on %s %s%s: %v, ServeMux %v", text, method, host, path, got, served)
		}
		if served {
			matched++
		}
	}
	if matched < 150 {
		t.Errorf("only %d matched: the test proves little", matched)
	}
}

func TestPatternCovers(t *testing.T) {
	for _, c := range []struct {
		p, q string
		want bool
	}{
		{"/", "GET /a/{b}", true}, {"GET /a", "HEAD /a", true}, {"HEAD /a", "GET /a", false}, {"/a/", "/a/b", true}, {"/a/", "/a", false},
		{"/a/{rest...}", "/a", true}, {"/a/{x}", "/a/b", true}, {"/a/b", "/a/{x}", false}, {"/a", "/a/{$}", true}, {"/a/{$}", "/a", false},
		{"h.x/a", "/a", false}, {"/a", "h.x/a", true}, {"/{$}", "/", false}, {"/a/", "/a/{rest...}", false},
	} {
		p, q := mustPattern(t, c.p), mustPattern(t, c.q)
		if got := p.covers(&q); got != c.want {
			t.Errorf("%s covers %s: %v", c.p, c.q, got)
		}
	}
	// The law: whatever q matches, a p that covers it matches too.
	r := rand.New(rand.NewPCG(3, 4))
	ends := []string{"", "/", "/{$}", "/{rest...}"}
	yes := 0
	for range 8000 {
		pick := func() pattern {
			s := randomPath(r, []string{"a", "b", "{x}"})
			s = strings.Replace(s, "{x}", "{y}", 1)
			s = strings.Replace(s, "{x}", "{z}", 1)
			s = strings.Replace(s, "{x}", "{w}", 1)
			return mustPattern(t, strings.ReplaceAll(s+ends[r.IntN(4)], "//", "/"))
		}
		p, q := pick(), pick()
		var tgt target
		tgt.parse(randomPath(r, []string{"a", "b"}), "")
		if p.covers(&q) && q.match("GET", &tgt, false) {
			yes++
			if !p.match("GET", &tgt, false) {
				t.Fatalf("%s covers %s, but not on %q", p.text, q.text, tgt.segs)
			}
		}
	}
	if yes < 100 {
		t.Errorf("only %d cases", yes)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	p := mustPattern(t, "GET /items/{id}/x%20y")
	var tgt target
	tgt.parse("/a/../items/7/x%20y?q=1", "h")
	if n := testing.AllocsPerRun(100, func() {
		tgt.parse("/a/../items/7/x%20y?q=1", "h")
		if !p.match("GET", &tgt, false) {
			t.Fatal("no match")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"GET /items/{id}", "POST items/{id", "/b_{id}", "/{x...}/y", "h.example/{$}", "get /a b?c", "/%zz/{", "é/{é}"} {
		f.Add(s, "/items/7?x=y")
	}
	f.Fuzz(func(t *testing.T, text, uri string) {
		p, faults := parsePattern(text)
		for _, x := range faults {
			if x.at < 0 || x.n < 1 || x.at > len(text) || x.msg == "" {
				t.Fatalf("%q: fault %+v", text, x)
			}
		}
		var tgt target
		tgt.parse(uri, "h.example")
		if len(faults) > 0 {
			return
		}
		if p.match("GET", &tgt, false) && !p.match("GET", &tgt, true) {
			t.Fatalf("%q matches %q, but not with ignore_case", text, uri)
		}
		if !p.covers(&p) {
			t.Fatalf("%q does not cover itself", text)
		}
	})
}
