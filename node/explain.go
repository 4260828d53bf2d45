package node

import (
	"time"

	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// An Explanation says where a key lives and how it stands, for a person.
type Explanation struct {
	Key       string `json:"key"`
	Partition int    `json:"partition"`
	Home      string `json:"home"`   // where the ring would have it
	Holder    string `json:"holder"` // who decides, as far as this node knows
	Here      bool   `json:"here"`   // that is this node
	Epoch     uint64 `json:"epoch"`
	Backup    string `json:"backup"` // who would be home if the holder were gone
	Ring      string `json:"ring"`
	// Limits says, for each limit asked for, how a check of one hit would be answered now. Nothing is spent.
	Limits []LimitStands `json:"limits,omitempty"`
}

// LimitStands is how one limit stands for a key.
type LimitStands struct {
	Policy    string `json:"policy,omitempty"`
	Rule      string `json:"rule"`
	Limit     string `json:"limit"`
	Allowed   bool   `json:"allowed"`
	Spent     uint64 `json:"spent"`
	Remaining uint32 `json:"remaining"`
	ResetMS   int64  `json:"reset_ms"`
	RetryMS   int64  `json:"retry_ms"`
	Via       string `json:"via"`
}

// Explain says where a key lives, and peeks at the limits given. Limits of policies that were never spent from are left
// out; inline ones are always there.
func (n *Node) Explain(key []byte, limits []transport.Limit) Explanation {
	p := n.hasher.Key(key).Partition(ring.Partitions)
	rt := n.routes[p].Load()
	e := Explanation{Key: string(key), Partition: p, Holder: rt.name, Here: rt.here, Epoch: rt.epoch}
	if r := n.ring.Load(); r != nil {
		e.Home, e.Backup, e.Ring = r.Home(p), r.Backup(p, rt.name), r.ID().String()
	}
	if len(limits) == 0 {
		return e
	}
	req := transport.Request{Deadline: time.Now().Add(transport.DefaultTimeout)}
	for i := range limits {
		// Unavailable denies, so that an explanation never shows an allowance that nobody gave.
		req.Checks = append(req.Checks, transport.Check{Key: key, Limits: limits[i : i+1], Unavailable: transport.Deny})
	}
	n.Check(&req)
	for i, d := range req.Decisions {
		l := &limits[i]
		if l.Rule != transport.Inline && d.Current == 0 && d.Via == transport.ViaHolder {
			continue
		}
		e.Limits = append(e.Limits, LimitStands{
			Policy: l.Policy, Rule: l.Rule, Limit: l.Text, Allowed: d.Allowed, Spent: d.Current, Remaining: d.Remaining,
			ResetMS: millisUp(d.Reset), RetryMS: millisUp(d.Retry), Via: d.Via.String(),
		})
	}
	return e
}

func millisUp(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
