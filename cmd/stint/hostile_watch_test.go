package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// What must hold during and after an attack: the same processes, their memory, goroutines, files and logs within bounds, checks
// that are right, and nothing spent by what was bad.

const (
	mib          = 1 << 20
	hostileLines = 100_000
	// logBound is how much a node may write in an attack, however long: what is said again and again is said once a minute.
	logBound = 128 << 10
)

// memoryBound is how much the resident memory of a node may grow under these attacks: caps, times what the test has open. The
// collector lets the heap grow to twice what lives, so all of it counts twice; and as it gives memory back late, the ports add up.
//
//	lines    100,000 lines in a table that doubles: 2 × 64 B each                                12.2 MiB
//	limits   the cache of limit texts                                                            8 MiB
//	checks   12 connections × (1 MiB body, grown to 2 on the way, 1 MiB of its checks, 20 KiB)   37 MiB
//	peers    12 × (1 MiB control body, 1 MiB answer), a crowd of 1024 × (4 KiB in, 16 KiB out, 8 KiB stack),
//	         4096 senders of 1 KiB                                                               56 MiB
//	admin    4 metrics pages, a crowd of 256 × 20 KiB                                            6 MiB
//	gossip   12 streams × (2 MiB let in, a buffer that doubles), a crowd of 64 × 12 KiB          49 MiB
const memoryBound = 2 * (13 + 8 + 37 + 56 + 6 + 49) * mib

// With a crowd on the checks port, which a long run has, there are 8192 × (16 KiB in, 4 KiB out, 8 KiB stack and context) more: 224 MiB.
const checksCrowd, crowdBound = 8192, 2 * 224 * mib

// usage is what a process uses.
type usage struct {
	rss, peak  int64 // bytes
	goroutines int
	files      int
	log        int64
}

func (u usage) String() string {
	return fmt.Sprintf("RSS %d MiB (peak %d), %d goroutines, %d files, %d KiB log", u.rss/mib, u.peak/mib, u.goroutines, u.files, u.log>>10)
}

func (a *arena) usage(n *proc.Node) (u usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) == 3 && (f[0] == "VmRSS:" || f[0] == "VmHWM:") {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return u, err
			}
			if f[0] == "VmRSS:" {
				u.rss = kib << 10
			} else {
				u.peak = kib << 10
			}
		}
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	if err != nil {
		return u, err
	}
	u.files = len(files)
	info, err := os.Stat(n.Log)
	if err != nil {
		return u, err
	}
	u.log = info.Size()
	page, err := a.page(n, "/metrics")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(page)) {
		if v, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			u.goroutines, err = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return u, err
}

var watchClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (a *arena) page(n *proc.Node, path string) ([]byte, error) {
	resp, err := watchClient.Get("http://" + n.Admin() + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s: %s: %.200s", n.Name, path, resp.Status, b)
	}
	return b, err
}

// begin notes how things are before the first attack, and spends on the sentinels.
func (a *arena) begin() {
	a.start, a.pids = map[string]usage{}, map[string]int{}
	for _, n := range a.c.Nodes {
		key := a.keyOf(n, "sentinel")
		a.sentinels = append(a.sentinels, key)
		for i := range 3 {
			a.ask(a.c.Nodes[i%2], key, 1000, 1)
		}
	}
	for _, n := range a.c.Nodes {
		u, err := a.usage(n)
		if err != nil {
			a.t.Fatal(err)
		}
		if u.rss == 0 || u.peak == 0 || u.goroutines == 0 || u.files == 0 {
			a.t.Fatalf("%s: %v: that cannot be; is /proc another system's?", n.Name, u)
		}
		a.start[n.Name], a.pids[n.Name] = u, n.PID()
		a.t.Logf("%s before: %v", n.Name, u)
	}
}

// keyOf returns a new key that the node holds.
func (a *arena) keyOf(n *proc.Node, what string) string {
	for i := range 1000 {
		key := fmt.Sprintf("%s:%d:%d", what, a.round, i)
		b, err := a.page(n, "/v1/explain?key="+url.QueryEscape(key))
		if err != nil {
			a.t.Fatal(err)
		}
		var e struct{ Here bool }
		if err := json.Unmarshal(b, &e); err != nil {
			a.t.Fatal(err)
		}
		if e.Here {
			return key
		}
	}
	a.t.Fatalf("%s holds none of 1000 keys", n.Name)
	return ""
}

// ask asks a node for hits under COUNT/1h, and returns whether they are allowed, and what remains.
func (a *arena) ask(n *proc.Node, key string, limit, hits int) (allowed bool, remaining int) {
	a.t.Helper()
	body := fmt.Sprintf(`{"checks":[{"key":%q,"limits":["%d/1h"],"hits":%d}],"timeout_ms":10000}`, key, limit, hits)
	resp, err := watchClient.Post("http://"+n.Checks()+"/v1/check", "application/json", strings.NewReader(body))
	if err != nil {
		a.fail("a good check at %s: %v", n.Name, err)
		return false, -1
	}
	defer resp.Body.Close()
	var out answer
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK || len(out.Decisions) != 1 {
		a.fail("a good check at %s: %s (%v)", n.Name, resp.Status, err)
		return false, -1
	}
	d := out.Decisions[0]
	if d.Via != "holder" {
		a.fail("a good check at %s: via %q, want holder", n.Name, d.Via)
	}
	return d.Allowed, int(d.Remaining)
}

// sample watches the processes during an attack.
func (a *arena) sample(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for _, n := range a.c.Nodes {
					if !n.Running() {
						a.fail("%s has ended: %v", n.Name, n.Err())
						return
					}
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// after is what must hold when an attack is over.
func (a *arena) after(port string) {
	a.t.Helper()
	a.round++
	for _, n := range a.c.Nodes {
		if !n.Running() || n.PID() != a.pids[n.Name] {
			a.t.Fatalf("after %s: %s is not the process that it was (%v); STINT_SEED=%d", port, n.Name, n.Err(), a.seed)
		}
	}
	if err := a.c.Agree(context.Background()); err != nil {
		a.fail("after %s: %v", port, err)
	}
	// Five of five on a key held here and on one held there, by turns, and not one more.
	for i, holder := range a.c.Nodes {
		key := a.keyOf(holder, "good-after-"+port)
		for hit := range 5 {
			allowed, remaining := a.ask(a.c.Nodes[(i+hit+1)%2], key, 5, 1)
			if !allowed || remaining != 4-hit {
				a.fail("after %s: hit %d of 5 on %s: allowed %v, %d remain", port, hit+1, key, allowed, remaining)
			}
		}
		for _, n := range a.c.Nodes {
			if allowed, _ := a.ask(n, key, 5, 1); allowed {
				a.fail("after %s: %s admits a sixth hit of 5", port, n.Name)
			}
		}
	}
	for _, key := range a.sentinels {
		for _, n := range a.c.Nodes {
			if _, remaining := a.ask(n, key, 1000, 0); remaining != 1000-3 {
				a.fail("after %s: %d of 1000 remain for %s at %s, want 997: bad requests have spent", port, remaining, key, n.Name)
			}
		}
	}
	for _, n := range a.c.Nodes {
		a.settled(n, port, false)
	}
	a.mu.Lock()
	if lost := a.tally[port+": could not connect"]; lost > 20 {
		a.fail("%s: %d shots found nobody listening", port, lost)
	}
	a.mu.Unlock()
	if a.t.Failed() {
		a.t.Logf("replay with STINT_SEED=%d", a.seed)
	}
}

// settled waits until the files of a node, and with all its goroutines, are back to what they were, and then looks at the rest.
func (a *arena) settled(n *proc.Node, port string, all bool) {
	a.t.Helper()
	const slack = 24 // the other node's pipes and probes, idle connections of the watching client
	was := a.start[n.Name]
	var u usage
	var err error
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if u, err = a.usage(n); err == nil && u.files <= was.files+slack && (!all || u.goroutines <= was.goroutines+slack) {
			break
		}
		if time.Now().After(deadline) {
			a.fail("after %s: %s does not come to rest: %v; it was %v (%v)", port, n.Name, u, was, err)
			break
		}
	}
	a.t.Logf("%s after %s: %v", n.Name, port, u)
	// Without a secret a compressed packet may make memberlist hold 40 MiB and a state message 100 MiB: its own caps.
	if grown := u.peak - was.rss; grown > a.bound && a.secret != "" {
		a.fail("after %s: %s grew by %d MiB, more than %d", port, n.Name, grown/mib, a.bound/mib)
	}
	log, err := os.ReadFile(n.Log)
	if err != nil {
		a.t.Fatal(err)
	}
	if grown := int64(len(log)) - was.log; grown > logBound {
		a.fail("after %s: the log of %s grew by %d KiB, more than %d: a stranger can fill the disk. It ends\n%s", port, n.Name, grown>>10, logBound>>10, n.Tail(5))
	}
	for _, word := range []string{"panic", "fatal error", "ran into a bug", "goroutine "} {
		if i := bytes.Index(log, []byte(word)); i >= 0 {
			a.fail("after %s: the log of %s has %q: %.2000s", port, n.Name, word, log[i:])
		}
	}
}

// end looks at what takes a while: fasthttp keeps a goroutine for ten seconds after its connection has gone.
func (a *arena) end() {
	for _, n := range a.c.Nodes {
		a.settled(n, "all", true)
	}
	a.report()
}
