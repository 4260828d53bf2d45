package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// What the pages say of time passing, on copies of the policies whose windows are short. These are the only places where
// the test waits on the real clock: about 0.6 s, 1 s and at most 1.5 s, side by side. A machine that stands still for longer than
// a window has not seen it full; then a fresh window is tried.

const windowTries = 10

// rolls shows that a window of Web3.Market rolls. Half the limit is spent at once and the rest 200 ms later; then a request every
// 10 ms looks for room, and where it finds some, which is when the first half has left the window of half a second, as many as
// that half are asked for at once. They are one too many until the second half has left too. A fixed window opens in full at
// its end: wherever it began, there would be more than the limit within less than its length.
func rolls(t *testing.T, a *seedAsker) {
	const limit, window = 120, 500 * time.Millisecond
	for try := range windowTries {
		var admitted, denials []hit
		send := func(door string, hits int) (ok bool) {
			s := &step{policy: "web3market-blink", door: door, ask: "GET /verify", from: string(rune('m' + try)), hits: hits}
			g := a.ask(s, len(admitted)+len(denials))
			if ok = g.status == http.StatusOK; !ok {
				denials = append(denials, hit{g, hits})
				return ok
			}
			for range hits {
				admitted = append(admitted, hit{g, 1})
			}
			return ok
		}
		began := time.Now()
		send("json", limit/2)
		time.Sleep(time.Until(began.Add(200 * time.Millisecond))) // the halves must differ in age
		send("msgpack", limit/2)
		full, open := false, false
		for time.Since(began) < 2*window && !(full && open) {
			time.Sleep(10 * time.Millisecond) // nobody tells when a hit leaves the window: that is what is looked for
			open = send("", 1)
			full = full || !open
		}
		send("json", limit/2)
		rollsWithin(t, limit, window, admitted, denials)
		if full && open {
			return
		}
	}
	t.Fatalf("never saw the window full, then open")
}

// A hit is a hit that was admitted, or some that were denied together.
type hit struct {
	*answered
	n int
}

// rollsWithin holds what was admitted and denied against a window that rolls.
func rollsWithin(t *testing.T, limit int, window time.Duration, admitted, denials []hit) {
	t.Helper()
	// A hit was counted after it was sent and before it was answered; a millisecond for what clocks round.
	for i := limit; i < len(admitted); i++ {
		if d := admitted[i].received.Sub(admitted[i-limit].sent); d < window-time.Millisecond {
			t.Fatalf("%d hits within %v", limit+1, d)
		}
	}
	// Nor is it stricter than a slot, of which there are at least ten: who is denied finds no room in the window.
	for _, g := range denials {
		full := g.n
		for _, h := range admitted {
			if h.sent.Before(g.received) && h.received.After(g.sent.Add(-window-window/9)) {
				full++
			}
		}
		if full <= limit {
			t.Fatalf("%d hits were denied with %d in the window", g.n, full-g.n)
		}
	}
}

// opensAfterRetryAfter waits as long as Retry-After says, and finds the limit open.
func opensAfterRetryAfter(t *testing.T, a *seedAsker) {
	s := &step{policy: "web3market-blink", ask: "GET /status", from: "r"}
	a.ask(&step{policy: s.policy, door: "json", ask: s.ask, from: s.from, hits: 59}, 0)
	denied := untilDenied(t, a, s)
	if retry := denied.number(t, "Retry-After"); retry != 1 {
		t.Fatalf("Retry-After is %d in a window of half a second", retry)
	}
	time.Sleep(time.Until(denied.received.Add(time.Second)))
	if g := a.ask(s, 0); g.status != http.StatusOK {
		t.Errorf("Retry-After is early:\n%s", g)
	}
}

// opensAtReset waits until the moment that the body of Xola's denial calls resetTime, and finds the limit open.
// That Retry-After and retryInSeconds are one number, and X-RateLimit-Reset and resetTime one moment, every denial is judged by.
func opensAtReset(t *testing.T, a *seedAsker) {
	s := &step{policy: "xola-blink", ask: "GET /api?seller=s$", with: xolaCaller}
	denied := untilDenied(t, a, s)
	var body struct {
		Message   string
		RateLimit struct{ ResetTime time.Time }
	}
	if err := json.Unmarshal(denied.body, &body); err != nil {
		t.Fatal(err)
	}
	const skew = time.Second // should somebody set the machine's clock
	if reset := body.RateLimit.ResetTime; reset.After(denied.received.Add(500*time.Millisecond+time.Second+skew)) || reset.Before(denied.sent.Add(-skew)) {
		t.Fatalf("the reset is %v away, in a window of half a second", time.Until(reset))
	}
	if body.Message != "Too many requests, please try again later." {
		t.Errorf("the message is %q", body.Message)
	}
	time.Sleep(time.Until(body.RateLimit.ResetTime))
	if g := a.ask(s, 0); g.status != http.StatusOK {
		t.Errorf("the reset is early:\n%s", g)
	}
}

// untilDenied asks, by turns, until a limit denies.
func untilDenied(t *testing.T, a *seedAsker, s *step) *answered {
	t.Helper()
	for i := range 100 * windowTries {
		if g := a.ask(s, i); g.status == http.StatusTooManyRequests {
			return g
		}
	}
	t.Fatal("never denied")
	return nil
}
