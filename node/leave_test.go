package node

import (
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/members"
)

// goodbyeLeast is what a leave may take beyond its context, to say goodbye.
const goodbyeLeast = 200 * time.Millisecond

// A node leaves while a peer is dead and nobody knows: what is handed to that peer is never answered. The leave ends by its deadline all the
// same, whether everything could be handed over or not; goodbye is said, and the others see a member that left, not one that crashed.
func TestLeaveBesideADeadPeer(t *testing.T) {
	for _, c := range []struct {
		bound time.Duration
		early bool // too little to hand everything over
	}{{2 * time.Second, false}, {300 * time.Millisecond, true}} {
		inSim(t, func(s *sim) {
			nodes := s.live()
			x, other := nodes[0], nodes[2]
			s.crash(nodes[1], true)
			if took := s.leaveWithin(x, c.bound); took > c.bound+goodbyeLeast {
				t.Errorf("it took %v, of %v", took, c.bound)
			}
			if early := s.logged(x.name, "leaving before everything is handed over"); early != c.early {
				t.Errorf("of %v: early %v", c.bound, early)
			}
			time.Sleep(100 * time.Millisecond) // long before gossip could miss anybody
			if m, _ := other.members.View().Get(x.name); m.State != members.Left {
				t.Errorf("of %v: it is %v", c.bound, m.State)
			}
		})
	}
}

// logged says whether a node has logged a line with some words.
func (s *sim) logged(name, words string) bool { return s.logs(name, words) > 0 }

// logs is how many such lines there are.
func (s *sim) logs(name, words string) (n int) {
	s.trace.mu.Lock()
	defer s.trace.mu.Unlock()
	for _, line := range s.trace.lines {
		if strings.Contains(line, "    "+name+": ") && strings.Contains(line, words) {
			n++
		}
	}
	return n
}
