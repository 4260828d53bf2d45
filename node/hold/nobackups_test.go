package hold_test

import (
	"slices"
	"testing"

	"github.com/stint-limiter/stint/node/hold"
)

// A machine that keeps no backups makes copies where a partition is handed over, and does not leave them lying about.
func TestNoBackups(t *testing.T) {
	b := newBench(t)
	b.m = hold.New(hold.Config{Name: "b", Start: 2, Partitions: 1, Timers: hold.Patience(1), NoBackups: true})
	b.do(hold.Tick{})
	b.view()
	b.in("held")
	due := hold.BackupDue{Seq: func(int) uint64 { return 5 }}
	if said := b.do(due); len(said) > 0 || b.m.Counts().Pending != 0 {
		t.Errorf("at home: %q, %d pending", said, b.m.Counts().Pending)
	}
	b.home = "c"
	b.view()
	if said := b.do(due); !slices.Contains(said, "c: backup, whole") {
		t.Errorf("home is c: %q", said)
	}
	b.home = "b"
	b.view()
	if said := b.do(due); !slices.Contains(said, "c: drop") {
		t.Errorf("home is b again: %q", said)
	}
	if d := asked[*hold.Drop](b, "c"); d.Keeper != "" || d.Hold != by("b", 1) {
		t.Errorf("%+v", d)
	}
	if said := b.do(due); len(said) > 0 {
		t.Errorf("and again: %q", said)
	}
	b.frozenForC(due)
	if _, s := b.m.Hold(0); s != hold.Frozen {
		t.Errorf("%v, not frozen for a handoff", s)
	}
}

// frozenForC has c become home, and take the copy.
func (b *bench) frozenForC(due hold.BackupDue) {
	b.home = "c"
	b.view()
	b.do(due)
	k := asked[*hold.Backup](b, "c")
	b.from("c", &hold.Acks{List: []hold.Ack{{Round: k.Round}}})
}
