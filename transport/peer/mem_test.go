package peer

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A network in memory: one listener, whose dialer can hand out connections with faults. net.Pipe, because it has
// deadlines and blocks in ways that synctest understands.
type network struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu    sync.Mutex
	dials int
	fault func(dial int, c net.Conn) (net.Conn, error) // wraps the client's end
}

func newNetwork() *network {
	return &network{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.once.Do(func() { close(n.done) }); return nil }
func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

var errRefusedDial = errors.New("connection refused")

func (n *network) Dial(ctx context.Context, _ string) (net.Conn, error) {
	n.mu.Lock()
	n.dials++
	dial, fault := n.dials, n.fault
	n.mu.Unlock()
	client, server := net.Pipe()
	c := client
	if fault != nil {
		var err error
		if c, err = fault(dial, client); err != nil {
			return nil, err
		}
	}
	select {
	case n.conns <- server:
		return c, nil
	case <-n.done:
		return nil, errRefusedDial
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) setFault(f func(dial int, c net.Conn) (net.Conn, error)) {
	n.mu.Lock()
	n.fault = f
	n.mu.Unlock()
}

const partitions = 4093

var (
	hello = Hello{Partitions: partitions, Constants: []Constant{{"load", "1.1"}}, HashKey: 7}
	n0    = Member{"n0", 100}
	n1    = Member{"n1", 200}
)

// A pair is a pipe from n0 to n1's server over a network in memory.
type pair struct {
	t      testing.TB
	net    *network
	server *Server
	pipe   *Pipe
	served chan error
}

func newPair(t testing.TB, d Decider, change func(*PipeConfig, *ServerConfig)) *pair {
	t.Helper()
	nw := newNetwork()
	sc := ServerConfig{Self: n1, Decider: d, Hello: hello}
	pc := PipeConfig{Self: n0, Peer: n1, Addr: "n1", Hello: hello, Dial: nw.Dial, Lanes: 1}
	if change != nil {
		change(&pc, &sc)
	}
	s, err := NewServer(sc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPipe(pc)
	if err != nil {
		t.Fatal(err)
	}
	x := &pair{t: t, net: nw, server: s, pipe: p, served: make(chan error, 1)}
	go func() { x.served <- s.Serve(nw) }()
	return x
}

func (x *pair) close() {
	x.t.Helper()
	x.pipe.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := x.server.Shutdown(ctx); err != nil {
		x.t.Error(err)
	}
	if err := <-x.served; err != nil {
		x.t.Error(err)
	}
}

// want is a limit of count hits a minute on a key.
func want(key uint64, count uint32) bucket.Want {
	return bucket.Want{
		ID:    bucket.ID{Key: key, Line: 60000<<28 | 5},
		Limit: bucket.Limit{Count: count, Window: 60000},
	}
}

func fill(c *Call, i int, key uint64, hits int64, wants ...bucket.Want) *Ask {
	a := &c.Asks[i]
	a.Wants = append(c.Wants(len(wants))[:0], wants...)
	a.Partition = uint16(key % partitions)
	a.Hits, a.Each, a.Receipt, a.Epoch = hits, false, 0, 0
	a.Failed, a.Through, a.OnSplit, a.Borrow, a.Return = false, false, 0, 0, false
	a.Deadline = time.Now().Add(10 * time.Second)
	return a
}

// counters is a decider that keeps one number for each line: what was spent, ever. It is what folding and retries are
// held against.
type counters struct {
	mu     sync.Mutex
	spent  map[bucket.ID]int64
	log    []int64 // hits of the entries, in their order, times counted
	before func(e *Entry)
	after  func(e *Entry)
}

func newCounters() *counters { return &counters{spent: make(map[bucket.ID]int64)} }

// take decides one check.
func (d *counters) take(e *Entry, out *bucket.Outcome) bool {
	each := out.Each
	*out = bucket.Outcome{Allowed: true, By: -1, Each: each}
	least := int64(1 << 40)
	for i := range e.Wants {
		w := &e.Wants[i]
		limit := int64(w.Limit.Most())
		left := limit - d.spent[w.ID]
		need := e.Hits
		if need == 0 {
			need = 1
		}
		if e.Hits > limit {
			out.Never = true
		}
		if need > left && e.Hits >= 0 {
			out.Allowed = false
		}
		if left < least {
			least, out.By = left, i
		}
	}
	for i := range e.Wants {
		w := &e.Wants[i]
		if out.Allowed {
			d.spent[w.ID] = max(d.spent[w.ID]+e.Hits, 0)
		} else if w.CountDenied {
			d.spent[w.ID.Attempts()] += e.Hits
		}
		s := bucket.State{Limit: w.Limit.Most(), Current: uint64(d.spent[w.ID] + d.spent[w.ID.Attempts()])}
		s.Remaining = uint32(max(int64(w.Limit.Most())-d.spent[w.ID], 0))
		if i == out.By {
			out.State = s
			if !out.Allowed && !out.Never {
				out.Retry = time.Second
			}
		}
		if len(out.Each) > i {
			out.Each[i] = s
		}
	}
	out.Receipt = bucket.Receipt(len(e.Wants))
	return out.Allowed
}

func (d *counters) Now() bucket.Instant { return 0 }

func (d *counters) Decide(_ bucket.Instant, e *Entry, a *Answer) {
	if d.before != nil {
		d.before(e)
	}
	d.mu.Lock()
	for range e.Times {
		d.log = append(d.log, e.Hits)
	}
	a.Code, a.Via, a.HoldEpoch = Decided, transport.ViaHolder, e.Epoch+1
	denied := false
	for range e.Times {
		o := bucket.Outcome{Each: a.Allowed.Each}
		if d.take(e, &o) {
			a.Granted++
			a.Allowed = o
		} else if !denied {
			denied = true
			o.Each = append(a.Denied.Each[:0], o.Each...)
			a.Denied = o
		}
	}
	d.mu.Unlock()
	if d.after != nil {
		d.after(e)
	}
}

func (d *counters) total(key uint64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spent[want(key, 1).ID]
}
