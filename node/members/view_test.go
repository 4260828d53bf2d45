package members

import (
	"fmt"
	"testing"
)

func TestSince(t *testing.T) {
	at := func(start uint64, s State) []Member { return []Member{{Name: "a", StartID: start, State: s}} }
	served := []Member{{Name: "a", StartID: 1, Serving: true}}
	for _, c := range []struct {
		what    string
		old, is []Member
		want    string
		state   State // of the first change's member
		start   uint64
	}{
		{"came", nil, at(1, Alive), "joined a", Alive, 1},
		{"stayed", at(1, Alive), at(1, Alive), "", 0, 0},
		{"is suspected", at(1, Alive), at(1, Suspect), "updated a", Suspect, 1},
		{"serves", at(1, Alive), served, "updated a", Alive, 1},
		{"left", at(1, Alive), at(1, Left), "departed a", Left, 1},
		{"died", at(1, Suspect), at(1, Dead), "died a", Dead, 1},
		{"was restarted", at(1, Alive), at(2, Alive), "died a, joined a", Dead, 1},
		{"was restarted and died again", at(1, Alive), at(2, Dead), "died a", Dead, 1},
		{"came back after its death", at(1, Dead), at(2, Alive), "joined a", Alive, 2},
		{"was not dead", at(1, Dead), at(1, Alive), "joined a", Alive, 1},
		{"came back after its goodbye", at(1, Left), at(2, Alive), "joined a", Alive, 2},
		{"said goodbye late", at(1, Dead), at(1, Left), "departed a", Left, 1},
		{"is not waited for any more", at(1, Dead), at(1, Forgotten), "forgot a", Forgotten, 1},
		{"is still not waited for", at(1, Forgotten), at(1, Forgotten), "", 0, 0},
		{"died and is not waited for", at(1, Alive), at(1, Forgotten), "died a, forgot a", Forgotten, 1},
		{"was back, died and is not waited for", at(1, Alive), at(2, Forgotten), "died a, forgot a", Dead, 1},
		{"died twice and was given up twice", at(1, Forgotten), at(2, Forgotten), "forgot a", Forgotten, 2},
		{"came back though nobody waited", at(1, Forgotten), at(1, Alive), "joined a", Alive, 1},
		{"said goodbye when nobody waited", at(1, Forgotten), at(1, Left), "departed a", Left, 1},
		{"came and went unseen", nil, at(1, Dead), "", 0, 0},
		{"was forgotten", at(1, Dead), nil, "", 0, 0},
		{"died and was forgotten unseen", at(1, Alive), nil, "died a", Dead, 1},
	} {
		// Neighbours on both sides must not be mixed up with it.
		around := func(ms []Member) *View {
			return &View{Members: append(append([]Member{{Name: "A"}}, ms...), Member{Name: "b"})}
		}
		got := around(c.is).Since(around(c.old))
		if kinds(got) != c.want {
			t.Errorf("a member that %s: %q, want %q", c.what, kinds(got), c.want)
			continue
		}
		if len(got) > 0 && (got[0].Member.State != c.state || got[0].Member.StartID != c.start) {
			t.Errorf("a member that %s: the change carries %+v", c.what, got[0].Member)
		}
	}
	v := &View{Members: []Member{{Name: "a"}, {Name: "b", State: Dead}, {Name: "c"}}}
	if got := kinds(v.Since(nil)); got != "joined a, joined c" {
		t.Errorf("since nothing: %q", got)
	}
	if got := kinds((&View{}).Since(v)); got != "died a, died c" {
		t.Errorf("with nobody left: %q", got)
	}
}

func TestTheGoneAreForgottenOldestFirst(t *testing.T) {
	tab := newTable("me")
	for i := range maxGone + 5 {
		name := fmt.Sprint("m", i)
		tab.put(name, at(i), meta{startID: 1})
		tab.drop(name)
		tab.drop(name) // again changes nothing
	}
	for i := range 5 {
		if _, ok := tab.peers[fmt.Sprint("m", i)]; ok {
			t.Errorf("m%d is remembered, and newer ones are not", i)
		}
	}
	if len(tab.peers) != maxGone || tab.live != 0 {
		t.Errorf("%d are remembered, %d of them live", len(tab.peers), tab.live)
	}
	tab.put("m50", at(50), meta{startID: 2})
	if tab.live != 1 || len(tab.lost(false)) != maxGone-1 || !tab.liveAt(at(50)) || tab.liveAt(at(51)) {
		t.Errorf("after one came back: %d live, %d lost", tab.live, len(tab.lost(false)))
	}
}

func TestDoubtEndsWithTheRun(t *testing.T) {
	tab := newTable("me")
	tab.put("a", at(1), meta{startID: 7})
	tab.doubt("a", true)
	tab.put("a", at(1), meta{startID: 7, ringID: 1})
	if tab.peers["a"].state() != Suspect {
		t.Error("an update cleared the doubt")
	}
	tab.put("a", at(1), meta{startID: 8})
	if tab.peers["a"].state() != Alive {
		t.Error("the next run inherits the doubt")
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	tab := newTable("me")
	for i := range 100 {
		r := Refusal{Name: fmt.Sprint(i)}
		if !tab.refuse(r) || tab.refuse(r) {
			t.Fatal("news is new once")
		}
	}
	if len(tab.refused) != maxRefused || tab.refused[maxRefused-1].Name != "99" {
		t.Errorf("refusals kept: %v", tab.refused)
	}
}
