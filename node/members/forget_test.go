package members

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestForget(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(4)
		refused := func(name, why string) {
			t.Helper()
			if err := all[0].Forget(name); err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("forget %s: %v; want %q", name, err, why)
			}
		}
		refused("n3", "it is alive")
		refused("n0", "this node itself")
		refused("n9", "gone without a goodbye: nobody")
		all[3].Close()
		for _, m := range all[:3] {
			await(t, m, time.Minute, is("n3", Dead))
		}
		refused("n9", "gone without a goodbye: n3")
		before := all[1].View()
		if err := all[0].Forget("n3"); err != nil {
			t.Error(err)
		}
		for _, m := range all[:3] {
			await(t, m, time.Second, is("n3", Forgotten))
			if lost := m.table.lost(true); len(lost) != 2 {
				t.Errorf("%v would be called, want the two others", lost)
			}
			if lost := m.table.lost(false); len(lost) != 0 {
				t.Errorf("%v is called though forgotten", lost)
			}
		}
		if got := kinds(all[1].View().Since(before)); got != "forgot n3" {
			t.Errorf("n1 sees %q", got)
		}
		if err := all[1].Forget("n3"); err != nil {
			t.Errorf("again: %v", err)
		}
		// Its next run is a member like any other, and that it leaves is a goodbye.
		again := w.start("n3", 3, nil, 0)
		await(t, all[2], 5*time.Second, is("n3", Alive))
		if err := again.Leave(time.Second); err != nil {
			t.Error(err)
		}
		await(t, all[0], time.Second, is("n3", Left))
		refused("n3", "said goodbye")
	})
}

// Who could not be told at once hears of it from the others.
func TestForgottenElsewhere(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(4)
		all[3].Close()
		for _, m := range all[:3] {
			await(t, m, time.Minute, is("n3", Dead))
		}
		w.net.Link(func(from, to netip.AddrPort) bool {
			return !(from == at(0) && to == at(1) || from == at(1) && to == at(0))
		})
		if err := all[0].Forget("n3"); err == nil || !strings.Contains(err.Error(), "1 members could not be told") {
			t.Errorf("n0 could not reach n1 and says %v", err)
		}
		await(t, all[2], time.Second, is("n3", Forgotten))
		await(t, all[1], 2*time.Minute, is("n3", Forgotten))
	})
}

// An operator may be wrong. Who was forgotten behind a split comes back when it heals, with the same start ID, by the calls of
// its own side.
func TestTheForgottenComeBack(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(4)
		apart := func(a netip.AddrPort) bool { return a == at(3) }
		w.net.Link(func(from, to netip.AddrPort) bool { return apart(from) == apart(to) })
		for _, m := range all[:3] {
			await(t, m, time.Minute, is("n3", Dead))
		}
		if err := all[0].Forget("n3"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // longer than memberlist remembers
		w.net.Link(nil)
		for _, m := range all {
			await(t, m, 15*time.Second, func(v *View) bool { return live(v) == 4 })
		}
		time.Sleep(2 * time.Minute)
		for _, m := range all {
			if v := m.View(); live(v) != 4 {
				t.Errorf("%s sees %v some time after", v.Self, v.Members)
			}
		}
	})
}

func TestForgetIsOfOneRunThatIsDead(t *testing.T) {
	tab := newTable("me")
	tab.put("a", at(1), meta{startID: 7})
	if tab.forget(bye{"a", 7, true}) || tab.forget(bye{"b", 7, true}) {
		t.Error("who is there, or was never heard of, was forgotten")
	}
	tab.drop("a")
	if tab.forget(bye{"a", 6, true}) || tab.forget(bye{"a", 8, true}) {
		t.Error("another run was forgotten")
	}
	if !tab.forget(bye{"a", 7, true}) || tab.forget(bye{"a", 7, true}) {
		t.Error("not news once")
	}
	if got := tab.byes(); len(got) != 1 || got[0] != (bye{"a", 7, true}) {
		t.Errorf("the others are told %v", got)
	}
	if !tab.bye(bye{"a", 7, false}) || tab.peers["a"].state() != Left {
		t.Error("a goodbye that came late is not believed")
	}
}
