package transport

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProblem(t *testing.T) {
	for _, c := range []struct {
		p    Problem
		want string
	}{
		{Problem{Status: 400, Detail: `limits[0]: limit "10/60"`, Check: 3},
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"checks[3]: limits[0]: limit \"10/60\"","check":3}`},
		{Problem{Status: 413, Detail: "too much", Check: -1},
			`{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"too much"}`},
		{Problem{Status: 400, Title: "No", Detail: "x", Check: -1},
			`{"type":"about:blank","title":"No","status":400,"detail":"x"}`},
	} {
		if got := string(c.p.AppendJSON(nil)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// Whatever goes in, JSON comes out, and what was UTF-8 comes out as it was.
func FuzzAppendJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é€𝄞", "\xff", "a\xc3", "\xed\xa0\x80", "\u2028", "�"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendJSONString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q gives %s: %v", s, b, err)
		}
		if want := strings.ToValidUTF8(s, "�"); utf8.ValidString(s) && got != want {
			t.Fatalf("%q comes back as %q", s, got)
		}
		if !utf8.Valid(b) {
			t.Fatalf("%q gives bytes that are not UTF-8", s)
		}
		if other := AppendJSONString(nil, []byte(s)); string(other) != string(b) {
			t.Fatalf("%s from a string, %s from bytes", b, other)
		}
	})
}
