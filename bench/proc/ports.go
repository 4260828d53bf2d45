package proc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
)

// family is how many ports a node has: checks, peers, gossip, admin, Envoy, RESP.
const family = 6

// FreePorts returns n base ports, each the first of a family of six that nobody listens on, over TCP and UDP, on
// loopback. They are below the range that the kernel hands out to clients, so that no outgoing connection takes one
// meanwhile; another program may, so start soon.
func FreePorts(n int) ([]int, error) {
	const lowest, span = 12000, 20000 // up to 32000
	var bases []int
	for try := 0; len(bases) < n && try < 1000; try++ {
		base := lowest + rand.IntN(span/10)*10
		if !slices.Contains(bases, base) && familyFree(base) {
			bases = append(bases, base)
		}
	}
	if len(bases) < n {
		return nil, fmt.Errorf("find %d free families of %d ports on loopback from %d to %d: found %d", n, family, lowest, lowest+span, len(bases))
	}
	return bases, nil
}

// FreePort returns one port that nobody listens on.
func FreePort() (int, error) {
	p, err := FreePorts(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// PortsFree reports whether StartCluster could start so many nodes from this port on.
func PortsFree(first, nodes int) bool {
	_, err := portsFrom(first, nodes)
	return err == nil
}

func familyFree(base int) bool {
	for p := base; p < base+family; p++ {
		addr := loopback(p)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return false
		}
		l.Close()
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			return false
		}
		u.Close()
	}
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
