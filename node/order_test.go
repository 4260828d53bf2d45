package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
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
			first, lines := f.Seq, a.sent[p].Len()
			a.sendFlip("nobody", f)
			if a.sent[p].Len() != lines {
				t.Errorf("partition %d: sent %d lines, then %d", p, lines, a.sent[p].Len())
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

// Checks on one key in one request take effect in order, also while their partition is frozen and thawed under them.
func TestOrderWhileGatesMove(t *testing.T) {
	a := startOne(t, "a")
	b := startOne(t, "b", a.seed())
	settled(t, a, b)
	l := limit(t, "1000000/1h")
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			for _, n := range []*one{a, b} {
				for k := range 8 {
					part := n.table.Partition(n.hasher.Key(fmt.Append(nil, "key", k)).Partition(ring.Partitions))
					if epoch, gate := part.Epoch(); gate == bucket.Open {
						part.SetState(bucket.Frozen, epoch)
						n.turns.Add(1)
						time.Sleep(200 * time.Microsecond)
						part.SetState(bucket.Open, epoch)
						n.turns.Add(1)
					}
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	last := map[int]uint32{}
	for range 150 {
		r := transport.Request{Deadline: time.Now().Add(5 * stall * time.Second)}
		for i := range 32 {
			r.Checks = append(r.Checks, transport.Check{Key: fmt.Append(nil, "key", i%8), Limits: []transport.Limit{l}, Hits: 1})
		}
		a.Check(&r)
		for i, d := range r.Decisions {
			if was, ok := last[i%8]; d.Via != transport.ViaHolder || ok && d.Remaining >= was {
				t.Fatalf("check %d: %d remaining via %v after %d", i, d.Remaining, d.Via, was)
			}
			last[i%8] = d.Remaining
		}
	}
}
