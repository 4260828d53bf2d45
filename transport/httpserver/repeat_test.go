package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport/door"
)

// twin is a door with two ways to the same answer. What its body begins with says how that goes.
type twin struct {
	long, short int // how often each was gone
	in, out     chan struct{}
	conn        *conn
}

const media = "application/msgpack"

func (w *twin) MediaType() string { return media }

func (w *twin) Answer(out, body []byte, came time.Time) ([]byte, int) {
	if strings.HasPrefix(string(body), "long") || came.IsZero() {
		return out, 0
	}
	w.short++
	out, status := w.answer(out, body)
	return out, status
}

func (w *twin) Handle(ctx *fasthttp.RequestCtx) {
	w.long++
	if k, ok := ctx.Conn().(door.Keeper); ok {
		w.conn = k.(*conn)
		k.Keep(&ctx.Request.Header, w)
	}
	body, status := w.answer(nil, ctx.Request.Body())
	ctx.SetStatusCode(status)
	ctx.SetContentType(media)
	if status != 200 {
		ctx.Response.Header.Set("Retry-After", "1")
	}
	ctx.SetBody(body)
}

func (w *twin) answer(out, body []byte) ([]byte, int) {
	switch string(body) {
	case "bug":
		panic("bug")
	case "nobody":
		return append(out, "nobody knows"...), 503
	case "wait":
		w.in <- struct{}{}
		<-w.out
	}
	return fmt.Appendf(out, "%d bytes: %s", len(body), body), 200
}

func (w *twin) server() *Server {
	return New(Config{Routes: map[string]fasthttp.RequestHandler{"/twin": w.Handle}})
}

func twinPost(body string) string {
	return fmt.Sprintf("POST /twin HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\ncontent-length:  %d\r\nAccept: */*\r\n\r\n%s", len(body), body)
}

// The first request of a connection goes the long way, and so does what is new about a later one; all are answered the same.
func TestRepeats(t *testing.T) {
	w := new(twin)
	_, l := started(t, Config{Routes: map[string]fasthttp.RequestHandler{"/twin": w.Handle}})
	c, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for i, x := range []struct {
		raw         string
		answer      string
		long, short int
	}{
		{twinPost("a"), "1 bytes: a", 1, 0},
		{twinPost("b"), "1 bytes: b", 1, 1},
		{twinPost("nobody"), "nobody knows", 1, 2},
		{twinPost(strings.Repeat("c", 12345)), "12345 bytes: " + strings.Repeat("c", 12345), 1, 3},
		{twinPost("long way"), "8 bytes: long way", 2, 3},
		{strings.Replace(twinPost("d"), "*/*", "*/a", 1), "1 bytes: d", 3, 3},
		{twinPost("e"), "1 bytes: e", 4, 3},
		{twinPost("f"), "1 bytes: f", 4, 4},
		{strings.Replace(twinPost("g"), "Host", "host", 1), "1 bytes: g", 5, 4},
		{twinPost(""), "0 bytes: ", 6, 4},
		{twinPost("h"), "1 bytes: h", 7, 4},
		{twinPost("i"), "1 bytes: i", 7, 5},
	} {
		if _, err := io.WriteString(c, x.raw); err != nil {
			t.Fatal(err)
		}
		r, body := read(t, in)
		if body != x.answer || r.Header.Get("Content-Type") != media || r.Close || r.Header.Get("Date") == "" || r.ContentLength != int64(len(body)) {
			t.Errorf("%d: %d %s %.100q", i, r.StatusCode, r.Header, body)
		}
		if w.long != x.long || w.short != x.short {
			t.Errorf("%d: went the long way %d times and the short one %d, want %d and %d", i, w.long, w.short, x.long, x.short)
		}
	}
	if n := w.conn.known.learnt; n != 0 {
		t.Errorf("learnt in vain %d times, though what was learnt last was of use", n)
	}
}

// A client that has a new head each time is not learnt from for ever.
func TestHeadsThatChange(t *testing.T) {
	w := new(twin)
	s := w.server()
	c := new(said)
	var raw strings.Builder
	for i := range 20 {
		raw.WriteString(strings.Replace(twinPost("a"), "*/*", fmt.Sprint("a/", i), 1))
	}
	c.in = bytes.NewReader([]byte(raw.String()))
	if err := s.fast.ServeConn(s.conn(c)); err != nil {
		t.Fatal(err)
	}
	if w.long != 20 || w.conn.known.learnt != maxLearnt || !bytes.Contains(w.conn.known.after, []byte("a/7")) {
		t.Errorf("answered %d, learnt %d: %q", w.long, w.conn.known.learnt, w.conn.known.after)
	}
}

// A bug under Read is one request's misfortune, too.
func TestPanicInARepeat(t *testing.T) {
	w := new(twin)
	s, l := started(t, Config{Routes: map[string]fasthttp.RequestHandler{"/twin": w.Handle}})
	c, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for _, body := range []string{"a", "bug"} {
		if _, err := io.WriteString(c, twinPost(body)); err != nil {
			t.Fatal(err)
		}
		if r, answer := read(t, in); body == "bug" {
			problem(t, r, answer, 500, "a bug in the server")
			if !r.Close {
				t.Error("the connection stays open")
			}
		}
	}
	if _, err := in.ReadByte(); err != io.EOF || s.Stats().Panics != 1 || w.long != 1 {
		t.Errorf("%v, %+v, %d the long way", err, s.Stats(), w.long)
	}
}

// Shutdown comes while a request is answered under Read: fasthttp takes the connection for idle and closes it, and the answer goes out
// all the same. While the server drains, the next request goes the long way, where it is told to close.
func TestEndOfRepeats(t *testing.T) {
	for _, x := range []struct {
		drain  bool
		before int // requests: from repeatsFirst on, all are answered under one read
	}{{false, 1}, {true, 1}, {false, 3 * repeatsFirst}, {true, 3 * repeatsFirst}} {
		drain := x.drain
		w := &twin{in: make(chan struct{}, 1), out: make(chan struct{})}
		s := w.server()
		c, served := overTCP(t, s)
		in := bufio.NewReader(c)
		say := func(body string) {
			if _, err := io.WriteString(c, twinPost(body)); err != nil {
				t.Fatal(err)
			}
		}
		for range x.before {
			say("a")
			read(t, in)
		}
		say("wait")
		<-w.in
		ended := make(chan error, 1)
		if drain {
			go func() { s.Drain(context.Background()); ended <- nil }()
			until(t, s.draining.Load)
			w.out <- struct{}{}
			if r, body := read(t, in); body != "4 bytes: wait" || r.Close {
				t.Errorf("%q, close %v", body, r.Close)
			}
			say("b")
			if r, body := read(t, in); body != "1 bytes: b" || !r.Close {
				t.Errorf("%q, close %v", body, r.Close)
			}
		} else {
			go func() { ended <- s.Shutdown(context.Background()) }()
			until(t, func() bool { return w.conn.state.Load() == closed })
			w.out <- struct{}{}
			if _, body := read(t, in); body != "4 bytes: wait" {
				t.Errorf("%q", body)
			}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("the connection is open: %v", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = c.Close()
	}
}

// The deadline that is set is never early and at most slack late, and requests in a row share one.
func TestDeadlines(t *testing.T) {
	const slack = time.Second
	var d deadline
	now := time.Now()
	set := 0
	for i := range 1000 {
		for _, d.due = range []time.Time{now.Add(10 * time.Second), now.Add(10*time.Second + time.Millisecond)} {
			if d.late(slack) {
				set++
			}
			if late := d.set.Sub(d.due); late < 0 || late > slack {
				t.Fatalf("%d: %v late", i, late)
			}
		}
		now = now.Add(10 * time.Millisecond)
	}
	if set < 10 || set > 20 {
		t.Errorf("set %d times in ten seconds", set)
	}
	for _, x := range []struct {
		due  time.Time
		late bool
	}{{now.Add(2 * time.Minute), true}, {now.Add(10 * time.Second), true}, {time.Time{}, true}, {time.Time{}, false}, {now, true}} {
		d.due = x.due
		if d.late(slack) != x.late || x.due.IsZero() != d.set.IsZero() {
			t.Errorf("due %v: set %v", x.due, d.set)
		}
	}
}

var dates = regexp.MustCompile("\r\nDate: [^\r]*")

// talk has a server read the chunks one by one, and returns what it has answered, without dates.
func talk(t testing.TB, repeats bool, chunks ...string) (string, *twin) {
	w := new(twin)
	s := w.server()
	c := &spoken{chunks: chunks}
	var nc net.Conn = c
	if repeats {
		nc = s.conn(c)
	}
	_ = s.fast.ServeConn(nc)
	return dates.ReplaceAllString(c.out.String(), ""), w
}

// spoken is a connection that says what it will say in chunks, one for each Read at most.
type spoken struct {
	said
	chunks []string
}

func (c *spoken) Read(b []byte) (int, error) {
	for len(c.chunks) > 0 && c.chunks[0] == "" {
		c.chunks = c.chunks[1:]
	}
	if len(c.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.chunks[0])
	c.chunks[0] = c.chunks[0][n:]
	return n, nil
}

// The law of the short way: nobody can tell it from the long one by its answers.
func FuzzRepeats(f *testing.F) {
	good := twinPost("abc")
	f.Add(good, good, 0)
	f.Add(good, twinPost("nobody")+good+twinPost("bug"), 200)
	f.Add(good, twinPost(strings.Repeat("x", 20000)), 7)
	f.Add(good, strings.Replace(good, "  3", "  03", 1), 0)
	f.Add(good, strings.Replace(good, "  3", "  ", 1), 0)
	f.Add(good, strings.Replace(good, "  3", "  3 ", 1), 0)
	f.Add(good, strings.Replace(good, "  3", "  -3", 1), 0)
	f.Add(good, good[:len(good)-1], 0)
	f.Add(good, good+good+good[:30], 30)
	f.Add(good, "long"+good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nConnection: close\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nConnection: keep-alive\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nExpect: 100-continue\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nTransfer-Encoding: chunked\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nTransfer-Encoding: identity\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nX: y\r\n Content-Length: 1\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nContent-Length : 2\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\n", 1), good, 0)
	f.Add(strings.ReplaceAll(good, "\r\n", "\n"), good, 0)
	f.Add("\r\n\r\n"+good, good, 2)
	f.Add(strings.Replace(good, "/twin", "http://y/twin?a#b", 1), good, 0)
	f.Add(strings.Replace(good, "/twin", "//twin", 1), good, 0)
	f.Add(strings.Replace(good, "1.1", "1.0", 1), good, 0)
	f.Add(strings.Replace(good, "1.1\r\n", "1.0\r\nConnection: keep-alive\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "\r\n", "\r\nContent-Length:\r\n 3\r\n", 1), good, 0)
	f.Add(strings.Replace(good, "  3", "  3\r\n 4", 1), good, 0)
	f.Add(strings.Replace(good, "POST", "GET", 1), good, 0)
	f.Add(strings.Replace(good, "POST", "HEAD", 1), good, 0)
	f.Fuzz(func(t *testing.T, first, then string, cut int) {
		if strings.Contains(first+then, "wait") {
			return // nobody would end it
		}
		cut = max(0, min(cut, len(then)))
		long, w := talk(t, false, first, first, then[:cut], then[cut:], first)
		short, v := talk(t, true, first, first, then[:cut], then[cut:], first)
		if long != short {
			t.Fatalf("%q, %q cut at %d:\nthe long way  %q\nthe short way %q", first, then, cut, long, short)
		}
		if w.long+w.short != v.long+v.short || w.short > 0 {
			t.Fatalf("%q, %q cut at %d: answered %+v and %+v", first, then, cut, w, v)
		}
	})
}

// Whatever the way, a door that allocates nothing is served without an allocation.
func TestServingAllocatesNothing(t *testing.T) {
	w := new(still)
	s := New(Config{Routes: map[string]fasthttp.RequestHandler{"/twin": w.Handle}})
	c, served := overTCP(t, s)
	answer := make([]byte, 4096)
	for _, x := range []struct{ way, body string }{{"short", "abc"}, {"long", "long"}} {
		raw := []byte(twinPost(x.body))
		ask := func() {
			if _, err := c.Write(raw); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(answer); err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		for range 100 {
			ask()
		}
		// Half an allocation is room for the garbage collector emptying a pool in between, and for fasthttp's date.
		if n := testing.AllocsPerRun(1000, ask); n >= 0.5 && !raceEnabled {
			t.Errorf("the %s way: %v allocations a request", x.way, n)
		}
	}
	if w.short < 1000 || w.long < 1000 {
		t.Errorf("went the long way %d times and the short one %d", w.long, w.short)
	}
	_ = c.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// raceEnabled is set under -race, where sync.Pool throws things away at random.
var raceEnabled bool

// still is a door that allocates nothing.
type still struct{ long, short int }

func (w *still) MediaType() string { return media }

func (w *still) Answer(out, body []byte, _ time.Time) ([]byte, int) {
	if string(body) == "long" {
		return out, 0
	}
	w.short++
	return append(out, body...), 200
}

func (w *still) Handle(ctx *fasthttp.RequestCtx) {
	w.long++
	ctx.Conn().(door.Keeper).Keep(&ctx.Request.Header, w)
	ctx.SetContentType(media)
	ctx.SetBody(ctx.Request.Body())
}
