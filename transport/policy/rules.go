package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stint-limiter/stint/bucket"
	"go.yaml.in/yaml/v3"
)

// The rules: which requests, counted by what, how often.

// A ruleNodes is a rule and where its parts are in the file.
type ruleNodes struct {
	rule   *rule
	name   *yaml.Node
	match  []*yaml.Node // of rule.patterns
	keys   keyList      // the rule's own, or the policy's without their places
	limits limitList
}

var ruleFields = []field[*ruleNodes]{
	{"match", readMatch},
	{"when", readWhen},
	{"key", func(d *decoder, r *ruleNodes, key, val *yaml.Node) { r.keys = d.keys(val) }},
	{"shadow", func(d *decoder, r *ruleNodes, key, val *yaml.Node) { d.flag(val, "shadow", &r.rule.shadow) }},
	{"failure_mode", func(d *decoder, r *ruleNodes, key, val *yaml.Node) { d.failureMode(val, &r.rule.mode) }},
	{"on_split", func(d *decoder, r *ruleNodes, key, val *yaml.Node) { d.onSplit(val, &r.rule.onSplit) }},
	{"limits", func(d *decoder, r *ruleNodes, key, val *yaml.Node) { r.limits = d.limits(val, r.rule.name) }},
	{"overrides", readOverrides},
	{"denied", readRuleDenied},
}

func readRules(d *decoder, p *Policy, key, val *yaml.Node) {
	d.rulesAt = key
	switch {
	case val.Kind != yaml.MappingNode:
		d.errorf(val, "rules: { NAME: { limits: 100/1m } }", "rules is a map: each rule has a name")
		return
	case len(val.Content) == 0:
		d.errorf(key, "", "a policy with no rules limits nothing")
		return
	case len(val.Content)/2 > MaxRules:
		d.errorf(key, "", "%d rules; the most is %d", len(val.Content)/2, MaxRules)
		return
	}
	d.entries(val, "rules", "rule ", func(name, val *yaml.Node) {
		d.named(name, "rule")
		r := &ruleNodes{name: name, rule: &rule{name: name.Value, line: name.Line, mode: p.mode, onSplit: p.onSplit}}
		what := "rule " + quote(name.Value)
		if isNull(val) {
			val = &yaml.Node{Kind: yaml.MappingNode, Line: name.Line, Column: name.Column}
		}
		fields(d, val, what, ruleFields, r)
		if val.Kind != yaml.MappingNode {
			return
		}
		switch {
		case r.keys.read:
		case d.key.read:
			r.keys = keyList{keys: d.key.keys}
		default:
			d.errorf(name, "key: [ip]", "%s has no key, and the policy has none for it to use", what)
		}
		if !r.limits.read {
			d.errorf(name, "", "%s has no limits", what)
		}
		d.wildcards(r)
		for i := range r.limits.limits {
			r.limits.limits[i].Shadow, r.limits.limits[i].CountDenied = r.rule.shadow, p.countDenied
		}
		r.rule.keys, r.rule.limits = r.keys.keys, r.limits.limits
		p.rules = append(p.rules, r.rule)
		d.ruleAt = append(d.ruleAt, r)
	})
	d.together(key)
}

func readMatch(d *decoder, r *ruleNodes, key, val *yaml.Node) {
	list := d.items(val, "match")
	if len(list) == 0 {
		d.errorf(val, "leave match out for a rule that counts every request", "match: the list is empty")
	}
	for _, n := range list {
		s, ok := d.text(n, "match")
		if !ok {
			continue
		}
		if s == "otherwise" {
			if len(list) > 1 {
				d.errorf(n, "give it a rule of its own", "otherwise stands for the requests that no rule matches, and goes with no pattern")
			}
			r.rule.otherwise = true
			continue
		}
		p, faults := parsePattern(s)
		for _, f := range faults {
			d.fault(n, "match "+quote(s)+": ", f)
		}
		if method, _, found := strings.Cut(s, " "); found && len(faults) == 0 && !knownMethod(method) {
			to := d.spread(n)
			d.report(Warning, to[0], to[len(method)]-to[0], quote(method)+" is not a method anybody uses", "")
		}
		if len(faults) == 0 {
			r.rule.patterns, r.match = append(r.rule.patterns, p), append(r.match, n)
		}
	}
}

// wildcards checks that what a rule takes from the path is in its patterns. A key that the policy has for all rules may
// go without, if another follows; one that the rule names itself is meant.
func (d *decoder) wildcards(r *ruleNodes) {
	check := func(what string, a int, at *yaml.Node) {
		if a == ipAttribute {
			return
		}
		var names []string
		for _, s := range d.p.attributes[a].sources {
			if s.kind != fromPath {
				return // it may come from elsewhere
			}
			names = append(names, s.name)
		}
		if len(names) == 0 {
			return
		}
		if len(r.match) == 0 && (r.rule.otherwise || len(r.rule.patterns) == 0) {
			if at != nil {
				d.errorf(at, "", "rule %s: %s uses {%s}, but the rule has no pattern with {%s}", quote(r.rule.name), what, names[0], names[0])
			}
			return
		}
		for i := range r.rule.patterns {
			p := &r.rule.patterns[i]
			if !slices.ContainsFunc(names, p.hasWildcard) {
				d.errorf(r.match[i], "", "rule %s: %s uses {%s}, but match %s has no {%s}", quote(r.rule.name), what, names[0], quote(p.text), names[0])
			}
		}
	}
	for i, k := range r.keys.keys {
		own := i < len(r.keys.at)
		if !own && i+1 < len(r.keys.keys) {
			continue
		}
		at := r.name
		if own {
			at = r.keys.at[i]
		}
		for _, a := range k {
			check("key", a, at)
		}
	}
	for _, c := range r.rule.when {
		check("when", c.attribute, r.name)
	}
}

// together checks what the rules have together: too much for any request, or, of those without match, for each.
func (d *decoder) together(key *yaml.Node) {
	patterns := 0
	for _, r := range d.p.rules {
		patterns += len(r.patterns)
	}
	if patterns > MaxPatterns {
		d.errorf(key, "", "the rules have %d patterns together; the most is %d", patterns, MaxPatterns)
	}
	limits := 0
	var lists []string
	for _, r := range d.p.rules {
		if len(r.patterns) > 0 || r.otherwise || len(r.when) > 0 {
			continue
		}
		limits += len(r.limits)
		if s := fmt.Sprint(r.keys); len(r.keys) == 1 && !slices.Contains(lists, s) {
			lists = append(lists, s)
		}
	}
	if limits > bucket.MaxWants {
		d.errorf(key, "", "the rules that match every request have %d limits together; the most is %d", limits, bucket.MaxWants)
	}
	if len(lists) > MaxKeys {
		d.errorf(key, "", "the rules that match every request count by %d keys; the most is %d", len(lists), MaxKeys)
	}
}
