package node

import (
	"strings"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport/peer"
)

// Hello is what a node says to its peers before the first batch: what both must agree on to mean the same by a
// partition and by a line.
func Hello(h bucket.Hasher) peer.Hello {
	hello := peer.Hello{Partitions: ring.Partitions, HashKey: h.Fingerprint()}
	for _, word := range strings.Fields(ring.Constants()) {
		name, value, _ := strings.Cut(word, "=")
		if name != "partitions" {
			hello.Constants = append(hello.Constants, peer.Constant{Name: name, Value: value})
		}
	}
	return hello
}
