package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport/peer"
	"github.com/stint-limiter/stint/transport/peer/peernet"
)

// A sim is a cluster of whole nodes in one synctest bubble: real gossip over members.MemNet, real pipes and servers over
// peernet, in fake time. What happens to it, and when, comes from a seed. The goroutines' order does not: synctest has no
// deterministic scheduler, so a seed replays the schedule, and often enough the outcome, but not each interleaving.
type sim struct {
	t     *testing.T
	class string
	seed  uint64
	rng   *rand.Rand // the schedule's
	begin time.Time
	trace simTrace

	gossip members.MemNet
	peers  *peernet.Net
	hasher bucket.Hasher
	book   *ledger

	data     string // a directory for snapshots
	noLeases bool
	patience map[string]float64 // what nodes say of their timers; by name
	hot      bool               // keys with large limits that are asked for all the time
	names    []string           // of hosts 0, 1…: members at first, then joiners
	first    int                // how many are members at first
	acts     []act
	beside   sync.WaitGroup // what must end before the bubble may

	mu     sync.Mutex // protects following
	up     map[string]*simNode
	ever   []*simNode            // all that were ever started
	down   map[string]bool       // silent hosts: gossip neither reaches nor leaves them
	cut    map[[2]string]bool    // from, to
	hosts  map[netip.Addr]string // names by address
	apart  int                   // parts that it is split into
	faulty int
	starts uint64 // start IDs given out
}

// simDelay is the least that a packet takes one way; the most is ten times that.
const simDelay = 100 * time.Microsecond

// A simNode is one run of a member.
type simNode struct {
	*Node
	name    string
	start   uint64
	members *members.Members
	server  *peer.Server
	dead    atomic.Bool // crashed: what it says from here on nobody hears
	leaving atomic.Bool
	paused  atomic.Bool
	pauses  atomic.Int64
}

func newSim(t *testing.T, class string, seed uint64, hot bool) *sim {
	s := &sim{t: t, class: class, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), begin: time.Now(), hasher: bucket.NewHasher(nil),
		up: map[string]*simNode{}, down: map[string]bool{}, cut: map[[2]string]bool{}, hosts: map[netip.Addr]string{}}
	s.first = []int{3, 3, 4, 5}[s.rng.IntN(4)]
	for i := range s.first + 2 {
		s.names = append(s.names, string(rune('a'+i)))
	}
	s.peers = peernet.New(rand.New(rand.NewPCG(seed, 2)))
	s.peers.SetDelay(simDelay, 10*simDelay)
	texts := simLimits
	if s.hot = hot; hot {
		texts = simHotLimits
	}
	s.book = newLedger(s.hasher, simKeys, texts)
	s.gossip.Link(func(from, to netip.AddrPort) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		a, b := s.hosts[from.Addr()], s.hosts[to.Addr()]
		return !s.down[a] && !s.down[b] && !s.cut[[2]string{a, b}]
	})
	return s
}

// now is the time since the sim began.
func (s *sim) now() time.Duration { return time.Since(s.begin) }

func (s *sim) logf(format string, args ...any) { s.trace.printf(s.now(), format, args...) }

// addr is where a host is; ip its name in the peer network.
func (s *sim) addr(name string) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + slices.Index(s.names, name))})
}

func (s *sim) ip(name string) string { return s.addr(name).String() }

// start starts a node that calls all hosts, in a new run of that name.
func (s *sim) start(name string, first bool) *simNode {
	ip := s.addr(name)
	s.mu.Lock()
	s.starts++
	start := s.starts
	s.hosts[ip] = name
	delete(s.down, name)
	s.mu.Unlock()
	s.logf("start %s, start ID %d", name, start)
	log := slog.New(slog.NewTextHandler(&simWriter{s, name}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: withoutTime}))
	var seeds []string
	for _, other := range s.names {
		seeds = append(seeds, netip.AddrPortFrom(s.addr(other), 7072).String())
	}
	transport, err := s.gossip.Listen(netip.AddrPortFrom(ip, 7072))
	s.must(err)
	ln, err := s.peers.Listen(netip.AddrPortFrom(ip, 7071).String())
	s.must(err)
	g, err := members.New(members.Config{Name: name, StartID: start, PeerPort: 7071, DataPort: 7070, Seeds: seeds,
		Constants: ring.Constants(), HashKey: s.hasher.Fingerprint(), Patience: s.patience[name], Log: log, Transport: transport})
	s.must(err)
	self, hello, dial := peer.Member{Name: name, StartID: start}, Hello(s.hasher), s.peers.Dialer(s.ip(name))
	var server atomic.Pointer[peer.Server]
	n, err := New(Config{
		Name: name, StartID: start, Gossip: g, First: first, Hasher: s.hasher, MaxLines: 100_000, Log: log, NoLeases: s.noLeases, Data: s.data,
		Pipe: func(c peer.PipeConfig) (*peer.Pipe, error) {
			c.Self, c.Hello, c.Log, c.Dial = self, hello, log, dial
			return peer.NewPipe(c)
		},
		Disconnect: func() {
			if s := server.Load(); s != nil {
				s.Disconnect()
			}
		},
	})
	s.must(err)
	srv, err := peer.NewServer(peer.ServerConfig{Self: self, Decider: n, Mail: n.Mail, Hello: hello, Log: log})
	s.must(err)
	server.Store(srv)
	s.later(func() { srv.Serve(ln) })
	x := &simNode{Node: n, name: name, start: start, members: g, server: srv}
	s.mu.Lock()
	s.up[name] = x
	s.ever = append(s.ever, x)
	s.mu.Unlock()
	return x
}

func (s *sim) must(err error) {
	if err != nil {
		s.t.Fatalf("at %v: %v", s.now(), err)
	}
}

// shutdown ends the server's goroutines.
func (x *simNode) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	x.server.Shutdown(ctx)
}

// later runs what takes its time beside the schedule.
func (s *sim) later(f func()) { s.beside.Go(f) }

// crash stops a node as kill -9 does, or, silent, as pulling its plug.
func (s *sim) crash(x *simNode, silent bool) {
	x.dead.Store(true)
	s.book.fault(simFault{at: s.now(), what: "crash", name: x.name, whole: s.unsettled() != ""})
	s.logf("crash %s, silent %v, unsettled %q", x.name, silent, s.unsettled())
	s.mu.Lock()
	s.down[x.name] = true
	if s.up[x.name] == x {
		delete(s.up, x.name)
	}
	s.mu.Unlock()
	if silent {
		s.peers.Vanish(s.ip(x.name))
	} else {
		s.peers.Crash(s.ip(x.name))
	}
	x.Close()
	s.later(x.shutdown)
	s.parted()
	if !silent {
		s.mu.Lock()
		delete(s.down, x.name)
		s.mu.Unlock()
	}
}

// pause stops a node for a while as SIGSTOP does, as far as that can be done to goroutines: its loop stands still, what is sent to it
// is kept, and nobody asks it. What differs: a check that was under way in it may still be decided, as long as the last tick is young, and its gossip
// loses packets where a stopped process would read them later.
func (s *sim) pause(x *simNode, d time.Duration) {
	if x.paused.Swap(true) {
		return
	}
	x.pauses.Add(1)
	s.logf("pause %s for %v", x.name, d)
	s.book.fault(simFault{at: s.now(), what: "pause", name: x.name, back: true, whole: s.unsettled() != ""})
	s.mu.Lock()
	s.down[x.name] = true
	s.mu.Unlock()
	s.parted() // it may be the one who relayed
	s.peers.Pause(s.ip(x.name))
	x.stall(d)
	s.later(func() {
		time.Sleep(d)
		if s.get(x.name) == x { // nobody has killed it meanwhile
			s.mu.Lock()
			delete(s.down, x.name)
			s.mu.Unlock()
			s.peers.Resume(s.ip(x.name))
		}
		s.logf("%s goes on", x.name)
		s.book.fault(simFault{at: s.now(), what: "wake"})
		x.paused.Store(false)
	})
}

// leaveTime is how long a leave may take: the default of the binary.
const leaveTime = 10 * time.Second

// leave takes a node down in order, as the binary does: ready no more, then gone.
func (s *sim) leave(x *simNode) {
	if !x.leaving.Swap(true) {
		s.leaveWithin(x, leaveTime)
	}
}

// leaveWithin returns how long the leave took.
func (s *sim) leaveWithin(x *simNode, within time.Duration) time.Duration {
	s.logf("leave %s", x.name)
	if s.parts() > 1 {
		s.book.fault(simFault{at: s.now(), what: "leave of a side", name: x.name, whole: true})
	}
	x.Drain()
	began := s.now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := x.Leave(ctx)
	took := s.now() - began
	s.logf("%s has left after %v: %v", x.name, took, err)
	if x.dead.Load() {
		return took
	}
	if took >= within {
		s.book.fault(simFault{at: s.now(), what: "leave that took too long", name: x.name, whole: s.unsettled() != ""})
	}
	s.mu.Lock()
	if s.up[x.name] == x {
		delete(s.up, x.name)
	}
	s.mu.Unlock()
	x.shutdown()
	x.dead.Store(true)
	x.Close()
	s.parted()
	return took
}

// link cuts a way, for gossip and for peers.
func (s *sim) link(from, to string) {
	s.mu.Lock()
	s.cut[[2]string{from, to}] = true
	s.mu.Unlock()
	s.peers.CutOneWay(s.ip(from), s.ip(to))
}

// heal mends all ways.
func (s *sim) heal() {
	s.mu.Lock()
	cuts := len(s.cut)
	clear(s.cut)
	s.apart = 1
	s.mu.Unlock()
	if cuts > 0 {
		s.logf("heal")
		s.book.fault(simFault{at: s.now(), what: "heal"})
	}
	s.peers.Heal()
}

// works says whether two hosts can talk both ways.
func (s *sim) works(a, b string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.cut[[2]string{a, b}] && !s.cut[[2]string{b, a}]
}

// parts says into how many parts that know nothing of each other the cuts take the cluster; relays help over one hop, and only those who
// serve relay.
func (s *sim) parts() int {
	nodes := s.live()
	reach := func(a, b *simNode) bool {
		return s.works(a.name, b.name) || slices.ContainsFunc(nodes, func(r *simNode) bool {
			return r != a && r != b && !r.paused.Load() && r.Phase() != Starting && s.works(a.name, r.name) && s.works(r.name, b.name)
		})
	}
	// As many as can be found of whom none reaches another: no fewer than there are holders of one partition.
	var most func(from int, picked []*simNode) int
	most = func(from int, picked []*simNode) int {
		best := len(picked)
		for i := from; i < len(nodes); i++ {
			if !slices.ContainsFunc(picked, func(p *simNode) bool { return reach(p, nodes[i]) }) {
				best = max(best, most(i+1, append(slices.Clone(picked), nodes[i])))
			}
		}
		return best
	}
	return most(0, nil)
}

// parted notes a split that has come about: by a cut, or by the end or a pause of who relayed.
func (s *sim) parted() {
	parts := s.parts()
	s.mu.Lock()
	more := parts - max(s.apart, 1)
	s.apart = max(s.apart, parts)
	s.mu.Unlock()
	if more > 0 {
		s.logf("which is a split into %d", parts)
		s.book.fault(simFault{at: s.now(), what: "split"})
		s.book.split(more)
	}
}

// live returns the nodes that are up, by name.
func (s *sim) live() []*simNode {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*simNode
	for _, x := range s.up {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *simNode) int { return strings.Compare(a.name, b.name) })
	return list
}

// steady returns those of them that have joined and do not leave.
func (s *sim) steady() []*simNode {
	return slices.DeleteFunc(s.live(), func(x *simNode) bool { return x.leaving.Load() || x.paused.Load() || !x.Ready() })
}

// simTrace takes what happens and what the nodes log.
type simTrace struct {
	mu    sync.Mutex
	lines []string
}

func (t *simTrace) printf(at time.Duration, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("%10.3f ms  ", float64(at)/1e6)+fmt.Sprintf(format, args...))
}

type simWriter struct {
	s    *sim
	name string
}

func (w *simWriter) Write(b []byte) (int, error) {
	w.s.logf("    %s: %s", w.name, strings.TrimSpace(string(b)))
	return len(b), nil
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
