package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Every message, each with the least policy that earns it. `want` has all problems of the policy as
// LINE:COL+LEN [SEVERITY:] MESSAGE [| HINT], but for the note that some requests match no rule.

// top is a policy's beginning, four lines long, so that the rules of a case begin on line 5.
const top = `name: a
client_ip: { trusted_proxies: [private] }
key: [ip]
attributes: { user: { header: X-User-Id }, token: { bearer: Authorization } }
`

// rest uses what top has, so that nothing in it is reported.
const rest = `  used: { key: [user], limits: 5/1m, when: { token: "*" } }
`

type messageCase struct {
	row    string // of the list in POLICY.md, or what it is about
	policy string
	want   []string
}

const notCovered = "requests that match no rule are not limited (add a rule with `match: otherwise`)"

var testDay = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func told(ps Problems) []string {
	var got []string
	for _, p := range ps {
		if p.Message == notCovered {
			continue
		}
		s := fmt.Sprintf("%d:%d+%d ", p.Line, p.Col, p.Len)
		if p.Severity != Error {
			s += p.Severity.String() + ": "
		}
		s += p.Message
		if p.Hint != "" {
			s += " | " + p.Hint
		}
		got = append(got, s)
	}
	return got
}

func runMessages(t *testing.T, cases []messageCase) {
	for _, c := range cases {
		t.Run(c.row, func(t *testing.T) {
			p, ps := ParseAt(testDay, "a.yaml", []byte(c.policy))
			got, want := strings.Join(told(ps), "\n"), strings.Join(c.want, "\n")
			if got != want {
				t.Errorf("policy:\n%s\n got:\n%s\nwant:\n%s", c.policy, got, want)
			}
			if (p == nil) != ps.Err() {
				t.Errorf("policy %v with errors %v", p, ps.Err())
			}
		})
	}
}

func TestMessagesNotYAML(t *testing.T) {
	runMessages(t, []messageCase{
		{"not YAML", "name: a\ntitle: b: c\n",
			[]string{`2:9+1 not YAML: a mapping value is not allowed here | a value with ": " in it needs quotes`}},
		{"not YAML, first line", "name: a: b\n",
			[]string{`1:8+1 not YAML: a mapping value is not allowed here | a value with ": " in it needs quotes`}},
		{"no space behind a colon", "name:a\nkey: [ip]\n",
			[]string{`2:4+1 not YAML: a mapping value is not allowed here | is the line indented like its neighbours, and does the one above have a space behind its colon?`}},
		{"a pattern in { }", top + "rules:\n  x: { match: GET /assets/{id}, limits: 5/1m }\n",
			[]string{`6:15+16 in { } a pattern with braces needs quotes: "GET /assets/{id}"`}},
		{"a pattern in [ ]", top + "rules:\n  x:\n    match: [GET /a, GET /assets/{id}/{rest...}]\n    limits: 5/1m\n",
			[]string{`7:21+26 in [ ] a pattern with braces needs quotes: "GET /assets/{id}/{rest...}"`}},
		{"a pattern with {$} in { }", "rules:\n  x: { match: /a/{$} }\n",
			[]string{`2:15+6 in { } a pattern with braces needs quotes: "/a/{$}"`}},
		{"a template in { }", "headers: { X-Limit: ${limit} }\n",
			[]string{`1:21+8 in { } a value with braces needs quotes: "${limit}"`}},
		{"a tab as indent", "name: a\nrules:\n\tx: 1\n",
			[]string{`3:1+1 a tab where YAML wants spaces`}},
		{"a tab behind spaces", "name: a\nrules:\n  x:\n  \t\tlimits: 5/1m\n",
			[]string{`4:3+2 a tab where YAML wants spaces`}},
		{"two documents", "name: a\n---\nname: b\n",
			[]string{`2:1+3 one policy per file | --policy can be given several times`}},
		{"a second document that is no YAML", "name: a\n---\nname: b: c\n",
			[]string{`2:1+3 one policy per file | --policy can be given several times`}},
		{"empty", "", []string{`1:1+1 the file is empty | stint policy init prints one to start from`}},
		{"only comments", "# nothing\n\n", []string{`1:1+1 the file is empty | stint policy init prints one to start from`}},
		{"only a document's start", "---\n", []string{`1:1+1 the file is empty | stint policy init prints one to start from`}},
		{"a bracket that is never closed", "key: [ip\nname: a\n",
			[]string{`1:6+1 not YAML: the [ here has no ], or a comma is missing in it`}},
		{"a brace that is never closed", "name: a\nclient_ip: { ipv6_prefix: 64\nkey: [ip]\n",
			[]string{`2:12+1 not YAML: the { here has no }, or a comma is missing in it`}},
		{"a quote that is never closed", "name: a\nkey: \"ip\nrules: x\n",
			[]string{`2:6+1 not YAML: the quote that starts here is never closed`}},
		{"behind a closing quote", "name: \"a\" b\n",
			[]string{`1:11+1 not YAML: this line does not fit in with those above it | nothing but a comment may follow a closing quote`}},
		{"a line that is less indented", "rules:\n    x: 1\n  y: 1\n",
			[]string{`3:3+4 not YAML: this line does not fit in with those above it | is it indented like its neighbours?`}},
		{"a character that starts nothing", "name: @a\n",
			[]string{"1:7+1 not YAML: a value cannot start with this character | put the value in quotes"}},
		{"an escape that means nothing", `name: "a\q"` + "\n",
			[]string{`1:9+2 not YAML: \ and this letter mean nothing in double quotes | single quotes take everything as it is`}},
		{"an anchor that is not there", "name: *a\n",
			[]string{`1:7+2 not YAML: no anchor is called "a" | a value that begins with * needs quotes`}},
		{"a list on the line of its name", "name: - a\n",
			[]string{`1:7+3 not YAML: a list cannot start here | begin it on the next line, or write [a, b]`}},
		{"a word alone", "name: a\nrules\n",
			[]string{`2:1+5 not YAML: "name: value" is expected here`}},
		{"a control character", "name: a\nkey: \x01\n",
			[]string{`2:6+1 not YAML: a control character, U+0001 | in double quotes it is written as \x and two digits`}},
		{"not UTF-8", "name: a\n# \xff\n",
			[]string{`2:3+1 not YAML: the file is not UTF-8 here | save it as UTF-8`}},
		{"a list", "- name: a\n", []string{`1:1+1 a policy is a map of: name, ignore_case, count_denied, failure_mode, on_split, client_ip, attributes, key, headers, denied, rules, notify`}},
		{"a text", "hello\n", []string{`1:1+5 a policy is a map of: name, ignore_case, count_denied, failure_mode, on_split, client_ip, attributes, key, headers, denied, rules, notify`}},
	})
}

func TestMessagesShape(t *testing.T) {
	runMessages(t, []messageCase{
		{"no name", "key: [ip]\nclient_ip: { trusted_proxies: [] }\nrules: { x: { limits: 5/1m } }\n",
			[]string{`1:1+3 name is missing | name: my-api`}},
		{"no rules", "name: a\n", []string{`1:1+4 a policy with no rules limits nothing`}},
		{"rules without a value", "name: a\nrules:\n", []string{`2:1+5 rules has no value`}},
		{"rules with none in it", "name: a\nrules: {}\n", []string{`2:1+5 a policy with no rules limits nothing`}},
		{"rules as a list", "name: a\nrules:\n  - match: /a\n", []string{`3:3+1 rules is a map: each rule has a name | rules: { NAME: { limits: 100/1m } }`}},
		{"a name that is too long", "name: " + strings.Repeat("a", 33) + "\n" + top[8:] + "rules:\n" + rest,
			[]string{`1:7+33 name "` + strings.Repeat("a", 33) + `": a name is lower-case letters, digits and -, at most 32`}},
		{"a rule's name", top + "rules:\n  My_Rule: { limits: 5/1m }\n" + rest,
			[]string{`6:3+7 rule "My_Rule": a name is lower-case letters, digits and -, at most 32`}},
		{"a field twice", "name: a\nname: b\n" + top[8:] + "rules:\n" + rest, []string{`2:1+4 "name" is here twice; it is first on line 1`}},
		{"unknown fields", top + "rules:\n" + rest + "  x: { limits: 5/1m, zebra: 1 }\ndry_run: true\ndomain: x\n",
			[]string{
				`7:22+5 unknown field "zebra" | known: match, when, key, shadow, failure_mode, on_split, limits, overrides, denied`,
				`8:1+7 unknown field "dry_run" | known: name, ignore_case, count_denied, failure_mode, on_split, client_ip, attributes, key, headers, denied, rules, notify`,
				`9:1+6 unknown field "domain" | did you mean "name"?`}},
		{"foreign words", top + "rules:\n" + rest + "  x: { rate: 5/1m, route: /a, dry_run: true, requests_per_unit: 3 }\n",
			[]string{
				`7:3+1 rule "x" has no limits`,
				`7:8+4 unknown field "rate" | did you mean "limits"?`,
				`7:20+5 unknown field "route" | did you mean "match"?`,
				`7:31+7 unknown field "dry_run" | did you mean "shadow"?`,
				`7:46+17 unknown field "requests_per_unit" | did you mean "limits"?`}},
		{"merging", top + "rules:\n  base: &b { limits: 5/1m }\n  x: { <<: *b, limits: 5/1m }\n" + rest,
			[]string{`7:8+2 unknown field "<<" | merging is not supported: write the fields out`}},
		{"true and false", top + "ignore_case: yes\ncount_denied: 1\nrules:\n" + rest,
			[]string{`5:14+3 ignore_case: "yes" is not true or false`, `6:15+1 count_denied: "1" is not true or false`}},
		{"on_split is no mistake", top + "on_split: share\nrules:\n" + rest, nil},
		{"failure_mode and on_split", top + "failure_mode: open\non_split: shar\nrules:\n" + rest,
			[]string{`5:15+4 failure_mode: "open" is not allow or deny`, `6:11+4 on_split: "shar" is not full, share or deny | did you mean "share"?`}},
		{"a map where text belongs", top + "rules:\n" + rest + "denied: { body: { error: x } }\n",
			[]string{`7:17+1 body is text, not a map`}},
		{"a list where text belongs", top + "failure_mode: [deny]\nrules:\n" + rest,
			[]string{`5:15+1 failure_mode is text, not a list`}},
		{"a rule that is text", top + "rules:\n  x: 5/1m\n" + rest,
			[]string{`6:6+4 rule "x" is a map of: match, when, key, shadow, failure_mode, on_split, limits, overrides, denied`}},
		{"a rule without anything", "name: a\nrules:\n  x:\n",
			[]string{`3:3+1 rule "x" has no key, and the policy has none for it to use | key: [ip]`, `3:3+1 rule "x" has no limits`}},
		{"a name that is a map", top + "rules:\n  ? { a: b }\n  : { limits: 5/1m }\n" + rest, []string{`6:5+1 a name is expected here`}},
		{"notify", top + "notify:\n  - { url: \"https://hooks.example.com/x\", secret_file: /run/x, at: [80%, denied] }\nrules:\n" + rest,
			[]string{`5:1+6 warning: notify is not built yet: nothing will be sent`}},
		{"notify's mistakes", top + "notify:\n  - { url: \"ftp://x\", at: [80, 101%, often] }\n  - { at: denied }\nrules:\n" + rest,
			[]string{
				`5:1+6 warning: notify is not built yet: nothing will be sent`,
				`6:13+7 url: this is not an http or https address | url: https://hooks.example.com/limits`,
				`6:28+2 at: "80" is not 1% to 100% or denied | at: [80%, denied]`,
				`6:32+4 at: "101%" is not 1% to 100% or denied | at: [80%, denied]`,
				`6:38+5 at: "often" is not 1% to 100% or denied | at: [80%, denied]`,
				`7:7+2 a notification has a url | url: https://hooks.example.com/limits`}},
	})
}

func TestMessagesCallers(t *testing.T) {
	runMessages(t, []messageCase{
		{"an attribute called ip", "name: a\nclient_ip: { trusted_proxies: [] }\nattributes:\n  ip: { header: X }\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{`4:3+2 "ip" is the client's address and cannot be redefined; see client_ip`}},
		{"an attribute called path", "name: a\nclient_ip: { trusted_proxies: [] }\nattributes:\n  path: { header: X }\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{`4:3+4 "path" is what the native API calls the request's path, and cannot be an attribute | call it something else`}},
		{"two sources in one map", "name: a\nclient_ip: { trusted_proxies: [] }\nattributes:\n  user: { header: X-User, query: user }\nkey: [user, ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{`4:27+5 header and query together: use a list, the first present wins | [{ header: ... }, { query: ... }]`}},
		{"sources", "name: a\nclient_ip: { trusted_proxies: [] }\nattributes:\n  a: { bearer: Authorization, secret: false }\n  b: X-User\n  c: {}\n  d:\n  e: []\n  f: { path: \"{id}\" }\n  g: { header: X User }\n  h: { lower: true }\n  I: { header: X }\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{
				`4:39+5 attribute "a": a bearer is always secret`,
				`5:6+6 attribute "b": a source is a map of: header, bearer, query, cookie, path, json, form, secret, lower | { header: X-User-Id }`,
				`6:6+1 attribute "c": it has no source | { header: X-User-Id }`,
				`7:3+1 attribute "d" has no source`,
				`8:3+1 attribute "e" has no source`,
				`9:15+4 path: "{id}" is not the name of a wildcard | path: id`,
				`10:17+1 header name "X User": a space is not allowed in a header name`,
				`11:6+1 attribute "h": it has no source | { header: X-User-Id }`,
				`12:3+1 attribute "I": a name is lower-case letters, digits, _ and -, begins with a letter, and has at most 32`}},
		{"an attribute twice", "name: a\nclient_ip: { trusted_proxies: [] }\nattributes:\n  u: { header: X }\n  u: { header: Y }\nkey: [u, ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{`5:3+1 attribute "u" is here twice; it is first on line 4`}},
		{"an attribute that is never used", top + "rules: { x: { limits: 5/1m, when: { token: \"*\" } } }\n",
			[]string{`4:15+4 warning: attribute "user" is not used by any key`}},
		{"everyone trusted", "name: a\nclient_ip:\n  trusted_proxies: [0.0.0.0/0, \"::/0\"]\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{
				`3:21+9 warning: everyone is a trusted proxy: every caller can choose its own address`,
				`3:33+4 warning: everyone is a trusted proxy: every caller can choose its own address`}},
		{"ip without trusted_proxies", "name: a\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{`2:7+2 warning: behind a proxy all callers would share the proxy's address; nginx, Caddy, Traefik doors are such proxies | client_ip: { trusted_proxies: [private] }`}},
		{"ip without trusted_proxies, in a rule", "name: a\nattributes: { user: { header: X } }\nrules: { x: { key: [user, user+ip], limits: 5/1m }, y: { key: ip, limits: 5/1m } }\n",
			[]string{
				`3:27+7 warning: key "user+ip" is never used: "user" comes first, and is present whenever it is | put the longer key first`,
				`3:32+2 warning: behind a proxy all callers would share the proxy's address; nginx, Caddy, Traefik doors are such proxies | client_ip: { trusted_proxies: [private] }`}},
		{"client_ip's mistakes", "name: a\nclient_ip: { trusted_proxies: [privat, fe80::1%eth0, \"::ffff:10.0.0.0/104\"], headers: [X Y], ipv6_prefix: 129 }\nkey: [ip]\nrules: { x: { limits: 5/1m } }\n",
			[]string{
				`2:32+6 trusted_proxies: "privat" is not an address, a CIDR or private | did you mean "private"?`,
				`2:40+12 trusted_proxies: "fe80::1%eth0" is not an address, a CIDR or private`,
				`2:89+1 header name "X Y": a space is not allowed in a header name`,
				`2:107+3 ipv6_prefix "129": it is a whole number from 0 to 128 | 64 is what one customer usually gets`}},
		{"headers that nobody may send", "name: a\nclient_ip: { headers: [X-Real-Ip] }\nattributes: { user: { header: X } }\nrules: { x: { key: user, limits: 5/1m } }\n",
			[]string{`2:14+7 warning: headers are read only if they come from trusted_proxies, and there are none | trusted_proxies: [private]`}},
		{"an unverified key without an ip rule", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { token: { bearer: Authorization } }\nrules:\n  global: { key: [token, ip], limits: 5/1m }\n",
			[]string{`5:19+5 warning: rule "global": a caller can make up a new token for each request; add a rule with key: [ip], or take the key from a header your gateway sets`}},
		{"an unverified key with an ip rule for fewer requests", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { token: { query: t } }\nrules:\n  global: { key: [token, ip], limits: 5/1m }\n  some: { match: /a/, key: [ip], limits: 5/1m }\n",
			[]string{`5:19+5 warning: rule "global": a caller can make up a new token for each request; add a rule with key: [ip], or take the key from a header your gateway sets`}},
		{"an unverified key with an ip rule", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { token: { cookie: t } }\nrules:\n  some: { match: /a/b, key: [token, ip], limits: 5/1m }\n  more: { match: /a/, key: [ip], limits: 50/1m }\n", nil},
		{"an ip rule in the shadow protects nobody", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { token: { cookie: t } }\nrules:\n  some: { key: [token, ip], limits: 5/1m }\n  more: { key: [ip], limits: 50/1m, shadow: true }\n",
			[]string{`5:17+5 warning: rule "some": a caller can make up a new token for each request; add a rule with key: [ip], or take the key from a header your gateway sets`}},
		{"a gateway's header is verified", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { user: { header: X-User-Id } }\nrules:\n  all: { key: [user, ip], limits: 5/1m }\n", nil},
		{"a secret header is a caller's", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { api_key: { header: X-Api-Key, secret: true } }\nrules:\n  all: { key: [api_key, ip], limits: 5/1m }\n",
			[]string{`5:16+7 warning: rule "all": a caller can make up a new api_key for each request; add a rule with key: [ip], or take the key from a header your gateway sets`}},
		{"half of a key made up", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { user: { header: X-User-Id }, seller: { query: s } }\nrules:\n  all: { key: [user+seller, user, ip], limits: 5/1m }\n",
			[]string{`5:21+6 warning: rule "all": a caller can make up a new seller for each request; add a rule with key: [user], or take the key from a header your gateway sets`}},
		{"a body attribute", "name: a\nclient_ip: { trusted_proxies: [private] }\nattributes: { email: { json: email } }\nrules:\n  all: { key: [ip], limits: 50/1m }\n  magic-link: { match: POST /login, key: [email, ip], limits: 5/1m }\n  other: { match: POST /other, key: email, limits: 5/1m }\n",
			[]string{
				`6:43+5 note: email comes from the body: nginx, Caddy do not send it; there rule "magic-link" counts by ip`,
				`7:37+5 note: email comes from the body: nginx, Caddy do not send it; there rule "other" is skipped`}},
		{"keys", top + "rules:\n" + rest + "  x: { key: [user+, usr, user+user, []], limits: 5/1m }\n  y: { key: [], limits: 5/1m }\n",
			[]string{
				`7:19+1 key: an attribute is missing beside the +`,
				`7:21+3 key: no attribute is called "usr" | did you mean "user"?`,
				`7:31+4 key: "user" is in this key twice`,
				`7:37+1 key is text, not a list`,
				`8:13+1 key: the list is empty | key: [ip]`}},
		{"a foreign word for ip", top + "rules:\n" + rest + "  x: { key: [remote_addr], limits: 5/1m }\n",
			[]string{`7:14+11 key: no attribute is called "remote_addr" | did you mean "ip"?`}},
		{"when", top + "rules:\n" + rest + "  x: { when: { usr: a, token: abc, user: \"\", ip: 1.2.3 }, limits: 5/1m }\n  y: { when: [user], limits: 5/1m }\n",
			[]string{
				`7:16+3 when: no attribute is called "usr" | did you mean "user"?`,
				`7:31+3 token is secret: write its hash (stint policy key FILE -H …)`,
				`7:43+1 user: an empty value is the same as none, and never matches`,
				`7:50+5 ip: "1.2.3" is not an address or a CIDR`,
				`8:14+1 when is a map of attributes and values | when: { plan: free }`}},
	})
}
