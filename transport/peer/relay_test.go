package peer

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer/peernet"
)

// A relayer relays to the holder over a pipe of its own, as a node does, and decides plain asks itself.
type relayer struct {
	*counters
	to      *Pipe
	batches int
	seen    []Entry
}

func (r *relayer) Relay(_ bucket.Instant, batch []RelayItem) {
	r.batches++
	c := GetCall(len(batch))
	defer c.Put()
	for i, x := range batch {
		r.seen = append(r.seen, *x.Entry)
		a := &c.Asks[i]
		a.Partition, a.Epoch, a.Wants, a.Hits, a.Receipt, a.Each = x.Partition, x.Epoch, x.Entry.Wants, x.Hits, x.Receipt, x.Each
		a.Deadline = time.Now().Add(x.Left)
		a.Outcome.Each = x.Allowed.Each
		r.to.Send(a)
	}
	c.Wait()
	for i, x := range batch {
		a := &c.Asks[i]
		x.Code, x.Via, x.HoldEpoch, x.Holder = a.Code, a.Via, a.HoldEpoch, a.Holder
		if a.Code == Decided && a.Outcome.Allowed {
			x.Granted, x.Allowed = 1, a.Outcome
		} else {
			x.Denied = a.Outcome
		}
	}
}

// A chain is n0 with a pipe to n1, which relays to n2, the holder.
func newChain(t *testing.T) (first, second *mailPair, holder *counters, r *relayer) {
	t.Helper()
	n2 := Member{"n2", 300}
	mem := peernet.New(rand.New(rand.NewPCG(1, 1)))
	holder = newCounters()
	join := func(from, to Member, d Decider) *mailPair {
		x := &mailPair{mem: mem, pair: &pair{t: t}}
		p, err := NewPipe(PipeConfig{Self: from, Peer: to, Addr: to.Name + ":1", Hello: hello, Dial: mem.Dialer(from.Name), Attempt: Attempt, Total: Attempt})
		if err != nil {
			t.Fatal(err)
		}
		x.pipe = p
		s, err := NewServer(ServerConfig{Self: to, Decider: d, Hello: hello})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := mem.Listen(to.Name + ":1")
		if err != nil {
			t.Fatal(err)
		}
		x.server, x.served = s, make(chan error, 1)
		go func() { x.served <- s.Serve(ln) }()
		return x
	}
	second = join(n1, n2, holder)
	r = &relayer{counters: newCounters(), to: second.pipe}
	first = join(n0, n1, r)
	return first, second, holder, r
}

func TestAnAskIsRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, holder, r := newChain(t)
		first.pipe.relayLane()
		synctest.Wait() // the lane is idle: one that is only beginning would take the first few asks alone
		c := GetCall(12)
		for i := range c.Asks {
			a := fill(c, i, uint64(i), int64(1+i%2), want(uint64(i), 1), want(uint64(i), 5))
			a.Wants[1].ID.Line++
			a.Through, a.Epoch = true, 5
			if i%3 == 0 {
				a.Each, a.Outcome.Each = true, c.States(2)
			}
			if i == 7 {
				a.Through = false // for n1 itself
			}
			first.pipe.Send(a)
		}
		c.Wait()
		for i := range c.Asks {
			a := &c.Asks[i]
			if a.Code != Decided || a.Outcome.Allowed != (i%2 == 0) || a.HoldEpoch != 6 {
				t.Errorf("ask %d: %+v", i, a)
			}
			if e := a.Outcome.Each; i%3 == 0 && (len(e) != 2 || e[0].Limit != 1 || e[1].Limit != 5 || e[1].Current != uint64((i+1)%2)) {
				t.Errorf("ask %d: states %+v", i, a.Outcome.Each)
			}
			if at := holder.total(uint64(i)); at != int64((i+1)%2) {
				t.Errorf("key %d: %d spent at the holder", i, at)
			}
		}
		// Once for the batch, and never for what the relay itself sends.
		if r.batches != 1 || len(r.seen) != 11 || second.server.Stats().Relayed.Load() != 0 || first.server.Stats().Relayed.Load() != 11 {
			t.Errorf("relayed %d entries in %d batches", len(r.seen), r.batches)
		}
		for _, e := range r.seen {
			if !e.Through || e.Epoch != 5 || e.Left < 9*time.Second {
				t.Errorf("%+v", e)
			}
		}
		c.Put()
		first.close()
		second.close()
	})
}

// A holder that hangs makes its relay late. That must not hold up what the relay decides itself, nor make it look dead.
func TestALateRelayIsNotTheRelaysFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, holder, _ := newChain(t)
		hang := make(chan struct{})
		holder.before = func(*Entry) { <-hang }
		relayed := GetCall(1)
		a := fill(relayed, 0, 7, 1, want(7, 10))
		a.Through = true
		began := time.Now()
		first.pipe.Send(a)
		relayed.Post()
		synctest.Wait()
		if own := ask(t, first.pipe, 8, 1, 10); own.Code != Decided || time.Since(began) != 0 {
			t.Errorf("code %d after %v", own.Code, time.Since(began))
		}
		relayed.Wait()
		// The relay gives up in time to say so.
		if a.Code != Failed || time.Since(began) != Attempt+lookTime {
			t.Errorf("code %d after %v", a.Code, time.Since(began))
		}
		relayed.Put()
		close(hang)
		first.close()
		second.close()
	})
	synctest.Test(t, func(t *testing.T) {
		first, second, _, r := newChain(t)
		hang := make(chan struct{})
		r.to.Close()
		rel := &slowRelay{r, hang}
		first.server.cfg.Decider = rel
		c := GetCall(1)
		a := fill(c, 0, 7, 1, want(7, 10))
		a.Through = true
		began := time.Now()
		first.pipe.Send(a)
		c.Wait()
		if a.Code != Failed || time.Since(began) != 2*Attempt+lookTime || !first.pipe.Healthy() {
			t.Errorf("code %d after %v, healthy %v", a.Code, time.Since(began), first.pipe.Healthy())
		}
		c.Put()
		close(hang)
		first.close()
		second.close()
	})
}

type slowRelay struct {
	*relayer
	hang chan struct{}
}

func (r *slowRelay) Relay(now bucket.Instant, batch []RelayItem) { <-r.hang }

// Two that relay through each other do not wait for each other: what a relay sends is no ask to be relayed.
func TestAMemberThatRelaysNothingSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		c := GetCall(1)
		a := fill(c, 0, 7, -1, want(7, 10))
		a.Through = true
		x.pipe.Send(a)
		c.Wait()
		if a.Code != Unsent || d.total(7) != 0 {
			t.Errorf("code %d, %d spent", a.Code, d.total(7))
		}
		c.Put()
	})
}

func TestWhatAnEntrySaysOfItsAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		var seen []Entry
		d.before = func(e *Entry) { seen = append(seen, *e) }
		x := newPair(t, d, nil)
		defer x.close()
		c := GetCall(4)
		for i := range c.Asks {
			a := fill(c, i, 7, 1, want(7, 10))
			a.Failed, a.OnSplit = i%2 == 1, transport.OnSplit(i)
			x.pipe.Send(a)
		}
		c.Wait()
		for i, e := range seen {
			if e.Failed != (i%2 == 1) || e.OnSplit != transport.OnSplit(i) || e.Through {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		if len(seen) != 4 {
			t.Errorf("%d entries", len(seen))
		}
		c.Put()
		// A call that is used again says nothing of before.
		c = GetCall(4)
		for i := range c.Asks {
			if a := &c.Asks[i]; a.Failed || a.Through || a.OnSplit != 0 {
				t.Errorf("%+v", a)
			}
		}
		c.Put()
	})
}

// A pipe is made with the lane for relays only where it is used, and Close ends that lane, too.
func TestTheLaneOfRelaysBeginsWithTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPair(t, newCounters(), nil)
		ask(t, x.pipe, 7, 1, 10)
		if x.pipe.through.Load() != nil {
			t.Error("a lane that nobody needs")
		}
		c := GetCall(2)
		a := fill(c, 0, 7, 1, want(7, 10))
		a.Through = true
		x.pipe.Send(a)
		c.Wait()
		if x.pipe.through.Load() == nil {
			t.Error("no lane")
		}
		x.close()
		x.pipe.Send(a)
		if c.Wait(); a.Code != Unsent {
			t.Errorf("code %d after Close", a.Code)
		}
		c.Put()
	})
	synctest.Test(t, func(t *testing.T) {
		x := newPair(t, newCounters(), nil)
		x.close()
		c := GetCall(1)
		a := fill(c, 0, 7, 1, want(7, 10))
		a.Through = true
		x.pipe.Send(a)
		if c.Wait(); a.Code != Unsent || x.pipe.through.Load() != nil {
			t.Errorf("code %d after Close", a.Code)
		}
		c.Put()
	})
}
