package ring

import "sync"

// heirs is the table of homes without one member, built when it is first asked for. A node asks for few: its own,
// and those of holders that fell silent. Building all at once would make a ring of 64 take two seconds.
type heirs struct {
	once  sync.Once
	homes []uint16
}

// Backup returns who should keep the copy of partition p for a crash of its holder: who would be its home if
// the holder were gone. While the home is another member than the holder (a handoff is due), that is the home
// itself. It is "" where there is nobody else. The holder need not be a member of the ring: it may have just left.
//
// The first call for a holder that is home to p takes as long as New; others at the same time wait for it. Keep it
// off the way of a check.
func (r *Ring) Backup(p int, holder string) string {
	home := r.names[r.homes[p]]
	if home != holder {
		return home
	}
	if len(r.names) == 1 {
		return ""
	}
	gone := int(r.homes[p])
	h := &r.backups[gone]
	h.once.Do(func() { h.homes = homes(r.names, gone) })
	return r.names[h.homes[p]]
}
