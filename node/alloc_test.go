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

// Nor does one that is answered from a loan, or from a remembered denial.
func TestPurseAllocatesNothing(t *testing.T) {
	a := startOne(t, "a")
	b := startOne(t, "b", a.seed())
	agree(t, a, b)
	key := []byte("key0")
	for i := 1; ask(a, 0, string(key), limit(t, "5/1h")).Holder == "a"; i++ {
		key = fmt.Append(nil, "key", i)
	}
	for _, c := range []struct {
		limit string
		via   transport.Via
	}{{"4000000000/1h", transport.ViaLease}, {"1/1h", transport.ViaDeniedCache}} {
		r := transport.Request{Checks: []transport.Check{{Key: key, Limits: []transport.Limit{limit(t, c.limit)}, Hits: 1}}}
		before := a.Stats().Decisions[c.via]
		n := 1.0
		for try := 0; try < 10 && n > 0; try++ { // two nodes that have just met are busy beside it, for a while
			n = testing.AllocsPerRun(50_000, func() {
				r.Deadline = time.Now().Add(5 * time.Second)
				a.Check(&r)
			})
		}
		after := a.Stats().Decisions[c.via]
		if n > 0 {
			t.Errorf("%s: %v allocations", c.limit, n)
		}
		if told := after[0] + after[1] - before[0] - before[1]; told < 25_000 {
			t.Errorf("%s: only %d checks of 50,000 were answered by %v", c.limit, told, c.via)
		}
	}
}
