package node

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/mail"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/transport"
)

// A split says that members are missing: how many of the whole cluster can be heard, this node included. Whole is the cluster as it was when nobody
// was missing; who joins since then counts on neither side.
//
// Gossip needs seconds to notice what is missing. A split is noticed by the pipes: a member that answered nothing for half a second is not
// visible, and so that an idle pipe is heard as well, every member is pinged.
type split struct{ visible, whole int }

const (
	// How long a member may be silent, and how often it is pinged, in Timers.Attempt: 500 and 150 ms at patience 1.
	silentAttempts = 5
	pingsHalf      = 3
)

// verdicts of split.apply.
type splitWay uint8

const (
	splitFull    splitWay = iota // decide, under the limits as they are now in the wants
	splitNothing                 // the share of a limit is nothing
	splitSilent                  // this side does not decide
)

// onSplit returns what a check may be granted in a split.
func (n *Node) onSplit(o transport.OnSplit) transport.OnSplit {
	if o == transport.SplitDefault {
		return n.cfg.OnSplit
	}
	return o
}

// apply lowers the wants to this side's share.
func (s *split) apply(o transport.OnSplit, wants []bucket.Want) splitWay {
	switch o {
	case transport.SplitDeny:
		if 2*s.visible <= s.whole {
			return splitSilent
		}
	case transport.SplitShare:
		way := splitFull
		for i := range wants {
			l := &wants[i].Limit
			l.Count = s.share(l.Count)
			if l.Burst > 0 {
				l.Burst = max(s.share(l.Burst), l.Count)
			}
			if l.Count == 0 {
				way = splitNothing
			}
		}
		return way
	}
	return splitFull
}

func (s *split) share(count uint32) uint32 {
	return uint32(uint64(count) * uint64(s.visible) / uint64(s.whole))
}

// deny answers for a limit whose share is nothing: until the split is over.
func (s *split) deny(wants []bucket.Want, o *bucket.Outcome) {
	each := o.Each
	clear(each)
	*o = bucket.Outcome{By: -1, Each: each}
	for i := range wants {
		if wants[i].Limit.Count == 0 {
			o.By = i
			o.Retry = time.Second
			o.Reset = time.Second
			return
		}
	}
}

// cluster knows who belongs to the whole cluster. It is the loop's.
type cluster struct {
	self   string
	silent time.Duration
	whole  map[string]bool
}

// look says whether anybody is missing: nil, or how many are there. Heard returns when a member last answered anything; forgotten are those that an operator has
// given up.
func (c *cluster) look(now time.Time, v *members.View, heard func(name string) time.Time, forgotten map[string]bool) *split {
	present := map[string]bool{c.self: true}
	for _, m := range v.Members {
		switch {
		case m.Name == c.self:
		case m.State == members.Left:
			delete(c.whole, m.Name)
		case m.Live():
			if now.Sub(heard(m.Name)) <= c.silent {
				present[m.Name] = true
			}
		}
	}
	visible := 0
	for name := range c.whole {
		if present[name] {
			visible++
		} else if forgotten[name] {
			delete(c.whole, name)
		}
	}
	if visible < len(c.whole) {
		return &split{visible, len(c.whole)}
	}
	// Nobody is missing: whoever is there now is the whole cluster.
	c.whole = present
	return nil
}

// mergeTime is how long, in Timers.Holds, all must have been heard again, and how long nothing may have been merged, before a side grants more
// than its share. When a cut heals
//
//  1. both sides hear each other at once, and still have holders of their own, each with what its side has spent;
//  2. within a Holds they hear of each other's holds, and the lower one steps down;
//  3. it returns what it has spent, which takes as long as its lines.
//
// Who granted the whole limit at 1 would do so on both sides.
const mergeTime = 3

// healing knows since when more can be heard than the split says. It is the loop's.
type healing struct {
	since  time.Duration // 0: they cannot
	merged time.Duration // when a return was last merged; 0: never
}

// over says whether s may take the place of was, nil being the whole: not before t, if more may be granted under it.
func (h *healing) over(now, t time.Duration, s, was *split) bool {
	if was == nil || s != nil && s.visible <= was.visible {
		h.since = 0
		return true
	}
	if h.since == 0 {
		h.since = now
	}
	if now-h.since < t || h.merged != 0 && now-h.merged < t {
		return false
	}
	h.since = 0
	return true
}

// lookForSplit publishes whether there is one: at once if fewer are heard, and if more are, once what they have spent is merged.
func (n *Node) lookForSplit() {
	heard := func(name string) time.Time {
		if l := n.contacts.get(name).link.Load(); l != nil {
			return l.pipe.LastHeard()
		}
		return time.Time{}
	}
	s, was := n.cluster.look(time.Now(), n.view, heard, n.forgotten), n.split.Load()
	n.stats.whole.Store(int64(len(n.cluster.whole)))
	if !n.healing.over(n.pulse.now(), mergeTime*n.cfg.Timers.Holds, s, was) {
		return
	}
	switch {
	case s == nil && was == nil, s != nil && was != nil && *s == *was:
		return
	case s == nil:
		n.log.Info("nobody is missing any more, and what they have spent is merged", "members", len(n.cluster.whole))
	default:
		n.log.Warn("members are missing: on_split applies", "heard", s.visible, "of", s.whole, "on_split", n.cfg.OnSplit.String())
	}
	n.split.Store(s)
	if was == nil {
		n.dropPurse()
	}
}

// ping has every member hear of this node, and answer.
func (n *Node) ping() {
	ping := &mail.Ping{}
	n.contacts.each(func(_ *contact, l *link) { l.post(ping, nil) })
}
