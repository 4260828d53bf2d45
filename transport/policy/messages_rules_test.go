package policy

import (
	"strings"
	"testing"
)

// The messages about rules, limits and overrides; the frame is in messages_test.go.

func TestMessagesRules(t *testing.T) {
	byID := "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { id: { path: id } }\nkey: [ip]\nrules:\n  all: { limits: 500/1m }\n"
	runMessages(t, []messageCase{
		{"a wildcard that the pattern lacks", byID + "  x: { match: GET /items, key: [id], limits: 5/1m }\n",
			[]string{`7:15+10 rule "x": key uses {id}, but match "GET /items" has no {id}`}},
		{"a wildcard that one of the patterns lacks", byID + "  x: { match: [\"GET /items/{id}\", GET /items], key: [id, ip], limits: 5/1m }\n",
			[]string{`7:35+10 rule "x": key uses {id}, but match "GET /items" has no {id}`}},
		{"a wildcard without a pattern", byID + "  x: { key: [id], limits: 5/1m }\n",
			[]string{`7:14+2 rule "x": key uses {id}, but the rule has no pattern with {id}`}},
		{"a wildcard in a condition", byID + "  x: { match: GET /items, when: { id: 7 }, limits: 5/1m }\n",
			[]string{`7:15+10 rule "x": when uses {id}, but match "GET /items" has no {id}`}},
		{"/b_{id}", top + "rules:\n" + rest + "  x: { match: \"/b_{id}\", limits: 5/1m }\n",
			[]string{`7:17+6 match "/b_{id}": a wildcard is a whole segment | /{id}`}},
		{"{x...}/y", top + "rules:\n" + rest + "  x: { match: \"/{x...}/y\", limits: 5/1m }\n",
			[]string{`7:17+6 match "/{x...}/y": ... only at the end: {x...} takes all that follows`}},
		{"{}", top + "rules:\n" + rest + "  x: { match: \"/{}\", limits: 5/1m }\n",
			[]string{`7:17+2 match "/{}": a wildcard needs a name | {id}`}},
		{"{1}", top + "rules:\n" + rest + "  x: { match: \"/{1}\", limits: 5/1m }\n",
			[]string{`7:17+3 match "/{1}": wildcard "1": a name is a Go identifier: letters, digits and _, no digit first`}},
		{"method FOO", top + "rules:\n" + rest + "  x: { match: FOO /a, limits: 5/1m }\n",
			[]string{`7:15+3 warning: "FOO" is not a method anybody uses`}},
		{"otherwise in a list", top + "rules:\n" + rest + "  x: { match: [otherwise, GET /a], limits: 5/1m }\n",
			[]string{`7:16+9 otherwise stands for the requests that no rule matches, and goes with no pattern | give it a rule of its own`}},
		{"match without a pattern", top + "rules:\n" + rest + "  x: { match: [], limits: 5/1m }\n  y: { match: , limits: 5/1m }\n",
			[]string{`7:15+1 match: the list is empty | leave match out for a rule that counts every request`, `8:8+5 match has no value`}},
		{"more limits than fit into one check", "name: a\nclient_ip: { trusted_proxies: [] }\nkey: [ip]\nrules:\n" + manyRules(5, func(int) string { return sixteenLimits }),
			[]string{`4:1+5 the rules that match every request have 80 limits together; the most is 64`}},
		{"more keys than a request may have", "name: a\nclient_ip: { trusted_proxies: [] }\nattributes: { a: { header: A }, b: { header: B }, c: { header: C }, d: { header: D } }\nrules:\n  r0: { key: [ip], limits: 5/1m }\n" +
			manyRules(4, func(i int) string { return "[5/1m], key: [" + string(rune('a'+i)) + "]" }),
			[]string{`4:1+5 the rules that match every request count by 5 keys; the most is 4`}},
	})
}

const sixteenLimits = "[1/1s, 2/2s, 3/3s, 4/4s, 5/5s, 6/6s, 7/7s, 8/8s, 9/9s, 10/10s, 11/11s, 12/12s, 13/13s, 14/14s, 15/15s, 16/16s]"

func manyRules(n int, limits func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("  rule-" + strings.Repeat("x", i) + ": { limits: " + limits(i) + " }\n")
	}
	return b.String()
}

func TestMessagesLimits(t *testing.T) {
	one := func(limit string) string { return top + "rules:\n" + rest + "  x: { limits: \"" + limit + "\" }\n" }
	count := "a count is a whole number from 1 to 4294967295"
	window := "a window is from 100ms to 366d"
	runMessages(t, []messageCase{
		{"1.5/1m", one("1.5/1m"), []string{`7:17+3 limit "1.5/1m": ` + count}},
		{"-3/1m", one("-3/1m"), []string{`7:17+2 limit "-3/1m": ` + count}},
		{"1e3/1m", one("1e3/1m"), []string{`7:17+3 limit "1e3/1m": ` + count}},
		{"99999999999/1m", one("99999999999/1m"), []string{`7:17+11 limit "99999999999/1m": ` + count}},
		{"5/0s", one("5/0s"), []string{`7:19+2 limit "5/0s": ` + window}},
		{"5/10ms", one("5/10ms"), []string{`7:19+4 limit "5/10ms": ` + window}},
		{"5/400d", one("5/400d"), []string{`7:19+4 limit "5/400d": ` + window}},
		{"100/day", one("100/day"), []string{`7:21+3 limit "100/day": day is for fixed_window | 100/1d, or "100/day fixed_window" for the UTC calendar day`}},
		{"burst with another algorithm", one("5/1m burst=9"), []string{`7:22+7 limit "5/1m burst=9": burst is for token_bucket`}},
		{"burst below count", one("10/1m token_bucket burst=5"), []string{`7:36+7 limit "10/1m token_bucket burst=5": burst=5 is below the count, 10: it would never be reached`}},
		{"a misspelt algorithm", one("10/1m slidng_window"), []string{`7:23+13 limit "10/1m slidng_window": unknown algorithm "slidng_window" | known: fixed_window, sliding_window, token_bucket`}},
		{"900 per 30 minutes", one("900 per 30 minutes"), []string{`7:17+3 limit "900 per 30 minutes": no "/" between count and window | COUNT/WINDOW [algorithm] [burst=N], such as 100/1m`}},
		{"one window twice", top + "rules:\n" + rest + "  x:\n    limits: [10/1m,\n      20/60s]\n",
			[]string{`9:7+6 10/1m and 20/1m share one bucket: the first on line 8`}},
		{"one window, two algorithms", top + "rules:\n" + rest + "  x: { limits: [10/1m, 10/1m token_bucket] }\n", nil},
		{"a map", top + "rules:\n" + rest + "  x: { limits: { rate: 5 } }\n",
			[]string{`7:16+1 limits are written COUNT/WINDOW, not as a map | limits: [100/1m, 1000/1h]`}},
		{"an empty list", top + "rules:\n" + rest + "  x: { limits: [] }\n",
			[]string{`7:16+1 rule "x" has an empty list of limits | limits: 100/1m`}},
		{"inside one rule", top + "rules:\n" + rest + "  x: { limits: [1000/1m, 500/1h] }\n",
			[]string{`7:17+7 note: 1000/1m never denies before 500/1h`}},
		{"inside one rule, by the short one", top + "rules:\n" + rest + "  x: { limits: [10/1m, 1000/1h, 999/1d] }\n",
			[]string{
				`7:24+7 note: 1000/1h never denies before 10/1m, which lets at most 600 through in 1h`}},
		{"the same key and every one of its hits", top + "rules:\n" + rest + "  global: { limits: [100/1m, 10000/1d] }\n  asset-list: { match: GET /assets, limits: 100/1m }\n  other: { match: GET /other, limits: 99/1m }\n",
			[]string{`8:45+6 note: asset-list 100/1m never denies: global 100/1m has the same key and every one of its hits`}},
		{"alike twice", top + "rules:\n" + rest + "  a: { limits: 100/1m }\n  b: { limits: 100/1m }\n",
			[]string{`8:16+6 note: b 100/1m never denies: a 100/1m has the same key and every one of its hits`}},
		{"another key", top + "rules:\n" + rest + "  global: { key: user, limits: 100/1m }\n  b: { match: /b, limits: 200/1m }\n", nil},
		{"an override may lift the other", top + "rules:\n" + rest + "  global: { limits: 100/1m, overrides: [{ key: { ip: 192.0.2.1 }, limits: unlimited }] }\n  b: { match: /b, limits: 200/1m }\n", nil},
	})
}

func TestMessagesOverrides(t *testing.T) {
	head := strings.Replace(top, "key: [ip]", "key: [user, token, ip]", 1) +
		"rules:\n  used: { key: [ip], limits: 5/1m }\n  x:\n    limits: [50/1m, 1000/1h, 10000/1d]\n    overrides:\n"
	runMessages(t, []messageCase{
		{"another window", head + "      - { key: { user: 42 }, limits: 500/2m }\n",
			[]string{`10:38+6 warning: override 500/2m: the rule has 1m, 1h, 1d; another window starts a fresh bucket`}},
		{"ended", head + "      - { key: { user: 42 }, limits: 500/1m, until: 2026-06-30 }\n",
			[]string{`10:53+10 warning: this override ended on 2026-06-30`}},
		{"the last day counts", head + "      - { key: { user: 42 }, limits: 500/1m, until: 2026-11-22 }\n", nil},
		{"an instant that has passed", head + "      - { key: { user: 42 }, limits: 500/1m, until: 2026-11-22T11:00:00Z }\n",
			[]string{`10:53+20 warning: this override ended on 2026-11-22T11:00:00Z`}},
		{"no date", head + "      - { key: { user: 42 }, limits: 500/1m, until: soon }\n", []string{`10:53+4 until: "soon" is not a date | until: 2027-06-30`}},
		{"a secret in clear", head + "      - { key: { token: abcdefgh }, limits: unlimited }\n",
			[]string{`10:25+8 token is secret: write its hash (stint policy key FILE -H …)`}},
		{"a secret's hash", head + "      - { key: { token: \"sha256:5994471abb01112a\" }, limits: unlimited }\n", nil},
		{"half a hash", head + "      - { key: { token: \"sha256:5994\" }, limits: unlimited }\n",
			[]string{`10:26+11 token is secret: write its hash (stint policy key FILE -H …)`}},
		{"an address", head + "      - { key: { ip: 10.0.0.256 }, limits: unlimited }\n      - { key: { ip: 10.0.0.0/8 }, limits: unlimited }\n      - { key: { ip: \"2001:db8::1\" }, limits: unlimited }\n",
			[]string{`10:22+10 ip: "10.0.0.256" is not an address or a CIDR`}},
		{"shape", head + "      - { limits: unlimited }\n      - { key: {}, limits: 5/1m }\n      - { key: { usr: 4 } }\n      - { key: { user: 4 }, limits: none, rate: 5 }\n",
			[]string{
				`10:11+6 an override has a key: whose it is | key: { user: 42 }`,
				`11:16+1 an override's key is a map of attributes and values | key: { user: 42 }`,
				`12:11+3 an override has limits | limits: 1000/1m, or limits: unlimited`,
				`12:18+3 key: no attribute is called "usr" | did you mean "user"?`,
				`13:37+4 limit "none": no "/" between count and window | COUNT/WINDOW [algorithm] [burst=N], such as 100/1m`,
				`13:43+4 unknown field "rate" | did you mean "limits"?`}},
		{"not a list", top + "rules:\n" + rest + "  x: { limits: 5/1m, overrides: { key: { user: 4 } } }\n",
			[]string{`7:33+1 overrides is a list of: key, limits, until | - key: { user: 42 }`}},
	})
}

func TestMessagesAnswers(t *testing.T) {
	ok := top + "rules:\n" + rest
	runMessages(t, []messageCase{
		{"template without }", ok + "headers:\n  X-A: ${limit\n  X-B: \"${}\"\n",
			[]string{`8:8+7 "${" without "}" | ${limit}`, `9:9+3 "${" without "}" | a value is ${limit}, ${remaining}, …; a literal "${" is written "$${"`}},
		{"unknown values", ok + "headers:\n  X-A: a ${epoch} b ${retry}\n",
			[]string{`8:10+8 unknown value ${epoch} | did you mean "reset_unix"?`, `8:21+8 unknown value ${retry} | did you mean "retry_after"?`}},
		{"a header with a line break", ok + "headers:\n  X-A: \"a\\nb\"\n  X-B: |\n    a\n",
			[]string{`8:10+2 header "X-A": a line break is not allowed in a header`, `10:6+1 header "X-B": a line break is not allowed in a header | write the value behind the name, without | or >`}},
		{"a control character", ok + "headers:\n  X-A: \"a\\x00b\"\n", []string{`8:10+4 header "X-A": a control character is not allowed in a header`}},
		{"framing", ok + "headers:\n  Content-Length: 5\ndenied:\n  headers: { transfer-encoding: chunked, Connection: close }\n",
			[]string{`8:3+14 Content-Length cannot be set here`, `10:14+17 transfer-encoding cannot be set here`, `10:42+10 Connection cannot be set here`}},
		{"header names", ok + "headers:\n  X-É: a\n  \"\": b\n  x-a: 1\n  X-A: 2\n  X-B:\n  X-C: ~\n",
			[]string{
				`8:5+1 header name "X-É": "É" is not allowed in a header name`,
				`9:4+1 header name "": it is empty`,
				`11:3+3 header "X-A" is here twice; it is first on line 10`,
				`12:3+3 header "X-B" has no value | ~ takes a header away`}},
		{"a long value", ok + "headers: { X-A: " + strings.Repeat("a", 1025) + " }\n",
			[]string{`7:17+1025 header "X-A": the value is 1025 bytes; the most is 1024`}},
		{"body over 8 KiB", ok + "denied:\n  body: \"" + strings.Repeat("a", 9213) + "\"\n", []string{`8:3+4 the body is 9213 bytes; the most is 8192`}},
		{"a body of 8 KiB", ok + "denied:\n  body: \"" + strings.Repeat("a", 8192) + "\"\n", nil},
		{"status", ok + "denied: { status: abc }\n", []string{`7:19+3 status abc: a denial is 400 to 599 | 429 is the usual one`}},
		{"a comma too many", ok + "denied:\n  body: |\n    {\n      \"a\": 1,\n    }\n",
			[]string{`11:5+1 body: not JSON once the values are put in: invalid character '}' looking for beginning of object key string | no comma behind the last entry`}},
		{"a time without quotes", ok + "denied:\n  body: '{\"at\": ${reset_time}}'\n",
			[]string{`8:17+13 body: not JSON once the values are put in: ${reset_time} is text | in JSON it goes between quotes: "${reset_time}"`}},
		{"a structured field in JSON", ok + "denied:\n  body: '{\"at\": \"${ratelimit}\"}'\n",
			[]string{`8:18+12 body: not JSON once the values are put in: ${ratelimit} has quotes of its own, and is for a header`}},
		{"a list that is never closed", ok + "denied:\n  body: '[1, 2'\n", []string{`8:15+1 body: not JSON once the values are put in: the list that starts here is never closed`}},
		{"a string that is never closed", ok + "denied:\n  body: '{\"a'\n", []string{`8:13+1 body: not JSON once the values are put in: the string that starts here is never closed`}},
		{"text that only begins like an object, and says so", ok + "denied:\n  headers: { Content-Type: text/x-braces }\n  body: '{ not JSON'\n", nil},
		{"JSON that is none, and says so", ok + "denied:\n  headers: { content-type: application/json }\n  body: sorry\n",
			[]string{`9:9+1 body: not JSON once the values are put in: invalid character 's' looking for beginning of value`}},
		{"a rule's own denial", ok + "  x: { limits: 5/1m, denied: { status: 200, body: \"{\", code: 3 } }\n",
			[]string{
				`7:40+3 status 200: a denial is 400 to 599 | 429 is the usual one`,
				`7:53+1 body: not JSON once the values are put in: the object that starts here is never closed`,
				`7:56+4 unknown field "code" | did you mean "status"?`}},
		{"current without count_denied", ok + "denied:\n  body: 'you made ${current}'\n", []string{`8:19+10 note: current never exceeds limit here | count_denied: true`}},
		{"current with count_denied", ok + "count_denied: true\ndenied:\n  body: 'you made ${current}'\n", nil},
	})
}

func TestNothingMatchesEverything(t *testing.T) {
	for _, c := range []struct {
		rules string
		noted bool
	}{
		{"x: { match: /a, limits: 5/1m }", true},
		{"x: { limits: 5/1m }", false},
		{"x: { limits: 5/1m, shadow: true }", true},
		{"x: { match: /, limits: 5/1m }", false},
		{"x: { match: GET /, limits: 5/1m }", true},
		{"x: { match: otherwise, limits: 5/1m }", false},
		{"x: { when: { ip: 10.0.0.0/8 }, limits: 5/1m }", true},
	} {
		_, ps := Parse("a.yaml", []byte("name: a\nclient_ip: { trusted_proxies: [private] }\nkey: [ip]\nrules: { "+c.rules+" }\n"))
		noted := false
		for _, p := range ps {
			noted = noted || p.Message == notCovered && p.Severity == Note && p.Line == 4 && p.Col == 1
		}
		if noted != c.noted || ps.Err() {
			t.Errorf("%s: noted %v, want %v\n%s", c.rules, noted, c.noted, text(ps))
		}
	}
}
