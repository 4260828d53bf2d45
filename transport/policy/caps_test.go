package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each cap on a file: what is just within it passes, what is just beyond is refused.
func TestCaps(t *testing.T) {
	rules := func(n int, body string) string {
		var b strings.Builder
		b.WriteString("name: a\nclient_ip: { trusted_proxies: [] }\nkey: [ip]\nrules:\n")
		for i := range n {
			fmt.Fprintf(&b, "  r%d: { match: /a/%d, %s }\n", i, i, body)
		}
		return b.String()
	}
	limits := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%d/%ds", i+1, i+1))
		}
		return "limits: [" + strings.Join(list, ", ") + "]"
	}
	patterns := func(n int) string { // in rules of 500
		var b strings.Builder
		for i := range n {
			if i%500 == 0 {
				fmt.Fprintf(&b, "  r%d:\n    limits: 5/1m\n    match:\n", i)
			}
			fmt.Fprintf(&b, "    - /%d\n", i)
		}
		return "name: a\nclient_ip: { trusted_proxies: [] }\nkey: [ip]\nrules:\n" + b.String()
	}
	aliases := func(n int) string {
		return "name: a\nclient_ip: { trusted_proxies: [" + strings.Repeat("&p 10.0.0.1", 1) + strings.Repeat(", *p", n) + "] }\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n"
	}
	deep := func(n int) string { // the document's map is the first level
		return rules(1, "limits: 5/1m") + "zebra: " + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "\n"
	}
	item := func(n int) string {
		return "name: a\nclient_ip: { trusted_proxies: [" + strings.Repeat("10.0.0.1,", n) + "] }\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n"
	}
	headers := func(n int) string {
		s := rules(1, "limits: 5/1m") + "headers:\n"
		for i := range n {
			s += fmt.Sprintf("  X-%d: a\n", i)
		}
		return s
	}
	pad := func(n int) string { s := rules(1, "limits: 5/1m"); return s + strings.Repeat("#", n-len(s)) }
	for _, c := range []struct {
		name           string
		within, beyond string
		message        string // "" where within has an error of its own
	}{
		{"bytes", pad(MaxFile), pad(MaxFile + 1), "the file is larger than 1 MiB"},
		{"rules", rules(MaxRules, limits(5)), rules(MaxRules+1, "limits: 5/1m"), "1001 rules; the most is 1000"},
		{"patterns", patterns(MaxPatterns), patterns(MaxPatterns + 1), "the rules have 4001 patterns together; the most is 4000"},
		{"limits of a rule", rules(1, limits(MaxRuleLimits)), rules(1, limits(MaxRuleLimits+1)), `rule "r0" has 17 limits; the most is 16`},
		{"aliases", aliases(MaxAliases), aliases(MaxAliases + 1), "more than 64 aliases, counting those inside of what they stand for"},
		{"depth", deep(MaxDepth), deep(MaxDepth + 1), "nested more than 16 deep"},
		{"items", item(maxItems), item(maxItems + 1), "trusted_proxies has 1001 items; the most is 1000"},
		{"headers", headers(maxHeaders), headers(maxHeaders + 1), "33 headers; the most is 32"},
	} {
		has := func(src string) bool {
			_, ps := Parse("a.yaml", []byte(src))
			for _, p := range ps {
				if p.Message == c.message {
					return true
				}
			}
			return false
		}
		if has(c.within) {
			t.Errorf("%s: refused within the cap", c.name)
		}
		if !has(c.beyond) {
			_, ps := Parse("a.yaml", []byte(c.beyond))
			t.Errorf("%s: not refused beyond the cap\n%s", c.name, text(ps))
		}
	}
}

// Files of a few hundred bytes that stand for gigabytes, or for ever.
func TestYAMLBombs(t *testing.T) {
	billion := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		billion += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 9), ", "))
	}
	for name, src := range map[string]string{
		"billion laughs":      billion,
		"a list in itself":    "a: &a [*a]\n",
		"a map in itself":     "rules: &r { x: *r }\n",
		"deep lists":          "a: " + strings.Repeat("[", 12_000),
		"deep maps":           strings.Repeat("{a: ", 12_000),
		"deep dashes":         strings.Repeat("- ", 12_000),
		"a quote without end": "a: \"" + strings.Repeat("x", MaxFile/8),
	} {
		if p, ps := Parse("a.yaml", []byte(src)); p != nil || !ps.Err() {
			t.Errorf("%s became a policy", name)
		}
	}
}

func TestTooManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 900 {
		fmt.Fprintf(&b, "z%d: 1\n", i)
	}
	src := "rules:\n"
	for i := range 300 {
		src += fmt.Sprintf("  R%d: { limits: 0/1m, zebra: 1 }\n", i)
	}
	_, ps := Parse("a.yaml", []byte(b.String()+src))
	if last := ps[len(ps)-1]; len(ps) != maxProblems+1 || last.Severity != Note || !strings.HasPrefix(last.Message, "and ") {
		t.Errorf("%d problems, the last: %+v", len(ps), last)
	}
}

func TestBOMAndCRLF(t *testing.T) {
	unix := string(read(t, "testdata/bad.yaml"))
	_, want := Parse("bad.yaml", []byte(unix))
	for name, src := range map[string]string{
		"byte order mark": "\ufeff" + unix,
		"CRLF":            strings.ReplaceAll(unix, "\n", "\r\n"),
		"both":            "\ufeff" + strings.ReplaceAll(unix, "\n", "\r\n"),
		"CR":              strings.ReplaceAll(unix, "\n", "\r"),
	} {
		_, got := Parse("bad.yaml", []byte(src))
		t.Run(name, func(t *testing.T) { diff(t, text(got), text(want)) })
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name, src string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ipto, _ := Example("ipto")
	xola, _ := Example("xola")
	a, b := file("a.yaml", string(ipto)), file("b.yaml", string(xola))
	again := file("again.yaml", "# the same\nname: \"ipto\"\nclient_ip: { trusted_proxies: [] }\nkey: [ip]\nrules: { all: { limits: 5/1m } }\n")

	policies, ps := Load(testDay, a, b)
	if len(policies) != 2 || policies[0].Name != "ipto" || policies[1].Name != "xola" || ps.Err() {
		t.Fatalf("%v\n%s", policies, text(ps))
	}
	policies, ps = Load(testDay, a, b, again)
	errs := ps.Of(Error)
	if policies != nil || len(errs) != 1 {
		t.Fatalf("%v\n%s", policies, text(ps))
	}
	diff(t, text(errs), again+":2:8: policy \"ipto\" is already in "+a+":3\n    name: \"ipto\"\n           ^^^^\n1 error\n")

	_, ps = Load(testDay, filepath.Join(dir, "none.yaml"), a)
	if errs := ps.Of(Error); len(errs) != 1 || errs[0].Line != 0 || !strings.HasPrefix(text(errs), filepath.Join(dir, "none.yaml")+": cannot read the policy: ") {
		t.Error(text(ps))
	}
	_, ps = Load(testDay, dir)
	if !ps.Err() {
		t.Error("a directory is a policy")
	}
	if policies, ps := Load(testDay, file("large.yaml", "#"+strings.Repeat("x", 3*MaxFile))); policies != nil || !strings.Contains(text(ps), "larger than 1 MiB") {
		t.Error(text(ps))
	}
}
