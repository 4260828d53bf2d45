package members

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLeave(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		before := all[0].View()
		began := time.Now()
		if err := all[2].Leave(10 * time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("leaving took %v", took)
		}
		for _, m := range all[:2] {
			await(t, m, time.Second, is("n2", Left))
		}
		if got := kinds(all[0].View().Since(before)); got != "departed n2" {
			t.Errorf("n0 sees %q, want n2's departure", got)
		}
		// Nobody who said goodbye is called, and nobody changes his mind about it.
		time.Sleep(2 * time.Minute)
		for _, m := range all[:2] {
			if got, _ := m.View().Get("n2"); got.State != Left {
				t.Errorf("n2 is %v two minutes after its goodbye", got.State)
			}
			if lost := m.table.lost(false); len(lost) > 0 {
				t.Errorf("%v is called after its goodbye", lost)
			}
		}
		if err := all[2].Leave(time.Second); err != nil {
			t.Errorf("leaving again: %v", err)
		}
		again := w.start("n2", 2, nil, 0)
		await(t, all[1], 5*time.Second, is("n2", Alive))
		await(t, again, 5*time.Second, func(v *View) bool { return live(v) == 3 })
	})
}

func TestLeaveAloneIsQuick(t *testing.T) {
	inWorld(t, func(w *world) {
		m := w.start("n0", 0, nil)
		began := time.Now()
		if err := m.Leave(10 * time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("leaving nobody took %v", took)
		}
	})
}

// A member that the leaver could not reach hears of the goodbye from the others, and corrects itself.
func TestGoodbyeToTheUnreachable(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(4)
		w.net.Link(func(from, to netip.AddrPort) bool {
			return !(from == at(3) && to == at(1) || from == at(1) && to == at(3))
		})
		began := time.Now()
		if err := all[3].Leave(10 * time.Second); err == nil || !strings.Contains(err.Error(), "1 members") {
			t.Errorf("n3 could not reach n1 and says %v", err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("leaving took %v", took)
		}
		await(t, all[0], time.Second, is("n3", Left))
		await(t, all[1], 2*time.Minute, is("n3", Left))
	})
}

// A leaver that reaches nobody is gone when its time is up.
func TestLeaveInTime(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		w.net.Link(func(from, to netip.AddrPort) bool { return false })
		began := time.Now()
		if err := all[2].Leave(time.Second); err == nil {
			t.Error("nobody heard the goodbye, and no word about it")
		}
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("leaving took %v of a second", took)
		}
		await(t, all[0], time.Minute, is("n2", Dead))
	})
}

// A goodbye overtaken by the death it announces turns the dead into the departed; that of another run does not.
func TestLateGoodbye(t *testing.T) {
	tab := newTable("me")
	tab.put("a", at(1), meta{startID: 7})
	tab.drop("a")
	if tab.bye(bye{name: "a", startID: 6}) || tab.bye(bye{name: "b", startID: 7}) || tab.peers["a"].state() != Dead {
		t.Error("another's goodbye was taken for this one's")
	}
	if !tab.bye(bye{name: "a", startID: 7}) || tab.peers["a"].state() != Left || len(tab.lost(true)) != 0 {
		t.Error("the goodbye was not heard")
	}
	if tab.bye(bye{name: "a", startID: 7}) {
		t.Error("the same goodbye is news twice")
	}
	tab.put("a", at(1), meta{startID: 7, ringID: 3}) // an update that was under way
	if tab.peers["a"].state() != Left {
		t.Error("an update of the same run undid the goodbye")
	}
	tab.put("a", at(1), meta{startID: 8})
	if tab.peers["a"].state() != Alive {
		t.Error("the next run inherits the goodbye")
	}
}

func TestByesComeBack(t *testing.T) {
	var list []bye
	for i := range maxByes {
		list = append(list, bye{fmt.Sprintf("n%0*d", 63, i), uint64(i), i%2 == 1})
	}
	for _, n := range []int{0, 1, 2, maxByes} {
		b := encodeByes(list[:n])
		if len(b) > 7301 {
			t.Errorf("%d goodbyes take %d bytes", n, len(b))
		}
		got, err := decodeByes(b)
		if err != nil || !slices.Equal(got, list[:n]) {
			t.Errorf("%d goodbyes came back as %d, %v", n, len(got), err)
		}
	}
	b := encodeByes(list)
	if _, err := decodeByes(append(b, b[1:]...)); err == nil {
		t.Error("more goodbyes than there may be were read")
	}
}

func FuzzByes(f *testing.F) {
	f.Add(encodeByes([]bye{{"n0", 1, false}, {"n1", 2, true}}))
	f.Add([]byte{})
	f.Add([]byte{byeVersion, 0, 0, 0, 0, 0, 0, 0, 0, 255})
	f.Add([]byte(strings.Repeat("\xff", 400)))
	f.Add([]byte("\x02" + strings.Repeat("\xff", 400))) // a name of 255 bytes that is there
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeByes(b)
		if err != nil {
			return
		}
		if again := encodeByes(list); !slices.Equal(again, b) {
			t.Errorf("%x came back as %x", b, again)
		}
	})
}
