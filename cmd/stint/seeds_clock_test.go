package main

import (
	"net/http"
	"testing"
	"time"
)

// What the pages say of time passing, on copies of the policies whose windows are short. These are the only places where
// the test waits on the real clock: about 1.2 s, 1.2 s and at most 1.5 s, side by side.

// rolls shows that a window of Web3.Market rolls. Half the limit is spent at once and the rest 400 ms later; then a request
// every 10 ms looks for room until the first half has left the window of one second. Of a fixed window, wherever it
// began, there would be 121 hits within a second: it would open in full at its end.
func rolls(t *testing.T, a *seedAsker) {
	const limit, window = 120, time.Second
	s := &step{policy: "web3market-second", ask: "GET /verify", from: "r"}
	var admitted []*answered
	var denials []*answered
	send := func() bool {
		g := a.ask(s, len(admitted)+len(denials))
		if g.status == http.StatusOK {
			admitted = append(admitted, g)
			return true
		}
		denials = append(denials, g)
		return false
	}
	began := time.Now()
	for range limit / 2 {
		send()
	}
	time.Sleep(time.Until(began.Add(400 * time.Millisecond))) // the halves must differ in age
	for len(denials) == 0 && len(admitted) < 10*limit {
		send()
	}
	for time.Now().Before(began.Add(window + 200*time.Millisecond)) {
		send()
		time.Sleep(10 * time.Millisecond) // nobody tells when a hit leaves the window: that is what is looked for
	}
	if len(denials) == 0 || len(admitted) <= limit {
		t.Fatalf("%d admitted, %d denied; want more than %d and some", len(admitted), len(denials), limit)
	}
	// A hit was counted after it was sent and before it was answered; a millisecond for what clocks round.
	for i := limit; i < len(admitted); i++ {
		if d := admitted[i].received.Sub(admitted[i-limit].sent); d < window-time.Millisecond {
			t.Fatalf("%d hits within %v", limit+1, d)
		}
	}
	// Nor is it stricter than a slot, of which there are at least ten: who is denied finds the window full.
	for _, g := range denials {
		full := 0
		for _, h := range admitted {
			if h.sent.Before(g.received) && h.received.After(g.sent.Add(-window-window/9)) {
				full++
			}
		}
		if full < limit {
			t.Fatalf("denied with %d hits in the window", full)
		}
	}
}

// opensAfterRetryAfter waits as long as Retry-After says, and finds the limit open.
func opensAfterRetryAfter(t *testing.T, a *seedAsker) {
	s := &step{policy: "web3market-second", ask: "GET /status", from: "r"}
	denied := untilDenied(t, a, s)
	if retry := denied.number(t, "Retry-After"); retry != 1 {
		t.Fatalf("Retry-After is %d in a window of a second", retry)
	}
	time.Sleep(time.Until(denied.received.Add(time.Second)))
	if g := a.ask(s, 0); g.status != http.StatusOK {
		t.Errorf("Retry-After is early:\n%s", g)
	}
}

// opensAtReset waits until the moment that the body of Xola's denial calls resetTime, and finds the limit open.
// That Retry-After and retryInSeconds are one number, and X-RateLimit-Reset and resetTime one moment, every denial is judged by.
func opensAtReset(t *testing.T, a *seedAsker) {
	s := &step{policy: "xola-blink", ask: "GET /api?seller=s$", with: xolaCaller, want: http.StatusTooManyRequests, limit: 3, window: 500 * time.Millisecond}
	denied := untilDenied(t, a, s)
	reset := time.Unix(denied.number(t, "X-RateLimit-Reset"), 0)
	if reset.After(denied.received.Add(1500*time.Millisecond + time.Second)) {
		t.Fatalf("the reset is %v away, in a window of half a second", time.Until(reset))
	}
	time.Sleep(time.Until(reset))
	if g := a.ask(s, 0); g.status != http.StatusOK {
		t.Errorf("the reset is early:\n%s", g)
	}
}

// untilDenied asks until a limit denies: a machine that is too slow for one window gets the next.
func untilDenied(t *testing.T, a *seedAsker, s *step) *answered {
	t.Helper()
	for i := range 10_000 {
		if g := a.ask(s, i); g.status == http.StatusTooManyRequests {
			return g
		}
	}
	t.Fatal("never denied")
	return nil
}
