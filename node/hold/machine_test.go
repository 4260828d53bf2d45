package hold

import (
	"fmt"
	"strings"
	"testing"
)

// ring makes an event of a ring written as one letter per partition, the letter being the home.
func ring(homes string, may, cold bool) RingChanged {
	return RingChanged{
		Home: func(p int) (string, uint64) { return homes[p : p+1], uint64(homes[p]) },
		May:  may, Cold: cold,
	}
}

func show(effects []Effect) string {
	var s []string
	for _, e := range effects {
		switch e := e.(type) {
		case Open:
			word := "open"
			if e.Reset {
				word = "reset"
			}
			s = append(s, fmt.Sprintf("%s %d@%d", word, e.Partition, e.Epoch))
		case Shut:
			s = append(s, fmt.Sprintf("shut %d>%s", e.Partition, e.To))
		}
	}
	return strings.Join(s, ", ")
}

func TestRingChanges(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts int
		steps []Event
		want  []string
	}{
		{"a cold start forgets nothing", 3, []Event{ring("aab", true, true)}, []string{"open 0@1, open 1@1"}},
		{"a starting node holds nothing", 3, []Event{ring("aab", false, true), ring("aab", true, false)},
			[]string{"", "reset 0@1, reset 1@1"}},
		{"a joiner takes over afresh", 3, []Event{ring("aab", true, false)}, []string{"reset 0@1, reset 1@1"}},
		{"what stays home stays as it is", 3, []Event{ring("aab", true, true), ring("aac", true, false)},
			[]string{"open 0@1, open 1@1", ""}},
		{"home moves away and comes back", 2, []Event{ring("aa", true, true), ring("ab", true, false), ring("aa", true, false)},
			[]string{"open 0@1, open 1@1", "shut 1>b", "reset 1@2"}},
		{"nothing was held anywhere, whoever was home before", 1, []Event{ring("b", false, true), ring("a", true, true)}, []string{"", "open 0@1"}},
		{"a leaver lets go of all", 3, []Event{ring("aab", true, true), ring("bbb", false, false)},
			[]string{"open 0@1, open 1@1", "shut 0>b, shut 1>b"}},
		{"epochs go above what was heard", 1, []Event{ring("b", true, true), Learned{0, 7}, Learned{0, 3}, ring("a", true, false)},
			[]string{"", "", "", "reset 0@8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New("a", 'a', c.parts)
			for i, e := range c.steps {
				if got := show(m.Step(e)); got != c.want[i] {
					t.Errorf("step %d: got %q, want %q", i, got, c.want[i])
				}
			}
		})
	}
}

func TestHoldsAreOrderedByEpochThenStartThenName(t *testing.T) {
	asc := []Hold{{1, 9, "z"}, {2, 1, "a"}, {2, 1, "b"}, {2, 3, "a"}, {3, 0, ""}}
	for i := range asc {
		for j := range asc {
			if got := asc[i].Compare(asc[j]); got != sign(i-j) {
				t.Errorf("%v against %v: got %d", asc[i], asc[j], got)
			}
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestWhatIsKnownOfAHold(t *testing.T) {
	m := New("a", 1, 2)
	m.Step(ring("ab", true, true))
	if h, s := m.Hold(0); s != Held || h != (Hold{1, 1, "a"}) {
		t.Errorf("own partition: %v, state %d", h, s)
	}
	if h, s := m.Hold(1); s != None || h.Name != "b" {
		t.Errorf("the other's: %v, state %d", h, s)
	}
	if m.Held() != 1 {
		t.Errorf("holds %d partitions, want 1", m.Held())
	}
}
