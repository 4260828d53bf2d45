package policy

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Other limits for one caller, for good or until a day.

// An overrideNodes is an override and where its parts are in the file.
type overrideNodes struct {
	override
	of     *ruleNodes
	limits limitList
}

var overrideFields = []field[*overrideNodes]{
	{"key", readOverrideKey},
	{"limits", readOverrideLimits},
	{"until", readUntil},
}

func readOverrides(d *decoder, r *ruleNodes, key, val *yaml.Node) {
	if val.Kind != yaml.SequenceNode {
		d.errorf(val, "- key: { user: 42 }", "overrides is a list of: key, limits, until")
		return
	}
	for _, n := range d.items(val, "overrides") {
		o := &overrideNodes{of: r}
		seen := fields(d, n, "an override", overrideFields, o)
		if n.Kind != yaml.MappingNode {
			continue
		}
		if at := seen["key"]; at != nil {
			d.overrideKey(at, o)
		} else {
			d.errorf(firstOf(n), "key: { user: 42 }", "an override has a key: whose it is")
		}
		if seen["limits"] == nil {
			d.errorf(firstOf(n), "limits: 1000/1m, or limits: unlimited", "an override has limits")
		}
		for i := range o.limits.limits {
			o.limits.limits[i].Shadow, o.limits.limits[i].CountDenied = r.rule.shadow, d.p.countDenied
		}
		o.override.limits = o.limits.limits
		r.rule.overrides = append(r.rule.overrides, o.override)
	}
}

func readOverrideKey(d *decoder, o *overrideNodes, key, val *yaml.Node) {
	if val.Kind != yaml.MappingNode || len(val.Content) == 0 {
		d.errorf(val, "key: { user: 42 }", "an override's key is a map of attributes and values")
		return
	}
	d.entries(val, "an override's key", "attribute ", func(name, val *yaml.Node) {
		a, found := d.attribute(name.Value)
		if !found {
			d.errorf(name, didYouMean(name.Value, d.attributeNames()), "key: no attribute is called %s", quote(name.Value))
			if val.Kind == yaml.ScalarNode { // it may be a secret whose name is misspelt
				to := d.spread(val)
				d.secrets = append(d.secrets, [2]int{to[0], to[len(to)-1]})
			}
			return
		}
		if s, ok := d.attributeValue(a, val, false); ok {
			o.match = append(o.match, overrideMatch{a, s})
		}
	})
}

// overrideKey warns of an override that nobody can have, and of one that everybody can, unless the file has errors: a key
// that was misspelt would be missing.
func (d *decoder) overrideKey(at *yaml.Node, o *overrideNodes) {
	if d.ps.Err() {
		return
	}
	keys := o.of.keys
	if !keys.read {
		keys = d.key
	}
	held := func(k key) bool {
		return !slices.ContainsFunc(o.match, func(m overrideMatch) bool { return !slices.Contains(k, m.attribute) })
	}
	if len(keys.keys) > 0 && !slices.ContainsFunc(keys.keys, held) {
		d.at(Warning, at, "", "this override never applies: rule %s has no key with all that it names", quote(o.of.rule.name))
	}
	// A hash is known only to who has the secret, and what is in the path is what is asked for, not who asks.
	claimed := func(m overrideMatch) bool {
		return d.p.madeUp(m.attribute) && !d.secret(m.attribute) &&
			!slices.ContainsFunc(d.p.attributes[m.attribute].sources, func(s source) bool { return s.kind == fromPath })
	}
	if len(o.match) > 0 && !slices.ContainsFunc(o.match, func(m overrideMatch) bool { return !claimed(m) }) {
		d.at(Warning, at, "name an attribute that your gateway sets, or ip, as well", "every caller can claim to be %s %s, and have this override",
			d.p.attributeName(o.match[0].attribute), quote(o.match[0].value))
	}
}

func readOverrideLimits(d *decoder, o *overrideNodes, key, val *yaml.Node) {
	if val.Kind == yaml.ScalarNode && val.Value == "unlimited" {
		o.unlimited, o.limits.read = true, true
		return
	}
	o.limits = d.limits(val, o.of.rule.name)
	// The rule's limits were read before: `limits` stands before `overrides` in the table.
	var windows []string
	for i := range o.of.limits.limits {
		_, window, _ := strings.Cut(o.of.limits.limits[i].Text, "/")
		windows = append(windows, window)
	}
	for i, l := range o.limits.limits {
		known := len(windows) == 0
		for _, of := range o.of.limits.limits {
			known = known || of.Window == l.Window && of.Algorithm == l.Algorithm
		}
		if !known {
			d.at(Warning, o.limits.at[i], "", "override %s: the rule has %s; another window starts a fresh bucket", l.Text, strings.Join(windows, ", "))
		}
	}
}

func readUntil(d *decoder, o *overrideNodes, key, val *yaml.Node) {
	s, ok := d.text(val, "until")
	if !ok {
		return
	}
	// A day counts to its end, in UTC: "until 30 June" includes the 30th.
	t, err := time.Parse(time.DateOnly, s)
	if err == nil {
		t = t.AddDate(0, 0, 1)
	} else if t, err = time.Parse(time.RFC3339, s); err != nil {
		d.errorf(val, "until: 2027-06-30", "until: %s is not a date", quote(s))
		return
	}
	o.until = t
	if !t.After(d.now) {
		d.at(Warning, val, "", "this override ended on %s", s)
	}
}

// ipValue reads what the caller's address is compared with: an address or a CIDR, for conditions also a beginning.
func (d *decoder) ipValue(n *yaml.Node, wild bool) (string, bool) {
	if wild && strings.HasSuffix(n.Value, "*") {
		return n.Value, true
	}
	p, ok := parseNetwork(n.Value)
	switch {
	case !ok:
		d.errorf(n, "", "ip: %s is not an address or a CIDR", quote(n.Value))
		return "", false
	case p.IsSingleIP():
		return p.Addr().String(), true
	}
	return p.String(), true
}
