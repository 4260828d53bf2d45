package policy

import (
	"strings"
	"time"

	"github.com/stint-limiter/stint/transport"
	"go.yaml.in/yaml/v3"
)

// The file as a whole: Parse, and the fields of its first level.

// Parse reads, checks and compiles one policy file. The problems are all that there is to say about it, in the file's
// order: errors, warnings and notes; the policy is nil if an error is among them. file is only named in the
// problems. Parse keeps nothing of src.
func Parse(file string, src []byte) (*Policy, Problems) { return ParseAt(time.Now(), file, src) }

// ParseAt is Parse on a given day, which decides which overrides are said to have ended.
func ParseAt(now time.Time, file string, src []byte) (*Policy, Problems) {
	d, ps := parse(now, file, src)
	if ps.Err() {
		return nil, ps
	}
	return d.p, ps
}

func parse(now time.Time, file string, src []byte) (*decoder, Problems) {
	d := &decoder{file: file, now: now, p: &Policy{File: file}}
	if len(src) > MaxFile {
		return d, Problems{{File: file, Message: "the file is larger than 1 MiB", Hint: "is it a policy?"}}
	}
	d.page = newPage(strings.TrimPrefix(string(src), "\ufeff"))
	root, bad := d.tree()
	switch {
	case bad != nil:
		d.report(Error, bad.at, bad.n, bad.msg, bad.hint)
	case d.bounded(root):
		d.policy(deref(root))
	}
	if !d.ps.Err() {
		d.lint()
	}
	return d, d.finish()
}

// policyFields is the format's first level. The order is that of reading: names before what refers to them.
var policyFields = []field[*Policy]{
	{"name", readName},
	{"ignore_case", func(d *decoder, p *Policy, key, val *yaml.Node) { d.flag(val, "ignore_case", &p.ignoreCase) }},
	{"count_denied", func(d *decoder, p *Policy, key, val *yaml.Node) { d.flag(val, "count_denied", &p.countDenied) }},
	{"failure_mode", func(d *decoder, p *Policy, key, val *yaml.Node) { d.failureMode(val, &p.mode) }},
	{"on_split", func(d *decoder, p *Policy, key, val *yaml.Node) { d.onSplit(val, &p.onSplit) }},
	{"client_ip", readClientIP},
	{"attributes", readAttributes},
	{"key", func(d *decoder, p *Policy, key, val *yaml.Node) { d.key = d.keys(val) }},
	{"headers", func(d *decoder, p *Policy, key, val *yaml.Node) { p.headers = d.headers(val) }},
	{"denied", readDenied},
	{"rules", readRules},
	{"notify", readNotify},
}

// policy reads the tree.
func (d *decoder) policy(root *yaml.Node) {
	d.defaults()
	seen := fields(d, root, "a policy", policyFields, d.p)
	if root.Kind != yaml.MappingNode {
		return
	}
	if seen["name"] == nil {
		d.at(Error, firstOf(root), "name: my-api", "name is missing")
	}
	if seen["rules"] == nil {
		d.at(Error, firstOf(root), "", "a policy with no rules limits nothing")
	}
}

func firstOf(n *yaml.Node) *yaml.Node {
	if len(n.Content) > 0 && n.Content[0].Kind == yaml.ScalarNode {
		return n.Content[0]
	}
	return n
}

// defaults are what a file that leaves out headers, denied and client_ip gets.
func (d *decoder) defaults() {
	d.p.clientIP = clientIP{headers: []string{"X-Forwarded-For"}, ipv6Prefix: 64}
	d.p.headers = []header{
		{name: "X-RateLimit-Limit", value: ownTemplate("${limit}")},
		{name: "X-RateLimit-Remaining", value: ownTemplate("${remaining}")},
		{name: "X-RateLimit-Reset", value: ownTemplate("${reset_unix}")},
	}
	d.p.denied = denied{
		status:      429,
		headers:     []header{{name: "Retry-After", value: ownTemplate("${retry_after}")}},
		contentType: "application/problem+json",
		problem:     true,
	}
}

func ownTemplate(text string) template {
	t, faults := parseTemplate(text)
	if len(faults) > 0 {
		panic("policy: a template of our own is wrong: " + faults[0].msg)
	}
	return t
}

func readName(d *decoder, p *Policy, _, val *yaml.Node) {
	s, ok := d.text(val, "name")
	if !ok {
		return
	}
	p.Name, p.Line = s, val.Line
	d.nameAt = val
	d.named(val, "name")
}

// named checks a policy's or a rule's name.
func (d *decoder) named(n *yaml.Node, what string) {
	const most = 32 // names are in every header, log line and metric
	ok := n.Value != "" && len(n.Value) <= most
	for _, c := range []byte(n.Value) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		d.errorf(n, "", "%s %s: a name is lower-case letters, digits and -, at most %d", what, quote(n.Value), most)
	}
}

func (d *decoder) failureMode(n *yaml.Node, into *transport.Mode) {
	switch d.oneOf(n, "failure_mode", "allow", "deny") {
	case 0:
		*into = transport.Allow
	case 1:
		*into = transport.Deny
	}
}

func (d *decoder) onSplit(n *yaml.Node, into *transport.OnSplit) {
	switch d.oneOf(n, "on_split", "full", "share", "deny") {
	case 0:
		*into = transport.SplitFull
	case 1:
		*into = transport.SplitShare
	case 2:
		*into = transport.SplitDeny
	}
}
