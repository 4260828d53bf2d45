package policy

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What `stint policy check` says of the four published APIs. web3market's is the text of the format's page, to the
// letter.
func TestCheckOfTheFour(t *testing.T) {
	for _, name := range ExampleNames() {
		t.Run(name, func(t *testing.T) {
			src, _ := Example(name)
			p, ps := ParseAt(testDay, name+".yaml", src)
			var b strings.Builder
			if err := WriteCheck(&b, p, ps); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/check/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			diff(t, b.String(), string(read(t, golden)))
		})
	}
}

func TestCheckOfWeb3Market(t *testing.T) {
	const want = `web3market.yaml: ok: 4 rules, 4 limits

  rule        applies to         counted by  limits
  activate    POST /activate     ip          30/1m
  verify      GET /verify        ip          120/1m
  deactivate  POST /deactivate   ip          30/1m
  status      GET /status        ip          60/1m

  429 with Retry-After and 116 bytes of application/json; on every answer X-RateLimit-Limit, X-RateLimit-Remaining

  note: requests that match no rule are not limited (add a rule with ` + "`match: otherwise`" + `)
`
	src, _ := Example("web3market")
	p, ps := Parse("web3market.yaml", src)
	var b strings.Builder
	WriteCheck(&b, p, ps)
	diff(t, b.String(), want)
}

// Everything that a rule and a denial can be, in one table.
func TestSummaryOfAllKinds(t *testing.T) {
	p, ps := ParseAt(testDay, "all.yaml", []byte(`name: all
client_ip: { trusted_proxies: [] }
attributes: { plan: { header: X-Plan }, user: { header: X-User } }
key: [user, ip]
rules:
  free:
    match: ["GET /a/{id}", POST /b]
    when: { plan: [free, "trial*"], user: "*" }
    limits: [5/1m, 100/1d fixed_window]
    failure_mode: deny
  probe:
    shadow: true
    limits: 10/1s token_bucket burst=20
    overrides:
      - { key: { user: 42 }, limits: unlimited }
  rest:
    match: otherwise
    key: [ip]
    limits: 1/1s
    denied: { status: 503, headers: { Retry-After: ~, X-Why: "${rule}" }, body: "" }
headers: {}
`))
	if ps.Err() {
		t.Fatal(text(ps))
	}
	diff(t, p.Summary(), `  rule   applies to                      counted by     limits
  free   GET /a/{id}                     user, else ip  5/1m, 100/1d fixed_window; denies when nobody can answer
         POST /b
           when plan is free or trial*
           and user is *
  probe  every request                   user, else ip  10/1s token_bucket burst=20; shadow: never denies; 1 override
  rest   all other requests              ip             1/1s

  429 with Retry-After and a body of application/problem+json; no headers on other answers
  rest: 503 with X-Why and no body, without Retry-After
`)
}

// The one that `stint policy init` prints has nothing to be warned of.
func TestInitPassesTheCheck(t *testing.T) {
	_, ps := Parse("init.yaml", Init())
	if len(ps) > 0 {
		t.Error(text(ps))
	}
}

func TestExamples(t *testing.T) {
	for _, name := range ExampleNames() {
		src, ok := Example(name)
		p, ps := ParseAt(testDay, name, src)
		if !ok || p == nil || p.Name != name || ps.Err() {
			t.Errorf("example %s: %v\n%s", name, ok, text(ps))
		}
		src[0] = 'X' // a copy: the next caller gets it whole
		if again, _ := Example(name); again[0] == 'X' {
			t.Errorf("example %s was changed", name)
		}
	}
	for _, name := range []string{"", "init", "../policy", "ipto.yaml"} {
		if _, ok := Example(name); ok {
			t.Errorf("there is an example %q", name)
		}
	}
}
