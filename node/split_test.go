package node

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/transport"
)

func TestWhoBelongsToTheWholeCluster(t *testing.T) {
	now := time.Unix(1000, 0)
	c := cluster{self: "a", silent: 500 * time.Millisecond}
	at := map[string]time.Time{}
	forgotten := map[string]bool{}
	view := func(names string, dead string, left string) *members.View {
		v := &members.View{Members: []members.Member{{Name: "a"}}}
		for s, list := range map[members.State]string{members.Alive: names, members.Dead: dead, members.Left: left} {
			for _, n := range list {
				v.Members = append(v.Members, members.Member{Name: string(n), State: s})
			}
		}
		return v
	}
	heard := func(names string) {
		now = now.Add(time.Second)
		for _, n := range names {
			at[string(n)] = now
		}
	}
	for _, step := range []struct {
		what           string
		heard          string
		alive          string
		dead, left     string
		forget         string
		visible, whole int // 0: nobody is missing
	}{
		{"alone", "", "", "", "", "", 0, 0},
		{"b joins, and was not heard yet", "", "b", "", "", "", 0, 0},
		{"b is heard", "b", "b", "", "", "", 0, 0},
		{"c joins", "bc", "bc", "", "", "", 0, 0},
		{"c falls silent, gossip has not noticed", "b", "bc", "", "", "", 2, 3},
		{"gossip has", "b", "b", "c", "", "", 2, 3},
		{"d joins meanwhile: on neither side", "bd", "bd", "c", "", "", 2, 3},
		{"b falls silent too: d does not stand in for it", "d", "bd", "c", "", "", 1, 3},
		{"both are back", "bcd", "bcd", "", "", "", 0, 0},
		{"d is one of the whole by now", "bc", "bcd", "", "", "", 3, 4},
		{"d says goodbye", "bc", "bc", "", "d", "", 0, 0},
		{"c dies", "b", "b", "c", "", "", 2, 3},
		{"an operator gives it up", "b", "b", "c", "", "c", 0, 0},
		{"a member of two is missing", "", "b", "", "", "c", 1, 2},
	} {
		heard(step.heard)
		clear(forgotten)
		for _, n := range step.forget {
			forgotten[string(n)] = true
		}
		s := c.look(now, view(step.alive, step.dead, step.left), func(n string) time.Time { return at[n] }, forgotten)
		want := (*split)(nil)
		if step.whole != 0 {
			want = &split{step.visible, step.whole}
		}
		if (s == nil) != (want == nil) || s != nil && *s != *want {
			t.Errorf("%s: %+v, want %+v", step.what, s, want)
		}
	}
}

// What a side may grant falls at once, and rises once the others have been heard for a time and nothing comes in any more.
func TestSharesRiseOnceAllIsMerged(t *testing.T) {
	var h healing
	two, three, whole := &split{2, 5}, &split{3, 5}, (*split)(nil)
	for _, step := range []struct {
		at      time.Duration
		s, was  *split
		merging bool
		want    bool
	}{
		{1, two, whole, false, true},
		{2, two, two, false, true},
		{3, three, two, false, false},
		{5, whole, two, false, false},
		{6, whole, two, true, false}, // heard for three, but something came in
		{8, whole, two, false, false},
		{9, two, two, false, true}, // cut again: it begins anew
		{10, whole, two, false, false},
		{12, whole, two, false, false},
		{13, whole, two, false, true},
		{14, whole, whole, false, true},
	} {
		if step.merging {
			h.merged = step.at
		}
		if got := h.over(step.at, 3, step.s, step.was); got != step.want {
			t.Errorf("at %d from %v to %v: %v", step.at, step.was, step.s, got)
		}
	}
}

func TestShares(t *testing.T) {
	want := func(text string) bucket.Want {
		l, err := bucket.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return bucket.Want{Limit: l}
	}
	for _, c := range []struct {
		s            split
		o            transport.OnSplit
		text         string
		way          splitWay
		count, burst uint32
	}{
		{split{2, 3}, transport.SplitFull, "100/1m", splitFull, 100, 0},
		{split{2, 3}, transport.SplitShare, "100/1m", splitFull, 66, 0},
		{split{1, 3}, transport.SplitShare, "100/1m", splitFull, 33, 0},
		{split{1, 3}, transport.SplitShare, "2/1m", splitNothing, 0, 0},
		{split{1, 2}, transport.SplitShare, "4294967295/1m", splitFull, 2147483647, 0},
		{split{2, 3}, transport.SplitShare, "10/1s token_bucket burst=20", splitFull, 6, 13},
		{split{2, 3}, transport.SplitDeny, "100/1m", splitFull, 100, 0},
		{split{2, 4}, transport.SplitDeny, "100/1m", splitSilent, 100, 0},
		{split{1, 3}, transport.SplitDeny, "100/1m", splitSilent, 100, 0},
	} {
		wants := []bucket.Want{want(c.text)}
		way := c.s.apply(c.o, wants)
		l := wants[0].Limit
		if way != c.way || l.Count != c.count || l.Burst != c.burst {
			t.Errorf("%+v %v %s: %d, %d burst %d; want %d, %d burst %d", c.s, c.o, c.text, way, l.Count, l.Burst, c.way, c.count, c.burst)
		}
	}
}

// The sides' shares of a limit never add up to more than the limit.
func TestSharesAddUp(t *testing.T) {
	for whole := 2; whole < 9; whole++ {
		for count := range uint32(40) {
			for one := 1; one < whole; one++ {
				a, b := split{one, whole}, split{whole - one, whole}
				if a.share(count)+b.share(count) > count {
					t.Errorf("%d of %d: %d and %d of %d", one, whole, a.share(count), b.share(count), count)
				}
			}
		}
	}
}

// A node whose peers are silent grants its share, and with deny nothing, whoever is asked.
func TestOnSplit(t *testing.T) {
	nodes := three(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	settled(t, a, b, c)
	cutLink(a, b, true)
	cutLink(a, c, true)
	eventually(t, "a hears nobody, b and c not a", func() bool {
		x, y, z := a.split.Load(), b.split.Load(), c.split.Load()
		return x != nil && x.visible == 1 && y != nil && y.visible == 2 && z != nil && z.visible == 2
	})
	l := limit(t, "9/1h")
	try := func(n *one, key string, o transport.OnSplit) (admitted int, last transport.Decision) {
		t.Helper()
		for range 12 {
			r := transport.Request{Deadline: time.Now().Add(5 * stall * time.Second), Checks: []transport.Check{
				{Key: []byte(key), Limits: []transport.Limit{l}, Hits: 1, OnSplit: o, Unavailable: transport.Deny}}}
			n.Check(&r)
			if last = r.Decisions[0]; last.Allowed {
				admitted++
			}
		}
		return admitted, last
	}
	for key, o := range map[string]transport.OnSplit{"full": transport.SplitDefault, "share": transport.SplitShare, "deny": transport.SplitDeny} {
		small, last := try(a, key, o)
		large, _ := try(b, key, o)
		want := map[string][2]int{"full": {9, 9}, "share": {3, 6}, "deny": {0, 9}}[key]
		if small != want[0] || large != want[1] {
			t.Errorf("%s: %d and %d admitted, want %v", key, small, large, want)
		}
		if silent := last.Via == transport.ViaUnavailable; silent != (key == "deny") {
			t.Errorf("%s: the smaller side answers %+v", key, last)
		}
		// An explanation is of the rule's way as well.
		peek := []transport.Check{{Limits: []transport.Limit{limit(t, "9/1h")}, OnSplit: o}}
		left := map[string]uint32{"full": 9, "share": 3, "deny": 0}[key]
		eventually(t, key+" is explained", func() bool { // the fresh key's partition may have to be claimed first
			e := a.Explain([]byte("fresh "+key), peek)
			return len(e.Limits) == 1 && e.Limits[0].Remaining == left && e.Limits[0].Allowed == (key != "deny")
		})
	}
}
