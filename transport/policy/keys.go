package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What is counted: `key`, and the conditions of `when`, both in terms of attributes.

// A keyList is a list of keys and where each of them stands.
type keyList struct {
	keys []key
	at   []*yaml.Node
	read bool // the file has one, right or wrong
}

// keys reads `[user+seller, user, ip]`: the first whose parts are all present is counted.
func (d *decoder) keys(n *yaml.Node) keyList {
	l := keyList{read: true}
	list := d.items(n, "key")
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		d.errorf(n, "key: [ip]", "key: the list is empty")
	}
	for _, item := range list {
		s, ok := d.text(item, "key")
		if !ok {
			continue
		}
		var k key
		at := 0
		for part := range strings.SplitSeq(s, "+") {
			word := strings.TrimSpace(part)
			begin := at + strings.Index(part, word)
			at += len(part) + 1
			if word == "" {
				d.fault(item, "key: ", fault{begin, 1, "an attribute is missing beside the +", ""})
				ok = false
				continue
			}
			a, found := d.attribute(word)
			switch {
			case !found:
				d.fault(item, "key: ", fault{begin, len(word), "no attribute is called " + quote(word), didYouMean(word, d.attributeNames())})
				ok = false
			case slices.Contains(k, a):
				d.fault(item, "key: ", fault{begin, len(word), quote(word) + " is in this key twice", ""})
				ok = false
			default:
				k = append(k, a)
			}
		}
		if !ok {
			continue
		}
		for i, before := range l.keys {
			if subset(before, k) {
				d.at(Warning, item, "put the longer key first", "key %s is never used: %s comes first, and is present whenever it is", quote(s), quote(d.keyText(l.keys[i])))
				break
			}
		}
		l.keys, l.at = append(l.keys, k), append(l.at, item)
	}
	return l
}

// attribute finds an attribute by its name, and remembers that it was asked for.
func (d *decoder) attribute(name string) (int, bool) {
	if name == "ip" {
		return ipAttribute, true
	}
	for i := range d.p.attributes {
		if d.p.attributes[i].name == name {
			d.used[i] = true
			return i, true
		}
	}
	return 0, false
}

func (d *decoder) attributeNames() []string {
	names := []string{"ip"}
	for _, a := range d.p.attributes {
		names = append(names, a.name)
	}
	return names
}

func (d *decoder) keyText(k key) string { return d.p.keyText(k) }

// keyText writes a key as the file has it: user+seller.
func (p *Policy) keyText(k key) string {
	parts := make([]string, len(k))
	for i, a := range k {
		parts[i] = p.attributeName(a)
	}
	return strings.Join(parts, "+")
}

func (p *Policy) attributeName(a int) string {
	if a == ipAttribute {
		return "ip"
	}
	return p.attributes[a].name
}

// subset reports whether all parts of a are parts of b.
func subset(a, b key) bool {
	for _, part := range a {
		if !slices.Contains(b, part) {
			return false
		}
	}
	return true
}

// readWhen reads `when: { plan: [free, trial] }`.
func readWhen(d *decoder, r *ruleNodes, key, val *yaml.Node) {
	if val.Kind != yaml.MappingNode {
		d.errorf(val, "when: { plan: free }", "when is a map of attributes and values")
		return
	}
	d.entries(val, "when", "attribute ", func(name, values *yaml.Node) {
		a, found := d.attribute(name.Value)
		if !found {
			d.errorf(name, didYouMean(name.Value, d.attributeNames()), "when: no attribute is called %s", quote(name.Value))
			return
		}
		c := condition{attribute: a}
		list := d.items(values, "when")
		if len(list) == 0 {
			d.errorf(name, "", "when: %s has no value", name.Value)
		}
		for _, n := range list {
			if s, ok := d.attributeValue(a, n, true); ok {
				c.values = append(c.values, s)
			}
		}
		r.rule.when = append(r.rule.when, c)
	})
}

// attributeValue reads a value that a request's attribute is compared with, and brings it into the form that
// requests' values are in.
func (d *decoder) attributeValue(a int, n *yaml.Node, wild bool) (string, bool) {
	name := d.p.attributeName(a)
	if a != ipAttribute && d.secret(a) {
		if n.Kind == yaml.ScalarNode && (wild && n.Value == "*" || isHash(n.Value)) {
			return n.Value, true
		}
		if n.Kind == yaml.ScalarNode {
			to := d.spread(n)
			d.secrets = append(d.secrets, [2]int{to[0], to[len(to)-1]})
		}
		d.errorf(n, "", "%s is secret: write its hash (stint policy key FILE -H …)", name)
		return "", false
	}
	s, ok := d.text(n, name)
	if !ok {
		return "", false
	}
	if a != ipAttribute && len(d.p.attributes[a].sources) == 0 { // its source is misspelt: it may be a secret
		to := d.spread(n)
		d.secrets = append(d.secrets, [2]int{to[0], to[len(to)-1]})
	}
	if strings.TrimSpace(s) == "" {
		d.errorf(n, "", "%s: an empty value is the same as none, and never matches", name)
		return "", false
	}
	if a == ipAttribute {
		return d.ipValue(n, wild)
	}
	lower := false
	for _, from := range d.p.attributes[a].sources {
		lower = lower || from.lower
	}
	if lower {
		s = strings.ToLower(strings.TrimSpace(s))
	}
	return s, true
}

// secret reports whether an attribute's value is a hash in some request.
func (d *decoder) secret(a int) bool {
	for _, s := range d.p.attributes[a].sources {
		if s.secret {
			return true
		}
	}
	return false
}

func isHash(s string) bool {
	digits, ok := strings.CutPrefix(s, hashPrefix)
	return ok && len(s) == hashedLen && strings.Trim(digits, "0123456789abcdef") == ""
}
