package policy

import (
	"fmt"
	"testing"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// Each rule's counters say what became of the requests that it counted, shadows included.
func TestTally(t *testing.T) {
	p, problems := Parse("p.yaml", []byte(`
name: p
key: [ip]
client_ip: { trusted_proxies: [private] }
rules:
  all:   { limits: [3/1m, 100/1h] }
  write: { match: "POST /", limits: 100/1m }
  quiet: { limits: 1/1m, shadow: true }
`))
	if problems.Err() {
		t.Fatal(problems)
	}
	m := newMemory(bucket.Instant(1e15))
	var plan Plan
	var a Answer
	for i := range 5 {
		o := TryOptions{Method: []string{"GET", "POST"}[i%2], URL: "/"}
		r, err := o.request()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Plan(r, m.now, &plan); err != nil {
			t.Fatal(err)
		}
		ask := transport.Request{Checks: plan.Checks}
		transport.Together(m, &ask)
		p.Render(&plan, ask.Decisions, m.now, &a)
		p.Tally(&plan, ask.Decisions, &a)
	}
	want := "[{p all 3 2 0} {p write 1 0 0} {p quiet 1 0 4}]"
	if got := fmt.Sprint(p.RuleStats()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
