package policy

import (
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Who calls: the sections client_ip and attributes.

var clientIPFields = []field[*clientIP]{
	{"trusted_proxies", readTrusted},
	{"headers", readClientHeaders},
	{"ipv6_prefix", readIPv6Prefix},
}

func readClientIP(d *decoder, p *Policy, key, val *yaml.Node) {
	seen := fields(d, val, "client_ip", clientIPFields, &p.clientIP)
	if h := seen["headers"]; h != nil && seen["trusted_proxies"] == nil {
		d.at(Warning, h, "trusted_proxies: [private]", "headers are read only if they come from trusted_proxies, and there are none")
	}
}

func readTrusted(d *decoder, c *clientIP, key, val *yaml.Node) {
	d.trustAt = key
	for _, n := range d.items(val, "trusted_proxies") {
		s, ok := d.text(n, "trusted_proxies")
		if !ok {
			continue
		}
		if s == "private" {
			c.trusted = append(c.trusted, privateRanges...)
			continue
		}
		prefix, ok := parseNetwork(s)
		if !ok {
			hint := didYouMean(s, []string{"private"})
			d.errorf(n, hint, "trusted_proxies: %s is not an address, a CIDR or private", quote(s))
			continue
		}
		if prefix.Bits() == 0 {
			d.at(Warning, n, "", "everyone is a trusted proxy: every caller can choose its own address")
		}
		c.trusted = append(c.trusted, prefix)
	}
}

// parseNetwork reads an address or a CIDR. IPv4 in IPv6 becomes IPv4, as the addresses of callers do.
func parseNetwork(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

func readClientHeaders(d *decoder, c *clientIP, key, val *yaml.Node) {
	c.headers = nil
	for _, n := range d.items(val, "headers") {
		if s, ok := d.text(n, "headers"); ok && d.headerName(n) {
			c.headers = append(c.headers, canonicalHeader(s))
		}
	}
}

func readIPv6Prefix(d *decoder, c *clientIP, key, val *yaml.Node) {
	s, ok := d.text(val, "ipv6_prefix")
	if !ok {
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s, "/"))
	if err != nil || n < 0 || n > 128 {
		d.errorf(val, "64 is what one customer usually gets", "ipv6_prefix %s: it is a whole number from 0 to 128", quote(s))
		return
	}
	c.ipv6Prefix = n
}

// headerName checks the name of a header.
func (d *decoder) headerName(n *yaml.Node) bool {
	what := "header name " + quote(n.Value) + ": "
	if n.Value == "" {
		d.errorf(n, "", "%sit is empty", what)
		return false
	}
	for i, r := range n.Value {
		switch {
		case r > ' ' && r < 0x7f && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r):
		case r == ' ':
			d.fault(n, what, fault{i, 1, "a space is not allowed in a header name", ""})
			return false
		default:
			d.fault(n, what, fault{i, len(string(r)), quote(string(r)) + " is not allowed in a header name", ""})
			return false
		}
	}
	return true
}

func readAttributes(d *decoder, p *Policy, key, val *yaml.Node) {
	if val.Kind != yaml.MappingNode {
		d.errorf(val, "user: { header: X-User-Id }", "attributes is a map of names and sources")
		return
	}
	d.entries(val, "attributes", "attribute ", func(name, from *yaml.Node) {
		if !d.attributeName(name) {
			return
		}
		a := attribute{name: name.Value}
		if isNull(from) {
			d.errorf(name, "", "attribute %s has no source", quote(a.name))
		} else {
			for _, n := range d.items(from, "attribute "+quote(a.name)) {
				if s, ok := d.source(n, a.name); ok {
					a.sources = append(a.sources, s)
				}
			}
			if from.Kind == yaml.SequenceNode && len(from.Content) == 0 {
				d.errorf(name, "", "attribute %s has no source", quote(a.name))
			}
		}
		p.attributes = append(p.attributes, a)
		d.attributeAt = append(d.attributeAt, name)
		d.used = append(d.used, false)
	})
}

func (d *decoder) attributeName(n *yaml.Node) bool {
	const most = 32
	s := n.Value
	switch s {
	case "ip":
		d.errorf(n, "", `"ip" is the client's address and cannot be redefined; see client_ip`)
		return false
	case "method", "path", "host":
		d.errorf(n, "call it something else", "%s is what the native API calls the request's %s, and cannot be an attribute", quote(s), s)
		return false
	}
	ok := s != "" && len(s) <= most && (s[0] >= 'a' && s[0] <= 'z')
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		d.errorf(n, "", "attribute %s: a name is lower-case letters, digits, _ and -, begins with a letter, and has at most %d", quote(s), most)
	}
	return ok
}

// sourceKinds are the words for where an attribute comes from, by sourceKind.
var sourceKinds = []string{fromHeader: "header", fromBearer: "bearer", fromQuery: "query", fromCookie: "cookie", fromPath: "path", fromJSON: "json", fromForm: "form"}

// sourceFlags are the other fields of a source.
var sourceFlags = []string{"secret", "lower"}

// source reads `{ header: X-User-Id, lower: true }`.
func (d *decoder) source(n *yaml.Node, of string) (s source, ok bool) {
	what := "attribute " + quote(of) + ": "
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "{ header: X-User-Id }", "%sa source is a map of: %s", what, strings.Join(append(sourceKinds, sourceFlags...), ", "))
		return s, false
	}
	var from, secret *yaml.Node
	d.entries(n, "a source", "", func(key, val *yaml.Node) {
		switch key.Value {
		case "secret":
			secret = val
			d.flag(val, "secret", &s.secret)
			return
		case "lower":
			d.flag(val, "lower", &s.lower)
			return
		}
		for k, word := range sourceKinds {
			if word != key.Value {
				continue
			}
			if from != nil {
				d.errorf(key, "[{ "+from.Value+": ... }, { "+word+": ... }]", "%s and %s together: use a list, the first present wins", from.Value, word)
				return
			}
			from = key
			s.kind = sourceKind(k)
			s.name, ok = d.text(val, word)
			ok = ok && d.sourceName(&s, val)
			return
		}
		hint := didYouMean(key.Value, append(sourceKinds, sourceFlags...))
		if hint == "" {
			hint = "known: " + strings.Join(append(sourceKinds, sourceFlags...), ", ")
		}
		d.errorf(key, hint, "%sunknown source %s", what, quote(key.Value))
		from = key // so that nothing is said to be missing as well
	})
	if from == nil {
		d.errorf(n, "{ header: X-User-Id }", "%sit has no source", what)
		return s, false
	}
	if ok && (s.kind == fromBearer || s.kind == fromCookie) {
		if secret != nil && !s.secret {
			d.errorf(secret, "", "%sa %s is always secret", what, sourceKinds[s.kind])
		}
		s.secret = true
	}
	return s, ok
}

// sourceName checks the name of a header, a parameter, a wildcard.
func (d *decoder) sourceName(s *source, n *yaml.Node) bool {
	switch {
	case s.name == "":
		d.errorf(n, "", "%s: the name is empty", sourceKinds[s.kind])
		return false
	case s.kind == fromHeader || s.kind == fromBearer:
		s.name = canonicalHeader(s.name)
		return d.headerName(n)
	case s.kind == fromPath && strings.ContainsAny(s.name, "{}/."):
		d.errorf(n, "path: "+strings.Trim(s.name, "{}/."), "path: %s is not the name of a wildcard", quote(s.name))
		return false
	}
	return true
}
