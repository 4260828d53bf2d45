package client

import (
	"context"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A call is one caller's checks on their way: what goes into a request, and what came back. They travel together, and wake the
// caller once.
//
// # Who has a call
//
// The caller until it is pushed, then its lane, and the caller again once done has its token. A caller that cannot wait leaves:
//
//  1. lane sends a request with call A, due in 20 ms; the node hangs.
//  2. A's caller wakes at its deadline and swaps the state from waiting to left. It answers by itself and never touches A again;
//     nobody puts A back, so that its memory is the lane's until the garbage collector has it.
//  3. the answer comes. The lane writes it into A, fails to swap the state from waiting to answered, and tells nobody.
//
// If at step 2 the swap fails, the lane has just swapped it itself: the answer is there or about to be, and the caller takes it.
type call struct {
	// The question. buf has the checks one after another, as they go into a request.
	buf      []byte
	asks     []ask
	deadline int64
	spends   bool // some check has hits > 0
	gives    bool // some check gives back

	state atomic.Uint32
	done  chan struct{} // has a token once the call is answered
	timer *time.Timer

	// The lane's until the token is there.
	again     bool  // a node may have decided it, and it is asked again
	sent      int64 // when it was sent the last time
	node      *node // who answered
	decisions []Decision
	err       error // there are no decisions

	// Scratch memory of the check that is being added.
	scratch []byte
	texts   [][]byte
	key     []byte
	parsed  []transport.Limit
}

// An ask is one check of a call.
type ask struct {
	of       int // whose it is, for who has made the call of several
	from, to int // call.buf[from:to] is the check
	key, id  int // call.buf[from+1:key] is its key, buf[from+1:id] key and limits; 0 for one with attributes
	hits     int64
	limits   []transport.Limit // shared; nil with attributes
	part     part              // checker.go
	hash     uint64            // of the key
	turn     uint32            // of the denials when it was asked (denied.go)
}

const (
	waiting uint32 = iota
	answered
	left
)

// Memory beyond these is not kept for the next call.
const (
	keepBytes = 16 << 10
	keepAsks  = 256
)

// keySeed is for all clients, so that a call needs none.
var keySeed = maphash.MakeSeed()

func newCall() *call {
	k := &call{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	k.timer.Stop()
	return k
}

func (c *Client) get() *call { return c.calls.Get().(*call) }

// put gives a call back that nobody else has.
func (c *Client) put(k *call) {
	if cap(k.buf) > keepBytes || cap(k.asks) > keepAsks {
		return
	}
	k.reset()
	c.calls.Put(k)
}

// reset makes a call empty that nobody else has.
func (k *call) reset() {
	clear(k.asks)
	clear(k.decisions)
	k.buf, k.asks, k.decisions = k.buf[:0], k.asks[:0], k.decisions[:0]
	k.spends, k.gives, k.again = false, false, false
	k.node, k.err, k.parsed, k.key = nil, nil, nil, nil
	k.state.Store(waiting)
}

// addCheck appends a check of a key that is valid.
func (k *call) addCheck(c *Client, key []byte, limits []transport.Limit, hits int64, receipt bucket.Receipt, want bool) *ask {
	a := ask{from: len(k.buf), hits: hits, limits: limits, hash: maphash.Bytes(keySeed, key)}
	k.buf, a.key, a.id = appendCheck(k.buf, key, limits, hits, receipt, want)
	a.to = len(k.buf)
	k.count(hits)
	if c.denied != nil {
		if hits < 0 {
			c.denied.drop(a.hash, k.buf[a.from+1:a.key])
		}
		a.turn = c.denied.turn(a.hash)
	}
	k.asks = append(k.asks, a)
	return &k.asks[len(k.asks)-1]
}

func (k *call) addAttributes(check *Check, hits int64) {
	a := ask{from: len(k.buf), hits: hits}
	k.buf = appendAttributes(k.buf, check, hits)
	a.to = len(k.buf)
	a.hash = maphash.Bytes(keySeed, k.buf[a.from:]) // its key is the policy's secret: any lane will do
	k.count(hits)
	k.asks = append(k.asks, a)
}

func (k *call) count(hits int64) {
	k.spends = k.spends || hits > 0
	k.gives = k.gives || hits < 0
}

// cut takes the checks from the n-th on away again. What the call is said to do may then be more than it does, which is the safe side.
func (k *call) cut(n int) {
	k.buf = k.buf[:k.asks[n].from]
	clear(k.asks[n:])
	k.asks = k.asks[:n]
}

// answer gives the call back to its caller, with its decisions or an error; false if the caller has left. The lane must not touch the
// call after.
func (k *call) answer(n *node, err error) bool {
	k.node, k.err = n, err
	if !k.state.CompareAndSwap(waiting, answered) {
		return false
	}
	k.done <- struct{}{}
	return true
}

// gone reports whether the caller has left.
func (k *call) gone() bool { return k.state.Load() == left }

// ask sends a call at now and waits for its answer, until its deadline or the end of ctx. mine is false where the call was left behind; then, and
// on an error, it has no decisions.
func (c *Client) ask(ctx context.Context, k *call, now int64) (mine bool, err error) {
	if err := ctx.Err(); err != nil {
		c.stats.failed.Add(uint64(len(k.asks)))
		return true, c.failure(err, nil)
	}
	patience := time.Duration(k.deadline - now)
	if patience <= 0 {
		c.stats.failed.Add(uint64(len(k.asks)))
		return true, c.failure(context.DeadlineExceeded, nil)
	}
	if cap(k.decisions) < len(k.asks) {
		k.decisions = make([]Decision, len(k.asks))
	}
	k.decisions = k.decisions[:len(k.asks)]
	l := c.lane(k.asks[0].hash)
	n := len(k.asks)
	// Without a node there is no use in waking the lane. Who is up is found out by others (node.go).
	if !c.anyUp() {
		c.stats.failed.Add(uint64(n))
		return true, c.noNode()
	}
	if err := l.push(k); err != nil {
		c.stats.failed.Add(uint64(n))
		return true, c.failure(err, nil)
	}
	k.timer.Reset(patience)
	select {
	case <-k.done:
		k.timer.Stop()
	case <-ctx.Done():
		err = ctx.Err()
	case <-k.timer.C:
		err = context.DeadlineExceeded
	}
	if err != nil && k.state.CompareAndSwap(waiting, left) {
		// The checks that the lane still has are its own. A give-back may take effect any time from now on.
		k.timer.Stop()
		c.forget(k)
		c.stats.failed.Add(uint64(n))
		return false, c.failure(err, l.asking.Load())
	}
	if err != nil {
		<-k.done
		k.timer.Stop()
	}
	c.forget(k)
	if k.err != nil {
		c.stats.failed.Add(uint64(n))
		return true, k.err
	}
	return true, nil
}
