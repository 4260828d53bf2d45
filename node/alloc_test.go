//go:build !race

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// A check allocates nothing once its line is there, whether it is decided here or forwarded. (Under the race detector sync.Pool
// drops things at random.)
func TestChecksAllocateNothing(t *testing.T) {
	a := startOne(t, "a")
	b := startOne(t, "b", a.seed())
	agree(t, a, b)
	l := limit(t, "1000000/1h")
	r := transport.Request{}
	for _, holder := range []string{"a", "b"} {
		for i := range 100 {
			key := fmt.Sprint("key", i)
			if d := ask(a, 1, key, l); d.Holder == holder {
				r.Checks = append(r.Checks[:0], transport.Check{Key: []byte(key), Limits: []transport.Limit{l}, Hits: 1})
				break
			}
		}
		n := testing.AllocsPerRun(500, func() {
			r.Deadline = time.Now().Add(5 * time.Second)
			a.Check(&r)
		})
		// Gossip and timers of two nodes go on beside it.
		if n > 1 {
			t.Errorf("a check held by %s, asked at a: %v allocations", holder, n)
		}
		if d := r.Decisions[0]; !d.Allowed || d.Holder != holder {
			t.Fatalf("%+v", d)
		}
	}
}
