package policy

import (
	"net/netip"
	"strings"
)

// The client's address, by Caddy's strict rule: from the right, skipping those we trust. A proxy appends the address of
// whom it spoke to, so an entry is as good as the proxy that wrote it, which is the one to its right; the rightmost was
// written by our peer. The first entry that is not of a trusted proxy is the client. Anything further left it
// could have made up itself.
//
//   - A peer that is no trusted proxy is the client, whatever headers it sends.
//   - Of the configured headers the first that is there counts; one sent several times is one list.
//   - Garbage ends the walk: the last address that was good is the client. So does the end of the list: a call from inside,
//     where every address is a trusted one, is counted by the one furthest out.
//   - Entries may have a port, brackets and a zone; an IPv4 address in IPv6 clothes is that IPv4 address. Empty ones
//     are skipped, as RFC 9110 (5.6.1) has it.

// privateRanges is what `private` stands for: the addresses that no packet from the Internet comes from. The same list as
// Caddy's private_ranges, and link-local.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fc00::/7"),
}

// address returns the client's address, not yet cut to ipv6_prefix. It is not valid if the door did not know its peer:
// a header from nobody is worth nothing.
func (c *clientIP) address(r *Request) netip.Addr {
	ip := plainAddr(r.Peer)
	if !ip.IsValid() || !c.trusts(ip) || r.Header == nil {
		return ip
	}
	for _, name := range c.headers {
		lines := r.Header(name)
		found := false
		for i := len(lines) - 1; i >= 0; i-- {
			for rest := lines[i]; rest != ""; {
				var entry string
				if j := strings.LastIndexByte(rest, ','); j >= 0 {
					rest, entry = rest[:j], rest[j+1:]
				} else {
					rest, entry = "", rest
				}
				if entry = strings.Trim(entry, " \t"); entry == "" {
					continue
				}
				found = true
				next := parseAddr(entry)
				if !next.IsValid() {
					return ip
				}
				if ip = next; !c.trusts(ip) {
					return ip
				}
			}
		}
		if found {
			break
		}
	}
	return ip
}

func (c *clientIP) trusts(ip netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// network is what an address is counted as: itself, or for IPv6 its first ipv6_prefix bits, since one caller has a whole
// /64 to choose from.
func (c *clientIP) network(ip netip.Addr) netip.Prefix {
	bits := ip.BitLen()
	if ip.Is6() {
		bits = min(bits, max(c.ipv6Prefix, 0))
	}
	p, _ := ip.Prefix(bits) // fails only for addresses that are not valid, and those with a zone
	return p
}

// appendNetwork writes 192.0.2.1, 2001:db8::1 (ipv6_prefix 128) or 2001:db8:0:7::/64.
func appendNetwork(dst []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(dst)
	}
	return p.AppendTo(dst)
}

// parseAddr reads an address as proxies write them, with or without port, brackets and zone.
func parseAddr(s string) netip.Addr {
	if len(s) > len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%abcdefghijklmnop]:65535") {
		return netip.Addr{}
	}
	if s != "" && s[0] == '[' {
		i := strings.IndexByte(s, ']')
		if i < 0 || i+1 < len(s) && !isPort(s[i+1:]) {
			return netip.Addr{}
		}
		s = s[1:i]
	} else if i := strings.IndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i+1:], ':') < 0 {
		if !isPort(s[i:]) {
			return netip.Addr{}
		}
		s = s[:i]
	}
	if i := strings.IndexByte(s, '%'); i >= 0 {
		s = s[:i]
	}
	if s == "" || strings.IndexByte("0123456789abcdefABCDEF:", s[0]) < 0 {
		return netip.Addr{} // most garbage: ParseAddr would allocate an error for it
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(ip)
}

func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if c-'0' >= 10 {
			return false
		}
	}
	return true
}

func plainAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
