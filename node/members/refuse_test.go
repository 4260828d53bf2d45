package members

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func TestNameIsTaken(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(2)
		for _, m := range all {
			m.SetLocal(Local{Serving: true})
		}
		second := w.start("n1", 9, nil, 0)
		select {
		case err := <-second.Fatal():
			if want := `another member is called "n1" at 10.0.0.1:7072: give this one another --name`; err.Error() != want {
				t.Errorf("the error is %q, want %q", err, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a second n1 was let in")
		}
		if !second.Contested() {
			t.Error("the name is not contested")
		}
		time.Sleep(time.Minute)
		for _, m := range all {
			v := m.View()
			if n, _ := v.Get("n1"); live(v) != 2 || n.Addr != at(1).String() {
				t.Errorf("%s sees %v", v.Self, v.Members)
			}
			select {
			case err := <-m.Fatal():
				t.Errorf("a member was driven away: %v", err)
			default:
			}
		}
	})
}

// The newcomer keeps out also where its start ID is the lower, and none serves yet: it is told of the other, and the
// other never of it.
func TestNameIsTakenByAnEarlierOne(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(2)
		late := w.start("n1", 9, func(c *Config) { c.StartID = 1 }, 0)
		select {
		case <-late.Fatal():
		case <-time.After(20 * time.Second):
			t.Error("a second n1 was let in")
		}
		if late.Seeded() || len(late.View().Members) != 1 {
			t.Error("nobody let the second n1 in, and it thinks so")
		}
		for _, m := range all {
			if n, _ := m.View().Get("n1"); n.Addr != at(1).String() || len(m.Fatal()) > 0 {
				t.Errorf("%s sees %v", m.View().Self, m.View().Members)
			}
		}
	})
}

// Two nodes of one name that know only each other: the one with the higher start ID goes, at once.
func TestNamesakesAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.start("n1", 1, nil, 2), w.start("n1", 2, nil, 1)
		select {
		case <-b.Fatal():
			b.Close()
		case <-time.After(5 * time.Second):
			t.Error("two n1 live side by side")
		}
		time.Sleep(time.Minute)
		if len(a.Fatal()) > 0 || a.Contested() {
			t.Errorf("the n1 that may stay gives way, or doubts its name still: %v", a.Contested())
		}
	})
}

// Two nodes of one name that start together: one of them goes, whoever they hear of first.
func TestNameIsTakenTwiceAtOnce(t *testing.T) {
	for _, seeds := range [][]int{{0}, {0, 1, 2}, {1, 2}} {
		t.Run(fmt.Sprint(seeds), func(t *testing.T) {
			inWorld(t, func(w *world) {
				n0 := w.start("n0", 0, nil, seeds...)
				a, b := w.start("n1", 1, nil, seeds...), w.start("n1", 2, nil, seeds...)
				gone := 0
				time.Sleep(500 * time.Millisecond)
				if a.Seeded() && b.Seeded() {
					t.Error("both think that they were let in")
				}
				late := time.After(time.Minute)
				for gone == 0 {
					var loser *Members
					var err error
					select {
					case err = <-a.Fatal():
						loser = a
					case err = <-b.Fatal():
						loser = b
					case <-late:
						t.Fatal("two n1 live side by side")
					}
					gone++
					loser.Close()
					t.Log(err)
				}
				time.Sleep(2 * time.Minute)
				if len(a.Fatal())+len(b.Fatal()) > 0 {
					t.Error("both n1 gave way")
				}
				if live(n0.View()) != 2 {
					t.Errorf("n0 sees %v, want one n1", n0.View().Members)
				}
			})
		})
	}
}

func TestOtherConstants(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		why    string
	}{
		{func(c *Config) { c.Constants = strings.Replace(testConstants, "load=1.1", "load=1.25", 1) }, "load is 1.1 here and 1.25 there"},
		{func(c *Config) { c.Constants = testConstants + " new=1" }, "new is nothing here and 1 there"},
		{func(c *Config) { c.Constants = "" }, "hash is xxh3 here and nothing there"},
		{func(c *Config) { c.HashKey = 43 }, "another hash key"},
	} {
		inWorld(t, func(w *world) {
			all := w.cluster(2)
			other := w.start("n9", 9, c.change, 0)
			time.Sleep(time.Minute)
			if live(all[0].View()) != 2 || live(all[1].View()) != 2 || live(other.View()) != 1 || other.Seeded() {
				t.Errorf("n9 was let in: %v", all[0].View().Members)
			}
			refused := all[0].View().Refused
			if len(refused) != 1 || refused[0].Name != "n9" || refused[0].Addr != at(9).String() || !strings.Contains(refused[0].Why, c.why) {
				t.Errorf("n0 refused %v, want n9 because %s", refused, c.why)
			}
			if len(other.View().Refused) == 0 {
				t.Error("the refused node does not say so")
			}
			if n := strings.Count(w.log.String(), "refused a peer"); n < 2 || n > 4 {
				t.Errorf("the refusal was logged %d times in a minute on two nodes:\n%s", n, w.log.String())
			}
		})
	}
}

func TestSecret(t *testing.T) {
	secret := func(s string) func(*Config) { return func(c *Config) { c.Secret = []byte(s) } }
	inWorld(t, func(w *world) {
		a, b := w.start("a", 0, secret("one"), 0), w.start("b", 1, secret("one"), 0)
		await(t, a, 5*time.Second, is("b", Alive))
		await(t, b, 5*time.Second, is("a", Alive))
		other, none := w.start("c", 2, secret("two"), 0), w.start("d", 3, nil, 0)
		time.Sleep(time.Minute)
		if live(a.View()) != 2 || other.Seeded() || none.Seeded() {
			t.Errorf("a sees %v; with another secret seeded %v, without one %v", a.View().Members, other.Seeded(), none.Seeded())
		}
	})
}

// stray is a bare memberlist node with whatever metadata.
type stray struct {
	memberlist.Delegate
	meta []byte
}

func (s stray) NodeMeta(int) []byte             { return s.meta }
func (s stray) GetBroadcasts(int, int) [][]byte { return nil }
func (s stray) LocalState(bool) []byte          { return nil }
func (s stray) MergeRemoteState([]byte, bool)   {}
func (s stray) NotifyMsg([]byte)                {}
func (w *world) stray(name, label string, host int, meta []byte) *memberlist.Memberlist {
	tr, err := w.net.Listen(at(host))
	if err != nil {
		w.Fatal(err)
	}
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label, c.Transport, c.Delegate = name, label, newShim(tr), stray{meta: meta}
	c.LogOutput = &w.log
	ml, err := memberlist.Create(c)
	if err != nil {
		w.Fatal(err)
	}
	w.stops = append(w.stops, func() { ml.Shutdown() })
	return ml
}

func TestStrays(t *testing.T) {
	good := meta{startID: 9, constants: testConstants, hashKey: 42}.encode()
	for _, c := range []struct {
		what, name, label string
		meta              []byte
	}{
		{"no metadata", "x", "stint", nil},
		{"garbage", "x", "stint", []byte(strings.Repeat("\xff", 512))},
		{"cut short", "x", "stint", good[:metaFixed]},
		{"a later version", "x", "stint", append([]byte{2}, good[1:]...)},
		{"no start ID", "x", "stint", meta{constants: testConstants, hashKey: 42}.encode()},
		{"a name for a terminal", "x\x1b[31m", "stint", good},
		{"a long name", strings.Repeat("x", 65), "stint", good},
		{"another program", "x", "", good},
	} {
		inWorld(t, func(w *world) {
			all := w.cluster(2)
			s := w.stray(c.name, c.label, 9, c.meta)
			s.Join([]string{at(0).String(), at(1).String()})
			time.Sleep(30 * time.Second)
			if live(all[0].View()) != 2 || live(all[1].View()) != 2 {
				t.Errorf("%s: let in: %v", c.what, all[0].View().Members)
			}
			if n := len(all[0].View().Refused); n > 1 || n == 0 && c.label == "stint" {
				t.Errorf("%s: refusals shown: %v", c.what, all[0].View().Refused)
			}
		})
	}
	// The same with nothing wrong about it gets in: so it was what is named that kept the others out.
	inWorld(t, func(w *world) {
		all := w.cluster(2)
		s := w.stray("x", "stint", 9, good)
		s.Join([]string{at(0).String()})
		await(t, all[1], 5*time.Second, is("x", Alive))
	})
}

func TestFull(t *testing.T) {
	d := delegate{&Members{cfg: Config{Constants: testConstants}, table: newTable("n"), kick: make(chan struct{}, 1)}}
	good := meta{startID: 1, constants: testConstants}
	for i := range maxMembers {
		d.table.put(fmt.Sprint("m", i), at(i), good)
	}
	n := &memberlist.Node{Name: "late", Addr: []byte{10, 9, 9, 9}, Port: 1, Meta: good.encode()}
	if err := d.NotifyAlive(n); err == nil {
		t.Error("one member too many was let in")
	}
	d.table.drop("m7")
	if err := d.NotifyAlive(n); err != nil {
		t.Errorf("there is room for one: %v", err)
	}
}
