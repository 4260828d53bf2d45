package node

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// A handoff that is sent again brings the same count as before, also where that is 0: the receiver may have gone on from the first, and what it
// says of its changes must not look old to who believes to have more.
func TestHandoffSentAgainIsTheSame(t *testing.T) {
	a := startOne(t, "a")
	agree(t, a)
	l := limit(t, "5/1h")
	ask(a, 1, "k", l)
	for _, p := range []int{a.hasher.Key([]byte("k")).Partition(ring.Partitions), 0} {
		done := make(chan [3]uint64)
		a.told.do(func() {
			f := &hold.Flip{Part: hold.Part(p)}
			a.sendFlip("nobody", f)
			first, lines := f.Seq, a.out[p].sent.Len()
			a.sendFlip("nobody", f)
			if a.out[p].sent.Len() != lines {
				t.Errorf("partition %d: sent %d lines, then %d", p, lines, a.out[p].sent.Len())
			}
			next := &hold.Flip{Part: hold.Part(p)} // a later handoff brings what the first did not
			a.sendFlip("nobody", next)
			done <- [3]uint64{first, f.Seq, next.Seq}
		})
		if got := <-done; got[0] != got[1] || got[2] <= got[0] {
			t.Errorf("partition %d: counts %v, want the same twice, then a higher one", p, got)
		}
	}
}

// Checks on one key in one request take effect in order, also while the way of their partition opens and closes under them.
func TestOrderWhileRoutesChange(t *testing.T) {
	a := startOne(t, "a")
	agree(t, a)
	l := limit(t, "1000000/1h")
	key := []byte("k")
	p := a.hasher.Key(key).Partition(ring.Partitions)
	here := a.routes[p].Load()
	wait := &route{way: hold.Wait}
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			next := here
			if i%2 == 0 {
				next = wait
			}
			a.turns.Add(1)
			a.routes[p].Store(next)
			a.turns.Add(1)
			select {
			case <-stop:
				a.routes[p].Store(here)
				return
			default:
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	last := uint32(1000001)
	for range 40 {
		r := transport.Request{Deadline: time.Now().Add(5 * stall * time.Second)}
		for range 1000 {
			r.Checks = append(r.Checks, transport.Check{Key: key, Limits: []transport.Limit{l}, Hits: 1})
		}
		a.Check(&r)
		for i, d := range r.Decisions {
			if d.Via != transport.ViaHolder || d.Remaining >= last {
				t.Fatalf("check %d: %d remaining via %v after %d", i, d.Remaining, d.Via, last)
			}
			last = d.Remaining
		}
	}
}
