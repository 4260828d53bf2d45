package node

import (
	"maps"
	"slices"
	"time"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/ring"
)

// news gathers what happened to partitions, so that a second of it is a few lines of log and never one for each partition.
type news struct {
	claims   map[claimed]int
	moved    map[moved]int
	absorbed int
	refused  map[string]error // copies that could not be stored, by sender
}

type claimed struct {
	why    hold.Why
	before string
}

type moved struct {
	gave bool
	to   string
}

func (s *news) owned(why hold.Why, before string) {
	if s.claims == nil {
		s.claims = map[claimed]int{}
	}
	s.claims[claimed{why, before}]++
}

func (s *news) shut(gave bool, to string) {
	if s.moved == nil {
		s.moved = map[moved]int{}
	}
	s.moved[moved{gave, to}]++
}

func (s *news) unfit(from string, err error) {
	if s.refused == nil {
		s.refused = map[string]error{}
	}
	s.refused[from] = err
}

// tellNews logs what has gathered, and publishes what only a look at all partitions can tell.
func (n *Node) tellNews() {
	s := n.news
	n.news = news{}
	holds := n.stats.held.Load()
	for _, c := range slices.SortedFunc(maps.Keys(s.claims), func(a, b claimed) int {
		return int(a.why) - int(b.why)
	}) {
		count := s.claims[c]
		switch c.why {
		case hold.Began:
			n.log.Info("partitions begin: nobody has held them", "partitions", count, "holds", holds)
		case hold.Handed:
			n.log.Info("partitions were handed over to this node", "partitions", count, "by", c.before, "holds", holds)
		case hold.Copied:
			n.log.Warn("claimed partitions, with copies of what was spent: their holder does not answer", "partitions", count, "holder", c.before, "holds", holds)
		case hold.Reset:
			n.log.Warn("claimed partitions that nobody had a copy of: what was spent in them is forgotten", "partitions", count, "holder", c.before, "holds", holds)
		case hold.Resumed:
			n.log.Info("goes on holding partitions: nobody has claimed them", "partitions", count, "holds", holds)
		}
	}
	for m, count := range s.moved {
		if m.gave {
			n.log.Info("partitions were handed over", "partitions", count, "to", m.to, "holds", holds)
		} else {
			n.log.Warn("another member has claimed partitions of this node; what was spent here is returned", "partitions", count, "to", m.to, "holds", holds)
		}
	}
	if s.absorbed > 0 {
		n.log.Info("merged what others spent in partitions that are held here", "returns", s.absorbed)
	}
	for from, err := range s.refused {
		n.log.Warn("cannot store copies", "from", from, "error", err)
	}
	n.publishCounts()
}

func (n *Node) publishCounts() {
	c := n.machine.Counts()
	n.stats.counts.Store(&c)
	oldest, now := time.Duration(0), n.pulse.now()
	for p := range ring.Partitions {
		if since := n.out[p].pending; since != 0 && n.open[p] {
			oldest = max(oldest, now-since)
		}
	}
	n.stats.lag.Store(int64(oldest))
}
