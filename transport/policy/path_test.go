package policy

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestTarget(t *testing.T) {
	for _, c := range []struct{ uri, segs, host, query string }{
		{"/verify", "verify", "h", ""},
		{"//verify/", "verify /", "h", ""}, // a path, never a host
		{"//evil.example/verify", "evil.example verify", "h", ""},
		{"/a/./b/../c", "a c", "h", ""},
		{"/../../a", "a", "h", ""},
		{"/a/%2e%2E/b", "b", "h", ""},
		{"/a/.%2e/b", "b", "h", ""},
		{"/a/%2E/b", "a b", "h", ""},
		{"/a/..", "/", "h", ""},
		{"/a%2Fb/c", "a%2Fb c", "h", ""},
		{"/...", "...", "h", ""},
		{"/?a=/b", "/", "h", "a=/b"},
		{"/x?a?b", "x", "h", "a?b"},
		{"http://api.example/x/y?z", "x y", "api.example", "z"},
		{"HTTP://u:p@api.example:80", "/", "api.example:80", ""},
		{"http:/x/y", "x y", "h", ""}, {"http:", "/", "h", ""}, {"http:///x", "x", "h", ""},
		{"*", "none", "h", ""}, {"", "none", "h", ""}, {"verify", "none", "h", ""}, {"host:443", "none", "h", ""}, {"?x=y", "none", "h", "x=y"}, {"://x/y", "none", "h", ""},
	} {
		var tgt target
		tgt.parse(c.uri, "h")
		got := strings.Join(tgt.segs, " ")
		if tgt.slash {
			got = strings.TrimSpace(got + " /")
		}
		if !tgt.path {
			got = "none"
		}
		if got != c.segs || tgt.host != c.host || tgt.query != c.query {
			t.Errorf("%q: %q on %q with query %q", c.uri, got, tgt.host, tgt.query)
		}
	}
}

// Whatever url.ParseRequestURI can read, we read alike, once cleaned.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/a/b", "//verify/", "/a/../b?x", "http://h/p%2Fq", "/%2e%2e/x", "/%zz", "*", "/a;b/..;/c%2f%5Cd#e", "/" + strings.Repeat("a/", 80) + "../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		var tgt, loose target
		loose.parseLoosely(uri, "h")
		for _, s := range loose.segs {
			if s == "" || isDot(s) || isDotDot(s) || strings.ContainsAny(s, "/\\;#") {
				t.Fatalf("%q: segment %q of the second reading", uri, s)
			}
		}
		tgt.parse(uri, "h")
		if !hasSecondReading(uri) && !slices.Equal(loose.segs, tgt.segs) {
			t.Fatalf("%q: one reading has %q, the other %q", uri, tgt.segs, loose.segs)
		}
		if len(tgt.segs) > keptSegments || tgt.depth < len(tgt.segs) {
			t.Fatalf("%q: %d segments of %d kept", uri, len(tgt.segs), tgt.depth)
		}
		for _, s := range tgt.segs {
			if s == "" || isDot(s) || isDotDot(s) || strings.Contains(s, "/") {
				t.Fatalf("%q: segment %q", uri, s)
			}
		}
		u, err := url.ParseRequestURI(uri)
		if err != nil || u.Opaque != "" || uri == "*" {
			return
		}
		if !tgt.path {
			t.Fatalf("%q is a path to net/url, and none to us", uri)
		}
		raw, _, _ := strings.Cut(uri, "?")
		if u.IsAbs() || tgt.depth > len(tgt.segs) || strings.Contains(strings.ToLower(raw), "%2e") {
			return
		}
		want := strings.Trim(path.Clean(raw), "/")
		if got := strings.Join(tgt.segs, "/"); got != want {
			t.Fatalf("%q: %q, path.Clean has %q", uri, got, want)
		}
	})
}
