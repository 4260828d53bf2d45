package policy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// Trying a policy out: made-up requests through the code that a door runs, over buckets in memory, and what would be sent.

// TryOptions is a made-up request.
type TryOptions struct {
	Method string // "" is GET
	URL    string // /path?query, or http://host/path?query
	Header http.Header
	Body   []byte
	From   netip.Addr // the other end of the connection; the zero Addr is 192.0.2.1, an address for examples
	// N is how many to send; 0 sends until one is denied, at most MaxTry.
	N     int
	Every time.Duration // between one and the next; 0 is all at once
	Now   time.Time     // of the first; zero is the present
}

// MaxTry is how many requests Try sends at the most: enough to see a limit of 100,000 deny, in less than a second.
const MaxTry = 200_000

// request is what a door would make of it.
func (o *TryOptions) request() (*Request, error) {
	r := &Request{Method: o.Method, URI: o.URL, Body: o.Body, Peer: o.From}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	u, err := url.ParseRequestURI(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read URL %q: it is /path?query or http://host/path?query: %w", o.URL, err)
	}
	r.Host = u.Host
	if !r.Peer.IsValid() {
		r.Peer = netip.AddrFrom4([4]byte{192, 0, 2, 1})
	}
	r.Header = o.Header.Values
	if host := o.Header.Get("Host"); host != "" {
		r.Host = host
	}
	return r, nil
}

// start is the instant of the first request.
func (o *TryOptions) start() bucket.Instant {
	if o.Now.IsZero() {
		return bucket.Instant(time.Now().UnixMicro())
	}
	return bucket.Instant(o.Now.UnixMicro())
}

// Try sends the requests and writes the first answer, the last allowed and the first denied as HTTP, each under
// a line that says which it is, and at the end how many were allowed.
func Try(p *Policy, o TryOptions, w io.Writer) error {
	r, err := o.request()
	if err != nil {
		return err
	}
	if o.N < 0 || o.N > MaxTry || o.Every < 0 || o.Every > 366*24*time.Hour {
		return fmt.Errorf("send %d requests, one every %v: at most %d, and no longer than 366 days apart", o.N, o.Every, MaxTry)
	}
	var (
		m                   = newMemory(o.start())
		start               = m.now
		plan                Plan
		a                   Answer
		last                tried
		denied              tried
		first               tried
		sent, allowed, most = 0, 0, o.N
	)
	if most == 0 {
		most = MaxTry
	}
	for sent < most {
		m.now = start.Add(time.Duration(sent) * o.Every)
		sent++
		if err := p.answer(m, r, &plan, &a); err != nil {
			return err
		}
		if len(plan.Checks) == 0 {
			fmt.Fprintf(w, "# no rule counts this request: it is not limited\n%s", httpText(&a))
			return nil
		}
		if a.Allowed {
			allowed++
			last.keep(sent, m.now.Sub(start), &a)
		} else if denied.n == 0 {
			denied.keep(sent, m.now.Sub(start), &a)
		}
		if sent == 1 {
			first.keep(sent, 0, &a)
		}
		if o.N == 0 && denied.n > 0 {
			break
		}
	}
	first.write(w, "the first")
	if last.n > 1 && (denied.n == 0 || last.n < denied.n || last.n == sent) {
		last.write(w, "the last allowed")
	} else if last.n > 1 {
		last.write(w, "the last allowed, after denials")
	}
	if denied.n > 1 {
		denied.write(w, "the first denied, by "+denied.by)
	}
	_, err = fmt.Fprintf(w, "# %d sent, %d allowed, %d denied\n", sent, allowed, sent-allowed)
	return err
}

// tried is an answer to show.
type tried struct {
	n    int // which request, from 1
	at   time.Duration
	by   string
	text []byte
}

func (t *tried) keep(n int, at time.Duration, a *Answer) {
	t.n, t.at, t.by, t.text = n, at, "", append(t.text[:0], httpText(a)...)
	if a.By != nil {
		t.by = a.Rule + " " + a.By.Text
	}
}

func (t *tried) write(w io.Writer, what string) {
	at := ""
	if t.at > 0 {
		at = ", after " + t.at.String()
	}
	fmt.Fprintf(w, "# request %d%s: %s\n%s\n", t.n, at, what, t.text)
}

// answer takes a request the whole way.
func (p *Policy) answer(m *memory, r *Request, plan *Plan, a *Answer) error {
	if err := p.Plan(r, m.now, plan); err != nil {
		return fmt.Errorf("plan the request: %w", err)
	}
	ask := transport.Request{Checks: plan.Checks}
	transport.Together(m, &ask)
	p.Render(plan, ask.Decisions, m.now, a)
	return nil
}

// httpText is an answer as it goes over the wire, but with lines as a terminal has them.
func httpText(a *Answer) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", a.Status, http.StatusText(a.Status))
	for _, h := range a.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
	}
	if len(a.Body) > 0 {
		b.WriteByte('\n')
		b.Write(a.Body)
		if a.Body[len(a.Body)-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}
