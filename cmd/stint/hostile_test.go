package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// Truncated, oversized, lying and random bytes on every port of real nodes. Each port of both nodes of a cluster is
// attacked for STINT_HOSTILE (3s; `make hostile`: 1m). The attacks are made from a seed: STINT_SEED replays them. The generators are in
// hostile_http_test.go, hostile_peer_test.go and hostile_gossip_test.go, what must hold meanwhile in hostile_watch_test.go.

const (
	// hostileConns are the connections per node that attack at once, hostileSlow those that trickle beside them.
	hostileConns, hostileSlow = 6, 6
	// hostileSecret is the cluster's secret, as the test must make frames with a good MAC, too.
	hostileSecret = "a secret for hostile_test.go, and nothing else"
)

const hostilePolicy = `
name: hostile
client_ip: { trusted_proxies: [private] }
key: [ip]
rules:
  verify: { match: GET /verify, limits: 100000000/1m }
  write:  { match: ["POST /activate", "POST /deactivate"], limits: 100000000/1m }
headers:
  X-RateLimit-Limit: ${limit}
denied:
  headers: { X-By-Policy: "1" }
  body: no
`

// A shot is one connection's worth of hostile bytes.
type shot struct {
	what   string // the kind, for reports
	pieces [][]byte
	// bad: certainly no request that may be answered by 2xx, so its key may be a sentinel.
	bad bool
	// want is the status that an answer must have; 0: any.
	want int
	// hold: the writing side stays open, so the server must wait for more; the test hangs up a moment later.
	hold bool
}

func one(what string, b []byte) shot { return shot{what: what, pieces: [][]byte{b}} }

// An arena is a cluster under attack.
type arena struct {
	t         *testing.T
	c         *proc.Cluster
	secret    string // "" is none
	seed      uint64
	duration  time.Duration
	start     map[string]usage // by node, before the first attack
	pids      map[string]int
	sentinels []string // spent three times; one held by each node
	round     int
	bound     int64 // how much a node's memory may grow

	failures atomic.Int32
	mu       sync.Mutex // protects following
	tally    map[string]int
}

func newArena(t *testing.T, secret string) *arena {
	a := &arena{t: t, secret: secret, seed: uint64(time.Now().UnixNano()), duration: 3 * time.Second, bound: memoryBound, tally: map[string]int{}}
	if s := os.Getenv("STINT_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("STINT_SEED: %v", err)
		}
		a.seed = n
	}
	if s := os.Getenv("STINT_HOSTILE"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("STINT_HOSTILE: %v", err)
		}
		a.duration = d
	}
	args := []string{"--max-lines", strconv.Itoa(hostileLines), "--policy", file(t, "hostile.yaml", hostilePolicy)}
	if secret != "" {
		args = append(args, "--secret-file", file(t, "secret", secret))
	}
	a.c = cluster(t, 2, args...)
	a.begin()
	return a
}

func (a *arena) fail(format string, args ...any) {
	a.t.Helper()
	if n := a.failures.Add(1); n <= 20 {
		a.t.Errorf(format, args...)
	}
}

// A weapon makes shots at a node's port.
type weapon interface {
	fire(r *rand.Rand, at *proc.Node) // one shot, judged
}

// attack fires at a port of all nodes until the time is over. Every goroutine has its own stream of the seed.
func (a *arena) attack(port string, w weapon, slow func(ctx context.Context, at *proc.Node, n int)) {
	a.t.Logf("%s: %v from seed %d", port, a.duration, a.seed)
	ctx, cancel := context.WithTimeout(context.Background(), a.duration)
	defer cancel()
	a.failures.Store(0)
	stop := a.sample(ctx)
	var wg sync.WaitGroup
	for i, n := range a.c.Nodes {
		for k := range hostileConns {
			r := rand.New(rand.NewPCG(a.seed, uint64(len(port)*10000+i*100+k)))
			wg.Go(func() {
				// However slow the machine, so many that every kind is among them.
				for i := 0; (i < 60 || ctx.Err() == nil) && a.failures.Load() < 20 && n.Running(); i++ {
					w.fire(r, n)
				}
			})
		}
		for k := range hostileSlow {
			if slow != nil {
				wg.Go(func() { slow(ctx, n, k) })
			}
		}
	}
	wg.Wait()
	stop()
	a.after(port)
}

func (a *arena) count(port, what string, n int) {
	a.mu.Lock()
	a.tally[port+": "+what] += n
	a.mu.Unlock()
}

// report says what was sent and how it was answered, for people.
func (a *arena) report() {
	a.mu.Lock()
	defer a.mu.Unlock()
	var lines []string
	for k, n := range a.tally {
		lines = append(lines, fmt.Sprintf("%-60s %9d", k, n))
	}
	sort.Strings(lines)
	a.t.Log("\n" + strings.Join(lines, "\n"))
}

// need fails if one of the kinds of shots was never sent, or never answered as it must be at least once.
func (a *arena) need(port string, whats ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, what := range whats {
		if a.tally[port+": "+what] == 0 {
			a.fail("%s: there was no %q among the shots: the attack is not what it says", port, what)
		}
	}
}

func TestHostileBytes(t *testing.T) {
	t.Run("secret", func(t *testing.T) {
		t.Parallel()
		a := newArena(t, hostileSecret)
		a.attack("checks", checksWeapon{a}, a.trickle("checks", (*proc.Node).Checks))
		a.need("checks", "answered 200", "answered 400", "answered 413", "answered 431")
		a.tooLarge()
		if a.duration >= 30*time.Second {
			a.bound += crowdBound
			a.crowd("checks", (*proc.Node).Checks, checksCrowd)
		}
		a.attack("peers", newPeersWeapon(a), a.trickle("peers", (*proc.Node).Peers))
		a.need("peers", "answered 403", "answered 400", "answered 413", "a good batch, by hand", "status restarted", "status differs", "status stale", "verdict differs")
		a.crowd("peers", (*proc.Node).Peers, 1024)
		a.attack("admin", adminWeapon{a}, a.trickle("admin", (*proc.Node).Admin))
		a.need("admin", "answered 200", "answered 400", "answered 404", "answered 431")
		a.crowd("admin", (*proc.Node).Admin, 256)
		a.attack("gossip", newGossipWeapon(a), a.trickle("gossip", (*proc.Node).Gossip))
		a.crowd("gossip", (*proc.Node).Gossip, 64)
		a.end()
	})
	// Without a secret who reaches the peers and gossip ports is a member if it says so, and may do what a member may. Bytes
	// that are not what a member sends must not end the node all the same. The other two ports are the same with and without.
	t.Run("open", func(t *testing.T) {
		t.Parallel()
		a := newArena(t, "")
		a.attack("peers", newPeersWeapon(a), a.trickle("peers", (*proc.Node).Peers))
		a.need("peers", "answered 400", "answered 413", "a good batch, by hand", "status restarted", "status differs", "status stale", "verdict differs")
		a.attack("gossip", newGossipWeapon(a), a.trickle("gossip", (*proc.Node).Gossip))
		a.end()
	})
}

// members returns the start IDs of the members, as anybody who reaches the admin port can.
func (a *arena) members() map[string]uint64 {
	resp, err := http.Get("http://" + a.c.Nodes[0].Admin() + "/v1/members")
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct {
		Members []struct {
			Name    string
			StartID uint64 `json:"start_id"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		a.t.Fatal(err)
	}
	ids := map[string]uint64{}
	for _, m := range page.Members {
		ids[m.Name] = m.StartID
	}
	return ids
}
