package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/native"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own: one looks for idle workers and sees only when it wakes, seconds later, that its server has
		// stopped; the other writes the Date header for the life of the process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// yes allows everything.
type yes struct{}

func (yes) Check(r *transport.Request) {
	r.Decisions = make([]transport.Decision, len(r.Checks))
	for i := range r.Decisions {
		r.Decisions[i].Allowed, r.Decisions[i].Limit, r.Decisions[i].Remaining = true, 10, 9
	}
}

// started serves on memory until the test ends.
func started(t *testing.T, c Config) (*Server, *fasthttputil.InmemoryListener) {
	t.Helper()
	if c.Routes == nil {
		c.Routes = map[string]fasthttp.RequestHandler{native.Path: native.New(native.Config{Checker: yes{}}).Handle}
	}
	s := New(c)
	l := fasthttputil.NewInmemoryListener()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l
}

// say sends raw bytes on a connection of its own and reads one answer.
func say(t *testing.T, l *fasthttputil.InmemoryListener, raw string) (*http.Response, string) {
	t.Helper()
	c, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	go func() { _, _ = io.WriteString(c, raw) }()
	return read(t, bufio.NewReader(c))
}

func read(t *testing.T, br *bufio.Reader) (*http.Response, string) {
	t.Helper()
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

func problem(t *testing.T, r *http.Response, body string, status int, says string) {
	t.Helper()
	var p struct {
		Status int
		Detail string
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%d %s: %v", r.StatusCode, body, err)
	}
	if r.StatusCode != status || p.Status != status || r.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(p.Detail, says) {
		t.Errorf("got %d %s %s\nwant %d, %q", r.StatusCode, r.Header.Get("Content-Type"), body, status, says)
	}
}

const good = `{"checks":[{"key":"k","limits":["10/1m"]}]}`

func post(body string) string {
	return fmt.Sprintf("POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const answer = `{"decisions":[{"allowed":true,"limit":10,"remaining":9,"reset_ms":0,"retry_ms":0,"by":"10/1m","via":"holder"}]}`

func TestServed(t *testing.T) {
	_, l := started(t, Config{})
	r, body := say(t, l, post(good))
	if r.StatusCode != 200 || body != answer || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s %s", r.StatusCode, r.Header, body)
	}
	if _, there := r.Header["Server"]; there {
		t.Errorf("tells its server: %s", r.Header)
	}

	// A connection carries many requests, one after another and at once; a bad check does not end it.
	c, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	br := bufio.NewReader(c)
	go func() { _, _ = io.WriteString(c, post(good)+post(`{"checks":[{}]}`)+post(good)) }()
	for _, want := range []int{200, 400, 200} {
		if r, body := read(t, br); r.StatusCode != want {
			t.Errorf("%d %s, want %d", r.StatusCode, body, want)
		}
	}

	// curl waits for leave to send a large body.
	go func() {
		_, _ = io.WriteString(c, fmt.Sprintf("POST /v1/check HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(good)))
	}()
	if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, good) }()
	if r, body := read(t, br); r.StatusCode != 200 || body != answer {
		t.Errorf("%d %s", r.StatusCode, body)
	}

	// Chunked, as clients do that do not know how much is to come.
	chunked := fmt.Sprintf("POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 10, good[:10], len(good)-10, good[10:])
	if r, body := say(t, l, chunked); r.StatusCode != 200 || body != answer {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

func TestRefused(t *testing.T) {
	s, l := started(t, Config{})
	r, body := say(t, l, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	problem(t, r, body, 404, `nothing is at "/"; known: /v1/check`)
	r, body = say(t, l, "GET /v1/check/x HTTP/1.1\r\nHost: x\r\n\r\n")
	problem(t, r, body, 404, `nothing is at "/v1/check/x"`)
	r, body = say(t, l, "GET /v1/check HTTP/1.1\r\nHost: x\r\n\r\n")
	problem(t, r, body, 405, "send POST")
	if r.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", r.Header.Get("Allow"))
	}

	// Too large, declared and found out; and the largest that is not.
	r, body = say(t, l, "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n{")
	problem(t, r, body, 413, "the body is over 1048576 bytes")
	r, body = say(t, l, "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{")
	problem(t, r, body, 413, "the body is over 1048576 bytes")
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<19, strings.Repeat(" ", 1<<19))
	r, body = say(t, l, "POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+chunk+chunk)
	problem(t, r, body, 413, "the body is over 1048576 bytes")
	// fasthttp tells who asks first to go on, and looks at the length only then: the refusal follows at once.
	c, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	go func() {
		_, _ = io.WriteString(c, "POST /v1/check HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
	}()
	br := bufio.NewReader(c)
	if r, _ := read(t, br); r.StatusCode == 100 {
		r, body = read(t, br)
		problem(t, r, body, 413, "the body is over 1048576 bytes")
	} else {
		t.Errorf("answered %d", r.StatusCode)
	}
	if r, body = say(t, l, post(good+strings.Repeat(" ", 1<<20-len(good)))); r.StatusCode != 200 {
		t.Errorf("1 MiB: %d %s", r.StatusCode, body)
	}

	r, body = say(t, l, "POST /v1/check HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", MaxHeader)+"\r\n\r\n")
	problem(t, r, body, 431, "the headers are over 16384 bytes")
	if r, body := say(t, l, strings.Replace(post(good), "\r\n", "\r\nX: "+strings.Repeat("x", MaxHeader-200)+"\r\n", 1)); r.StatusCode != 200 {
		t.Errorf("headers that just fit: %d %s", r.StatusCode, body)
	}
	r, body = say(t, l, "hello\r\n\r\n")
	problem(t, r, body, 400, "not an HTTP request")
	if !r.Close {
		t.Error("the connection stays open")
	}
	r, body = say(t, l, "POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	problem(t, r, body, 400, "not an HTTP request")
	if st := s.Stats(); st.NotFound != 2 || st.Malformed != 7 || st.Panics != 0 {
		t.Errorf("counted %+v", st)
	}
	if r, _ := say(t, l, post(good)); r.StatusCode != 200 {
		t.Errorf("after all that: %d", r.StatusCode)
	}
}

// A client that does not get to the end of its request is cut off after ReadTimeout. The deadline is set once, when a
// request may begin, so a byte now and then does not put it off.
func TestSlow(t *testing.T) {
	_, l := started(t, Config{ReadTimeout: 30 * time.Millisecond})
	for _, part := range []string{
		"POST /v1/che",
		"POST /v1/check HTTP/1.1\r\nHost: x\r\nX: y",
		"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		r, body := say(t, l, part)
		problem(t, r, body, 408, "did not arrive in time")
		if !r.Close {
			t.Errorf("%q: the connection stays open", part)
		}
	}
}

// Clients that promise large bodies and send nothing: others wait with theirs, small ones pass, and the room comes back.
func TestBodyMemory(t *testing.T) {
	s, l := started(t, Config{BodyMemory: 2 << 20})
	big := post(good + strings.Repeat(" ", 1<<19))
	chunked := "POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	var idle []net.Conn
	promise := "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"
	for range 2 {
		c, err := l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, promise); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	until(t, func() bool { return claimed(s) == 2<<20 })
	r, body := say(t, l, big)
	problem(t, r, body, 503, "too many large requests at once")
	if r.Header.Get("Retry-After") != "1" {
		t.Errorf("%s", r.Header)
	}
	r, body = say(t, l, chunked+fmt.Sprintf("%x\r\n%s\r\n", 1<<19, strings.Repeat(" ", 1<<19)))
	problem(t, r, body, 503, "too many large requests at once")
	for _, small := range []string{post(good), chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(good), good)} {
		if r, body := say(t, l, small); r.StatusCode != 200 || body != answer {
			t.Errorf("%d %s", r.StatusCode, body)
		}
	}
	for _, c := range idle {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, func() bool { return claimed(s) == 0 })
	for range 5 {
		if r, body := say(t, l, big); r.StatusCode != 200 || body != answer {
			t.Errorf("%d %s", r.StatusCode, body)
		}
	}
	until(t, func() bool { return claimed(s) == 0 })
	if n := len(s.bodies.claims); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func claimed(s *Server) int {
	s.bodies.mu.Lock()
	defer s.bodies.mu.Unlock()
	return s.bodies.bytes
}

// until waits for something that another goroutine is about to do.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// Claims of requests that ended without a word are found when they are in the way, and by their connection's next.
func TestLostClaims(t *testing.T) {
	b := bodies{most: 100, stale: time.Minute, claims: map[*fasthttp.RequestHeader]claim{}}
	now := time.Now()
	lost, next := new(fasthttp.RequestHeader), new(fasthttp.RequestHeader)
	if !b.claim(lost, 60, now) || !b.claim(lost, 70, now) || b.bytes != 70 {
		t.Errorf("%d claimed", b.bytes)
	}
	if b.claim(next, 60, now.Add(time.Minute)) || !b.release(next) {
		t.Error("there was room")
	}
	b.arrived(lost)
	if b.claim(next, 60, now.Add(time.Hour)) || !b.release(next) {
		t.Error("a claim whose body has arrived was taken away")
	}
	b.claims[lost] = claim{bytes: 70, at: now}
	if !b.claim(next, 60, now.Add(time.Minute+1)) || b.bytes != 60 || b.release(next) || b.bytes != 0 {
		t.Errorf("%d claimed", b.bytes)
	}
}

// A bug in a door is one request's misfortune.
func TestPanic(t *testing.T) {
	s, l := started(t, Config{Routes: map[string]fasthttp.RequestHandler{
		"/bug":  func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("half an ans"); panic("bug") },
		"/fine": func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("fine") },
	}})
	r, body := say(t, l, "GET /bug HTTP/1.1\r\nHost: x\r\n\r\n")
	problem(t, r, body, 500, "a bug in the server")
	if r, body := say(t, l, "GET /fine HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 200 || body != "fine" {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if s.Stats().Panics != 1 {
		t.Errorf("counted %+v", s.Stats())
	}
}

// Shutdown lets what is being answered finish, and closes the idle.
func TestShutdown(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	s := New(Config{Routes: map[string]fasthttp.RequestHandler{
		"/slow": func(ctx *fasthttp.RequestCtx) { close(in); <-out; ctx.SetBodyString("done") },
		"/fast": func(*fasthttp.RequestCtx) {},
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	dial := func(raw string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewReader(c)
	}
	idle, idleReader := dial("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
	defer func() { _ = idle.Close() }()
	read(t, idleReader)
	busy, busyReader := dial("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	defer func() { _ = busy.Close() }()
	<-in

	// Not long enough for the busy one.
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("left without waiting: %v", err)
	}
	close(out)
	if r, body := read(t, busyReader); r.StatusCode != 200 || body != "done" {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	long, cancel2 := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel2()
	if err := s.Shutdown(long); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection is open: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("takes connections")
	}
}

// While it drains, a kept connection still gets its answer, is told to close, and Drain returns once all have.
func TestDrain(t *testing.T) {
	s := New(Config{Routes: map[string]fasthttp.RequestHandler{"/": func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("done") }}})
	c, served := overTCP(t, s)
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	ask := func() (*http.Response, string) {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return read(t, in)
	}
	if r, body := ask(); r.Close || body != "done" {
		t.Errorf("before: close %v, %q", r.Close, body)
	}
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	s.Drain(short)
	if short.Err() == nil {
		t.Error("drained with a connection open")
	}
	drained := make(chan struct{})
	go func() { s.Drain(context.Background()); close(drained) }()
	if r, body := ask(); !r.Close || body != "done" {
		t.Errorf("while draining: close %v, %q", r.Close, body)
	}
	<-drained
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Bytes of any kind: an answer or a closed connection, and the server lives.
func FuzzServer(f *testing.F) {
	f.Add([]byte(post(good)))
	f.Add([]byte("POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"che\r\n"))
	f.Add([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
	f.Add([]byte("GET //v1//check/../check?%zz HTTP/1.0\r\n\r\n"))
	s := New(Config{Routes: map[string]fasthttp.RequestHandler{native.Path: native.New(native.Config{Checker: yes{}}).Handle}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := &said{in: bytes.NewReader(raw)}
		_ = s.fast.ServeConn(c)
		if s.Stats().Panics > 0 {
			t.Fatal("a panic")
		}
		if out := c.out.Bytes(); len(out) > 0 && !bytes.HasPrefix(out, []byte("HTTP/1.1 ")) {
			t.Fatalf("answered %q", out)
		}
	})
}

// said is a connection that has said all it will say.
type said struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *said) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *said) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *said) Close() error                     { return nil }
func (c *said) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *said) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *said) SetDeadline(time.Time) error      { return nil }
func (c *said) SetReadDeadline(time.Time) error  { return nil }
func (c *said) SetWriteDeadline(time.Time) error { return nil }
