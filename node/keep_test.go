package node

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// spend takes three of five hits of many keys, by a node each in turn, and returns the limit.
func spend(t *testing.T, keys int, nodes ...*one) transport.Limit {
	t.Helper()
	l := limit(t, "5/1h")
	for k := range keys {
		if d := ask(nodes[k%len(nodes)], 3, fmt.Sprint("key", k), l); !d.Allowed || d.Remaining != 2 {
			t.Fatalf("key %d: 3 hits: %+v", k, d)
		}
	}
	return l
}

// remembered peeks at all keys at every node: three hits are spent, wherever they were, and nobody is asked in vain.
func remembered(t *testing.T, keys int, l transport.Limit, nodes ...*one) {
	t.Helper()
	for k := range keys {
		for _, n := range nodes {
			d := ask(n, 0, fmt.Sprint("key", k), l)
			if d.Remaining != 2 || d.Via != transport.ViaHolder && d.Via != transport.ViaClaimed {
				t.Fatalf("key %d at %s: %+v, want 2 remaining", k, n.Name(), d)
			}
		}
	}
}

// copied waits until every partition's copy is whole and of now.
func copied(t *testing.T, nodes ...*one) {
	t.Helper()
	eventually(t, "all copies whole", func() bool {
		for _, n := range nodes {
			done := make(chan bool)
			n.told.do(func() {
				n.backUp()
				for len(n.exports) > 0 {
					n.export()
				}
				pending := n.machine.Counts().Pending
				for p := range ring.Partitions {
					if n.open[p] && n.out[p].pending != 0 {
						pending++
					}
				}
				done <- pending == 0
			})
			if !<-done {
				return false
			}
		}
		return true
	})
}

// settled waits until every partition has one holder, who is its home and whom all know.
func settled(t *testing.T, nodes ...*one) {
	t.Helper()
	agree(t, nodes...)
	eventually(t, "every partition at home", func() bool {
		for p := range ring.Partitions {
			home := nodes[0].Ring().Home(p)
			for _, n := range nodes {
				rt := n.routes[p].Load()
				if rt.name != home || rt.here() != (n.Name() == home) {
					return false
				}
			}
		}
		return true
	})
}

const someKeys = 200

func TestJoinKeepsCounts(t *testing.T) {
	a := startOne(t, "a")
	agree(t, a)
	if s := a.Stats(); s.Held != ring.Partitions || s.Owned["began"] != ring.Partitions {
		t.Fatalf("alone: holds %d, %v", s.Held, s.Owned)
	}
	l := spend(t, someKeys, a)
	b := startOne(t, "b", a.seed())
	c := startOne(t, "c", b.seed())
	remembered(t, someKeys, l, a) // all the while
	settled(t, a, b, c)
	remembered(t, someKeys, l, a, b, c)
	s := b.Stats()
	if s.Owned["handed"] == 0 || s.Owned["reset"]+s.Owned["copied"] != 0 {
		t.Errorf("b was not handed its partitions: %v", s.Owned)
	}
	if held := a.Stats().Held + b.Stats().Held + c.Stats().Held; held != ring.Partitions {
		t.Errorf("three hold %d partitions together, want %d", held, ring.Partitions)
	}
}

func TestLeaveKeepsCounts(t *testing.T) {
	nodes := three(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	l := spend(t, someKeys, a, b, c)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Leave(ctx); err != nil {
		t.Error(err)
	}
	if held := b.Stats().Held; held != 0 {
		t.Errorf("b left, and holds %d", held)
	}
	remembered(t, someKeys, l, a, c)
	remembered(t, someKeys, l, b) // it still forwards what it is asked
	b.kill()
	settled(t, a, c)
	remembered(t, someKeys, l, a, c)
	for _, n := range []*one{a, c} {
		if s := n.Stats(); s.Owned["copied"]+s.Owned["reset"] != 0 {
			t.Errorf("%s claimed what it should have been handed: %v", n.Name(), s.Owned)
		}
	}
}

// The last two of a cluster leave at once: there is nobody to hand over to, and nobody waits for that.
func TestAllLeaveAtOnce(t *testing.T) {
	a := startOne(t, "a")
	b := startOne(t, "b", a.seed())
	agree(t, a, b)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan error, 2)
	for _, n := range []*one{a, b} {
		go func() { done <- n.Leave(ctx) }()
	}
	<-done
	<-done
	if ctx.Err() != nil {
		t.Error("they waited for each other")
	}
}

func TestCrashKeepsWhatWasCopied(t *testing.T) {
	nodes := three(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	settled(t, a, b, c)
	l := spend(t, someKeys, a, b, c)
	copied(t, a, b, c)
	b.kill()
	remembered(t, someKeys, l, a, c) // at once: gossip has not noticed yet
	if s, u := a.Stats(), c.Stats(); s.Owned["copied"]+u.Owned["copied"] == 0 || s.Owned["reset"]+u.Owned["reset"] != 0 {
		t.Errorf("claimed %v and %v, want copied ones and no resets", s.Owned, u.Owned)
	}
	claimed := false
	for k := range someKeys {
		claimed = claimed || ask(a, 0, fmt.Sprint("key", k), l).Via == transport.ViaClaimed
	}
	if !claimed {
		t.Error("no answer says that its partition was claimed")
	}
}

// A member that is back under its old name before anybody missed it is a crash and a join: it starts with nothing, is
// asked over a new pipe, and is given back what it had.
func TestQuickRestartKeepsCounts(t *testing.T) {
	nodes := three(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	settled(t, a, b, c)
	l := spend(t, someKeys, a, b, c)
	copied(t, a, b, c)
	b = b.restart(t, a.seed())
	remembered(t, someKeys, l, a, c)
	settled(t, a, b, c)
	remembered(t, someKeys, l, a, b, c)
	for _, n := range []*one{a, b, c} {
		if s := n.Stats(); s.Owned["reset"] != 0 {
			t.Errorf("%s: %v", n.Name(), s.Owned)
		}
	}
}

// A node whose loop stood still decides nothing until it has asked the others; they have not claimed anything, so it goes on.
func TestWakeAsksFirst(t *testing.T) {
	nodes := three(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	settled(t, a, b, c)
	l := spend(t, someKeys, a, b, c)
	copied(t, a, b, c)
	own := ""
	for k := range someKeys {
		if d := ask(b, 0, fmt.Sprint("key", k), l); d.Holder == "b" {
			own = fmt.Sprint("key", k)
		}
	}
	stopped, resume := make(chan bool), make(chan bool)
	b.told.do(func() { close(stopped); <-resume })
	goOn := sync.OnceFunc(func() { close(resume) })
	defer goOn()
	<-stopped
	eventually(t, "its last tick is old", func() bool { return !b.pulse.young(b.pulse.look()) })
	r := transport.Request{Checks: []transport.Check{{Key: []byte(own), Limits: []transport.Limit{l}, Hits: 1}}, Deadline: time.Now().Add(20 * time.Millisecond)}
	b.Check(&r)
	if d := r.Decisions[0]; d.Via != transport.ViaUnavailable {
		t.Errorf("a node that stands still decided: %+v", d)
	}
	goOn()
	remembered(t, someKeys, l, a, b, c)
	if s := b.Stats(); s.Wakes == 0 || s.Owned["reset"] != 0 {
		t.Errorf("woke %d times, %v", s.Wakes, s.Owned)
	}
}

// While a partition is frozen its checks wait, and are decided once it is thawed, whichever node they come to.
func TestFrozenChecksWait(t *testing.T) {
	a := startOne(t, "a")
	b := startOne(t, "b", a.seed())
	settled(t, a, b)
	l := limit(t, "5/1h")
	p := a.hasher.Key([]byte("k")).Partition(ring.Partitions)
	holder := map[string]*one{"a": a, "b": b}[ask(a, 1, "k", l).Holder]
	part := holder.table.Partition(p)
	epoch, _ := part.Epoch()
	part.SetState(2, epoch)
	done := make(chan transport.Decision, 2)
	for _, n := range []*one{a, b} {
		go func() { done <- ask(n, 1, "k", l) }()
	}
	eventually(t, "both wait", func() bool { return a.Stats().Retried > 0 && b.Stats().Retried > 0 })
	select {
	case d := <-done:
		t.Fatalf("decided while frozen: %+v", d)
	default:
	}
	part.SetState(1, epoch)
	x, y := <-done, <-done
	if !x.Allowed || !y.Allowed || min(x.Remaining, y.Remaining) != 2 {
		t.Errorf("%+v, %+v", x, y)
	}
}
