package client

import (
	"context"
	"net/http"
	"time"
)

// Slowing down: what the headers of an answer say of an API's limit decides when the next requests to that API may go.
//
//	remaining above SlowDown × limit      at once
//	below                                 one every (time until the reset) ÷ (remaining + 1)
//	0, or a Retry-After                   none until the reset, or the retry moment
//
// Where the headers name no reset, the window is taken to roll (most such APIs count a rolling minute), and requests go at the limit's own rate.

// maxPaces bounds the keys of a Transport: a program calls a few APIs, and one that crawls the web learns nothing from their headers.
const maxPaces = 1024

// A pace is when requests of one key may go.
type pace struct {
	next  time.Time     // the next one not before
	every time.Duration // and those after it so far apart,
	until time.Time     // until then
}

func (p *pace) over(now time.Time) bool { return !now.Before(p.next) && !now.Before(p.until) }

func (t *Transport) key(req *http.Request) string {
	if t.Key != nil {
		return t.Key(req)
	}
	return req.URL.Scheme + "://" + req.URL.Host
}

// waitTurn waits until a request may go. It fails only with ctx.
func (t *Transport) waitTurn(ctx context.Context, req *http.Request) error {
	if t.SlowDown <= 0 {
		return nil
	}
	return sleep(ctx, t.turn(ctx, req, time.Now()))
}

// turn takes the next free turn, and returns how long it is until then; 0 and no turn taken if that is too long.
func (t *Transport) turn(ctx context.Context, req *http.Request, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.paces[t.key(req)]
	if p == nil {
		return 0
	}
	at := p.next
	if at.Before(now) {
		at = now
	}
	wait := at.Sub(now)
	if wait > or(t.MaxWait, defaultMaxWait) {
		return 0
	}
	if end, ok := ctx.Deadline(); ok && !at.Before(end) {
		return 0
	}
	if p.every > 0 && at.Before(p.until) {
		p.next = at.Add(p.every)
	}
	return wait
}

// watch learns from an answer.
func (t *Transport) watch(req *http.Request, resp *http.Response, now time.Time) {
	if t.SlowDown <= 0 {
		return
	}
	l := ReadRateLimit(resp.Header, now)
	var block time.Duration
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		block, _ = RetryAfter(resp.Header, now)
	}
	if block == 0 && l.Remaining == Unknown {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.paceLocked(t.key(req), now)
	if p == nil {
		return
	}
	window := or(t.Window, defaultWindow)
	p.every = 0
	switch {
	case l.Remaining == Unknown:
	case l.Remaining == 0 && l.Reset > 0:
		block = max(block, l.Reset)
	case l.Limit > 0 && float64(l.Remaining) >= t.SlowDown*float64(l.Limit), l.Limit <= 0 && l.Remaining > 0:
	case l.Reset > 0:
		p.every, p.until = l.Reset/time.Duration(l.Remaining+1), now.Add(l.Reset)
	case l.Reset == Unknown && l.Limit > 0:
		p.every, p.until = window/time.Duration(l.Limit), now.Add(window)
	}
	// Turns that others have taken stay taken.
	if next := now.Add(max(block, p.every)); next.After(p.next) && (block > 0 || p.every > 0) {
		p.next = next
	}
}

// paceLocked returns the pace of a key; nil if there are too many.
func (t *Transport) paceLocked(key string, now time.Time) *pace {
	p := t.paces[key]
	if p != nil {
		return p
	}
	if len(t.paces) >= maxPaces {
		for k, old := range t.paces {
			if old.over(now) {
				delete(t.paces, k)
			}
		}
		if len(t.paces) >= maxPaces {
			return nil
		}
	}
	if t.paces == nil {
		t.paces = make(map[string]*pace)
	}
	p = new(pace)
	t.paces[key] = p
	return p
}
