package members

// Forgetting. A member that died without a goodbye is called for as long as the others live, and counted among those who may be on
// the other side of a split. An operator who knows that it will not come back says so to one node; the others hear it from that node, and
// from each other with every exchange of state, as they do of goodbyes.
//
// It is not a goodbye. Who is there, as a member sees it, is not forgotten by that member; and whoever was forgotten and
// comes back is a member like any other, also under the same start ID: an operator may be wrong, and a split heals all the same, by
// the calls of the other side.

// Forget notes that a member which is dead will not come back: it is called no more. It reports whether that was news; it is none of
// who is there, left, or was never heard of.
func (m *Members) Forget(name string) bool {
	known, _ := m.View().Get(name)
	if !m.table.forget(bye{name, known.StartID, true}) {
		return false
	}
	poke(m.kick)
	return true
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
