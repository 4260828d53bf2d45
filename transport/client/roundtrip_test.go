package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An api answers what the test says, and remembers when it was asked.
type api struct {
	answer func(n int, req *http.Request) *http.Response // n counts from 1
	at     []time.Time
	bodies []string
	open   int // bodies of answers that are not closed
}

func (a *api) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	a.at = append(a.at, time.Now())
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body.Close()
		a.bodies = append(a.bodies, string(b))
	}
	resp := a.answer(len(a.at), req)
	a.open++
	resp.Body = &body{Reader: strings.NewReader(fmt.Sprint("answer ", len(a.at))), a: a}
	return resp, nil
}

type body struct {
	io.Reader
	a      *api
	closed bool
}

func (b *body) Close() error {
	if !b.closed {
		b.closed = true
		b.a.open--
	}
	return nil
}

// respond returns an answer with headers `Name: value`.
func respond(status int, headers ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		resp.Header.Add(name, value)
	}
	return resp
}

// gaps are the times between the requests.
func (a *api) gaps() (gaps []time.Duration) {
	for i := 1; i < len(a.at); i++ {
		gaps = append(gaps, a.at[i].Sub(a.at[i-1]))
	}
	return gaps
}

func get(t testing.TB, tr http.RoundTripper, ctx context.Context) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	return tr.RoundTrip(req)
}

// today brings a bubble's clock, which begins in 2000, to days in which moments are told from waits.
func today() { time.Sleep(26 * 366 * 24 * time.Hour) }

func same(a, b []time.Duration) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// What each of the four pages says of a denial, and what becomes of it. Jitter is at its least: so the waits are.
func TestPagesDenials(t *testing.T) {
	unix := func(in time.Duration) string { return fmt.Sprint(time.Now().Add(in).Unix()) }
	const s = time.Second
	for _, page := range []struct {
		name   string
		denial func() *http.Response
		waits  []time.Duration // before the second, third and fourth time
	}{
		{"web3market: Retry-After in seconds, limit and remaining, no reset", func() *http.Response {
			return respond(429, "X-RateLimit-Limit: 120", "X-RateLimit-Remaining: 0", "Retry-After: 34", "Content-Type: application/json")
		}, []time.Duration{34 * s, 34 * s, 34 * s}},
		{"xola: Retry-After beside a reset in epoch seconds", func() *http.Response {
			return respond(429, "X-RateLimit-Limit: 900", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: "+unix(29*s), "Retry-After: 29")
		}, []time.Duration{29 * s, 29 * s, 29 * s}},
		{"ipto: a reset in epoch seconds, its seconds to wait only in the body", func() *http.Response {
			return respond(429, "X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: "+unix(42*s))
		}, []time.Duration{42 * s, 42 * s, 42 * s}},
		{"ipto: with Retry-After, as its example reads it", func() *http.Response {
			return respond(429, "X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: "+unix(60*s), "Retry-After: 60")
		}, []time.Duration{60 * s, 60 * s, 60 * s}},
		{"license-api: nothing but 429; 1 s, 2 s, 4 s, here with the least jitter", func() *http.Response {
			return respond(429)
		}, []time.Duration{s / 10, s / 10, s / 10}},
		{"a date", func() *http.Response {
			return respond(429, "Retry-After: "+time.Now().Add(10*s).UTC().Format(http.TimeFormat))
		}, []time.Duration{10 * s, 10 * s, 10 * s}},
		{"a date by a clock that is an hour ahead", func() *http.Response {
			now := time.Now().Add(time.Hour).UTC()
			return respond(429, "Date: "+now.Format(http.TimeFormat), "Retry-After: "+now.Add(10*s).Format(http.TimeFormat))
		}, []time.Duration{10 * s, 10 * s, 10 * s}},
		{"the IETF draft", func() *http.Response {
			return respond(429, `RateLimit-Policy: "default";q=100;w=60`, `RateLimit: "default";r=0;t=17`)
		}, []time.Duration{17 * s, 17 * s, 17 * s}},
		{"come back at once, it says, again and again", func() *http.Response { return respond(429, "Retry-After: 0") },
			[]time.Duration{s / 10, s / 10, s / 10}},
		{"503 with Retry-After", func() *http.Response { return respond(503, "Retry-After: 5") }, []time.Duration{5 * s, 5 * s, 5 * s}},
		{"nonsense", func() *http.Response {
			return respond(429, "Retry-After: soon", "X-RateLimit-Reset: -1", "X-RateLimit-Remaining: x")
		},
			[]time.Duration{s / 10, s / 10, s / 10}},
	} {
		t.Run(page.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				today()
				a := &api{answer: func(int, *http.Request) *http.Response { return page.denial() }}
				tr := &Transport{Base: a, random: func() float64 { return 0 }}
				resp, err := get(t, tr, context.Background())
				if err != nil {
					t.Fatal(err)
				}
				// The last answer comes as it is, its body still there to be read.
				b, err := io.ReadAll(resp.Body)
				if resp.StatusCode < 400 || string(b) != "answer 4" || err != nil || a.open != 1 {
					t.Errorf("%d %q %v, %d bodies open", resp.StatusCode, b, err, a.open)
				}
				if !same(a.gaps(), page.waits) {
					t.Errorf("waited %v, not %v", a.gaps(), page.waits)
				}
			})
		})
	}
}

// What gets through after a wait is all that the caller sees.
func TestRetryThenSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{answer: func(n int, req *http.Request) *http.Response {
			if n < 3 {
				return respond(429, "Retry-After: 2")
			}
			return respond(201)
		}}
		c := &http.Client{Transport: &Transport{Base: a}}
		resp, err := c.Post("https://api.example.com/activate", "application/json", strings.NewReader(`{"a":1}`))
		if err != nil || resp.StatusCode != 201 || a.open != 1 {
			t.Fatalf("%v, %v, %d bodies open", resp, err, a.open)
		}
		if fmt.Sprint(a.bodies) != `[{"a":1} {"a":1} {"a":1}]` {
			t.Errorf("%q", a.bodies)
		}
		for _, g := range a.gaps() {
			if g < 2*time.Second || g > 2200*time.Millisecond { // never early, and not all at once
				t.Errorf("waited %v", g)
			}
		}
	})
}

// What may be sent again, and what must not be.
func TestReplayable(t *testing.T) {
	for _, x := range []struct {
		method string
		status int
		body   io.Reader
		key    bool
		again  bool
	}{
		{"GET", 429, nil, false, true},
		{"GET", 503, nil, false, true},
		{"HEAD", 503, nil, false, true},
		{"PUT", 503, strings.NewReader("x"), false, true},
		{"DELETE", 503, nil, false, true},
		{"POST", 429, strings.NewReader("x"), false, true},
		{"POST", 429, io.MultiReader(strings.NewReader("x")), false, false}, // no GetBody
		{"PUT", 429, io.MultiReader(strings.NewReader("x")), false, false},
		{"POST", 503, strings.NewReader("x"), false, false}, // it may have been processed
		{"PATCH", 503, nil, false, false},
		{"POST", 503, bytes.NewReader([]byte("x")), true, true}, // its key says that twice is once
		{"GET", 500, nil, false, false},
		{"GET", 502, nil, false, false},
		{"GET", 404, nil, false, false},
		{"GET", 200, nil, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &api{answer: func(int, *http.Request) *http.Response { return respond(x.status, "Retry-After: 1") }}
			req, err := http.NewRequest(x.method, "https://api.example.com/", x.body)
			if err != nil {
				t.Fatal(err)
			}
			if x.key {
				req.Header.Set("Idempotency-Key", "8a")
			}
			had := req.Body
			if _, err := (&Transport{Base: a}).RoundTrip(req); err != nil || (len(a.at) == 4) != x.again || !x.again && len(a.at) != 1 {
				t.Errorf("%s %d: sent %d times, %v", x.method, x.status, len(a.at), err)
			}
			if req.Body != had {
				t.Error("the caller's request was changed")
			}
		})
	}
}

// Waits are bounded: by MaxWait, by the context's deadline, by its end, by Attempts.
func TestWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := "1800"
		a := &api{answer: func(int, *http.Request) *http.Response { return respond(429, "Retry-After: "+after) }}
		tr := &Transport{Base: a}
		within(t, 0, 0, func() {
			if resp, err := get(t, tr, context.Background()); err != nil || resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1800" {
				t.Errorf("%v, %v", resp, err)
			}
		})
		after = "30"
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		within(t, 30*time.Second, 31*time.Second, func() { // the second wait would be too long
			if resp, err := get(t, tr, ctx); err != nil || resp.StatusCode != 429 {
				t.Errorf("%v, %v", resp, err)
			}
		})
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(7*time.Second, cancel)
		within(t, 7*time.Second, 7*time.Second, func() {
			if resp, err := get(t, tr, ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", resp, err)
			}
		})
		had := len(a.at)
		if _, err := get(t, &Transport{Base: a, Attempts: 1}, context.Background()); err != nil || len(a.at) != had+1 {
			t.Errorf("sent %d times, %v", len(a.at)-had, err)
		}
		if a.open != 3 {
			t.Errorf("%d bodies are open: of three answers that were handed on", a.open)
		}
	})
}

// Backoff doubles up to a cap, with full jitter.
func TestBackoff(t *testing.T) {
	const s = time.Second
	for x, want := range map[float64][]time.Duration{
		0:     {s / 10, s / 10, s / 10, s / 10, s / 10, s / 10, s / 10},
		0.5:   {s / 2, s, 2 * s, 4 * s, 8 * s, 15 * s, 15 * s},
		0.999: {s * 999 / 1000, 2 * s * 999 / 1000, 4 * s * 999 / 1000, 8 * s * 999 / 1000, 16 * s * 999 / 1000, 30 * s * 999 / 1000, 30 * s * 999 / 1000},
	} {
		tr := &Transport{random: func() float64 { return x }}
		for i, d := range want {
			if got := tr.backoff(i + 1); got.Round(time.Millisecond) != d {
				t.Errorf("jitter %v, attempt %d: %v, not %v", x, i+1, got, d)
			}
		}
		if d := tr.backoff(1 << 20); d > 30*s {
			t.Errorf("attempt 2^20: %v", d)
		}
	}
}

// The headers of the four pages and of the IETF's drafts.
func TestReadRateLimit(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const s = time.Second
	for _, x := range []struct {
		headers []string
		want    RateLimit
	}{
		{nil, RateLimit{Unknown, Unknown, Unknown}},
		{[]string{"X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 95", fmt.Sprint("X-RateLimit-Reset: ", now.Unix()+30)}, RateLimit{100, 95, 30 * s}},                      // ipto
		{[]string{"X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 95", "X-RateLimit-Reset: 1616320000"}, RateLimit{100, 95, 0}},                                            // over
		{[]string{"X-RateLimit-Limit: 120", "X-RateLimit-Remaining: 87"}, RateLimit{120, 87, Unknown}},                                                                       // web3market
		{[]string{"Date: Mon, 01 Feb 2021 16:28:21 GMT", "X-RateLimit-Limit: 900", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1612197197"}, RateLimit{900, 0, 296 * s}}, // xola
		{[]string{"X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 5", "X-RateLimit-Reset: 30"}, RateLimit{100, 5, 30 * s}},                                                 // envoy
		{[]string{"X-RateLimit-Limit: 100, 100;w=60", "X-RateLimit-Remaining: 5", fmt.Sprint("X-RateLimit-Reset: ", now.UnixMilli()+1500)}, RateLimit{100, 5, s * 3 / 2}},
		{[]string{"RateLimit-Limit: 10", "RateLimit-Remaining: 1", "RateLimit-Reset: 7", "X-RateLimit-Remaining: 99"}, RateLimit{10, 1, 7 * s}},
		{[]string{"RateLimit: limit=100, remaining=50, reset=5"}, RateLimit{100, 50, 5 * s}},
		{[]string{`RateLimit-Policy: "default";q=100;w=60`, `RateLimit: "default";r=50;t=30`}, RateLimit{100, 50, 30 * s}},
		{[]string{`RateLimit-Policy: "a,b";q=100;w=60`, `RateLimit-Policy: "day";q=1000;w=86400`, `RateLimit: "a,b";r=50;t=30, "day";r=3;t=4000`}, RateLimit{1000, 3, 4000 * s}},
		{[]string{"RateLimit: nonsense", "X-RateLimit-Remaining: 4"}, RateLimit{Unknown, 4, Unknown}},
		{[]string{"X-RateLimit-Limit: -5", "X-RateLimit-Remaining: 1e9", "X-RateLimit-Reset: NaN"}, RateLimit{Unknown, Unknown, Unknown}},
		{[]string{"X-RateLimit-Remaining: 1", "X-RateLimit-Reset: 99999999999999999999"}, RateLimit{Unknown, 1, Unknown}},
		{[]string{"X-RateLimit-Remaining: 1", "X-RateLimit-Reset: 999999999"}, RateLimit{Unknown, 1, maxReset}},
	} {
		if got := ReadRateLimit(respond(200, x.headers...).Header, now); got != x.want {
			t.Errorf("%q: %+v, not %+v", x.headers, got, x.want)
		}
	}
}

// Told to, it slows down before nothing is left: what remains lasts until the reset.
func TestSlowDown(t *testing.T) {
	const s = time.Second
	for _, x := range []struct {
		name   string
		answer func(left int, reset time.Duration) *http.Response
	}{
		{"ipto and xola: epoch", func(left int, reset time.Duration) *http.Response {
			return respond(200, "X-RateLimit-Limit: 100", fmt.Sprint("X-RateLimit-Remaining: ", left), fmt.Sprint("X-RateLimit-Reset: ", time.Now().Add(reset).Unix()))
		}},
		{"IETF: delta", func(left int, reset time.Duration) *http.Response {
			return respond(200, `RateLimit-Policy: "default";q=100`, fmt.Sprintf(`RateLimit: "default";r=%d;t=%d`, left, int(reset.Seconds())))
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			today()
			began := time.Now()
			left, over := 100, 0
			a := &api{answer: func(int, *http.Request) *http.Response {
				if time.Since(began) >= 60*s {
					began, left = began.Add(60*s), 100
				}
				if left == 0 {
					over++
					return respond(429, "Retry-After: 60")
				}
				left--
				return x.answer(left, time.Until(began.Add(60*s)))
			}}
			tr := &Transport{Base: a, SlowDown: 0.2}
			for i := range 101 {
				if resp, err := get(t, tr, context.Background()); err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s: request %d: %v, %v", x.name, i, resp, err)
				}
			}
			if over > 0 {
				t.Errorf("%s: denied %d times", x.name, over)
			}
			gaps := a.gaps()
			for i, g := range gaps {
				switch {
				case i < 80 && g != 0:
					t.Errorf("%s: gap %d is %v, with enough left", x.name, i, g)
				case i > 81 && i < 98 && (g < 2*s || g > 5*s): // 60 s ÷ 20, about
					t.Errorf("%s: gap %d is %v", x.name, i, g)
				}
			}
			// Others are not held up, nor is a request whose context ends before its turn.
			within(t, 0, 0, func() {
				req, _ := http.NewRequest("GET", "https://other.example.com/", nil)
				if _, err := tr.RoundTrip(req); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Many at once take their turns one after the other.
func TestSlowDownTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{SlowDown: 0.5, Base: &api{}}
		tr.watch(httptest.NewRequest("GET", "https://api.example.com/status", nil), respond(200, `RateLimit-Policy: "a";q=100`, `RateLimit: "a";r=9;t=60`), time.Now())
		began := time.Now()
		turns := make(map[time.Duration]bool)
		for range 9 {
			turns[tr.turn(context.Background(), httptest.NewRequest("GET", "https://api.example.com/status", nil), began)] = true
		}
		for i := range 9 {
			if !turns[time.Duration(i+1)*6*time.Second] {
				t.Errorf("nobody has turn %d of %v", i, turns)
			}
		}
		// With nothing left, nobody goes before the reset.
		req := httptest.NewRequest("GET", "https://api.example.com/empty", nil)
		tr.Key = func(req *http.Request) string { return req.URL.Path }
		tr.watch(req, respond(200, "X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 42"), began)
		if wait := tr.turn(context.Background(), req, began); wait != 42*time.Second {
			t.Errorf("waits %v", wait)
		}
	})
}

// web3market names no reset: its minute rolls, so the limit's own rate is kept. A Retry-After holds the others too.
func TestSlowDownWithoutAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{}
		a.answer = func(n int, _ *http.Request) *http.Response {
			return respond(200, "X-RateLimit-Limit: 120", "X-RateLimit-Remaining: 3")
		}
		tr := &Transport{Base: a, SlowDown: 0.2}
		for range 5 {
			if _, err := get(t, tr, context.Background()); err != nil {
				t.Error(err)
			}
		}
		h := time.Second / 2
		if !same(a.gaps(), []time.Duration{h, h, h, h}) {
			t.Errorf("%v", a.gaps())
		}
		a.answer = func(int, *http.Request) *http.Response { return respond(429, "Retry-After: 20") }
		tr.Attempts = 1
		if _, err := get(t, tr, context.Background()); err != nil {
			t.Error(err)
		}
		a.answer = func(int, *http.Request) *http.Response { return respond(200) }
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		within(t, 0, 0, func() { // its turn comes too late: the API is asked at once
			if _, err := get(t, tr, ctx); err != nil {
				t.Error(err)
			}
		})
		within(t, 20*time.Second, 20*time.Second, func() {
			if _, err := get(t, tr, context.Background()); err != nil {
				t.Error(err)
			}
		})
	})
}

// Keys are bounded, and those whose time is over make room.
func TestPacesAreBounded(t *testing.T) {
	tr := &Transport{SlowDown: 1}
	now := time.Now()
	req := func(i int) *http.Request {
		r, err := http.NewRequest("GET", fmt.Sprintf("https://host%d.example.com/", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for i := range 2 * maxPaces {
		tr.watch(req(i), respond(429, "Retry-After: 10"), now)
	}
	if len(tr.paces) != maxPaces {
		t.Errorf("%d", len(tr.paces))
	}
	tr.watch(req(-1), respond(429, "Retry-After: 10"), now.Add(time.Minute))
	if len(tr.paces) != 1 {
		t.Errorf("%d after a minute", len(tr.paces))
	}
}
