package members

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// lookupTime bounds one look-up of a host name.
const lookupTime = 2 * time.Second

// hostAddr turns an IP address or host name into an address, IPv4 first.
func hostAddr(host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	best := addrs[0].Unmap()
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	return best, nil
}

// advertised decides what address the others are told: advertise, or the one that is bound, or where that is a
// wildcard this machine's first private address.
func advertised(bind netip.Addr, advertise string, local []netip.Addr) (netip.Addr, error) {
	if advertise != "" {
		a, err := hostAddr(advertise)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("cannot advertise %q: %w", advertise, err)
		}
		if a.IsUnspecified() {
			return netip.Addr{}, fmt.Errorf("cannot advertise %q: nobody can call a wildcard; give the address others reach this node at", advertise)
		}
		return a, nil
	}
	if !bind.IsUnspecified() {
		return bind, nil
	}
	for _, v4 := range []bool{true, false} {
		for _, a := range local {
			if a.IsPrivate() && a.Is4() == v4 && (v4 || bind.Is6()) {
				return a, nil
			}
		}
	}
	return netip.Addr{}, errors.New("cannot tell what address others reach this node at: it is bound to all of them and none is private; give one with --advertise")
}

// localAddrs returns the addresses of this machine's interfaces, in their order.
func localAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				addrs = append(addrs, ip.Unmap())
			}
		}
	}
	return addrs
}

// isSelf reports whether a call to this address would reach this very node.
func (m *Members) isSelf(a netip.AddrPort) bool {
	if a.Port() != m.addr.Port() {
		return false
	}
	ip := a.Addr()
	switch {
	case ip == m.addr.Addr() || ip == m.bind:
		return true
	case m.bind.IsUnspecified():
		return ip.IsLoopback() || slices.Contains(m.local, ip)
	}
	// "localhost" is also ::1, where a node bound to 127.0.0.1 does not listen, but nobody else is meant.
	return m.bind.IsLoopback() && m.cfg.Transport == nil && ip.Is6() && ip.IsLoopback()
}

// splitSeed splits HOST:PORT; the port may be left out where it is this node's own.
func splitSeed(s string, port uint16) (string, uint16, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), port, nil
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		if _, _, err2 := net.SplitHostPort(s + ":1"); err2 != nil || s == "" {
			return "", 0, fmt.Errorf("cannot call the seed %q: want HOST:PORT", s)
		}
		return s, port, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("cannot call the seed %q: want HOST:PORT, with the gossip port of a member", s)
	}
	return host, uint16(n), nil
}
