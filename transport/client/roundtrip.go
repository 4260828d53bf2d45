package client

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A Transport is an http.RoundTripper for programs that call other people's rate-limited APIs. It has nothing to do with Stint's nodes. The zero
// value is ready:
//
//	api := &http.Client{Transport: &client.Transport{}}
//
// An answer of 429 Too Many Requests is waited for and asked again: as long as Retry-After says, else until the moment that the
// rate-limit headers name if they say that nothing is left, else by exponential backoff with full jitter. So is 503 Service
// Unavailable, for requests that may be repeated. The last answer is returned as it came, and so is one whose wait
// would be longer than MaxWait or outlast the request's context: the caller then has Retry-After to go by.
//
// Only what can be replayed is asked again: requests without a body, or with GetBody (http.NewRequest sets it for bytes.Reader,
// bytes.Buffer and strings.Reader). 429 says that the request was not processed, so it may be any method; 503 does not, so
// there the method must be idempotent: GET, HEAD, OPTIONS, TRACE, PUT, DELETE, or the request has an Idempotency-Key header. Errors of the
// connection are Base's.
//
// It keeps no answers and no bodies. Its methods may be called from many goroutines; the fields must not be changed after the first call.
type Transport struct {
	// Base sends the requests. nil is http.DefaultTransport.
	Base http.RoundTripper

	// Attempts is how often a request is sent at most, the first time included. Default 4; 1 never asks again.
	Attempts int
	// MinBackoff is the most that the first wait takes where the answer names none; each further one doubles it, up to MaxBackoff. The wait is
	// drawn from a tenth of MinBackoff to that. Defaults 1 s and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// MaxWait is the longest single wait. Default 1 min.
	MaxWait time.Duration

	// SlowDown spreads requests out before nothing is left: once less than this share of the limit remains, from 0 to 1, the next
	// requests to the API wait so that what remains lasts until the reset. 0, the default, never does; 0.2 is a good value. A
	// request whose turn is later than MaxWait or its context's deadline is sent at once, and has the API's own answer.
	SlowDown float64
	// Window is how long a window is taken to last where the headers name no reset, for SlowDown. Default 1 min.
	Window time.Duration
	// Key says which requests share a limit, for SlowDown. nil: those to one scheme and host. Nothing is kept of more than 1,024 keys.
	Key func(*http.Request) string

	random func() float64 // 0 to 1, for tests

	mu    sync.Mutex // protects following
	paces map[string]*pace
}

// Defaults of a Transport.
const (
	defaultAttempts   = 4
	defaultMinBackoff = time.Second
	defaultMaxBackoff = 30 * time.Second
	defaultMaxWait    = time.Minute
	defaultWindow     = time.Minute

	// maxDrain is how much of an answer is read, before it is asked again, to keep its connection.
	maxDrain = 64 << 10
)

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	ctx := req.Context()
	for attempt := 1; ; attempt++ {
		try := req
		if attempt > 1 && req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, fmt.Errorf("send a request again, for the %d. time: get its body: %w", attempt, err)
			}
			try = req.WithContext(ctx) // a copy: a RoundTripper must not change its request
			try.Body = body
		}
		if err := t.waitTurn(ctx, req); err != nil {
			if try.Body != nil {
				try.Body.Close()
			}
			return nil, err
		}
		resp, err := base.RoundTrip(try)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		t.watch(req, resp, now)
		wait, again := t.again(req, resp, attempt, now)
		if !again {
			return resp, nil
		}
		// What is left of an answer does not matter, but that the connection is free for others meanwhile.
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		resp.Body.Close()
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// CloseIdleConnections does so in Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	} else if t.Base == nil {
		http.DefaultTransport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	}
}

// again says whether a request is to be sent again after this answer, and when.
func (t *Transport) again(req *http.Request, resp *http.Response, attempt int, now time.Time) (wait time.Duration, again bool) {
	if attempt >= or(t.Attempts, defaultAttempts) || !replayable(req) {
		return 0, false
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusServiceUnavailable:
		if !idempotent(req) {
			return 0, false
		}
	default:
		return 0, false
	}
	wait, named := RetryAfter(resp.Header, now)
	if !named && resp.StatusCode == http.StatusTooManyRequests {
		if l := ReadRateLimit(resp.Header, now); l.Remaining == 0 && l.Reset > 0 {
			wait = l.Reset
		}
	}
	backoff := t.backoff(attempt)
	if wait > 0 {
		// Many who were told the same moment must not all come in it: a little later each, never earlier.
		wait += min(time.Duration(t.rand()*float64(wait/10)), time.Second)
	}
	// Told again and again to come back at once, it backs off all the same.
	wait = max(wait, backoff)
	if wait > or(t.MaxWait, defaultMaxWait) {
		return 0, false
	}
	if end, ok := req.Context().Deadline(); ok && !now.Add(wait).Before(end) {
		return 0, false
	}
	return wait, true
}

// backoff returns the wait after so many attempts, with full jitter.
func (t *Transport) backoff(attempt int) time.Duration {
	least, most := or(t.MinBackoff, defaultMinBackoff), or(t.MaxBackoff, defaultMaxBackoff)
	d := most
	if attempt-1 < maxDoublings && least<<(attempt-1) > 0 {
		d = min(least<<(attempt-1), most)
	}
	return max(time.Duration(t.rand()*float64(d)), min(least/10, most))
}

func (t *Transport) rand() float64 {
	if t.random != nil {
		return t.random()
	}
	return rand.Float64()
}

func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// idempotent reports whether a request may take effect twice, as net/http sees it.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != ""
}

func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
