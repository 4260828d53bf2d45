package node

import (
	"time"

	"github.com/stint-limiter/stint/node/hold"
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
	Way       string `json:"way"`                  // what this node does with a check: wait, here, forward, through, failover
	State     string `json:"state"`                // what this node has of the partition: none, held, copy, frozen, returning
	Unsure    bool   `json:"unsure,omitempty"`     // this node was stopped, and is asking whether it still holds it
	Backup    string `json:"backup"`               // who has the holder's whole copy, as far as this node knows; "": nobody yet
	Pending   bool   `json:"pending,omitempty"`    // held here, and nobody has the whole copy yet
	ClaimedMS int64  `json:"claimed_ms,omitempty"` // held here, and claimed so long ago
	Ring      string `json:"ring"`
	// Purse says what this node may answer without asking the holder.
	Purse []InPurse `json:"purse,omitempty"`
	// Limits says, for each limit asked for, how a check of one hit would be answered now, by itself. Nothing is spent. In a split it is
	// under the on_split of its rule; the strictest one holds where several rules meet in a request.
	Limits []LimitStands `json:"limits,omitempty"`
}

// InPurse is what a node has in its purse for a key under some limits: a loan, a denial, or both.
type InPurse struct {
	Limits   []string `json:"limits"`
	Left     uint32   `json:"left,omitempty"` // of Lent hits, for EndsMS more
	Lent     uint32   `json:"lent,omitempty"`
	EndsMS   int64    `json:"ends_ms,omitempty"`
	Denied   uint32   `json:"denied,omitempty"` // so many hits are denied, for DeniedMS more
	DeniedMS int64    `json:"denied_ms,omitempty"`
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

// Explain says where a key lives, and peeks at the limits given: checks of one limit each, of which the key and the hits are not looked at. Limits
// of policies that were never spent from are left out; inline ones are always there.
func (n *Node) Explain(key []byte, peeks []transport.Check) Explanation {
	hash := n.hasher.Key(key)
	p := hash.Partition(ring.Partitions)
	rt := n.routes[p].Load()
	e := Explanation{Key: string(key), Partition: p, Holder: rt.name, Here: rt.here(), Epoch: rt.epoch, Way: rt.way.String()}
	if r := n.ring.Load(); r != nil {
		e.Home, e.Ring = r.Home(p), r.ID().String()
	}
	if x, ok := n.explained(p); ok {
		e.State, e.Unsure, e.Backup, e.Pending = x.State.String(), x.Unsure, x.Keeper, x.Pending
	}
	e.Purse = n.inPurse(hash.Key)
	if rt.claimed != 0 {
		e.ClaimedMS = int64(n.clock.Now().Sub(rt.claimed) / time.Millisecond)
	}
	if len(peeks) == 0 {
		return e
	}
	req := transport.Request{Deadline: time.Now().Add(transport.DefaultTimeout)}
	for i := range peeks {
		// Unavailable denies, so that an explanation never shows an allowance that nobody gave.
		req.Checks = append(req.Checks, transport.Check{Key: key, Limits: peeks[i].Limits, OnSplit: peeks[i].OnSplit, Unavailable: transport.Deny})
	}
	n.Check(&req)
	for i, d := range req.Decisions {
		l := &peeks[i].Limits[0]
		if l.Rule != transport.Inline && d.Current == 0 && (d.Via == transport.ViaHolder || d.Via == transport.ViaClaimed) {
			continue
		}
		e.Limits = append(e.Limits, LimitStands{
			Policy: l.Policy, Rule: l.Rule, Limit: l.Text, Allowed: d.Allowed, Spent: d.Current, Remaining: d.Remaining,
			ResetMS: millisUp(d.Reset), RetryMS: millisUp(d.Retry), Via: d.Via.String(),
		})
	}
	return e
}

func (n *Node) inPurse(key uint64) []InPurse {
	if n.purse == nil {
		return nil
	}
	var list []InPurse
	for _, h := range n.purse.Explain(n.clock.Now(), key) {
		x := InPurse{Left: h.Left, Lent: h.Granted, EndsMS: millisUp(h.Ends), Denied: h.DeniedHits, DeniedMS: millisUp(h.DeniedFor)}
		for _, l := range h.Limits {
			x.Limits = append(x.Limits, l.String())
		}
		list = append(list, x)
	}
	return list
}

func millisUp(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// explained asks the loop what the machine knows of a partition; false: it does not answer.
func (n *Node) explained(p int) (hold.Explained, bool) {
	c := make(chan hold.Explained, 1)
	n.told.do(func() { c <- n.machine.Explain(p) })
	select {
	case x := <-c:
		return x, true
	case <-n.stopped:
	case <-time.After(time.Second):
	}
	return hold.Explained{}, false
}
