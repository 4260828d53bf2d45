package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// What the file says is what the compiled policy has: every field once, and what a rule inherits.
func TestCompiledPolicy(t *testing.T) {
	p, ps := ParseAt(testDay, "all.yaml", []byte(`# a comment
name: all
client_ip:
  trusted_proxies: [private, 192.0.2.7, "::ffff:198.51.100.0/120", 2001:db8::1/32]
  headers: [x-real-ip]
  ipv6_prefix: /56
attributes:
  email: [{ json: email, lower: true }, { form: email }]
  token: { bearer: authorization }
  id: { path: id }
key: [id, email, ip]
failure_mode: deny
on_split: share
count_denied: true
ignore_case: true
rules:
  one:
    match: GET /a
    when: { email: " Ann@Example.com " }
    limits: [5/1m, 50/1h fixed_window]
    overrides:
      - { key: { email: BOB@example.com, ip: "::ffff:192.0.2.1" }, limits: 7/1m, until: 2027-06-30 }
      - { key: { token: "sha256:5994471abb01112a" }, limits: unlimited, until: 2027-06-30T10:00:00+02:00 }
    shadow: true
    failure_mode: allow
    on_split: deny
    denied: { status: 503, headers: { RETRY-AFTER: "9", X-Why: ~ } }
  two:
    match: otherwise
    key: ip
    limits: 1/1s token_bucket burst=3
headers: { X-A: "${limit}" }
denied: { headers: { X-Why: because }, body: sorry }
`))
	if ps.Err() {
		t.Fatal(text(ps))
	}
	is := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s is %s, want %s", what, g, w)
		}
	}
	is("name", fmt.Sprint(p.Name, p.File, p.Line), "allall.yaml2")
	is("trusted", p.clientIP.trusted[len(privateRanges):], "[192.0.2.7/32 198.51.100.0/24 2001:db8::/32]")
	is("client_ip", fmt.Sprint(p.clientIP.headers, p.clientIP.ipv6Prefix), "[X-Real-Ip] 56")
	is("email", p.attributes[0].sources, []source{{fromJSON, "email", false, true}, {fromForm, "email", false, false}})
	is("token", p.attributes[1].sources, []source{{fromBearer, "Authorization", true, false}})
	is("flags", fmt.Sprint(p.countDenied, p.ignoreCase), "true true")

	one, two := p.rules[0], p.rules[1]
	is("one's keys", one.keys, []key{{2}, {0}, {ipAttribute}})
	is("two's keys", two.keys, []key{{ipAttribute}})
	is("one's condition", one.when, []condition{{0, []string{"ann@example.com"}}})
	is("one's modes", fmt.Sprint(one.mode, one.onSplit), fmt.Sprint(transport.Allow, transport.SplitDeny))
	is("two's modes", fmt.Sprint(two.mode, two.onSplit), fmt.Sprint(transport.Deny, transport.SplitShare))
	for i, c := range p.Peeks()[:3] {
		want := fmt.Sprintln("one", one.limits[min(i, 1)].Text, transport.SplitDeny)
		if i == len(one.limits) {
			want = fmt.Sprintln("two", two.limits[0].Text, transport.SplitShare)
		}
		is("a peek", fmt.Sprintln(c.Limits[0].Rule, c.Limits[0].Text, c.OnSplit), want)
	}
	is("otherwise", fmt.Sprint(one.otherwise, two.otherwise), "false true")
	for _, l := range append(append([]transport.Limit{}, one.limits...), one.overrides[0].limits...) {
		is("one's limit "+l.Text, fmt.Sprint(l.Policy, l.Rule, l.Shadow, l.CountDenied), "allonetrue true")
		if l.Scope != transport.NewLimit("all", "one", l.Limit).Scope {
			t.Errorf("limit %s has another scope", l.Text)
		}
	}
	is("two's limit", fmt.Sprint(two.limits[0].Text, two.limits[0].Shadow, two.limits[0].CountDenied), "1/1s token_bucket burst=3false true")
	is("overrides", one.overrides[0].match, []overrideMatch{{0, "bob@example.com"}, {ipAttribute, "192.0.2.1"}})
	is("until a day", one.overrides[0].until, time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC))
	is("until an instant", one.overrides[1].until.UTC(), time.Date(2027, 6, 30, 8, 0, 0, 0, time.UTC))
	is("unlimited", fmt.Sprint(one.overrides[0].unlimited, one.overrides[1].unlimited, len(one.overrides[1].limits)), "false true 0")

	show := func(hs []header) (s string) {
		for _, h := range hs {
			s += fmt.Sprintf("%s=%s %v;", h.name, h.value.text, h.removed)
		}
		return s
	}
	is("headers", show(p.headers), "X-A=${limit} false;")
	is("denied", fmt.Sprint(p.denied.status, show(p.denied.headers), p.denied.body.text, p.denied.contentType, p.denied.problem),
		"429Retry-After=${retry_after} false;X-Why=because false;sorrytext/plainfalse")
	is("one's denied", fmt.Sprint(one.denied.status, show(one.denied.headers), one.denied.body.text), "503RETRY-AFTER=9 false;X-Why= true;sorry")
	if two.denied != nil {
		t.Error("two has a denied of its own")
	}
}

func TestContentType(t *testing.T) {
	for body, want := range map[string]string{
		`'{"a": ${limit}}'`:                  "application/json",
		`'"${rule}"'`:                        "application/json",
		`slow down`:                          "text/plain",
		`"retry in ${retry_after} s"`:        "text/plain",
		`"${retry_after}"`:                   "application/json", // a number is JSON
		`""`:                                 "",
		`a, headers: { content-type: a/b }`:  "a/b",
		`a, headers: { Content-Type: a/b }`:  "a/b",
		`a, headers: { content-type: ~ }`:    "text/plain",
		`'{}', headers: { Content-Type: x }`: "x",
	} {
		p, ps := Parse("a.yaml", []byte(top+"rules:\n"+rest+"denied: { body: "+body+" }\n"))
		if p == nil {
			t.Error(text(ps))
		} else if p.denied.contentType != want {
			t.Errorf("body %s: Content-Type %q, want %q", body, p.denied.contentType, want)
		}
	}
}

// Beside slots a count that is only just enough is no promise: 600/1h over slots may still deny after 10/1m.
func TestNeverBeforeLeavesRoomForSlots(t *testing.T) {
	for limits, noted := range map[string]bool{"10/1m, 600/1h": false, "10/1m, 669/1h": false, "10/1m, 670/1h": true,
		"10/1m, 600/1h fixed_window": true, "10/1m, 599/1h fixed_window": false, "10/1m fixed_window, 700/1h": false} {
		_, ps := Parse("a.yaml", []byte(top+"rules:\n"+rest+"  x: { limits: ["+limits+"] }\n"))
		if got := len(told(ps)) > 0; got != noted {
			t.Errorf("%s: %q", limits, told(ps))
		}
	}
}
