package policy

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// Who could evade a limit, or be limited with somebody else: warnings about addresses, and about keys that
// nobody has verified.

// withoutProxies warns where callers are counted by address and no proxy is trusted to tell it. A file that says
// `trusted_proxies: []` has thought about it.
func (d *decoder) withoutProxies() {
	if d.trustAt != nil {
		return
	}
	for _, r := range d.ruleAt {
		for i, k := range r.rule.keys {
			if !slices.Contains(k, ipAttribute) {
				continue
			}
			at := d.key.at
			if i < len(r.keys.at) {
				at = r.keys.at
			}
			d.atPart(Warning, at[i], "ip", "client_ip: { trusted_proxies: [private] }",
				"behind a proxy all callers would share the proxy's address; nginx, Caddy, Traefik doors are such proxies")
			return
		}
	}
}

// atPart reports a problem about one part of a key, or about all of n where it is not a key with that part.
func (d *decoder) atPart(s Severity, n *yaml.Node, part, hint, msg string) {
	at := -1
	for i := range len(n.Value) {
		end := i + len(part)
		if end <= len(n.Value) && n.Value[i:end] == part && (i == 0 || n.Value[i-1] == '+' || n.Value[i-1] == ' ') &&
			(end == len(n.Value) || n.Value[end] == '+' || n.Value[end] == ' ') {
			at = i
			break
		}
	}
	if at < 0 {
		d.at(s, n, hint, "%s", msg)
		return
	}
	to := d.spread(n)
	d.report(s, to[at], to[min(at+len(part), len(n.Value))]-to[at], msg, hint)
}

// madeUp reports whether callers can make up an attribute: it comes from a part of the request that nothing in front of
// us has set or checked. A plain header is what a gateway sets; a secret one is what a caller sends.
func (d *decoder) madeUp(a int) bool {
	if a == ipAttribute {
		return false
	}
	for _, s := range d.p.attributes[a].sources {
		if s.kind != fromHeader || s.secret {
			return true
		}
	}
	return false
}

// evasions warns of keys that a caller can change with each request, and so get a new bucket each time, unless another
// rule counts the same requests by something that it cannot change. Each attribute is told of once.
func (d *decoder) evasions() {
	var told []int
	for _, r := range d.ruleAt {
		if r.rule.shadow {
			continue
		}
		for i, k := range r.rule.keys {
			for _, a := range k {
				if !d.madeUp(a) || slices.Contains(told, a) || d.heldBy(r.rule, k) {
					continue
				}
				told = append(told, a)
				name := d.p.attributeName(a)
				rest := key{ipAttribute}
				if sure := d.sure(k); len(sure) > 0 {
					rest = sure
				}
				at := r.name
				if i < len(r.keys.at) {
					at = r.keys.at[i]
				}
				d.atPart(Warning, at, name, "", "rule "+quote(r.rule.name)+": a caller can make up a new "+name+
					" for each request; add a rule with key: ["+d.keyText(rest)+"], or take the key from a header your gateway sets")
			}
		}
	}
}

// sure is what of a key callers cannot make up.
func (d *decoder) sure(k key) key {
	return slices.DeleteFunc(slices.Clone(k), d.madeUp)
}

// heldBy reports whether some rule counts all of r's requests that have key k by a key that nobody can make up.
func (d *decoder) heldBy(r *rule, k key) bool {
	for _, other := range d.p.rules {
		if other == r || other.shadow || !covers(other, r) {
			continue
		}
		// The other rule takes the first of its keys whose parts are all present. What k has is present, and the
		// address is; what else is present is for the caller to choose, so every key up to that one must be sure.
		for _, o := range other.keys {
			if len(d.sure(o)) < len(o) {
				break
			}
			if subset(o, append(slices.Clone(k), ipAttribute)) {
				return true
			}
		}
	}
	return false
}

// fromBody notes keys that come from the request's body, which most forward-auth proxies do not send.
func (d *decoder) fromBody() {
	for a := range d.p.attributes {
		if !slices.ContainsFunc(d.p.attributes[a].sources, func(s source) bool { return s.kind == fromJSON || s.kind == fromForm }) ||
			slices.ContainsFunc(d.p.attributes[a].sources, func(s source) bool { return s.kind != fromJSON && s.kind != fromForm }) {
			continue
		}
		for _, r := range d.ruleAt {
			i := slices.IndexFunc(r.rule.keys, func(k key) bool { return slices.Contains(k, a) })
			if i < 0 {
				continue
			}
			there := "is skipped"
			for _, k := range r.rule.keys[i+1:] {
				if !slices.Contains(k, a) {
					there = "counts by " + d.keyText(k)
					break
				}
			}
			name := d.p.attributeName(a)
			at := r.name
			if i < len(r.keys.at) {
				at = r.keys.at[i]
			}
			d.atPart(Note, at, name, "", name+" comes from the body: nginx, Caddy do not send it; there rule "+quote(r.rule.name)+" "+there)
		}
	}
}
