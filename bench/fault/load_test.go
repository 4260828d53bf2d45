package fault

import (
	"strings"
	"testing"
)

func TestACalmClusterIsExact(t *testing.T) {
	f := newFake(t, 3)
	l, keys := f.run(t, 4)
	a := finish(t, l, keys)
	if a.Over != 0 || a.Under != 0 || a.Failed != 0 || a.Lost != 0 || a.Admitted != a.Due || a.Due != 5*(10+30+5000+70000) {
		t.Errorf("got %+v", a)
	}
	if a.Via["holder"] != a.Asked || a.Slowest <= 0 || a.Asked < uint64(f.after) {
		t.Errorf("got %+v", a)
	}
}

func TestForgottenHitsAreOver(t *testing.T) {
	f := newFake(t, 3)
	l, keys := f.run(t, 4)
	f.spent[keys[0].Name] = 0 // of ten, which all were spent
	f.spent[keys[3].Name] -= 2
	a := finish(t, l, keys)
	if a.Over != few+2 || a.Under != 0 || a.MostOver != 1 || a.Admitted != a.Due+few+2 {
		t.Errorf("got %+v", a)
	}
	if !strings.Contains(a.Examples[0], "k0, 10/1h: 20 admitted") {
		t.Errorf("got %q", a.Examples)
	}
}

func TestDoubledHitsAreUnder(t *testing.T) {
	f := newFake(t, 2)
	l, keys := f.run(t, 4)
	f.spent[keys[2].Name] += 2
	f.spent[keys[6].Name]++
	if a := finish(t, l, keys); a.Over != 0 || a.Under != 3 || max(a.MostUnder, a.MostUnderLent) != 2 {
		t.Errorf("got %+v", a)
	}
}

func TestNodesThatEachCountAreOver(t *testing.T) {
	f := newFake(t, 2)
	l, keys := f.run(t, 4)
	other := newFake(t, 1)
	l.Up("n2", other.addr(0))
	// Nearly all: there is an end to asking.
	if a := finish(t, l, keys); a.Over < a.Due*9/10 || a.Over > a.Due || a.Under != 0 || a.MostOver != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestUndecidedIsFailedAndNeverAdmitted(t *testing.T) {
	for via, words := range map[string]string{"unavailable": "answered unavailable for k3", "full": "answered full for k3", "": "EOF for k3"} {
		f := newFake(t, 2)
		n := 0
		f.wrong = func(_ int, key string) string {
			if key == "k3" && n < 5 {
				n++
				return via
			}
			return "holder"
		}
		l, keys := f.run(t, 4)
		a := finish(t, l, keys)
		if a.Failed != 5 || a.Lost != 0 || a.Over != 0 || a.Under != 0 || a.Admitted != a.Due {
			t.Errorf("%q: got %+v", via, a)
		}
		if len(a.Examples) < 2 || !strings.Contains(a.Examples[0], words) {
			t.Errorf("%q: got %q", via, a.Examples)
		}
	}
}

// Nothing is asked twice: a hit whose answer did not come may have been spent, and is in doubt.
func TestSpentUnseenExcusesTooFew(t *testing.T) {
	f := newFake(t, 2)
	n := 0
	f.wrong = func(_ int, key string) string {
		if key == "k2" && n < 3 {
			n++
			f.spent[key]++
			return ""
		}
		return "holder"
	}
	l, keys := f.run(t, 4)
	if a := finish(t, l, keys); a.Failed != 3 || a.Under != 0 || a.Over != 0 || a.Admitted != a.Due-3 {
		t.Errorf("got %+v", a)
	}
}

func TestWhatWasOnItsWayToADeadNodeIsLost(t *testing.T) {
	f := newFake(t, 2)
	asked, goOn := make(chan struct{}, 100), make(chan struct{})
	f.wrong = func(node int, _ string) string {
		if node == 1 && f.asked > 100 {
			asked <- struct{}{}
			f.mu.Unlock() // the other node goes on
			<-goOn
			f.mu.Lock()
			return ""
		}
		return "holder"
	}
	l := NewLoad(4, 0)
	defer l.Close()
	l.Up("n0", f.addr(0))
	l.Up("n1", f.addr(1))
	keys := l.NewKeys("k", 20, 30)
	l.Use(keys)
	l.Resume()
	<-asked
	l.Lose("n1")
	close(goOn)
	<-f.ready
	l.Pause()
	at := l.lapses[0].from
	a := finish(t, l, keys)
	if a.Lost == 0 || a.Lost > 4 || a.Failed != 0 || a.Over != 0 || a.Under != 0 {
		t.Errorf("got %+v", a)
	}
	if n := l.Records().InFlight(at, at); n < a.Lost {
		t.Errorf("%d in flight, %d lost", n, a.Lost)
	}
	for _, r := range l.Records().all {
		if r.Node == 1 && r.Start > at {
			t.Fatalf("asked at %v, lost at %v", r.Start, at)
		}
	}
}

func TestANodeThatLeavesIsNotExcused(t *testing.T) {
	f := newFake(t, 2)
	f.wrong = func(node int, _ string) string {
		if node == 1 && f.asked == 200 {
			return ""
		}
		return "holder"
	}
	l, keys := f.run(t, 4)
	l.Avoid("n1")
	a := finish(t, l, keys)
	if f.asked < 200 || a.Lost != 0 || a.Failed > 1 {
		t.Errorf("got %+v", a)
	}
	for _, r := range l.callers[4].records {
		if r.Node == 1 {
			t.Fatal("a node that was to be avoided was asked")
		}
	}
}

func TestANodeThatComesBackIsAskedOverNewConnections(t *testing.T) {
	f := newFake(t, 2)
	l, keys := f.run(t, 4)
	l.Lose("n1")
	f.nodes[1].CloseClientConnections()
	l.Up("n1", f.addr(1))
	before := len(l.Records().all)
	f.ready, f.after = make(chan struct{}), f.asked+300
	l.Resume()
	<-f.ready
	l.Pause()
	asked := 0
	for _, c := range l.callers {
		for _, r := range c.records {
			if r.Node == 1 {
				asked++
			}
		}
	}
	if a := l.Records().Account(keys); a.Failed != 0 || a.Lost != 0 || asked < 100 || len(l.Records().all) <= before {
		t.Errorf("%d asked at it, %+v", asked, a)
	}
}
