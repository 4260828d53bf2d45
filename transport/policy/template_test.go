package policy

import (
	"fmt"
	"strings"
	"testing"
)

func testTemplate(t testing.TB, text string) template {
	t.Helper()
	tpl, faults := parseTemplate(text)
	if len(faults) > 0 {
		t.Fatalf("parseTemplate(%q): %v", text, faults)
	}
	return tpl
}

func TestTemplateValues(t *testing.T) {
	n := &numbers{limit: 900, remaining: 0, current: 905, window: 1800, reset: 296, resetUnix: 1612197198, retryAfter: 297, rule: "api",
		fields: func(dst []byte, v value) []byte { return append(dst, values[v].name...) }}
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"plain", "plain"}, {"${limit}", "900"}, {"${remaining}", "0"}, {"a${current}b", "a905b"}, {"${window}", "1800"},
		{"${reset}", "296"}, {"${reset_unix}", "1612197198"}, {"${reset_time}", "2021-02-01T16:33:18.000Z"}, {"${retry_after}", "297"},
		{"${rule}", "api"}, {"${ratelimit}", "ratelimit"}, {"${ratelimit_policy}", "ratelimit_policy"},
		{"$${limit}", "${limit}"}, {"$$${limit}", "$${limit}"}, {"$${${limit}", "${900"}, {"$", "$"}, {"$$", "$$"}, {"{limit}", "{limit}"}, {"$5 ${limit}${limit}", "$5 900900"},
	} {
		tpl := testTemplate(t, c.text)
		if got := string(tpl.append(nil, n)); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestTemplateFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"${reset_epoch}", `0+14 unknown value ${reset_epoch} | did you mean "reset_unix"?`},
		{"a ${limit", `2+7 "${" without "}" | ${limit}`},
		{"${}", `0+3 "${" without "}" | a value is ${limit}, ${remaining}, …; a literal "${" is written "$${"`},
		{"{\"a\":${retry_after\n}", `5+13 "${" without "}" | ${retry_after}`},
		{"${lim ${limit}", `0+5 "${" without "}" | a literal "${" is written "$${"`},
		{"${Limit} ${nonsense}", `0+8 unknown value ${Limit} | did you mean "limit"?` + "\n" + `9+11 unknown value ${nonsense} | `},
	} {
		_, faults := parseTemplate(c.text)
		var got []string
		for _, f := range faults {
			got = append(got, fmt.Sprintf("%d+%d %s | %s", f.at, f.n, f.msg, f.hint))
		}
		if g := strings.Join(got, "\n"); g != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, g, c.want)
		}
	}
}

func TestTemplateDummyKnowsWhereItCameFrom(t *testing.T) {
	text := "{\"a\":${limit},\"b\":\"$${x}\",\"t\":\"${reset_time}\""
	tpl := testTemplate(t, text)
	dummy, origin := tpl.dummy()
	if want := "{\"a\":100,\"b\":\"${x}\",\"t\":\"2021-02-01T16:33:18.000Z\""; dummy != want {
		t.Fatalf("%s", dummy)
	}
	for _, mark := range []string{`"a"`, `"b"`, `"t"`, `x}`} {
		if got, want := origin(strings.Index(dummy, mark)), strings.Index(text, mark); got != want {
			t.Errorf("%s: %d, want %d", mark, got, want)
		}
	}
	if got := origin(strings.Index(dummy, "021-")); got != strings.Index(text, "${reset_time}") {
		t.Errorf("inside a value: %d", got)
	}
	if got := origin(len(dummy)); got != len(text) {
		t.Errorf("the end: %d", got)
	}
}

func TestTemplateUses(t *testing.T) {
	tpl := testTemplate(t, "$${current} ${limit}")
	if tpl.uses(valueCurrent) || !tpl.uses(valueLimit) {
		t.Error("uses is wrong")
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"${limit}", "$${limit}", "${reset_epoch}", "${", "${}", "a${rule}$", "{\"a\": ${retry_after\n}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tpl, faults := parseTemplate(text)
		for _, x := range faults {
			if x.at < 0 || x.n < 1 || x.at+x.n > len(text) || !strings.HasPrefix(text[x.at:], "${") {
				t.Fatalf("%q: fault %+v", text, x)
			}
		}
		// The parts and the faults cover the text, each byte once.
		n := 0
		for _, p := range tpl.parts {
			n += p.n
		}
		for _, x := range faults {
			n += x.n
		}
		if n != len(text) {
			t.Fatalf("%q: %d bytes accounted for: %+v %+v", text, n, tpl.parts, faults)
		}
		dummy, origin := tpl.dummy()
		last := 0
		for i := range dummy {
			o := origin(i)
			if o < last || o > len(text) {
				t.Fatalf("%q: byte %d of %q comes from %d, after %d", text, i, dummy, o, last)
			}
			last = o
		}
	})
}
