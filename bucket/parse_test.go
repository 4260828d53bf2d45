package bucket

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Limit
		back string // "" where it is text
	}{
		{"100/1m", Limit{Count: 100, Window: 60000}, ""},
		{"900/30m", Limit{Count: 900, Window: 30 * 60000}, ""},
		{"10000/1d fixed_window", Limit{Count: 10000, Window: day, Algorithm: FixedWindow}, ""},
		{"50/1s token_bucket burst=200", Limit{Count: 50, Burst: 200, Window: 1000, Algorithm: TokenBucket}, ""},
		{"50/1s burst=200 token_bucket", Limit{Count: 50, Burst: 200, Window: 1000, Algorithm: TokenBucket}, "50/1s token_bucket burst=200"},
		{"50/1s token_bucket", Limit{Count: 50, Burst: 50, Window: 1000, Algorithm: TokenBucket}, ""},
		{" 5/60s\tsliding_window ", Limit{Count: 5, Window: 60000}, "5/1m"},
		{"5/90s", Limit{Count: 5, Window: 90000}, ""},
		{"5/1m30s", Limit{Count: 5, Window: 90000}, "5/90s"},
		{"5/1h30m", Limit{Count: 5, Window: 5400000}, "5/90m"},
		{"5/1.5h", Limit{Count: 5, Window: 5400000}, "5/90m"},
		{"5/100000µs", Limit{Count: 5, Window: 100}, "5/100ms"},
		{"5/.5s", Limit{Count: 5, Window: 500}, "5/500ms"},
		{"4294967295/366d", Limit{Count: 4294967295, Window: MaxWindow}, ""},
		{"1/1w", Limit{Count: 1, Window: week}, ""},
		{"1/1w2d", Limit{Count: 1, Window: 9 * day}, "1/9d"},
		{"3/day fixed_window", Limit{Count: 3, Window: day, Algorithm: FixedWindow}, "3/1d fixed_window"},
		{"3/week fixed_window", Limit{Count: 3, Window: week, Algorithm: FixedWindow}, "3/1w fixed_window"},
		{"3/month fixed_window", Limit{Count: 3, Window: Month, Algorithm: FixedWindow}, ""},
	} {
		l, err := Parse(c.text)
		if err != nil || l != c.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.text, l, err, c.want)
			continue
		}
		if !l.Valid() {
			t.Errorf("Parse(%q) is not valid", c.text)
		}
		if c.back == "" {
			c.back = c.text
		}
		if s := l.String(); s != c.back {
			t.Errorf("Parse(%q).String() = %q, want %q", c.text, s, c.back)
		}
	}
}

// Each mistake with carets under what is wrong, as the policy checker shows it.
func TestParseErrors(t *testing.T) {
	const (
		count  = "a count is a whole number from 1 to 4294967295"
		window = "a window is from 100ms to 366d"
	)
	for _, c := range []struct{ text, carets, msg, hint string }{
		{"100/1x",
			"     ^", `unknown unit "x"`, "units: ms, s, m, h, d, w"},
		{"10/60",
			"   ^^", `window "60" has no unit`, "10/60s is 60 seconds; 10/1m is a minute"},
		{"10/1m fixed",
			"      ^^^^^", `unknown algorithm "fixed"`, "known: fixed_window, sliding_window, token_bucket"},
		{"0/1m",
			"^", "a count of 0 denies everything", ""},
		{"1.5/1m",
			"^^^", count, ""},
		{"-3/1m",
			"^^", count, ""},
		{"1e3/1m",
			"^^^", count, ""},
		{"99999999999/1m",
			"^^^^^^^^^^^", count, ""},
		{"5/0s",
			"  ^^", window, ""},
		{"5/10ms",
			"  ^^^^", window, ""},
		{"5/400d",
			"  ^^^^", window, ""},
		{"5/99999999999999999999999w",
			"  ^^^^^^^^^^^^^^^^^^^^^^^^", window, ""},
		{"5/-1m",
			"  ^^^", window, ""},
		{"5/100500us",
			"  ^^^^^^^^", "a window is whole milliseconds", ""},
		{"5/100.0000001ms",
			"  ^^^^^^^^^^^^^", "a window is whole milliseconds", ""},
		{"100/day",
			"    ^^^", "day is for fixed_window", `100/1d, or "100/day fixed_window" for the UTC calendar day`},
		{"100/month token_bucket",
			"    ^^^^^", "month is for fixed_window", `100/30d, or "100/month fixed_window" for the UTC calendar month`},
		{"10/m",
			"   ^", `window "m" has no number`, "1m"},
		{"10/1h30",
			"     ^^", `window "30" has no unit`, "units: ms, s, m, h, d, w"},
		{"10/1m burst=20",
			"      ^^^^^^^^", "burst is for token_bucket", ""},
		{"10/1m token_bucket burst=5",
			"                   ^^^^^^^", "burst=5 is below the count, 10: it would never be reached", ""},
		{"10/1m token_bucket burst=x",
			"                         ^", "a burst is a whole number from 1 to 4294967295", ""},
		{"10/1m fixed_window fixed_window",
			"                   ^^^^^^^^^^^^", "one algorithm and one burst at most", "COUNT/WINDOW [algorithm] [burst=N], such as 100/1m"},
		{"900 per 30 minutes",
			"^^^", `no "/" between count and window`, "COUNT/WINDOW [algorithm] [burst=N], such as 100/1m"},
		{"",
			"^", "it is empty", "COUNT/WINDOW [algorithm] [burst=N], such as 100/1m"},
		{"10/",
			"   ^", "the window is missing", "COUNT/WINDOW [algorithm] [burst=N], such as 100/1m"},
		{"/1m",
			"^", count, ""},
	} {
		_, err := Parse(c.text)
		var e *ParseError
		if !errors.As(err, &e) {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		if carets := strings.Repeat(" ", e.At) + strings.Repeat("^", e.Len); carets != c.carets || e.Msg != c.msg || e.Hint != c.hint {
			t.Errorf("\n%s\n%s  %s (%s)\nwant\n%s  %s (%s)", c.text, carets, e.Msg, e.Hint, c.carets, c.msg, c.hint)
		}
	}
	if _, err := Parse(strings.Repeat(" ", 128) + "1/1m"); err == nil {
		t.Error("a limit of 132 bytes was read")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"100/1m", "1/1w2d3h4m5s6ms fixed_window", "50/1s token_bucket burst=200", "3/month fixed_window", "5/1.5h", "10/60", "1/.s", "1/1..5s", "/", "1/\x00", "5/9e9w"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			var e *ParseError
			if !errors.As(err, &e) || e.At < 0 || e.Len < 1 || e.At > len(s) || e.At > 0 && e.Len > 1 && e.At+e.Len > len(s) || e.Msg == "" {
				t.Fatalf("Parse(%q): %#v", s, err)
			}
			return
		}
		if !l.Valid() {
			t.Fatalf("Parse(%q) = %+v, not valid", s, l)
		}
		back, err := Parse(l.String())
		if err != nil || back != l {
			t.Fatalf("Parse(%q) = %+v, whose String %q gives %+v, %v", s, l, l.String(), back, err)
		}
	})
}
