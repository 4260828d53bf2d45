package door

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/policy"
)

// A Config is what a door is made from.
type Config struct {
	// Checker decides: a node or a client of one.
	Checker transport.Checker
	// Policies returns the policies in force. It is asked once per request, from many goroutines; a reload makes it
	// return another slice. nil means that there are none.
	Policies func() []*policy.Policy
	// Clock tells the instants that answers are rendered with. nil means a clock of the door's own.
	Clock *transport.Clock
	// FailureMode answers a request that its policy cannot be applied to in full (policy.ErrKeys, policy.ErrLimits). What
	// nobody can decide is the Checker's to answer, by the rule's mode.
	FailureMode transport.Mode
	// Log hears what an operator should know; nil discards it.
	Log *slog.Logger
}

// Filled returns the config with its defaults in the places left out. It panics without a Checker, as a door without
// one could only lie.
func (c Config) Filled() Config {
	if c.Checker == nil {
		panic("door: a door needs a Checker")
	}
	if c.Policies == nil {
		c.Policies = func() []*policy.Policy { return nil }
	}
	if c.Clock == nil {
		c.Clock = transport.NewClock()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Pick returns the policy called name; "" means the only one. Its errors say which there are, at most ten of them.
func Pick(policies []*policy.Policy, name string) (*policy.Policy, error) {
	if len(policies) == 0 {
		return nil, fmt.Errorf("no policy is loaded; start the server with --policy FILE")
	}
	if name == "" {
		if len(policies) == 1 {
			return policies[0], nil
		}
		return nil, fmt.Errorf("several policies are loaded, so policy must name one of: %s", names(policies))
	}
	for _, p := range policies {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no policy is called %s; loaded: %s", Quote(name), names(policies))
}

func names(policies []*policy.Policy) string {
	const most = 10
	var b strings.Builder
	for i, p := range policies {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(policies)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Name)
	}
	return b.String()
}

// Quote quotes what a caller sent for a message, at most 64 bytes of it.
func Quote[S string | []byte](s S) string {
	if len(s) > 64 {
		return strconv.Quote(string(s[:64])) + "…"
	}
	return strconv.Quote(string(s))
}

// Timeout checks timeout_ms, 1 to 10000.
func Timeout(ms int64) (time.Duration, error) {
	if ms < transport.MinTimeout.Milliseconds() || ms > transport.MaxTimeout.Milliseconds() {
		return 0, fmt.Errorf("timeout_ms is %d; it goes from %d to %d", ms, transport.MinTimeout.Milliseconds(), transport.MaxTimeout.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Refuse answers with the problem; what the response had before is dropped.
func Refuse(ctx *fasthttp.RequestCtx, p *transport.Problem) {
	r := &ctx.Response
	r.Reset()
	r.SetStatusCode(p.Status)
	r.Header.SetContentType(transport.ProblemType)
	if p.Status == fasthttp.StatusServiceUnavailable || p.Status == fasthttp.StatusTooManyRequests {
		r.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	r.SetBodyRaw(p.AppendJSON(nil))
}

// Peer returns the address at the other end of the connection; the zero Addr where it has none.
func Peer(ctx *fasthttp.RequestCtx) netip.Addr {
	if a, ok := ctx.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
