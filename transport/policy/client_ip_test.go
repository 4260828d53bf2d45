package policy

import (
	"net/netip"
	"strings"
	"testing"
)

func TestClientIP(t *testing.T) {
	trusted := append([]netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, privateRanges...)
	c := clientIP{trusted: trusted, headers: []string{"X-Real-Ip", "X-Forwarded-For"}, ipv6Prefix: 64}
	for _, x := range []struct{ name, peer, headers, want string }{
		{"no header", "192.0.2.1", "", "192.0.2.1"},
		{"a peer that is no proxy", "192.0.2.1", "X-Forwarded-For: 198.51.100.1", "192.0.2.1"},
		{"one proxy", "10.0.0.1", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"},
		{"the client's own header in front", "10.0.0.1", "X-Forwarded-For: 1.2.3.4, 198.51.100.1", "198.51.100.1"},
		{"two proxies", "10.0.0.1", "X-Forwarded-For: 1.2.3.4, 198.51.100.1, 203.0.113.9", "198.51.100.1"},
		{"two headers are one list", "10.0.0.1", "X-Forwarded-For: 1.2.3.4|X-Forwarded-For: 198.51.100.1, 203.0.113.9", "198.51.100.1"},
		{"garbage ends the walk", "10.0.0.1", "X-Forwarded-For: 198.51.100.1, unknown, 203.0.113.9", "203.0.113.9"},
		{"only garbage", "10.0.0.1", "X-Forwarded-For: unknown", "10.0.0.1"},
		{"all trusted", "10.0.0.1", "X-Forwarded-For: 10.0.0.7, 203.0.113.9", "10.0.0.7"},
		{"empty entries", "10.0.0.1", "X-Forwarded-For: 198.51.100.1, , ", "198.51.100.1"},
		{"an empty header is none", "10.0.0.1", "X-Real-Ip: |X-Forwarded-For: 198.51.100.1", "198.51.100.1"},
		{"the first header that is there", "10.0.0.1", "X-Forwarded-For: 198.51.100.1|X-Real-Ip: 198.51.100.2", "198.51.100.2"},
		{"and no other, wherever it ends", "10.0.0.1", "X-Forwarded-For: 198.51.100.1|X-Real-Ip: 10.0.0.5", "10.0.0.5"},
		{"ports", "10.0.0.1", "X-Forwarded-For: 198.51.100.1:4711", "198.51.100.1"},
		{"IPv6", "::1", "X-Forwarded-For: 2001:db8::1", "2001:db8::1"},
		{"IPv6 with port and zone", "fe80::1%eth0", "X-Forwarded-For: [2001:db8::1%eth0]:80", "2001:db8::1"},
		{"IPv4 in IPv6", "::ffff:10.0.0.1", "X-Forwarded-For: ::ffff:198.51.100.1", "198.51.100.1"},
		{"link-local peer", "169.254.1.1", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"},
		{"a bad port", "10.0.0.1", "X-Forwarded-For: 198.51.100.1:http", "10.0.0.1"},
		{"leading zeros", "10.0.0.1", "X-Forwarded-For: 198.51.100.001", "10.0.0.1"},
	} {
		r := ask(t, "GET /", "from "+x.peer)
		if x.headers != "" {
			r = ask(t, "GET /", append(strings.Split(x.headers, "|"), "from "+x.peer)...)
		}
		if got := c.address(r).String(); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	if c.address(&Request{Header: ask(t, "GET /", "X-Forwarded-For: 198.51.100.1").Header}).IsValid() {
		t.Error("a header from nobody was believed")
	}
}

func TestNetwork(t *testing.T) {
	for _, x := range []struct {
		bits     int
		ip, want string
	}{
		{64, "192.0.2.1", "192.0.2.1"}, {64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"}, {56, "2001:db8:1:2ff::1", "2001:db8:1:200::/56"},
		{128, "2001:db8::1", "2001:db8::1"}, {0, "2001:db8::1", "::/0"}, {0, "192.0.2.1", "192.0.2.1"},
	} {
		c := clientIP{ipv6Prefix: x.bits}
		if got := string(appendNetwork(nil, c.network(netip.MustParseAddr(x.ip)))); got != x.want {
			t.Errorf("%s by /%d: %s, want %s", x.ip, x.bits, got, x.want)
		}
	}
}

func TestClientIPAllocatesNothing(t *testing.T) {
	c := clientIP{trusted: privateRanges, headers: []string{"X-Forwarded-For"}, ipv6Prefix: 64}
	lines := []string{"1.2.3.4, 198.51.100.1:80, [fd00::1]:9"}
	r := &Request{Peer: netip.MustParseAddr("10.0.0.1"), Header: func(string) []string { return lines }}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = appendNetwork(buf[:0], c.network(c.address(r))) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if string(buf) != "198.51.100.1" {
		t.Errorf("%s", buf)
	}
}

// Whatever is in the header, the client is our peer, or one that somebody trusted named: all entries to the right of it
// are trusted.
func FuzzClientIP(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4, 10.0.0.1", "[::1]:80,,x", "::ffff:1.2.3.4%z", ",", "[", "[]:", "1.2.3.4:"} {
		f.Add(s, "10.0.0.2")
	}
	c := clientIP{trusted: privateRanges, headers: []string{"X-Forwarded-For"}}
	f.Fuzz(func(t *testing.T, one, two string) {
		r := &Request{Peer: netip.MustParseAddr("10.0.0.1"), Header: func(string) []string { return []string{one, two} }}
		ip := c.address(r)
		if !ip.IsValid() || ip.Zone() != "" || ip.Is4In6() {
			t.Fatalf("%q, %q: %v", one, two, ip)
		}
		if ip == r.Peer {
			return
		}
		entries := strings.Split(one+","+two, ",")
		for i := len(entries) - 1; ; i-- {
			if i < 0 {
				t.Fatalf("%q, %q: %v is nowhere", one, two, ip)
			}
			e := strings.Trim(entries[i], " \t")
			if a := parseAddr(e); a == ip {
				return
			} else if e != "" && !c.trusts(a) {
				t.Fatalf("%q, %q: %v stands left of %q", one, two, ip, e)
			}
		}
	})
}
