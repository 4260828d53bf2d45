package members

import (
	"net/netip"
	"testing"
	"time"
)

func TestForget(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(4)
		for _, name := range []string{"n3", "n0", "n9"} {
			if all[0].Forget(name) {
				t.Errorf("%s is forgotten, and it is there or never was", name)
			}
		}
		all[3].Close()
		for _, m := range all[:3] {
			await(t, m, time.Minute, is("n3", Dead))
		}
		before := all[1].View()
		if !all[0].Forget("n3") || all[0].Forget("n3") {
			t.Error("not news once")
		}
		await(t, all[0], time.Second, is("n3", Forgotten))
		for _, m := range all[1:3] {
			await(t, m, 2*time.Minute, is("n3", Forgotten)) // with an exchange of state
		}
		for _, m := range all[:3] {
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
		// Its next run is a member like any other, and that it leaves is a goodbye.
		again := w.start("n3", 3, nil, 0)
		await(t, all[2], time.Minute, is("n3", Alive)) // gossip alone may miss one: then with an exchange of state
		if err := again.Leave(time.Second); err != nil {
			t.Error(err)
		}
		await(t, all[0], time.Second, is("n3", Left))
		if all[0].Forget("n3") {
			t.Error("who said goodbye was forgotten")
		}
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
		if !all[0].Forget("n3") {
			t.Error("not forgotten")
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
