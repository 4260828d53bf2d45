package members

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. Most calls come under its node lock: they write into the table, kick, and
// return; they never block, log or call memberlist.
type delegate struct{ *Members }

// NotifyJoin is also called when a member that was dead comes back, and for this node itself at the start.
func (d delegate) NotifyJoin(n *memberlist.Node)   { d.heard(n) }
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.heard(n) }

func (d delegate) heard(n *memberlist.Node) {
	if n.Name == d.cfg.Name {
		d.table.mu.Lock()
		d.table.applied = slices.Clone(n.Meta)
		d.table.mu.Unlock()
		return
	}
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return // NotifyAlive let nobody in whose metadata cannot be read
	}
	d.table.put(n.Name, hostPort(n.Addr, n.Port), m)
	poke(d.kick)
}

// NotifyLeave is called for the left and the dead alike.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if n.Name == d.cfg.Name {
		return
	}
	d.table.drop(n.Name)
	poke(d.kick)
}

// NotifyAlive is asked about every word that a member is alive, also old and repeated ones; an error makes memberlist
// ignore it.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if n.Name == d.cfg.Name {
		// An echo, or the ghost of this node's last run: memberlist must see it, to outbid it. At another address it is
		// a conflict.
		return nil
	}
	return d.admit(n)
}

// NotifyMerge is asked on both sides of a call, about all that the other side knows; an error cancels the merge.
func (d delegate) NotifyMerge(nodes []*memberlist.Node) error {
	var refused error
	for _, n := range nodes {
		addr := hostPort(n.Addr, n.Port)
		there := n.State == memberlist.StateAlive || n.State == memberlist.StateSuspect
		m, err := decodeMeta(n.Meta)
		switch {
		case n.Name == d.cfg.Name && addr == d.addr:
			// This node, or its last run.
			if there && m.startID == d.cfg.StartID && d.table.admitted() {
				poke(d.kick)
			}
		case n.Name == d.cfg.Name && there:
			d.table.noteRival(rival{addr: addr, startID: m.startID, serving: m.flags&serving != 0}, time.Now())
			refused = namesake(n.Name, addr)
		case n.Name == d.cfg.Name:
			// The last run, at another address, and gone.
		case n.State == memberlist.StateLeft:
			if err == nil && d.table.bye(bye{name: n.Name, startID: m.startID}) {
				poke(d.kick)
			}
		case there && err == nil && refused == nil:
			// Those whose metadata cannot be read are left to NotifyAlive: one of them should not keep all others out.
			refused = d.admit(n)
		}
	}
	return refused
}

// admit says whether a peer may be a member: it must agree on everything that decides where a key lives.
func (d delegate) admit(n *memberlist.Node) error {
	m, err := decodeMeta(n.Meta)
	why := ""
	switch {
	case !validName(n.Name):
		why = "its name is not one of Stint's"
	case err != nil:
		why = err.Error()
	case m.startID == 0:
		why = "it has no start ID"
	case !hostPort(n.Addr, n.Port).IsValid():
		why = "its address is not an IP address"
	case m.constants != d.cfg.Constants:
		why = differs(d.cfg.Constants, m.constants)
	case m.hashKey != d.cfg.HashKey:
		why = "it has another hash key: give both nodes the same --hash-key-file"
	case d.table.full(n.Name):
		why = fmt.Sprintf("the cluster is full: it has %d members", maxMembers)
	default:
		return nil
	}
	r := Refusal{Name: strings.ToValidUTF8(n.Name[:min(len(n.Name), 64)], "?"), Addr: hostPort(n.Addr, n.Port).String(), Why: why}
	if d.table.refuse(r) {
		poke(d.kick)
		d.notes.add(note{slog.LevelWarn, "refused a peer", r.Name + r.Why, []any{"peer", r.Name, "addr", r.Addr, "why", r.Why}})
	}
	return fmt.Errorf("%s%s: %s", refusedMark, r.Name, why)
}

// differs says which constants differ, word by word.
func differs(here, there string) string {
	value := func(text, name string) (string, bool) {
		for w := range strings.FieldsSeq(text) {
			if n, v, _ := strings.Cut(w, "="); n == name {
				return v, true
			}
		}
		return "nothing", false
	}
	var parts []string
	for w := range strings.FieldsSeq(here) {
		name, mine, _ := strings.Cut(w, "=")
		if theirs, _ := value(there, name); theirs != mine {
			parts = append(parts, fmt.Sprintf("%s is %s here and %s there", name, mine, theirs))
		}
	}
	for w := range strings.FieldsSeq(there) {
		name, theirs, _ := strings.Cut(w, "=")
		if _, ok := value(here, name); !ok {
			parts = append(parts, fmt.Sprintf("%s is nothing here and %s there", name, theirs))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "they are written differently")
	}
	return "the ring constants differ: " + strings.Join(parts, ", ") + "; run the same release of stint on both"
}

// NotifyConflict is told of a second address for a live name; memberlist keeps the first.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	m, err := decodeMeta(other.Meta)
	addr := hostPort(other.Addr, other.Port)
	if existing.Name == d.cfg.Name {
		if err == nil {
			d.table.noteRival(rival{addr: addr, startID: m.startID, serving: m.flags&serving != 0}, time.Now())
		}
		return
	}
	d.notes.add(note{slog.LevelWarn, "two nodes have one name; the newcomer is kept out while the other is alive", existing.Name + addr.String(),
		[]any{"name", existing.Name, "member", hostPort(existing.Addr, existing.Port).String(), "newcomer", addr.String()}})
}

// unanswered is memberlist's question whether to try TCP where a direct probe got no answer. The answer is always
// yes; that it is asked is the only way to learn of the probe.
func (d delegate) unanswered(name string) (disable bool) {
	if d.table.doubt(name, true) {
		poke(d.kick)
	}
	return false
}

// NotifyPingComplete is called when a direct probe was answered.
func (d delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	if d.table.doubt(n.Name, false) {
		poke(d.kick)
	}
}

func (d delegate) AckPayload() []byte { return nil }

// NodeMeta is called by memberlist when this node (re)introduces itself.
func (d delegate) NodeMeta(int) []byte { return d.selfMeta() }

// NotifyMsg is called with what a leaver sends.
func (d delegate) NotifyMsg(b []byte) { d.hearByes(b) }

// LocalState and MergeRemoteState are what members send each other beside their lists.
func (d delegate) LocalState(bool) []byte            { return encodeByes(d.table.byes()) }
func (d delegate) MergeRemoteState(b []byte, _ bool) { d.hearByes(b) }

// GetBroadcasts has nothing: gossip carries membership only.
func (d delegate) GetBroadcasts(int, int) [][]byte { return nil }
