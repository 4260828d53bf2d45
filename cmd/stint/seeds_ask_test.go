package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/bench/proc"
)

// How the cases of seeds_test.go ask, and how their answers are judged.

// A seedAsker asks for one case, and judges what it is answered.
type seedAsker struct {
	*seedCase
	t      *testing.T // the test that asks now
	name   string
	nodes  []*proc.Node
	seed   *seed
	number int    // the case's
	body   string // of a denial
	client *http.Client

	began       time.Time // before the first request
	lastAllowed time.Time // when the last answer that allowed was here
}

func newSeedAsker(t *testing.T, nodes []*proc.Node, s *seed, number int, body string) *seedAsker {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 30 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return &seedAsker{seedCase: &s.cases[number], name: fmt.Sprintf("%s/%d", s.name, number), nodes: nodes, seed: s, number: number, body: body, client: client}
}

// begin hands the asker to a test, which shows what the page says if it fails.
func (a *seedAsker) begin(t *testing.T) {
	a.t = t
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page says: %s", strings.Join(a.says, " / "))
		}
	})
}

// An answered is what came back, from either door.
type answered struct {
	status         int
	header         http.Header
	body           []byte
	sent, received time.Time
}

func (g *answered) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, g.status)
	g.header.Write(&b)
	return b.String() + "\n" + string(g.body)
}

// number reads a header that is a whole number, as `int(response.headers.get('Retry-After'))` and parseInt do.
func (g *answered) number(t *testing.T, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(g.header.Get(name), 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, not a whole number:\n%s", name, g.header.Get(name), g)
	}
	return n
}

// step sends a step's requests and judges each answer.
func (a *seedAsker) step(at int, s *step) {
	a.t.Helper()
	n, hits := max(s.n, 1), max(s.hits, 1)
	for i := range n {
		g := a.ask(s, i)
		wrong := func(format string, args ...any) {
			a.t.Helper()
			a.t.Fatalf("step %d, request %d of %d, %s from %q with %q: %s; the answer was\n%s", at, i+1, n, s.ask, s.from, s.with, fmt.Sprintf(format, args...), g)
		}
		if g.status != s.want {
			wrong("want status %d", s.want)
		}
		left := s.left
		if s.want == http.StatusOK {
			left += (n - 1 - i) * hits
		}
		a.judge(s, i, g, left, wrong)
	}
}

// judge holds an answer against its step and its page.
//
// Times are bounds, not guesses. A window of this case has seen no hit before the case began and none after the last answer that
// allowed, and this answer was made between sent and received. So what is left of the window is at least window −
// (received − began), and at most window − (sent − lastAllowed). A machine that stands still widens the bounds, and does not break
// them.
func (a *seedAsker) judge(s *step, i int, g *answered, left int, wrong func(string, ...any)) {
	want := a.seed.allowed
	if s.want != http.StatusOK {
		want = a.seed.denied
	}
	if s.limit == 0 {
		want = nil
	}
	if got := limitHeaders(g.header); !slices.Equal(got, want) {
		wrong("its headers are %v, want %v", got, want)
	}
	if s.limit == 0 {
		return
	}
	if got := g.number(a.t, "X-RateLimit-Limit"); got != int64(s.limit) {
		wrong("want limit %d", s.limit)
	}
	if got := g.number(a.t, "X-RateLimit-Remaining"); got != int64(left) {
		wrong("want %d remaining", left)
	}
	const skew = time.Second // between a node's clock and ours, should somebody set the machine's
	reset := time.Time{}
	if slices.Contains(want, "X-RateLimit-Reset") {
		reset = time.Unix(g.number(a.t, "X-RateLimit-Reset"), 0)
		if reset.Before(a.began.Add(s.window).Add(-skew)) || reset.After(g.received.Add(s.window+time.Second).Add(skew)) {
			wrong("the reset, %v, is not within a window of %v", reset, s.window)
		}
	}
	if s.want == http.StatusOK {
		a.lastAllowed = g.received
		return
	}
	retry := time.Duration(g.number(a.t, "Retry-After")) * time.Second
	least, most := s.window-g.received.Sub(a.began), s.window-g.sent.Sub(a.lastAllowed)
	if retry < least || retry < time.Second || retry >= most+time.Second {
		wrong("Retry-After is %v, want at least %v and less than a second more than %v", retry, least, most)
	}
	if moment := reset.Add(-retry); !reset.IsZero() && (moment.Before(g.sent.Add(-time.Second-skew)) || moment.After(g.received.Add(time.Second+skew))) {
		wrong("X-RateLimit-Reset and Retry-After are not the same moment")
	}
	if got := g.header.Get("Content-Type"); got != "application/json" {
		wrong("Content-Type is %q, want application/json", got)
	}
	body := a.body
	if s.body != "" {
		body = compact(a.t, s.body)
	}
	body = strings.NewReplacer("${retry}", g.header.Get("Retry-After"), "${current}", strconv.Itoa(s.current+i),
		"${reset}", reset.UTC().Format("2006-01-02T15:04:05.000Z")).Replace(body)
	if got := compact(a.t, string(g.body)); got != body {
		wrong("want the body %s", body)
	}
}

// ask sends the i-th request of a step.
func (a *seedAsker) ask(s *step, i int) *answered {
	a.t.Helper()
	turn := func(all string) string {
		of := strings.Split(all, "|")
		return strings.ReplaceAll(of[i%len(of)], "$", strconv.Itoa(a.number))
	}
	method, uri, _ := strings.Cut(turn(s.ask), " ")
	from := byte('a')
	if s.from != "" {
		from = turn(s.from)[0]
	}
	ip := a.address(from)
	name := a.seed.name
	if s.policy != "" {
		name = s.policy
	}
	node := a.nodes[i%len(a.nodes)].Checks()
	if a.began.IsZero() {
		a.began = time.Now()
	}
	with := map[string]string{}
	for _, line := range s.with {
		name, values, ok := strings.Cut(line, ": ")
		if !ok {
			a.t.Fatalf("%q is not NAME: VALUE", line)
		}
		with[name] = turn(values)
	}
	if s.door != "" {
		with["method"], with["path"], with["ip"] = method, uri, ip
		return a.native(node, s.door, name, with, max(s.hits, 1))
	}
	// As Traefik asks: it sends the body along where it is told to.
	req, err := http.NewRequest("GET", "http://"+node+"/v1/auth?timeout_ms=10000&policy="+name, strings.NewReader(with["body"]))
	if err != nil {
		a.t.Fatal(err)
	}
	delete(with, "body")
	for k, v := range with {
		req.Header.Set(k, v)
	}
	req.Header.Set("X-Forwarded-Method", method)
	req.Header.Set("X-Forwarded-Uri", uri)
	req.Header.Set("X-Forwarded-Host", "api.example")
	req.Header.Set("X-Forwarded-For", ip)
	return a.do(req)
}

// address is a client's, by its letter: one of RFC 2544's, which are nobody's and not private.
func (a *seedAsker) address(letter byte) string { return fmt.Sprintf("198.18.%d.%d", a.number, letter) }

func (a *seedAsker) do(req *http.Request) *answered {
	a.t.Helper()
	g := &answered{sent: time.Now()}
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	if g.body, err = io.ReadAll(resp.Body); err != nil {
		a.t.Fatal(err)
	}
	g.status, g.header, g.received = resp.StatusCode, resp.Header, time.Now()
	return g
}

// native asks the check API to pick the rules, and returns what the policy would send.
func (a *seedAsker) native(node, format, policy string, attributes map[string]string, hits int) *answered {
	a.t.Helper()
	ask := map[string]any{"timeout_ms": 10_000, "checks": []any{map[string]any{"policy": policy, "attributes": attributes, "hits": hits, "render": true}}}
	marshal, unmarshal := json.Marshal, json.Unmarshal
	if format == "msgpack" {
		marshal, unmarshal = msgpack.Marshal, msgpack.Unmarshal
	}
	body, err := marshal(ask)
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", "http://"+node+"/v1/check", bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/"+format)
	g := a.do(req)
	var got struct {
		Decisions []struct {
			Status  int               `json:"status" msgpack:"status"`
			Headers map[string]string `json:"headers" msgpack:"headers"`
			Body    string            `json:"body" msgpack:"body"`
		} `json:"decisions" msgpack:"decisions"`
	}
	if err := unmarshal(g.body, &got); err != nil || g.status != http.StatusOK || len(got.Decisions) != 1 {
		a.t.Fatalf("%s check of %v: %v\n%s", format, attributes, err, g)
	}
	d := got.Decisions[0]
	g.status, g.body, g.header = d.Status, []byte(d.Body), http.Header{}
	for k, v := range d.Headers {
		if strings.HasPrefix(k, "X-") && !strings.HasPrefix(k, "X-RateLimit-") {
			a.t.Errorf("the header %q is not spelled as on the page", k)
		}
		g.header.Set(k, v)
	}
	return g
}

// limitHeaders returns the names of all headers that speak of limits, sorted.
func limitHeaders(h http.Header) []string {
	var names []string
	for name := range h {
		if low := strings.ToLower(name); strings.Contains(low, "ratelimit") || strings.Contains(low, "retry") {
			names = append(names, strings.Replace(name, "X-Ratelimit-", "X-RateLimit-", 1))
		}
	}
	slices.Sort(names)
	return names
}

// compact takes the white space out of JSON; order and numbers stay as they are written. The values of a sample are put in
// later, so ${…} outside of quotes is let through.
func compact(t *testing.T, text string) string {
	t.Helper()
	hidden := strings.NewReplacer(": ${retry}", `: "${retry}"`, ": ${current}", `: "${current}"`, ":${retry}", `:"${retry}"`).Replace(text)
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(hidden)); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return strings.NewReplacer(`"${retry}"`, "${retry}", `"${current}"`, "${current}").Replace(b.String())
}
