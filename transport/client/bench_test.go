package client

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/httpserver"
	"github.com/stint-limiter/stint/transport/native"
)

// yes allows everything at no cost: what is measured is the way there and back.
type yes struct{ deny *atomic.Bool }

func (y yes) Check(r *transport.Request) {
	if cap(r.Decisions) < len(r.Checks) {
		r.Decisions = make([]transport.Decision, len(r.Checks))
	}
	r.Decisions = r.Decisions[:len(r.Checks)]
	no := y.deny.Load()
	for i := range r.Checks {
		d := &r.Decisions[i]
		*d = transport.Decision{Outcome: bucket.Outcome{Allowed: !no}}
		d.Limit, d.Remaining, d.Reset = 100, 99, time.Minute
		if no {
			d.Retry = time.Minute
		}
	}
}

type server struct {
	addr string
	deny atomic.Bool
}

// serveYes is a real server with the native door, until the test ends.
func serveYes(t testing.TB) *server {
	t.Helper()
	ln := listen(t)
	s := &server{addr: ln.Addr().String()}
	h := httpserver.New(httpserver.Config{Routes: map[string]fasthttp.RequestHandler{
		native.Path: native.New(native.Config{Checker: yes{&s.deny}}).Handle,
	}})
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Log(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

const (
	callers   = 64
	benchKeys = 1000
)

var benchKey = func() (keys [benchKeys]string) {
	for i := range keys {
		keys[i] = fmt.Sprintf("account:%06d", i)
	}
	return keys
}()

// each has 64 callers do b.N checks, and reports the rate and the CPU of the process: callers, client and server together.
func each(b *testing.B, caller func(i int) (check func(n int) error, end func())) {
	b.Helper()
	b.ReportAllocs()
	var wg sync.WaitGroup
	began, before := time.Now(), cpu()
	b.ResetTimer()
	for i := range callers {
		check, end := caller(i)
		wg.Go(func() {
			defer end()
			for n := i; n < b.N; n += callers {
				if err := check(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "checks/s")
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/check")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkClient is 64 goroutines on one client, over loopback.
func BenchmarkClient(b *testing.B) {
	for _, conns := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			s := serveYes(b)
			clientCallers(b, []string{s.addr}, conns)
		})
	}
}

func clientCallers(b *testing.B, addrs []string, conns int) {
	b.Helper()
	c, err := New(Config{Addrs: addrs, Conns: conns, Timeout: 10 * time.Second, Attempt: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	each(b, func(int) (func(int) error, func()) {
		return func(n int) error {
			_, err := c.Allow(ctx, benchKey[n%benchKeys], "1000000000/1h")
			return err
		}, func() {}
	})
	st := c.Stats()
	b.ReportMetric(float64(st.Checks)/float64(max(st.Requests, 1)), "checks/request")
}

// BenchmarkOnePerRequest is the same with one check per HTTP request and a connection for each goroutine: with this package's own
// connections, which is the least that it can cost, and with the clients that people use. They encode by hand as the client does, and look for one word in the answer.
func BenchmarkOnePerRequest(b *testing.B) {
	for _, with := range []string{"raw", "fasthttp", "nethttp"} {
		b.Run(with, func(b *testing.B) {
			s := serveYes(b)
			oneCallers(b, []string{s.addr}, with)
		})
	}
}

func oneCallers(b *testing.B, addrs []string, with string) {
	b.Helper()
	limits, err := transport.NewLimitCache().Limits([][]byte{[]byte("1000000000/1h")})
	if err != nil {
		b.Fatal(err)
	}
	body := func(to []byte, n int) []byte {
		to = append(to, "\x81\xa6checks\x91"...)
		to, _, _ = appendCheck(to, []byte(benchKey[n%benchKeys]), limits, 1, 0, false)
		return to
	}
	good := func(answer []byte) error {
		if !strings.Contains(string(answer[:min(len(answer), 64)]), "allowed\xc3") {
			return fmt.Errorf("answered %q", answer)
		}
		return nil
	}
	fast := &fasthttp.Client{MaxConnsPerHost: callers}
	slow := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer slow.CloseIdleConnections()
	defer fast.CloseIdleConnections()
	each(b, func(i int) (func(int) error, func()) {
		addr := addrs[i%len(addrs)]
		var buf []byte
		switch with {
		case "fasthttp":
			var req fasthttp.Request
			var resp fasthttp.Response
			req.SetRequestURI("http://" + addr + "/v1/check")
			req.Header.SetMethod("POST")
			return func(n int) error {
				buf = body(buf[:0], n)
				req.SetBodyRaw(buf)
				if err := fast.Do(&req, &resp); err != nil {
					return err
				}
				return good(resp.Body())
			}, func() {}
		case "nethttp":
			var answer [512]byte
			return func(n int) error {
				buf = body(buf[:0], n)
				resp, err := slow.Post("http://"+addr+"/v1/check", "application/msgpack", strings.NewReader(string(buf)))
				if err != nil {
					return err
				}
				n, _ = resp.Body.Read(answer[:])
				for err == nil {
					_, err = resp.Body.Read(answer[500:])
				}
				resp.Body.Close()
				return good(answer[:n])
			}, func() {}
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		k := &link{conn: conn, br: bufio.NewReader(conn)}
		until := time.Now().Add(time.Minute)
		return func(n int) error {
			buf = append(buf[:0], "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 0000000\r\n\r\n"...)
			head := len(buf)
			buf = body(buf, n)
			for at, left := head-5, len(buf)-head; left > 0; at, left = at-1, left/10 {
				buf[at] = byte('0' + left%10)
			}
			r, err := k.exchange(buf, 1<<12, until, 0)
			if err != nil {
				return err
			}
			return good(r.body)
		}, k.close
	})
}

// TestClientOnARealCluster asks three real nodes from 64 goroutines, and counts what was admitted, to the hit; then one of them is killed.
func TestClientOnARealCluster(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("real processes, and a comparison: not under the race detector, and not with -short")
	}
	dir, err := os.MkdirTemp("", "stint-client-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	binary, err := proc.BuildStint(ctx, dir)
	if err != nil {
		t.Skipf("no binary to ask: %v", err)
	}
	g, err := proc.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	cl, err := g.StartCluster(ctx, proc.ClusterConfig{Binary: binary, Nodes: 3})
	if err != nil {
		t.Skipf("no cluster to ask: %v", err)
	}
	c, err := New(Config{Addrs: cl.Checks(), Conns: 3, Timeout: 10 * time.Second, Attempt: 10 * time.Second, DeniedCache: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// 64 goroutines hit 20 keys, 100 times each, of which each key has room for 250.
	var admitted [20]atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := range 100 {
				key := (i + n) % len(admitted)
				d, err := c.Allow(ctx, fmt.Sprint("exact", key), "250/1h")
				if err != nil {
					t.Errorf("%+v, %v", d, err)
				} else if d.Allowed {
					admitted[key].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for i := range admitted {
		if n := admitted[i].Load(); n != 250 {
			t.Errorf("key %d: %d admitted of 250", i, n)
		}
	}
	// One node dies. Each call has an answer that says what it is, and soon all of them are decided.
	cl.Nodes[1].Kill()
	for good := 0; good < 300; good++ {
		d, err := c.Allow(ctx, fmt.Sprint("after", good), "1000/1h")
		if (err != nil) != (d.Via == transport.ViaUnavailable) || !d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
		if err != nil {
			good = 0
		}
	}
	if s := c.Stats(); s.Skipped == 0 {
		t.Errorf("%+v", s)
	}
}

// BenchmarkCluster is both on three real nodes, in turn.
func BenchmarkCluster(b *testing.B) {
	dir := b.TempDir()
	binary, err := proc.BuildStint(b.Context(), dir)
	if err != nil {
		b.Skipf("no binary to ask: %v", err)
	}
	g, err := proc.NewGroup()
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	cl, err := g.StartCluster(b.Context(), proc.ClusterConfig{Binary: binary, Nodes: 3})
	if err != nil {
		b.Skipf("no cluster to ask: %v", err)
	}
	for round := range 3 {
		b.Run(fmt.Sprintf("one/%d", round), func(b *testing.B) { oneCallers(b, cl.Checks(), "raw") })
		b.Run(fmt.Sprintf("client/%d", round), func(b *testing.B) { clientCallers(b, cl.Checks(), 1) })
		b.Run(fmt.Sprintf("client3/%d", round), func(b *testing.B) { clientCallers(b, cl.Checks(), 3) })
	}
}
