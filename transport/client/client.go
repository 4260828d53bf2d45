package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// Retry says what becomes of a check that spends, and that a node may have decided before it failed.
type Retry uint8

const (
	// RetryOnce sends it once more, to another node where one is up: the hit may then count twice.
	RetryOnce Retry = iota
	// RetryNever answers it by Config.OnError: it may then have been spent all the same, once.
	RetryNever
)

// A Config says whom a client asks, and how patiently. Only Addrs must be set.
type Config struct {
	// Addrs are the nodes, host:port of their port for checks (7070). Any of them answers anything; name all that there are, or a
	// few that are there for long.
	Addrs []string

	// Timeout bounds a call whose context has no deadline. Default 1 s.
	Timeout time.Duration
	// Attempt bounds one request to one node; a node that takes longer is taken to have failed. Default 800 ms, more than a cluster needs to
	// replace a node that has died. While a check may still be sent elsewhere its first request gets at most ¾ of the time
	// that is left, so with Timeout 1 s it is 750 ms.
	Attempt time.Duration
	// OnError answers where nobody could decide. ByDefault allows where no node could be asked, and leaves it to the node's own
	// failure mode where one was asked and could not decide; Allow and Deny are for both.
	OnError transport.Mode
	// Retry says whether a check that a failed node may have decided is sent again. Default RetryOnce.
	Retry Retry

	// Conns is how many connections are used at once, 1 to MaxConns, each to another node as far as there are so many. Default 1: the client
	// keeps to one node, drawn at random, while that is up. More of them share the work of one busy client among the nodes, and cost
	// more a check, because the batches are smaller. Checks of one key go over one connection.
	Conns int
	// MaxQueue is how many checks may wait or be under way on a connection. What is more fails at once. Default 65536.
	MaxQueue int
	// DeniedCache is how many denials are remembered. Default 4096; negative turns it off.
	DeniedCache int

	// Backoff is how long a node that has failed is skipped for the first time; each further failure doubles it, up to MaxBackoff. From half of
	// it to all of it is waited, drawn at random. Defaults 100 ms and 5 s.
	Backoff, MaxBackoff time.Duration

	// Dial makes connections; nil is TCP. TLS goes here.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Log hears of nodes that fail and come back; nil discards it.
	Log *slog.Logger
}

// MaxConns bounds Config.Conns: more connections than this only make batches smaller.
const MaxConns = 64

// A Client asks nodes. It is made by New; its methods may be called from many goroutines. Close ends it.
type Client struct {
	cfg    Config
	base   time.Time // now counts from here
	nodes  []*node
	lanes  []*lane
	limits *transport.LimitCache
	denied *denials // nil: off
	calls  sync.Pool
	stats  counters
	nobody atomic.Pointer[Error] // why no node is up, made once a change

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex // protects closed, and with it the starting of goroutines
	closed bool
}

// New returns a client. It connects when the first check is asked, so it does not fail because a node is down.
func New(cfg Config) (*Client, error) {
	if err := cfg.fill(); err != nil {
		return nil, fmt.Errorf("make a stint client: %w", err)
	}
	c := &Client{cfg: cfg, base: time.Now(), limits: transport.NewLimitCache()}
	c.calls.New = func() any { return newCall() } // of this client: its channels belong to who made it
	if cfg.DeniedCache > 0 {
		c.denied = newDenials(cfg.DeniedCache)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, addr := range cfg.Addrs {
		c.nodes = append(c.nodes, newNode(c, addr))
	}
	first := rand.IntN(len(c.nodes)) // many clients of one list must not all begin at its first
	for i := range cfg.Conns {
		l := newLane(c, (first+i)%len(c.nodes))
		c.lanes = append(c.lanes, l)
		c.wg.Go(l.run)
	}
	return c, nil
}

func (cfg *Config) fill() error {
	if len(cfg.Addrs) == 0 {
		return errors.New("no Addrs; name at least one node, host:7070")
	}
	seen := make(map[string]bool)
	for _, addr := range cfg.Addrs {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return fmt.Errorf("address %q is not host:port, such as 127.0.0.1:7070", addr)
		}
		for _, b := range []byte(addr) {
			if b <= ' ' || b >= 0x7f { // it goes into a header
				return fmt.Errorf("address %q has bytes that no address has", addr)
			}
		}
		if seen[addr] {
			return fmt.Errorf("address %q is there twice", addr)
		}
		seen[addr] = true
	}
	if cfg.Conns < 0 || cfg.Conns > MaxConns {
		return fmt.Errorf("with %d Conns; there may be 1 to %d", cfg.Conns, MaxConns)
	}
	if cfg.Retry > RetryNever || cfg.OnError > transport.Deny {
		return fmt.Errorf("with Retry %d and OnError %d: use the constants", cfg.Retry, cfg.OnError)
	}
	cfg.Addrs = append([]string(nil), cfg.Addrs...)
	cfg.Timeout = or(cfg.Timeout, transport.DefaultTimeout)
	cfg.Attempt = or(cfg.Attempt, 800*time.Millisecond)
	cfg.Conns = or(cfg.Conns, 1)
	cfg.MaxQueue = or(cfg.MaxQueue, 1<<16)
	cfg.Backoff = or(cfg.Backoff, 100*time.Millisecond)
	cfg.MaxBackoff = max(or(cfg.MaxBackoff, 5*time.Second), cfg.Backoff)
	if cfg.DeniedCache == 0 {
		cfg.DeniedCache = 4096
	}
	if cfg.Dial == nil {
		var d net.Dialer
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func or[T time.Duration | int](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Close ends the client: calls under way return at once with ErrClosed, connections are closed, and no goroutine is left when it
// returns. What is in flight may still be decided. It may be called twice; the error is always nil.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	for _, l := range c.lanes {
		l.close()
	}
	c.wg.Wait()
	return nil
}

// start runs f in a goroutine that Close waits for; false if the client is closed.
func (c *Client) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}

// now is a moment of this client, in nanoseconds since it was made.
func (c *Client) now() int64 { return int64(time.Since(c.base)) }

// lane returns the lane for a key: one key's checks meet in one batch, in order, where the nodes can fold them.
func (c *Client) lane(hash uint64) *lane {
	return c.lanes[hash%uint64(len(c.lanes))]
}
