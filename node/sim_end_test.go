package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// How a sim ends: once all faults are over the cluster must become one again, and then every key is counted, spent to its last hit, and
// held against the ledger.

// calmIn is how long that may take: gossip's suspicion and its next call to who was lost, and then the partitions.
const calmIn = 30 * time.Second

// unsettled says what is not yet as it should be, "" if nothing: all nodes see exactly those that are there, and every
// partition has a copy. dying are no longer there, but nobody can know that yet.
func (s *sim) unsettled() string {
	nodes := s.live()
	for _, x := range nodes {
		if x.paused.Load() {
			return x.name + " is paused"
		}
		live := 0
		for _, m := range x.members.View().Members {
			if !m.Live() {
				continue
			}
			live++
			if i := slices.IndexFunc(nodes, func(o *simNode) bool { return o.name == m.Name }); i < 0 {
				return fmt.Sprintf("%s sees %s, which is not there", x.name, m.Name)
			} else if nodes[i].start != m.StartID {
				return fmt.Sprintf("%s sees %s's start %d, which is at %d", x.name, m.Name, m.StartID, nodes[i].start)
			}
		}
		if live != len(nodes) {
			return fmt.Sprintf("%s sees %d members, there are %d", x.name, live, len(nodes))
		}
		if n := x.pending(); n > 0 {
			return fmt.Sprintf("%s has %d partitions to back up", x.name, n)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cut) > 0 {
		return "links are cut"
	}
	return ""
}

// unhomed says which partition is not held by exactly one node which is its home; "" if all are.
func (s *sim) unhomed() string {
	nodes := s.live()
	first := nodes[0].Ring()
	for _, x := range nodes {
		r := x.Ring()
		switch {
		case !x.Ready():
			return fmt.Sprintf("%s is not ready: %v", x.name, x.Phase())
		case r.ID() != first.ID():
			return fmt.Sprintf("%s has ring %v, %s has %v", x.name, r.Names(), nodes[0].name, first.Names())
		case len(r.Names()) != len(nodes):
			return fmt.Sprintf("%s has ring %v", x.name, r.Names())
		}
	}
	for p := range ring.Partitions {
		var holders []string
		for _, x := range nodes {
			if x.holds(p) {
				holders = append(holders, x.name)
			}
		}
		if len(holders) != 1 || holders[0] != first.Home(p) {
			return fmt.Sprintf("partition %d has holders %v, its home is %s", p, holders, first.Home(p))
		}
	}
	return ""
}

// settle waits until the cluster is one again.
func (s *sim) settle(within time.Duration) {
	late := s.now() + within
	for {
		why := s.unsettled()
		if why == "" {
			why = s.unhomed()
		}
		if why == "" {
			s.logf("settled")
			return
		}
		if s.now() > late {
			s.wrong("UNSETTLED after %v: %s", within, why)
			var p int
			if _, err := fmt.Sscanf(why, "partition %d", &p); err == nil {
				for _, x := range s.live() {
					s.logf("  %s: %s", x.name, x.tells(p))
				}
			}
			for _, x := range s.live() {
				s.logf("  %s sees %s", x.name, x.sees())
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// verdict counts every key, spends what is left of it, and compares.
func (s *sim) verdict() {
	time.Sleep(lease.DenialTerm + lease.Term) // what was lent has come back, and no denial is remembered
	lost := s.unreturned()
	nodes := s.live()
	for i, k := range s.book.keys {
		at := func() *simNode { i++; return nodes[i%len(nodes)] }
		var counted int64
		var reset, asked time.Duration // of the peek before
		for j, x := range nodes {
			began := s.now()
			d := s.ask(x, k, 0)
			if d.Via != transport.ViaHolder && d.Via != transport.ViaClaimed {
				s.wrong("UNANSWERED: %s at %s: via %v", k.name, x.name, d.Via)
				return
			}
			// A token may have come back between two peeks: then the one before has said so.
			back := int64(d.Current) == counted-1 && s.now()-asked >= reset
			if j > 0 && int64(d.Current) != counted && !back {
				s.wrong("TWO ANSWERS: %s has %d spent at %s, %d at %s", k.name, counted, nodes[0].name, d.Current, x.name)
			}
			counted, reset, asked = int64(d.Current), d.Reset, began
		}
		b := s.book.balance(k, s.now(), lost)
		wrong := b.judge(counted, s.book.sides)
		if was, is, found := k.stale(); found && s.book.sides == 1 {
			wrong = append(wrong, fmt.Sprintf("TWO HOLDERS: %s decided at epoch %d after %v, %s at epoch %d before %v", is.holder, is.epoch, is.from, was.holder, was.epoch, was.to))
		}
		s.judged(k, b, wrong)
		for range 10 {
			left := s.ask(at(), k, 0).Remaining
			if left == 0 {
				break
			}
			if d := s.ask(at(), k, int64(left)); !d.Allowed {
				s.wrong("%s: %d left, and they are denied: %+v", k.name, left, d.Outcome)
			}
		}
		for range nodes {
			if d := s.ask(at(), k, 1); d.Allowed && k.limit.Burst == 0 {
				s.wrong("OVER: %s: nothing is left, and a hit is allowed", k.name)
			}
		}
		b = s.book.balance(k, s.now(), lost)
		wrong = b.judge(-1, s.book.sides)
		if b.admitted < b.most-b.extra {
			wrong = append(wrong, fmt.Sprintf("STRICT: %d admitted", b.admitted))
		}
		s.judged(k, b, wrong)
	}
}

// unreturned is how many hits of loans were neither handed out nor taken back.
func (s *sim) unreturned() int64 {
	var hits int64
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.ever {
		hits += int64(x.stats.lent.Load()) - int64(x.stats.tookBack.Load())
		if x.purse != nil {
			hits -= int64(x.purse.Stats().Spent)
		}
	}
	return hits
}

func (s *sim) judged(k *simKey, b balance, wrong []string) {
	if len(wrong) > 0 {
		s.tell(k)
	}
	for _, w := range wrong {
		s.wrong("%s of %s (%s, partition %d); may be forgotten %d, over %d, counted besides %d, refilled %d, sides %d",
			w, k.limit.Text, k.name, k.partition, b.forgotten, b.excused, b.extra, b.refilled, s.book.sides)
	}
}

// tell puts into the trace what every node has of a key's partition, and what callers were told around each change of its holder.
func (s *sim) tell(k *simKey) {
	s.logf("%s under %s, in partition %d:", k.name, k.limit.Text, k.partition)
	for _, x := range s.live() {
		s.logf("  %s: %s", x.name, x.tells(k.partition))
	}
	const around = 4
	entries := k.entries
	slices.SortFunc(entries, func(a, b simEntry) int { return int(a.to - b.to) })
	last, quiet := simEntry{}, 0
	for i := range entries {
		e := &entries[i]
		near := slices.ContainsFunc(entries[i:min(i+around, len(entries))], func(o simEntry) bool {
			return o.epoch != last.epoch || o.holder != last.holder || o.how == simUnknown
		})
		if near {
			quiet = 0
		}
		if quiet++; quiet <= around {
			s.logf("    %v to %v: %+d at %s: %s by %s, epoch %d", e.from, e.to, e.hits, e.asked, e.how, e.holder, e.epoch)
		}
		last = *e
	}
}
