package httpserver

import (
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
)

// fasthttp makes room for a body as soon as its header has said how long it is going to be, so a thousand connections
// that promise 1 MiB each and send nothing would cost a gigabyte. Bodies over smallBody therefore share a budget: who
// finds it spent is told 503 and to come again. Ordinary checks, and batches of a hundred, are small and never wait.

// smallBody is what a body may have without asking: about 150 checks.
const smallBody = 16 << 10

// bodies is the budget. A claim is made when a header has arrived and ends with its request, answered or broken off.
type bodies struct {
	most  int
	stale time.Duration // a body that has not arrived by then never will

	mu     sync.Mutex // protects following fields
	claims map[*fasthttp.RequestHeader]claim
	bytes  int
}

// claim is one request's part.
type claim struct {
	bytes   int // 0 where it was refused
	at      time.Time
	arrived bool // the body is there: release is certain to come
}

// large returns what the request's body may take if it has to be claimed, else 0. What is over the cap is refused
// before it takes anything.
func large(h *fasthttp.RequestHeader) int {
	n := h.ContentLength()
	if n == -1 { // chunked: as much as it likes
		n = transport.MaxRequest
	}
	if n <= smallBody || n > transport.MaxRequest {
		return 0
	}
	return n
}

// received is fasthttp's HeaderReceived: it says how much of a body the request may have.
func (b *bodies) received(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
	if n := large(h); n > 0 && !b.claim(h, n, time.Now()) {
		c.MaxRequestBodySize = smallBody
	}
	return c
}

// claim reports whether there was room for n bytes. Headers are known by their address: fasthttp has one per
// connection, from the first byte of a request to the last of its answer.
func (b *bodies) claim(h *fasthttp.RequestHeader, n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= b.claims[h].bytes // of a request that ended in silence, see below
	if b.bytes+n > b.most {
		// fasthttp tells nobody of some requests that end before their body is there: those that are cut off where a
		// chunk should begin, or whose client is gone before it could be told to go on (100 Continue). Their claims
		// are looked for when there is no room left. Whoever makes them on purpose keeps the room no longer than by
		// leaving the connection open.
		for h, c := range b.claims {
			if !c.arrived && now.Sub(c.at) > b.stale {
				b.bytes -= c.bytes
				delete(b.claims, h)
			}
		}
	}
	if b.bytes+n > b.most {
		b.claims[h] = claim{0, now, false}
		return false
	}
	b.claims[h] = claim{n, now, false}
	b.bytes += n
	return true
}

// arrived marks the request's claim: its body is there.
func (b *bodies) arrived(h *fasthttp.RequestHeader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, claimed := b.claims[h]; claimed {
		c.arrived = true
		b.claims[h] = c
	}
}

// release ends the request's claim, and reports whether it had been refused.
func (b *bodies) release(h *fasthttp.RequestHeader) (refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, claimed := b.claims[h]
	delete(b.claims, h)
	b.bytes -= c.bytes
	return claimed && c.bytes == 0
}
