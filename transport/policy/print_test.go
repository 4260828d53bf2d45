package policy

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Problem
		want string
	}{
		{"carets keep the line's tabs",
			Problem{"a.yaml", 3, 5, 2, Error, "wrong", "right", "\t\ta\tbc d", 0},
			"a.yaml:3:5: wrong\n    a\tbc d\n     \t^^  right\n"},
		{"a character is a column, however many bytes it has",
			Problem{"a.yaml", 3, 4, 2, Warning, "wrong", "", "éüabc", 0},
			"a.yaml:3:4: warning: wrong\n    éüabc\n       ^^\n"},
		{"carets never pass the end of the line by more than one",
			Problem{"a.yaml", 1, 4, 50, Error, "wrong", "", "abc", 0},
			"a.yaml:1:4: wrong\n    abc\n       ^\n"},
		{"the file as a whole", Problem{"a.yaml", 0, 0, 0, Error, "cannot read", "", "", 0}, "a.yaml: cannot read\n"},
		{"no terminal is steered", Problem{"a\x1b[2J", 1, 1, 1, Note, "b\x1b", "c\x07", "d\x1b", 0},
			"a\ufffd[2J:1:1: note: b\ufffd\n    d\ufffd\n    ^  c\ufffd\n"},
	} {
		got := text(Problems{c.p})
		if s, _, _ := strings.Cut(c.want, ""); !strings.HasPrefix(got, c.want) || s != "" {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
	if got := text(Problems{{Severity: Error}, {Severity: Error}, {Severity: Warning}, {Severity: Note}}); !strings.HasSuffix(got, "\n2 errors, 1 warning\n") {
		t.Errorf("count: %q", got)
	}
}

// A line of a megabyte is not printed; the part around the column is.
func TestLongLine(t *testing.T) {
	_, ps := Parse("a.yaml", []byte("name: a\nrules: { x: { limits: 5/1m, key: ["+strings.Repeat("zebra, ", 300)+"] } }\n"))
	if len(ps) == 0 || len(ps) > maxProblems+1 {
		t.Fatalf("%d problems", len(ps))
	}
	out := text(ps[len(ps)/2 : len(ps)/2+1])
	lines := strings.Split(out, "\n")
	if len(out) > 1000 {
		t.Fatalf("%d bytes for one problem", len(out))
	}
	from, to := strings.Index(lines[2], "^"), strings.LastIndex(lines[2], "^")
	if got := lines[1][from : to+1]; got != `zebra` {
		t.Errorf("the carets are under %q:\n%s", got, out)
	}
}

func TestJSONAndGitHub(t *testing.T) {
	_, ps := Parse("dir/b,ad.yaml", []byte("name: a\nkey: [ip]\nrules: { x: { limit: 5/1m } }\n"))
	var b strings.Builder
	if err := ps.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(b.String()), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v: %s", err, b.String())
	}
	for k, want := range map[string]any{"file": "dir/b,ad.yaml", "line": 3.0, "col": 15.0, "len": 5.0, "severity": "error",
		"message": `unknown field "limit"`, "hint": `did you mean "limits"?`, "source": "rules: { x: { limit: 5/1m } }"} {
		if list[1][k] != want {
			t.Errorf("%s is %v, want %v", k, list[1][k], want)
		}
	}
	b.Reset()
	ps[1].Message = "50% of\nit"
	ps.WriteGitHub(&b)
	diff(t, b.String(), "::error file=dir/b%2Cad.yaml,line=3,col=10,endColumn=11::rule \"x\" has no limits\n"+
		"::error file=dir/b%2Cad.yaml,line=3,col=15,endColumn=20::50%25 of%0Ait (did you mean \"limits\"?)\n")
	b.Reset()
	Problems{}.WriteJSON(&b)
	if b.String() != "[]\n" {
		t.Errorf("no problems are %q in JSON", b.String())
	}
}

// Safety rule 6: a secret that somebody wrote in clear is repeated nowhere, also not by another problem of its line.
func TestSecretsAreNotRepeated(t *testing.T) {
	const secret = "s3cr3t-token"
	for _, value := range []string{secret, `"` + secret + `"`, `'` + secret + `'`, "&anchor " + secret, `"s3cr3t\x2dtoken"`} {
		for _, key := range []string{"token: " + value, "tokne: " + value, "zebra: 1, token: " + value} {
			for _, head := range []string{top, strings.Replace(top, "bearer", "bearr", 1)} {
				_, ps := Parse("a.yaml", []byte(head+"rules:\n"+rest+"  x: { limits: 5/1m, overrides: [ { key: { "+key+" }, limits: 5/1x } ] }\n"))
				if !ps.Err() || len(ps) < 2 {
					t.Fatalf("%s: %d problems", key, len(ps))
				}
				var out strings.Builder
				ps.WriteText(&out)
				ps.WriteJSON(&out)
				ps.WriteGitHub(&out)
				if s := out.String(); strings.Contains(s, "s3cr3t") {
					t.Errorf("%s: the secret is repeated:\n%s", key, s)
				}
			}
		}
	}
}
