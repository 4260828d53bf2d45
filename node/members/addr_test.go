package members

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAdvertised(t *testing.T) {
	ips := func(s ...string) (list []netip.Addr) {
		for _, a := range s {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	for _, c := range []struct {
		bind, advertise string
		local           []netip.Addr
		want            string // "": an error
	}{
		{"127.0.0.1", "", nil, "127.0.0.1"},
		{"192.0.2.7", "", nil, "192.0.2.7"},
		{"127.0.0.1", "10.1.2.3", nil, "10.1.2.3"},
		{"0.0.0.0", "10.1.2.3", nil, "10.1.2.3"},
		{"0.0.0.0", "", ips("127.0.0.1", "203.0.113.9", "fd00::1", "172.17.0.2", "10.0.0.1"), "172.17.0.2"},
		{"::", "", ips("::1", "fd00::1"), "fd00::1"},
		{"::", "", ips("fd00::1", "10.0.0.1"), "10.0.0.1"},
		{"0.0.0.0", "", ips("127.0.0.1", "203.0.113.9", "fd00::1"), ""}, // IPv4 only, and none is private
		{"0.0.0.0", "0.0.0.0", ips("10.0.0.1"), ""},
		{"0.0.0.0", "no such host.invalid", nil, ""},
	} {
		got, err := advertised(netip.MustParseAddr(c.bind), c.advertise, c.local)
		if c.want == "" {
			if err == nil || !strings.HasPrefix(err.Error(), "cannot ") {
				t.Errorf("bind %s, advertise %q: %v, %v, want an error", c.bind, c.advertise, got, err)
			}
		} else if err != nil || got.String() != c.want {
			t.Errorf("bind %s, advertise %q: %v, %v, want %s", c.bind, c.advertise, got, err, c.want)
		}
	}
}

func TestIsSelf(t *testing.T) {
	for _, c := range []struct {
		bind, addr, call string
		want             bool
	}{
		{"127.0.0.1", "127.0.0.1:7072", "127.0.0.1:7072", true},
		{"127.0.0.1", "127.0.0.1:7072", "[::1]:7072", true},
		{"127.0.0.1", "127.0.0.1:7072", "127.0.0.1:7172", false},
		{"127.0.0.1", "127.0.0.1:7072", "127.0.0.2:7072", false}, // another node may well listen there
		{"127.0.0.1", "10.0.0.1:7072", "10.0.0.1:7072", true},
		{"0.0.0.0", "10.0.0.1:7072", "10.0.0.1:7072", true},
		{"0.0.0.0", "10.0.0.1:7072", "10.0.0.9:7072", true}, // its other interface
		{"0.0.0.0", "10.0.0.1:7072", "127.0.0.1:7072", true},
		{"0.0.0.0", "10.0.0.1:7072", "10.0.0.2:7072", false},
		{"10.0.0.1", "10.0.0.1:7072", "10.0.0.9:7072", false},
	} {
		m := &Members{bind: netip.MustParseAddr(c.bind), addr: netip.MustParseAddrPort(c.addr), local: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}
		if got := m.isSelf(netip.MustParseAddrPort(c.call)); got != c.want {
			t.Errorf("bound to %s, known as %s: a call to %s reaches itself: %v", c.bind, c.addr, c.call, got)
		}
	}
}

func TestSplitSeed(t *testing.T) {
	for _, c := range []struct {
		text, host string
		port       uint16
	}{
		{"10.0.0.1:7172", "10.0.0.1", 7172}, {"10.0.0.1", "10.0.0.1", 7072}, {"n0", "n0", 7072}, {"n0.stint:7172", "n0.stint", 7172},
		{"[::1]:7172", "::1", 7172}, {"::1", "::1", 7072},
		{"", "", 0}, {":7072", "", 0}, {"n0:", "", 0}, {"n0:0", "", 0}, {"n0:70720", "", 0}, {"n0:gossip", "", 0}, {"a:b:c", "", 0},
	} {
		host, port, err := splitSeed(c.text, 7072)
		if (err != nil) != (c.host == "") || host != c.host || port != c.port {
			t.Errorf("%q: %q %d %v, want %q %d", c.text, host, port, err, c.host, c.port)
		}
	}
}

func TestBadConfig(t *testing.T) {
	good := Config{Name: "n0", StartID: 1, BindAddr: "127.0.0.1"}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Name = "" }, "a name has 1 to 64"},
		{func(c *Config) { c.Name = "-n0" }, "a name has 1 to 64"},
		{func(c *Config) { c.Name = "n 0" }, "a name has 1 to 64"},
		{func(c *Config) { c.Name = strings.Repeat("n", 65) }, "a name has 1 to 64"},
		{func(c *Config) { c.StartID = 0 }, "start ID"},
		{func(c *Config) { c.Constants = strings.Repeat("x", maxConstants+1) }, "ring constants"},
		{func(c *Config) { c.Version = "a\nb" }, "version"},
		{func(c *Config) { c.Seeds = make([]string, maxSeeds+1) }, "65 seeds"},
		{func(c *Config) { c.Seeds = []string{"n0:x"} }, "HOST:PORT"},
		{func(c *Config) { c.BindAddr = "no such host.invalid" }, "cannot gossip on"},
		{func(c *Config) { c.BindAddr = "192.0.2.1" }, "cannot gossip on 192.0.2.1"},
		{func(c *Config) { c.AdvertiseAddr = "0.0.0.0" }, "cannot advertise"},
	} {
		cfg := good
		c.change(&cfg)
		m, err := New(cfg)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
