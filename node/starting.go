package node

import (
	"time"

	"github.com/stint-limiter/stint/node/members"
)

// How long a starting node waits for the others' rings to agree.
const (
	// coldAgree is how long all rings must have agreed before a cluster in which nobody holds anything begins: the time
	// in which nodes that were started together hear of each other.
	coldAgree = time.Second
	// agreeMost is how long a node waits for agreement at all. A cluster that serves is joined then all the same; in one
	// that does not, the lowest name begins.
	agreeMost = 3 * time.Second
)

// starting decides when a starting node may begin to hold. It holds nothing before a seed has answered: else a node that comes
// back within a second would begin at zero what others still hold. When everything was stopped, every node waits
// for a seed that waits as well; then agreement for a second, or after three the lowest name, breaks the circle.
// It is pure: time and view are arguments.
type starting struct {
	self  string
	first func() bool // says whether there is nobody to wait for

	heard  time.Time // when another member was first heard; zero: never
	agreed time.Time // since when all rings agree; zero: they don't
}

// may says whether to begin now, and whether nobody in the cluster held anything before. ringID is that of the ring
// which this node has made of the view.
func (s *starting) may(now time.Time, v *members.View, ringID uint64) (begin, cold bool) {
	if s.first() {
		return true, true
	}
	others, agree, serving, lowest := 0, true, false, true
	for _, m := range v.Members {
		if m.Name == s.self || !m.Live() {
			continue
		}
		others++
		agree = agree && m.RingID == ringID
		serving = serving || m.Serving
		lowest = lowest && s.self < m.Name
	}
	if others == 0 {
		s.heard, s.agreed = time.Time{}, time.Time{}
		return false, false
	}
	if s.heard.IsZero() {
		s.heard = now
	}
	switch {
	case !agree:
		s.agreed = time.Time{}
	case s.agreed.IsZero():
		s.agreed = now
	}
	late := now.Sub(s.heard) >= agreeMost
	switch {
	case serving:
		return agree || late, false
	case agree && now.Sub(s.agreed) >= coldAgree:
		return true, true
	default:
		return late && lowest, true
	}
}
