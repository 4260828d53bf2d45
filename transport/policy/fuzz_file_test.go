package policy

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func seeds(f *testing.F) {
	for _, glob := range []string{"testdata/bad.yaml", "examples/*.yaml"} {
		names, _ := filepath.Glob(glob)
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, s := range []string{
		"", "\n", "---\n", "a: &a [*a]", "a: b: c", "{ match: GET /a/{id} }", "\tname: a", "name: a\n---\nname: b", "\xff\xfe", "\ufeffname: a",
		"a: &a5?**L", "[\nb " + strings.Repeat("\\", 2000) + " *rb", "name: \"\\u00e9\\\n  x\"", "a: >\n x\n\n  y\n z", "a: |+\n x\n\n", "? [a]\n: b", "<<: {a: 1}", "a: 'x''y'", "name: a\rrules: b\r",
		top + "rules:\n" + rest + "headers: { X: \"${limit}\", Y: ~ }\nnotify: [ { url: \"http://a\", at: 80% } ]\n",
		top + "rules: { x: { limits: [5/1m, 5/1h], overrides: [ { key: { token: abc }, limits: unlimited, until: 2026-01-01 } ] } }\n",
	} {
		f.Add([]byte(s))
	}
}

// Whatever the bytes: Parse returns, within bounds; every problem points into the file; and a file that is a policy
// is the same policy when it is read again.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, ps := ParseAt(testDay, "f.yaml", src)
		runtime.ReadMemStats(&after)
		// A line without a mistake costs a few kilobytes; a search for a YAML error reads the file up to twenty times.
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<20+uint64(len(src))*4096 {
			t.Errorf("%d bytes allocated for %d", spent, len(src))
		}
		if (p == nil) != ps.Err() {
			t.Fatalf("policy: %v, errors: %v", p != nil, ps.Err())
		}
		page := newPage(strings.TrimPrefix(string(src), "\ufeff"))
		for i, pr := range ps {
			if pr.Line < 0 || pr.Line > len(page.lines) || pr.Line > 0 && (pr.Col < 1 || pr.Len < 1) || pr.Message == "" || !utf8.ValidString(pr.Source) {
				t.Errorf("problem %d: %+v", i, pr)
			}
			if n := utf8.RuneCountInString(page.line(pr.Line)); pr.Line > 0 && (pr.Col > n+1 || pr.Len > max(1, n-pr.Col+1)) {
				t.Errorf("the carets leave the line: %+v", pr)
			}
			if i > 0 && pr.Line > 0 && pr.Line < ps[i-1].Line {
				t.Errorf("line %d comes behind line %d", pr.Line, ps[i-1].Line)
			}
		}
		if err := ps.WriteText(io.Discard); err != nil {
			t.Error(err)
		}
		var b strings.Builder
		if ps.WriteJSON(&b); !json.Valid([]byte(b.String())) {
			t.Errorf("not JSON: %s", b.String())
		}
		if p == nil {
			return
		}
		again, _ := ParseAt(testDay, "f.yaml", src)
		if again == nil || again.Summary() != p.Summary() {
			t.Errorf("read again it means something else:\n%s", p.Summary())
		}
	})
}

// For every scalar of every YAML file we know where each byte of it was written: the text found there is the value's.
func FuzzSpread(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<14 || strings.HasPrefix(string(src), "\ufeff") {
			return
		}
		p := newPage(string(src))
		root, bad := p.tree()
		if bad != nil {
			return
		}
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode {
				at := p.spread(n)
				if len(at) != len(n.Value)+1 {
					t.Fatalf("%d places for %d bytes", len(at), len(n.Value))
				}
				for i := range at {
					if at[i] < 0 || at[i] > len(p.src) || i > 0 && at[i] < at[i-1] {
						t.Fatalf("places of %q: %v", n.Value, at)
					}
				}
				if n.Style&^yaml.TaggedStyle == 0 { // plain: what is no white space stands there as it is
					for i, c := range []byte(n.Value) {
						if c > ' ' && c < 0x7f && p.src[at[i]] != c {
							t.Fatalf("byte %d of %q is said to be %q", i, n.Value, p.src[at[i]])
						}
					}
				}
			}
			for _, c := range n.Content {
				walk(c)
			}
		}
		walk(root)
	})
}
