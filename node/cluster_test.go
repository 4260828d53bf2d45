package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// A probe that memberlist has under way at the end goes on for up to a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// one is a node in this process, with gossip and peers on loopback.
type one struct {
	*Node
	gossip *members.Members
	server *peer.Server
	ln     net.Listener
	links  *links
	dead   bool
}

// lively members tell each other news quickly, but are as slow as ever to take one that stalls for dead: a test machine may be
// busy with other things for a second.
var lively = members.Timing{
	GossipInterval: 20 * time.Millisecond, Rejoin: 200 * time.Millisecond, FirstRejoin: 50 * time.Millisecond,
	Debounce: 5 * time.Millisecond, Reclaim: 100 * time.Millisecond,
}

// patient are timers for machines that stall: several nodes share this one, maybe with other tests.
var patient = hold.Patience(4 * stall)

var lastStart atomic.Uint64

func startOne(t testing.TB, name string, seeds ...string) *one {
	t.Helper()
	return startAt(t, name, "127.0.0.1:0", 0, seeds...)
}

// restart kills a node and starts it anew, where it was.
func (o *one) restart(t testing.TB, seeds ...string) *one {
	t.Helper()
	o.kill()
	return startAt(t, o.Name(), o.ln.Addr().String(), o.gossip.Addr().Port(), seeds...)
}

func startAt(t testing.TB, name, peers string, gossip uint16, seeds ...string) *one {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("STINT_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", name)
	}
	ln, err := net.Listen("tcp", peers)
	if err != nil {
		t.Fatal(err)
	}
	start := lastStart.Add(1)
	hello := Hello(bucket.NewHasher(nil))
	self := peer.Member{Name: name, StartID: start}
	g, err := members.New(members.Config{
		Name: name, StartID: start, BindAddr: "127.0.0.1", BindPort: gossip, PeerPort: uint16(ln.Addr().(*net.TCPAddr).Port),
		Seeds: seeds, Constants: ring.Constants(), Timing: lively, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	links := &links{cut: map[string]bool{}}
	var server atomic.Pointer[peer.Server]
	n, err := New(Config{
		Name: name, StartID: start, Gossip: g, Log: log, MaxLines: 100_000, Hasher: bucket.NewHasher(nil), Timers: patient, NoLeases: !*simLease,
		Pipe: func(c peer.PipeConfig) (*peer.Pipe, error) {
			c.Self, c.Hello, c.Log, c.Dial = self, hello, log, links.dial
			return peer.NewPipe(c)
		},
		Disconnect: func() {
			if s := server.Load(); s != nil {
				s.Disconnect()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := peer.NewServer(peer.ServerConfig{Self: self, Decider: n, Mail: n.Mail, Hello: hello, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server.Store(s)
	o := &one{Node: n, gossip: g, server: s, ln: ln, links: links}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(ln)
	}()
	t.Cleanup(func() {
		o.kill()
		<-served
	})
	return o
}

// kill stops the node without a goodbye.
func (o *one) kill() {
	if o.dead {
		return
	}
	o.dead = true
	o.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	o.server.Shutdown(ctx)
}

func (o *one) seed() string { return o.gossip.Addr().String() }

// agree waits until all serve and have one ring of exactly these members.
func agree(t testing.TB, nodes ...*one) {
	t.Helper()
	eventually(t, "one ring, all serving", func() bool {
		for _, n := range nodes {
			r := n.Ring()
			if !n.Ready() || r == nil || len(r.Names()) != len(nodes) {
				return false
			}
			for _, m := range n.gossip.View().Members {
				if m.Live() && (m.RingID != uint64(r.ID()) || !m.Serving) {
					return false
				}
			}
		}
		return true
	})
}

// eventually polls: what is waited for happens in other goroutines and shows by no one signal.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * stall * time.Second); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func three(t *testing.T) [3]*one {
	t.Helper()
	a := startOne(t, "a")
	b := startOne(t, "b", a.seed())
	c := startOne(t, "c", a.seed())
	agree(t, a, b, c)
	return [3]*one{a, b, c}
}

func limit(t testing.TB, text string) transport.Limit {
	t.Helper()
	l, err := bucket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return transport.NewLimit("", transport.Inline, l)
}

// ask asks a node for hits on a key, with seconds of time: the machine may be busy.
func ask(n *one, hits int64, key string, limits ...transport.Limit) transport.Decision {
	r := transport.Request{
		Checks:   []transport.Check{{Key: []byte(key), Limits: limits, Hits: hits}},
		Deadline: time.Now().Add(5 * stall * time.Second),
	}
	n.Check(&r)
	return r.Decisions[0]
}

func TestOneNode(t *testing.T) {
	a := startOne(t, "a")
	agree(t, a)
	l := limit(t, "3/1h")
	for i, want := range []bool{true, true, true, false, false} {
		if d := ask(a, 1, "k", l); d.Allowed != want || d.Via != transport.ViaHolder || d.Holder != "a" {
			t.Errorf("hit %d: %+v, want allowed %v by a", i, d, want)
		}
	}
}

func TestExactFromAllNodes(t *testing.T) {
	nodes := three(t)
	const keys, count = 40, 25
	l := limit(t, fmt.Sprintf("%d/1h", count))
	var admitted [keys]atomic.Int64
	var wg sync.WaitGroup
	for _, n := range nodes {
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := transport.Request{}
				for range 3 {
					r.Checks = r.Checks[:0]
					for k := range keys {
						r.Checks = append(r.Checks, transport.Check{Key: fmt.Append(nil, "key", k), Limits: []transport.Limit{l}, Hits: 1})
					}
					r.Deadline = time.Now().Add(10 * time.Second)
					n.Check(&r)
					for k, d := range r.Decisions {
						if d.Via != transport.ViaHolder && (d.Via != transport.ViaDeniedCache || d.Allowed) {
							t.Errorf("key %d: via %v", k, d.Via)
						} else if d.Allowed {
							admitted[k].Add(1)
						}
					}
				}
			}()
		}
	}
	wg.Wait()
	for k := range admitted {
		if got := admitted[k].Load(); got != count {
			t.Errorf("key %d: %d admitted, want %d", k, got, count)
		}
	}
}

// What a node is told by a holder far away is what the holder itself would say.
func TestForwardedLikeLocal(t *testing.T) {
	nodes := three(t)
	limits := []transport.Limit{limit(t, "10/1h"), limit(t, "5/1h token_bucket burst=7"), limit(t, "1000/1d fixed_window")}
	for k := range 30 {
		key := fmt.Sprint("key", k)
		at := func(i int) *one { return nodes[i%3] }
		if d := ask(at(k), 0, key, limits...); !d.Allowed || d.Remaining != 7 || d.By != 1 {
			t.Fatalf("%s: a peek at a fresh key: %+v", key, d)
		}
		d := ask(at(k+1), 4, key, limits...)
		if !d.Allowed || d.Remaining != 3 || d.Limit != 7 {
			t.Fatalf("%s: 4 hits: %+v", key, d)
		}
		receipt := d.Receipt
		if d = ask(at(k+2), 4, key, limits...); d.Allowed || d.By != 1 || d.Retry <= 0 {
			t.Fatalf("%s: 4 more: %+v", key, d)
		}
		r := transport.Request{Deadline: time.Now().Add(5 * time.Second), Checks: []transport.Check{
			{Key: []byte(key), Limits: limits, Hits: -4, Receipt: receipt},
			{Key: []byte(key), Limits: limits, Hits: 0, Each: true},
		}}
		at(k).Check(&r)
		if d := r.Decisions[1]; !d.Allowed || d.Remaining != 7 || len(d.Each) != 3 || d.Each[0].Remaining != 10 || d.Each[2].Remaining != 1000 {
			t.Fatalf("%s: after giving back, in the same request: %+v", key, d)
		}
		if d := ask(at(k+1), 8, key, limits...); d.Allowed || !d.Never {
			t.Fatalf("%s: more than the burst: %+v", key, d)
		}
	}
}

// A node without anybody to ask answers by failure_mode when the deadline comes, and not before.
func TestNobodyCanDecide(t *testing.T) {
	a := startOne(t, "a", "127.0.0.1:1") // a seed that is not there: it stays starting
	l := limit(t, "3/1h")
	for mode, want := range map[transport.Mode]bool{transport.ByDefault: true, transport.Allow: true, transport.Deny: false} {
		r := transport.Request{Deadline: time.Now().Add(30 * time.Millisecond),
			Checks: []transport.Check{{Key: []byte("k"), Limits: []transport.Limit{l}, Hits: 1, Unavailable: mode}}}
		a.Check(&r)
		if d := r.Decisions[0]; d.Allowed != want || d.Via != transport.ViaUnavailable || d.By != -1 {
			t.Errorf("mode %v: %+v", mode, d)
		}
		if time.Now().Before(r.Deadline) {
			t.Errorf("mode %v: answered before the deadline", mode)
		}
	}
	if got := a.Stats().Decisions[transport.ViaUnavailable]; got != [2]uint64{1, 2} {
		t.Errorf("counted %v, want 1 denied and 2 allowed", got)
	}
}

func TestExplain(t *testing.T) {
	nodes := three(t)
	l := limit(t, "10/1m")
	ask(nodes[0], 3, "k", l)
	for _, n := range nodes {
		var e Explanation
		eventually(t, n.Name()+" knows who has the copy", func() bool {
			e = n.Explain([]byte("k"), []transport.Check{{Limits: []transport.Limit{l}}})
			return e.Backup != ""
		})
		if e.Holder == "" || e.Holder != e.Home || e.Backup == e.Holder || e.Here != (n.Name() == e.Holder) {
			t.Errorf("%s: %+v", n.Name(), e)
		}
		if e.Here != (e.State == "held") || e.Pending {
			t.Errorf("%s: %+v", n.Name(), e)
		}
		if len(e.Limits) != 1 || e.Limits[0].Spent != 3 || e.Limits[0].Remaining != 7 || !e.Limits[0].Allowed {
			t.Errorf("%s: %+v", n.Name(), e.Limits)
		}
	}
}
