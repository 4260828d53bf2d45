package policy

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Where each part of a value was written: § marks in the source where `wrong` begins and ends.
func TestSpread(t *testing.T) {
	for _, c := range []string{
		"a: one §wrong§ two\n",
		"a: 'it''s §wrong§'\n",
		"a: \"tab\\t\\u00e9\\x41 §wrong§ \\\" x\"\n",
		"a: é \u3042 §wrong§\n",
		"a: !!str &x §wrong§\n",
		"a: &x\n  \"b §wrong§\"\n",
		"a: one\n  two\n\n  §wrong§ three\n",
		"a: 'one\n\n\n  two §wrong§'\n",
		"a: \"one\\\n   two\n  §wrong§\"\n",
		"a: |\n  one\n    two\n\n  §wrong§\n",
		"a: |2-\n    one §wrong§\n",
		"a: !!str |\n   one §wrong§\n",
		"a: >\n  one\n  two\n\n    three\n  §wrong§ four\n",
		"b: 1\r\na: |\r\n  one\r\n  §wrong§\r\n",
		"a: [x, \"§wrong§\", y]\n",
		"\"§wrong§\": 1\n",
	} {
		from, rest, _ := strings.Cut(c, "§")
		wrong, after, _ := strings.Cut(rest, "§")
		src := from + wrong + after
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(src), &doc); err != nil {
			t.Fatal(err)
		}
		var n *yaml.Node
		var find func(*yaml.Node)
		find = func(m *yaml.Node) {
			if strings.Contains(m.Value, "wrong") {
				n = m
			}
			for _, c := range m.Content {
				find(c)
			}
		}
		find(&doc)
		at := newPage(src).spread(n)
		i := strings.Index(n.Value, "wrong")
		if begin, end := at[i], at[i+len("wrong")]; begin != len(from) || end != len(from)+len(wrong) {
			t.Errorf("%q: `wrong` is said to be %d to %d, %q", c, begin, end, src[begin:end])
		}
	}
}

func TestPlaces(t *testing.T) {
	p := newPage("é1\r\n2\u0085\u20283\n")
	for _, c := range []struct {
		line, col, at int
		text          string
	}{{1, 1, 0, "é1"}, {1, 2, 2, "é1"}, {2, 1, 5, "2"}, {3, 1, 8, ""}, {4, 1, 11, "3"}, {5, 1, 13, ""}} {
		line, col := p.place(c.at)
		if at := p.offset(c.line, c.col); line != c.line || col != c.col || at != c.at || p.line(c.line) != c.text {
			t.Errorf("%d:%d is byte %d, want %d; byte %d is %d:%d; the line is %q, want %q", c.line, c.col, at, c.at, c.at, line, col, p.line(c.line), c.text)
		}
	}
	if p.line(0) != "" || p.line(6) != "" || p.offset(9, 1) != len(p.src) {
		t.Error("a line that is not there")
	}
}
