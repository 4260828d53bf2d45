package node

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// What the sides of a split may grant, for whole nodes: a cluster that is cut into two, seeded, and callers on both sides all the while, of keys whose
// windows begin and end in it.

// splitLimits are met all the time, by more than there is.
var splitLimits = []string{"40/1s", "9/2s fixed_window", "1500/2s", "50/7s", "60/6s fixed_window", "1500/5s"}

// shortest is the shortest window that is copied, and returned: what the sides spent in shorter ones is not merged when the cut heals.
const shortest = 5 * time.Second

// A splitHit is a check in a split that was allowed, and where.
type splitHit struct {
	hit
	at *simNode
}

// splitRun cuts a cluster in two for some seconds, and returns what was allowed of each of splitLimits, from a second after the cut on; and who is on the larger
// side, if there is one.
func splitRun(s *sim, o transport.OnSplit) (allowed [][]splitHit, larger map[string]bool) {
	s.boot()
	nodes := s.live()
	s.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	k := 1 + s.rng.IntN(len(nodes)-1)
	larger = map[string]bool{}
	for i, x := range nodes {
		larger[x.name] = i < k && 2*k > len(nodes) || i >= k && 2*(len(nodes)-k) > len(nodes)
	}
	cut := s.now() + s.span(500*time.Millisecond, 1500*time.Millisecond)
	heal := cut + s.span(9*time.Second, 13*time.Second)
	end := heal + 12*time.Second
	if o == transport.SplitDeny {
		end = heal // who is heard again may decide again
	}
	s.logf("%d of %d apart from %v to %v, larger %v", k, len(nodes), cut, heal, larger)
	allowed = make([][]splitHit, len(splitLimits))
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, x := range nodes {
		for j, text := range splitLimits {
			l := limit(s.t, text)
			all.Go(func() {
				r := rand.New(rand.NewPCG(s.seed, uint64(100*i+j)))
				for s.now() < end {
					h := splitHit{hit{from: s.now(), hits: 1 + r.Int64N(2)}, x}
					req := transport.Request{Deadline: time.Now().Add(transport.DefaultTimeout), Checks: []transport.Check{
						{Key: []byte(text), Limits: []transport.Limit{l}, Hits: h.hits, OnSplit: o, Unavailable: transport.Deny}}}
					x.Check(&req)
					h.to, h.via = s.now(), req.Decisions[0].Via
					if req.Decisions[0].Allowed && h.from >= cut+time.Second && (h.to < heal || l.Window.Longest() >= shortest) {
						mu.Lock()
						allowed[j] = append(allowed[j], h)
						mu.Unlock()
					}
					time.Sleep(time.Duration(r.ExpFloat64() * float64(4*time.Millisecond)))
				}
			})
		}
	}
	time.Sleep(cut - s.now())
	for _, a := range nodes[:k] {
		for _, b := range nodes[k:] {
			s.link(a.name, b.name)
			s.link(b.name, a.name)
		}
	}
	time.Sleep(heal - s.now())
	s.heal()
	all.Wait()
	s.settle(calmIn)
	return allowed, larger
}

// inSplits runs some seeds, of -sim.first and -sim.seeds.
func inSplits(t *testing.T, f func(s *sim)) {
	for i := range *simSeeds {
		t.Run(fmt.Sprint(*simFirst+uint64(i)), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSim(t, "split", *simFirst+uint64(i), false)
				s.noLeases = !*simLease
				defer s.end()
				f(s)
			})
		})
	}
}

// most is the most that any window had, and when that began.
func (s *sim) most(l transport.Limit, allowed []splitHit) (int64, time.Duration) {
	var hits []hit
	for _, h := range allowed {
		hits = append(hits, h.hit)
	}
	if l.Algorithm == bucket.FixedWindow {
		return s.fixedMost(hits, l.Window.Longest())
	}
	return slidingMost(hits, l.Window.Longest())
}

// With share both sides together keep the limit, in every window that begins a second after the cut or later: while it lasts, and if it is not one
// of the short ones as it heals, and after.
func TestSplitShareKeepsTheLimit(t *testing.T) {
	slowWithRace(t)
	inSplits(t, func(s *sim) {
		allowed, larger := splitRun(s, transport.SplitShare)
		for i, text := range splitLimits {
			l := limit(s.t, text)
			if n, at := s.most(l, allowed[i]); n > int64(l.Count) {
				s.wrong("%s: %d hits in the window from %v, sides %v", text, n, at, larger)
			} else if 2*n < int64(l.Count) {
				s.wrong("%s: no more than %d hits in any window", text, n)
			}
		}
	})
}

// With deny nobody decides but the side with more than half of the members, which grants the whole limit and no more. In halves nobody does.
func TestSplitDenyIsOneSide(t *testing.T) {
	slowWithRace(t)
	inSplits(t, func(s *sim) {
		allowed, larger := splitRun(s, transport.SplitDeny)
		halves := true
		for _, is := range larger {
			halves = halves && !is
		}
		for i, text := range splitLimits {
			l := limit(s.t, text)
			for _, h := range allowed[i] {
				if !larger[h.at.name] {
					s.wrong("%s: %s allowed %d at %v, and is not on the larger side of %v", text, h.at.name, h.hits, h.from, larger)
					break
				}
			}
			if n, at := s.most(l, allowed[i]); n > int64(l.Count) {
				s.wrong("%s: %d hits in the window from %v", text, n, at)
			} else if !halves && 2*n < int64(l.Count) {
				s.wrong("%s: no more than %d hits in any window", text, n)
			}
		}
	})
}
