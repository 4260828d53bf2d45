package peer

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// raw sends bytes to a server and returns the status of its answer, and whether it hung up after.
func raw(t *testing.T, n *network, request []byte) (status int, body []byte, closed bool) {
	t.Helper()
	c, err := n.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * readTimeout))
	go c.Write(request) // the server may answer before it has read all
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return 0, nil, true
	}
	body, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, body, resp.Close
}

func post(path string, body []byte) []byte {
	b := appendHead(nil, path)
	setLength(b, path, len(body))
	return append(b, body...)
}

func batchTo(m Member, sequence uint64, asks ...*Ask) []byte {
	b := appendHeader(nil, &header{count: len(asks), cluster: hello.sum(), start: 100, target: m.StartID, sequence: sequence, name: []byte("n0")})
	for _, a := range asks {
		b = appendEntry(b, a, 50)
	}
	return b
}

func TestWhatTheServerRefuses(t *testing.T) {
	c := GetCall(2)
	defer c.Put()
	good := func() []byte { return batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10)), fill(c, 1, 8, 1, want(8, 10))) }
	secondBad := batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10)), fill(c, 1, 8, 1, want(8, 0)))
	for _, x := range []struct {
		what    string
		request []byte
		status  int
	}{
		{"a good batch", post(BatchPath, good()), 200},
		{"another path", post("/peer/v2/batch", good()), 404},
		{"a query", post(BatchPath+"?x=1", good()), 404},
		{"another method", []byte("GET " + BatchPath + " HTTP/1.1\r\nHost: x\r\n\r\n"), 405},
		{"nothing", post(BatchPath, nil), 400},
		{"a batch whose second entry is bad", post(BatchPath, secondBad), 400},
		{"a batch cut off", post(BatchPath, good()[:80]), 400},
		{"a batch too long", post(BatchPath, make([]byte, MaxBatch+macSize+1)), 413},
		{"a control message too long", post(ControlPath, make([]byte, MaxControl+1)), 413},
		{"a control message of nothing", post(ControlPath, nil), 400},
		{"a length that lies", []byte("POST " + BatchPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"), 413},
		{"a long head", []byte("POST " + BatchPath + " HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n"), 431},
		{"no HTTP", []byte("\x16\x03\x01 hello hello hello\r\n\r\n"), 400},
		{"a body that never comes", append([]byte("POST "+BatchPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"), 1), 400},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newCounters()
			p := newPair(t, d, nil)
			defer p.close()
			status, _, closed := raw(t, p.net, x.request)
			if status != x.status || closed != (status != 200) {
				t.Errorf("%s: status %d, not %d; hung up: %v", x.what, status, x.status, closed)
			}
			if spent := d.total(7); (spent == 1) != (x.status == 200) {
				t.Errorf("%s: %d spent", x.what, spent)
			}
			if st := p.server.Stats(); (st.Bad.Load() == 0) != (x.status == 200) {
				t.Errorf("%s: %d counted", x.what, st.Bad.Load())
			}
			// A bad frame does not use up a sequence, and a good one is answered after it.
			if status, _, _ := raw(t, p.net, post(BatchPath, good())); status != 200 || d.total(7) != 1 {
				t.Errorf("a good batch after %s: %d, %d spent", x.what, status, d.total(7))
			}
		})
	}
}

// The same batch twice is one decision and the same bytes, also over different connections; a replay of an older one, or of one for an
// earlier start, decides nothing.
func TestAReplayedBatchDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		c := GetCall(1)
		defer c.Put()
		one := post(BatchPath, batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10))))
		two := post(BatchPath, batchTo(n1, 2, fill(c, 0, 7, 1, want(7, 10))))
		old := post(BatchPath, batchTo(Member{"n1", n1.StartID - 1}, 3, fill(c, 0, 7, 1, want(7, 10))))
		_, first, _ := raw(t, x.net, one)
		for i := range 30 { // somebody else's, whose answers must not be remembered in the place of the first
			other := batchTo(n1, uint64(1+i), fill(c, 0, 9, 1, want(9, 100)))
			copy(other[askHead:], "m0")
			if raw(t, x.net, post(BatchPath, other)); d.total(9) != int64(1+i) {
				t.Errorf("%d spent", d.total(9))
			}
		}
		_, again, _ := raw(t, x.net, one)
		if !bytes.Equal(first, again) || d.total(7) != 1 {
			t.Errorf("answers %x and %x, %d spent", first, again, d.total(7))
		}
		raw(t, x.net, two)
		for what, request := range map[string][]byte{"an older one": one, "for an earlier start": old} {
			_, body, _ := raw(t, x.net, request)
			var h answerHeader
			if _, err := readAnswerHeader(body, &h); err != nil || h.status == statusDone || d.total(7) != 2 {
				t.Errorf("%s: status %d, %v, %d spent", what, h.status, err, d.total(7))
			}
		}
		if n := x.server.Stats().Refused.Load(); n != 2 {
			t.Errorf("%d refused", n)
		}
	})
}

// A batch that arrives while the server shuts down is not decided, also not on a connection that is still open.
func TestAStoppingServerTakesNoBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		c := GetCall(1)
		defer c.Put()
		conn, err := x.net.Dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		two := append(post(BatchPath, batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10)))), post(BatchPath, batchTo(n1, 2, fill(c, 0, 7, 1, want(7, 10))))...)
		go conn.Write(two)
		synctest.Wait()
		down := make(chan error)
		go func() { down <- x.server.Shutdown(t.Context()) }()
		synctest.Wait()
		close(hang)
		br := bufio.NewReader(conn)
		for i, status := range []int{200, 503} {
			resp, err := http.ReadResponse(br, nil)
			if err != nil || resp.StatusCode != status {
				t.Fatalf("batch %d: %v, %v", i, resp, err)
			}
			io.Copy(io.Discard, resp.Body)
		}
		if err := <-down; err != nil || d.total(7) != 1 {
			t.Errorf("%v, %d spent", err, d.total(7))
		}
		x.close()
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPair(t, newCounters(), func(_ *PipeConfig, sc *ServerConfig) { sc.MaxConns = 2 })
		defer x.close()
		var open []net.Conn
		for range 3 {
			c, err := x.net.Dial(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			open = append(open, c)
		}
		synctest.Wait()
		if n := x.server.Stats().Conns.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
		open[2].SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := open[2].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the third: %v", err)
		}
		// Who sends nothing is hung up on.
		time.Sleep(readTimeout + writeTimeout + time.Second)
		if n := x.server.Stats().Conns.Load(); n != 0 {
			t.Errorf("%d silent connections", n)
		}
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Decided {
			t.Errorf("code %d", a.Code)
		}
	})
}

// Random bytes, and good batches with random bytes in them, over TCP: the server stays, and does not grow.
func TestRandomBytesDoNoHarm(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newCounters()
	s, err := NewServer(ServerConfig{Self: n1, Decider: d, Hello: hello})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	r := rand.New(rand.NewPCG(11, 12))
	grew := spentBytes(func() {
		for i := range 300 {
			b := goodBatch(1 + r.IntN(40))
			switch i % 3 {
			case 0:
				for range 1 + r.IntN(20) {
					b[r.IntN(len(b))] = byte(r.Uint32())
				}
			case 1:
				b = b[:r.IntN(len(b))]
			}
			request := post([]string{BatchPath, ControlPath}[r.IntN(2)], b)
			if i%5 == 0 {
				request[r.IntN(len(request))] = byte(r.Uint32())
			}
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Write(request)
			c.(*net.TCPConn).CloseWrite()
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); isTimeout(err) {
				t.Errorf("request %d: its sender has closed its half, and the server goes on waiting for more", i)
			}
			c.Close()
		}
	})
	if grew > 64<<20 {
		t.Errorf("%d bytes allocated", grew)
	}
	p, err := NewPipe(PipeConfig{Self: n0, Peer: n1, Addr: ln.Addr().String(), Hello: hello, Attempt: time.Minute, Total: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(t, p, 5000, 1, 10); a.Code != Decided {
		t.Errorf("a good ask after: code %d", a.Code)
	}
	p.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	ok := PipeConfig{Self: n0, Peer: n1, Hello: hello}
	for what, change := range map[string]func(*PipeConfig){
		"no name":          func(c *PipeConfig) { c.Self.Name = "" },
		"a long name":      func(c *PipeConfig) { c.Peer.Name = strings.Repeat("x", MaxName+1) },
		"no start ID":      func(c *PipeConfig) { c.Peer.StartID = 0 },
		"no partitions":    func(c *PipeConfig) { c.Hello.Partitions = 0 },
		"a long constant":  func(c *PipeConfig) { c.Hello.Constants = []Constant{{strings.Repeat("x", 65), ""}} },
		"many constants":   func(c *PipeConfig) { c.Hello.Constants = make([]Constant, 17) },
		"many, partitions": func(c *PipeConfig) { c.Hello.Partitions = 1<<16 + 1 },
	} {
		cfg := ok
		change(&cfg)
		if _, err := NewPipe(cfg); err == nil {
			t.Errorf("%s: no error", what)
		}
		if _, err := NewServer(ServerConfig{Self: cfg.Self, Hello: cfg.Hello}); err == nil && cfg.Peer == ok.Peer {
			t.Errorf("%s: the server takes it", what)
		}
	}
}
