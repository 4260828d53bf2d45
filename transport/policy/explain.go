package policy

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// Explaining a request: which rules match it, by which key each counts and why, and what would be sent. Values of secret
// attributes are shown as their hashes.

// Explain writes a line or two for every rule, then the checks and the answer to a first request like this.
func Explain(p *Policy, o TryOptions, w io.Writer) error {
	r, err := o.request()
	if err != nil {
		return err
	}
	run := p.ready()
	now := o.start()
	m := newMemory(now)
	var plan Plan
	var a Answer
	tooMuch := p.Plan(r, now, &plan)
	matched := false
	why := make([]string, len(run.rules))
	plan.lookup.begin(run, r) // the same memory, looked at rule by rule
	for i := range run.rules {
		if rule := &run.rules[i]; !rule.otherwise {
			line, ok := plan.explain(rule, o)
			why[i], matched = line, matched || ok
		}
	}
	for i := range run.rules {
		switch rule := &run.rules[i]; {
		case rule.otherwise && matched:
			why[i] = "no: another rule matches"
		case rule.otherwise:
			why[i], _ = plan.explain(rule, o)
		}
	}
	wide := 0
	for i := range run.rules {
		wide = max(wide, len(run.rules[i].name))
	}
	for i := range run.rules {
		fmt.Fprintf(w, "%-*s  %s\n", wide, run.rules[i].name, why[i])
	}
	if tooMuch != nil {
		return tooMuch
	}
	fmt.Fprintln(w)
	for _, c := range plan.Checks {
		fmt.Fprintf(w, "key %s\n", c.Key)
		for j := range c.Limits {
			fmt.Fprintf(w, "  %s  %s%s\n", c.Limits[j].Text, c.Limits[j].Rule, inShadow(&c.Limits[j]))
		}
	}
	if len(plan.Checks) == 0 {
		fmt.Fprintln(w, "no rule counts this request: it is not limited")
	}
	if err := p.answer(m, r, &plan, &a); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nwhat a first request like this is sent:\n%s", httpText(&a))
	return err
}

func inShadow(l *transport.Limit) string {
	if l.Shadow {
		return ", in the shadow: never denies"
	}
	return ""
}

// explain says what a rule makes of the request, and whether it matches.
func (plan *Plan) explain(rule *runRule, o TryOptions) (why string, matched bool) {
	l := &plan.lookup
	m, _ := plan.matchesAny(rule)
	for i := range rule.patterns {
		if p := &rule.patterns[i]; m == nil && p.match(l.r.Method, &l.target, l.policy.ignoreCase) {
			m = p
		}
	}
	switch {
	case len(rule.patterns) > 0 && m == nil:
		return "no: " + texts(rule.patterns) + " does not match", false
	case m != nil:
		why = m.text
	case rule.otherwise:
		why = "no other rule matches"
	default:
		why = "every request"
	}
	for i := range rule.when {
		c := &rule.when[i]
		name := l.attributes[c.attribute+1].name
		text, _, ok := l.value(c.attribute, m)
		if !ok {
			return "no: " + why + " does, but when: " + name + " is absent", false
		}
		value := string(appendPart(nil, name, text, false))
		if !l.holds(c, m) {
			return "no: " + why + " does, but when: not with " + value, false
		}
		why += ", " + value
	}
	var skipped []string
	for i := range rule.keys {
		a := &rule.keys[i]
		key, ok := l.appendKey(nil, a, m)
		if !ok {
			for _, attribute := range a.parts {
				if _, _, ok := l.value(attribute, m); !ok {
					skipped = append(skipped, l.attributes[attribute+1].name+" is absent")
					break
				}
			}
			continue
		}
		limits := "limits " + limitTexts(rule.limits)
		for j := range rule.overrides {
			if x := &rule.overrides[j]; o.start() < x.until && plan.overrides(x, a, m) {
				limits = "override " + x.words()
				break
			}
		}
		because := ""
		if len(skipped) > 0 {
			because = " (" + strings.Join(skipped, ", ") + ")"
		}
		return "yes: " + why + "; counted by " + string(key) + because + "; " + limits, true
	}
	return "yes: " + why + "; but not counted (" + strings.Join(skipped, ", ") + ")", true
}

func texts(patterns []pattern) string {
	list := make([]string, len(patterns))
	for i := range patterns {
		list[i] = patterns[i].text
	}
	return strings.Join(list, ", ")
}

func limitTexts(limits []transport.Limit) string {
	list := make([]string, len(limits))
	for i := range limits {
		list[i] = limits[i].Text
	}
	return strings.Join(list, ", ")
}

// words is what the override grants.
func (o *runOverride) words() string {
	s := limitTexts(o.limits)
	if o.unlimited {
		s = "unlimited"
	}
	if !o.override.until.IsZero() {
		s += " until " + o.override.until.Add(-1).UTC().Format(time.DateOnly) // the last day it holds
	}
	return s
}

// Keys writes the keys that the request is counted by, and each attribute as an override names it: secrets
// as their hashes.
func Keys(p *Policy, o TryOptions, w io.Writer) error {
	r, err := o.request()
	if err != nil {
		return err
	}
	var plan Plan
	if err := p.Plan(r, o.start(), &plan); err != nil {
		return err
	}
	for _, c := range plan.Checks {
		fmt.Fprintf(w, "%s\n", c.Key)
	}
	if len(plan.Checks) == 0 {
		fmt.Fprintln(w, "# no rule counts this request")
	}
	run := p.ready()
	plan.lookup.begin(run, r)
	for i := range run.attributes {
		if run.attributes[i].ofPath {
			continue
		}
		if text, _, ok := plan.lookup.value(i-1, nil); ok {
			fmt.Fprintf(w, "# - key: { %s: %q }\n", run.attributes[i].name, text)
		}
	}
	return nil
}
