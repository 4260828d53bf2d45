package native

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
)

// All plain checks of a request go out as one batch, in their order, with the deadline that the caller set.
func TestOneBatch(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	var checks []string
	for i := range 100 {
		checks = append(checks, fmt.Sprintf(`{"key":"k%d","limits":["%d/1m"],"hits":%d}`, i%7, 1+i%5, i%3))
	}
	if r := post(t, d, `{"checks":[`+strings.Join(checks, ",")+`]}`); r.StatusCode() != 200 {
		t.Fatalf("%d %s", r.StatusCode(), r.Body())
	}
	if len(c.Batches) != 1 {
		t.Fatalf("%d batches", len(c.Batches))
	}
	for i, k := range asked(t, c, 0) {
		if string(k.Key) != fmt.Sprintf("k%d", i%7) || k.Hits != int64(i%3) || k.Limits[0].Text != fmt.Sprintf("%d/1m", 1+i%5) {
			t.Errorf("check %d is %+v", i, k)
		}
		if err := k.Valid(); err != nil {
			t.Error(err)
		}
	}
}

// deadlines remembers the deadline it was given.
type deadlines struct {
	*doortest.Counter
	last time.Time
}

func (d *deadlines) Check(r *transport.Request) {
	d.last = r.Deadline
	d.Counter.Check(r)
}

func TestDeadline(t *testing.T) {
	c := &deadlines{Counter: doortest.New()}
	d := New(Config{Checker: c})
	for body, want := range map[string]time.Duration{
		`{"checks":[` + good + `]}`:                    time.Second,
		`{"checks":[` + good + `],"timeout_ms":1}`:     time.Millisecond,
		`{"timeout_ms":10000,"checks":[` + good + `]}`: 10 * time.Second,
		`{"timeout_ms":null,"checks":[` + good + `]}`:  time.Second,
	} {
		from := time.Now()
		post(t, d, body)
		if to := time.Now(); c.last.Before(from.Add(want)) || c.last.After(to.Add(want)) {
			t.Errorf("%s: the deadline is %v after the request came", body, c.last.Sub(from))
		}
	}
}

// Many callers at once, each with its own bodies, never see another's answer.
func TestConcurrent(t *testing.T) {
	c := doortest.New()
	c.Forget = true
	d := New(Config{Checker: c})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				text := fmt.Sprintf(`{"checks":[{"key":"g\u0030%d","limits":["%d/1m"]},{"key":"g%d-%d","limits":["7/1h"]}]}`, g, 1000+g, g, i)
				bad := text[:len(text)-1-i%5]
				want := fmt.Sprintf(`{"decisions":[{"allowed":true,"limit":%d,"remaining":%d,`, 1000+g, 1000+g-i-1)
				if g%2 == 0 {
					if r := post(t, d, text); r.StatusCode() != 200 || !strings.HasPrefix(string(r.Body()), want) {
						t.Errorf("%s: %d %s", text, r.StatusCode(), r.Body())
						return
					}
				} else if r := post(t, d, toMsgpack(t, text)); r.StatusCode() != 200 || string(r.Header.ContentType()) != "application/msgpack" {
					t.Errorf("%s: %d %s", text, r.StatusCode(), r.Body())
					return
				}
				if r := post(t, d, bad); r.StatusCode() != 400 {
					t.Errorf("%s: %d", bad, r.StatusCode())
					return
				}
			}
		})
	}
	wg.Wait()
}

// still answers yes without looking; it allocates nothing.
type still struct{}

func (still) Check(r *transport.Request) {
	if cap(r.Decisions) < len(r.Checks) {
		r.Decisions = make([]transport.Decision, len(r.Checks))
	}
	r.Decisions = r.Decisions[:len(r.Checks)]
	for i := range r.Decisions {
		d := &r.Decisions[i]
		d.Allowed, d.By, d.Via = true, 0, transport.ViaHolder
		d.Limit, d.Remaining, d.Reset = 100, 99, time.Minute
	}
}

// warm returns a call of the door that can be made again and again: the context is used as a connection uses it.
func warm(d *Door, body string) func() {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod("POST")
	raw := []byte(body)
	call := func() {
		ctx.Request.SetBody(raw)
		ctx.Response.Reset()
		d.Handle(ctx)
	}
	for range 100 {
		call()
	}
	return call
}

// raceEnabled is set under -race, where sync.Pool throws things away at random.
var raceEnabled bool

func TestCheckAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under -race")
	}
	d := New(Config{Checker: still{}})
	one := `{"checks":[{"key":"account:\u0034\u0032","limits":["100/1m","1000/1h"],"hits":1,"receipt":true}]}`
	hundred := `{"checks":[` + strings.Repeat(`{"key":"account:42","limits":["100/1m","1000/1h"],"hits":1},`, 99) + `{"key":"x","limits":["2/1m"]}],"timeout_ms":50}`
	for _, body := range []string{one, hundred, toMsgpack(t, one), toMsgpack(t, hundred)} {
		// Half an allocation is room for the garbage collector emptying the pool in between.
		if n := testing.AllocsPerRun(200, warm(d, body)); n >= 0.5 {
			t.Errorf("%.60q…: %v allocations", body, n)
		}
	}
}

// Answered by its body alone, a request in MessagePack gets the same answer; what is not, is left as it was.
func TestAnswer(t *testing.T) {
	c := doortest.New()
	d := New(Config{Checker: c})
	two := toMsgpack(t, `{"checks":[{"key":"a","limits":["2/1m"],"receipt":true},{"key":"b","limits":["1/1m","2/1m"],"hits":2}]}`)
	want := post(t, d, two)
	clear(c.Spent)
	answer, status := d.Answer([]byte("before"), []byte(two), time.Now())
	if status != 200 || string(answer) != "before"+string(want.Body()) || d.MediaType() != string(want.Header.ContentType()) {
		t.Errorf("%d %q\nwant %q", status, answer, want.Body())
	}
	c.Answer = doortest.Nobody(false)
	want = post(t, d, two)
	if answer, status = d.Answer(nil, []byte(two), time.Now()); status != 503 || string(answer) != string(want.Body()) {
		t.Errorf("%d %q\nwant %q", status, answer, want.Body())
	}
	post(t, d, `{"checks":[`+good+`]}`)
	if string(answer) != string(want.Body()) {
		t.Errorf("became %q with the next request", answer)
	}
	if s := d.Stats(); s.OK != 2 || s.Unavailable != 3 || s.Checks != 9 {
		t.Errorf("counted %+v", s)
	}
	asked := len(c.Batches)
	for _, body := range []string{"", "{", `{"checks":[` + good + `]}`, two[:len(two)-1], "\x80", "\x81\xa6checks\x90", strings.Repeat("\x00", 100)} {
		b := []byte(body)
		if answer, status := d.Answer([]byte("before"), b, time.Now()); status != 0 || string(answer) != "before" || string(b) != body {
			t.Errorf("%q: %d %q", body, status, answer)
		}
	}
	if s := d.Stats(); s.Bad != 0 || len(c.Batches) != asked {
		t.Errorf("%d were decided, counted %+v", len(c.Batches)-asked, s)
	}
}

func TestAnswerAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under -race")
	}
	d := New(Config{Checker: still{}})
	out := make([]byte, 0, 64<<10)
	for _, checks := range []int{1, 100} {
		_, body, _ := strings.Cut(string(benchRequest(checks)), "\r\n\r\n")
		raw, came := []byte(body), time.Now()
		if n := testing.AllocsPerRun(200, func() {
			if _, status := d.Answer(out, raw, came); status != 200 {
				t.Fatal(status)
			}
		}); n >= 0.5 {
			t.Errorf("%d checks: %v allocations", checks, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	d := New(Config{Checker: still{}})
	one := `{"checks":[{"key":"account:42","limits":["100/1m"],"hits":1}]}`
	hundred := `{"checks":[` + strings.Repeat(`{"key":"account:42","limits":["100/1m"],"hits":1},`, 99) + `{"key":"x","limits":["2/1m"]}]}`
	for _, x := range []struct{ name, body string }{
		{"json/1", one}, {"json/100", hundred}, {"msgpack/1", toMsgpack(b, one)}, {"msgpack/100", toMsgpack(b, hundred)},
	} {
		b.Run(x.name, func(b *testing.B) {
			call := warm(d, x.body)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
