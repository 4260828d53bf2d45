package members

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Forgetting. A member that died without a goodbye is called for as long as the others live, and counted among those who may be on
// the other side of a split. An operator who knows that it will not come back says so to one node, which tells the others: as goodbyes
// are told, at once and with every exchange of state.
//
// It is not a goodbye. Who is there, as a member sees it, is not forgotten by that member; and whoever was forgotten and
// comes back is a member like any other, also under the same start ID: an operator may be wrong, and a split heals all the same, by
// the calls of the other side.

// tellForgotten is how long Forget waits for the others to take it in; who is missed hears of it with an exchange of state.
const tellForgotten = 2 * time.Second

// Forget says that a member is not coming back, here and to every live member. The error says why it cannot be, or who was not told at once.
func (m *Members) Forget(name string) error {
	if name == m.cfg.Name {
		return fmt.Errorf("cannot forget %s: it is this node itself, and alive", name)
	}
	known, ok := m.View().Get(name)
	switch {
	case !ok:
		return fmt.Errorf("cannot forget %q: there was no such member since this node was started; gone without a goodbye: %s", name, m.table.missing())
	case known.Live():
		return fmt.Errorf("cannot forget %s: it is alive, or has been until seconds ago; a node that is stopped says goodbye by itself, and one that crashed is noticed in 4 to 6 s", name)
	case known.State == Left:
		return fmt.Errorf("cannot forget %s: there is no need, it said goodbye", name)
	}
	g := bye{name, known.StartID, true}
	m.table.forget(g)
	if p, _ := m.table.get(name); p.state() != Forgotten {
		return fmt.Errorf("cannot forget %s: it has just come back", name)
	}
	poke(m.kick)
	m.log.Info("told to forget a member", "member", name)
	if silent := m.tellAll(encodeByes([]bye{g}), tellForgotten); silent > 0 {
		return fmt.Errorf("forgot %s, but %d members could not be told at once; they will hear of it within a minute, from the others", name, silent)
	}
	return nil
}

// forget notes that a run which is dead, as far as is known here, is not coming back. It reports whether that is news.
func (t *table) forget(g bye) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[g.name]
	if p == nil || !p.dead || p.left || p.forgot || p.meta.startID != g.startID {
		return false
	}
	p.forgot = true
	return true
}

func (t *table) get(name string) (peer, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[name]; p != nil {
		return *p, true
	}
	return peer{}, false
}

// missing names the dead, for an error.
func (t *table) missing() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for name, p := range t.peers {
		if p.state() == Dead {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "nobody"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
