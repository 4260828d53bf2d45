package node

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/members"
)

// seen is a view as node "b" has it, one word per other member: name, ring ID, and + where it serves.
func seen(words ...string) *members.View {
	v := &members.View{Self: "b", Members: []members.Member{{Name: "b", RingID: 1}}}
	for _, w := range words {
		v.Members = append(v.Members, members.Member{Name: w[:1], RingID: uint64(w[1] - '0'), Serving: len(w) > 2})
	}
	return v
}

func TestWhenAStartingNodeBegins(t *testing.T) {
	type step struct {
		at          time.Duration
		view        *members.View
		begin, cold bool
	}
	for _, c := range []struct {
		name  string
		first bool
		steps []step
	}{
		{"first waits for nobody", true, []step{{0, seen(), true, true}}},
		{"alone with seeds waits for ever", false, []step{{0, seen(), false, false}, {time.Hour, seen(), false, false}}},
		{"joining a serving cluster: as soon as the rings agree", false, []step{
			{0, seen("a2+"), false, false}, {100 * time.Millisecond, seen("a1+"), true, false}}},
		{"joining one that never agrees: after three seconds all the same", false, []step{
			{0, seen("a2+"), false, false}, {2900 * time.Millisecond, seen("a2+"), false, false}, {3 * time.Second, seen("a2+"), true, false}}},
		{"all were stopped: when the rings have agreed for a second", false, []step{
			{0, seen("a1", "c1"), false, true}, {900 * time.Millisecond, seen("a1", "c1"), false, true}, {time.Second, seen("a1", "c1"), true, true}}},
		{"agreement lost begins anew", false, []step{
			{0, seen("a1"), false, true}, {900 * time.Millisecond, seen("a1", "c2"), false, true}, {1000 * time.Millisecond, seen("a1", "c1"), false, true},
			{1900 * time.Millisecond, seen("a1", "c1"), false, true}, {2000 * time.Millisecond, seen("a1", "c1"), true, true}}},
		{"all were stopped and never agree: the lowest name goes first, which is not this one", false, []step{
			{0, seen("a2"), false, true}, {4 * time.Second, seen("a2"), false, true}}},
		{"all were stopped and never agree: the lowest name goes first, which is this one", false, []step{
			{0, seen("c2"), false, true}, {3 * time.Second, seen("c2"), true, true}}},
		{"whoever was heard and is gone again was nobody", false, []step{
			{0, seen("c2"), false, true}, {2 * time.Second, seen(), false, false}, {4 * time.Second, seen("c2"), false, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := starting{self: "b", first: func() bool { return c.first }}
			start := time.Unix(1000, 0)
			for i, st := range c.steps {
				begin, cold := s.may(start.Add(st.at), st.view, 1)
				if begin != st.begin || cold != st.cold {
					t.Errorf("step %d, at %v: begin %v cold %v, want %v %v", i, st.at, begin, cold, st.begin, st.cold)
				}
			}
		})
	}
}
