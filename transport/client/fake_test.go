package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
	"github.com/stint-limiter/stint/transport/native"
)

func TestMain(m *testing.M) {
	// The second of those below begins with the first answer that anybody writes: not within a synctest bubble.
	var first fasthttp.Response
	if err := first.Write(bufio.NewWriter(io.Discard)); err != nil {
		panic(err)
	}
	// fasthttp's own: one sees only seconds later that its server has stopped, the other writes the Date header for ever.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// A network in memory. Connections are net.Pipes, which have deadlines and block in ways that synctest understands; requests are
// handled by the native door itself.
type network struct {
	wg sync.WaitGroup

	mu    sync.Mutex // protects following
	nodes map[string]*fake
	conns map[net.Conn]bool
}

// A fake is a node that counts in the dumbest way.
type fake struct {
	nw      *network
	addr    string
	counter *doortest.Counter
	door    *native.Door

	mu     sync.Mutex // protects following
	refuse bool       // connections
	silent bool       // connections are never made
	dials  int
	probes int
	bodies [][]byte                                         // of requests, but for probes
	before func(request int)                                // called before a request is handled, counted from 1
	handle func(request int, ctx *fasthttp.RequestCtx) bool // instead of the door, if it returns true
	after  func(request int) (hangUp bool)                  // called when it has been handled, before it is answered
}

// probeKey is in the body of every probe.
const probeKey = "stint-client-probe"

func newNetwork(addrs ...string) *network {
	nw := &network{nodes: map[string]*fake{}, conns: map[net.Conn]bool{}}
	counter := doortest.New()
	for _, addr := range addrs {
		f := &fake{nw: nw, addr: addr, counter: counter} // one cluster: what is spent at one node is spent
		f.door = native.New(native.Config{Checker: counter})
		nw.nodes[addr] = f
	}
	return nw
}

func (nw *network) dial(ctx context.Context, addr string) (net.Conn, error) {
	nw.mu.Lock()
	f := nw.nodes[addr]
	nw.mu.Unlock()
	if f == nil {
		return nil, errors.New("no such host")
	}
	f.mu.Lock()
	f.dials++
	refuse, silent := f.refuse, f.silent
	f.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if refuse {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	here, there := net.Pipe()
	nw.mu.Lock()
	nw.conns[there] = true
	nw.mu.Unlock()
	nw.wg.Go(func() { f.serve(there) })
	return here, nil
}

// close hangs up on everybody, and waits until all handlers are done.
func (nw *network) close() {
	nw.cut()
	nw.wg.Wait()
}

func (nw *network) cut() {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	for c := range nw.conns {
		c.Close()
		delete(nw.conns, c)
	}
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	br, bw := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		if err := ctx.Request.ReadLimitBody(br, transport.MaxRequest); err != nil {
			return
		}
		f.mu.Lock()
		probe := contains(ctx.Request.Body(), probeKey)
		if probe {
			f.probes++
		} else {
			f.bodies = append(f.bodies, append([]byte(nil), ctx.Request.Body()...))
		}
		n, before, handle, after := len(f.bodies), f.before, f.handle, f.after
		f.mu.Unlock()
		if before != nil && !probe {
			before(n)
		}
		if handle == nil || !handle(n, &ctx) {
			f.door.Handle(&ctx)
		}
		if after != nil && !probe && after(n) {
			return
		}
		if ctx.Response.Write(bw) != nil || bw.Flush() != nil || ctx.Response.ConnectionClose() {
			return
		}
	}
}

func contains(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if string(b[i:i+len(s)]) == s {
			return true
		}
	}
	return false
}

// set changes a node.
func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// requests is how many the node has been sent, probes aside.
func (f *fake) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.bodies)
}

// seen is how many connections and probes the node has been sent.
func (f *fake) seen() (dials, probes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials, f.probes
}

// spent is what a key has spent under a limit, over all nodes.
func (nw *network) spent(key, limit string) int64 {
	for _, f := range nw.nodes {
		l, err := transport.NewLimitCache().Limits([][]byte{[]byte(limit)})
		if err != nil {
			panic(err)
		}
		return f.counter.Spent[doortest.Line{Key: key, Scope: l[0].Scope}]
	}
	return 0
}

// made returns a client of the network, its first node at home.
func made(t testing.TB, nw *network, cfg Config) *Client {
	t.Helper()
	cfg.Dial = nw.dial
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range c.lanes {
		l.mu.Lock()
		l.home = i % len(c.nodes)
		l.mu.Unlock()
	}
	return c
}

// allowed and denied ask for one hit and want this answer, and no error.
func allowed(t testing.TB, c *Client, key string, limits ...string) Decision {
	t.Helper()
	d, err := c.Allow(context.Background(), key, limits...)
	if err != nil || !d.Allowed {
		t.Errorf("%s under %s: %+v, %v", key, limits, d, err)
	}
	return d
}

func denied(t testing.TB, c *Client, key string, limits ...string) Decision {
	t.Helper()
	d, err := c.Allow(context.Background(), key, limits...)
	if err != nil || d.Allowed {
		t.Errorf("%s under %s: %+v, %v", key, limits, d, err)
	}
	return d
}

// within bounds how long f takes, in fake time.
func within(t testing.TB, least, most time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took < least || took > most {
		t.Errorf("took %v, not %v to %v", took, least, most)
	}
}
