package policy

import (
	"slices"
	"strings"

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
func (p *Policy) madeUp(a int) bool {
	if a == ipAttribute {
		return false
	}
	for _, s := range p.attributes[a].sources {
		if s.kind != fromHeader || s.secret || slices.Contains(callersHeaders, s.name) {
			return true
		}
	}
	return false
}

// callersHeaders are headers that no gateway sets to say who calls: the caller writes them, or a part of them.
var callersHeaders = []string{"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cookie", "Forwarded", "Origin", "Referer", "User-Agent", "X-Forwarded-For"}

// inClear warns of headers that are secrets and not said to be: their values would be in keys, explanations and logs.
func (d *decoder) inClear() {
	for i, a := range d.p.attributes {
		for _, s := range a.sources {
			if s.kind == fromHeader && !s.secret && slices.Contains(secretHeaders, s.name) {
				hint := "{ header: " + s.name + ", secret: true }"
				if s.name == "Authorization" {
					hint = "{ bearer: Authorization }"
				}
				d.at(Warning, d.attributeAt[i], hint, "%s is a secret, and would be written out wherever its key is", s.name)
			}
		}
	}
}

var secretHeaders = []string{"Api-Key", "Authorization", "Cookie", "Proxy-Authorization", "X-Access-Token", "X-Api-Key", "X-Api-Token", "X-Auth-Token", "X-Session-Token"}

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
				if !d.p.madeUp(a) || slices.Contains(told, a) || d.heldBy(r.rule, k) {
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
	return slices.DeleteFunc(slices.Clone(k), d.p.madeUp)
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

// keysTogether warns where a rule's requests are counted by too many keys if all attributes are present: then every rule
// takes the first of its keys. One such rule is told of, for others mostly are the same ones seen from the other side.
func (d *decoder) keysTogether() {
	ids, all := make([]string, len(d.p.rules)), map[string]bool{}
	for i, r := range d.p.rules {
		if len(r.keys) > 0 {
			ids[i] = d.keyText(r.keys[0])
			all[ids[i]] = true
		}
	}
	if len(all) <= MaxKeys {
		return
	}
	for i, r := range d.p.rules {
		var met []string
		for j, other := range d.p.rules {
			if ids[j] != "" && !slices.Contains(met, ids[j]) && covers(other, r) {
				met = append(met, ids[j])
			}
		}
		if len(met) > MaxKeys {
			d.at(Warning, d.ruleAt[i].name, "", "requests of rule %s may be counted by %d keys, with all rules that match them: %s; the most is %d, and the rest does not count",
				quote(r.name), len(met), strings.Join(met, ", "), MaxKeys)
			return
		}
	}
}
