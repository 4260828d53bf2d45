package fault

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestLapses(t *testing.T) {
	r := &Records{lapses: []lapse{{to: 1, from: 100 * ms, till: 200 * ms}, {to: 2, from: 50 * ms, till: forever}}}
	for _, x := range []struct {
		node       uint8
		start, end time.Duration
		want       bool
	}{
		{1, 10 * ms, 90 * ms, false}, {1, 10 * ms, 110 * ms, true}, {1, 110 * ms, 120 * ms, true}, {1, 150 * ms, 300 * ms, true},
		{1, 200 * ms, 300 * ms, false}, {1, 50 * ms, 300 * ms, true}, {0, 110 * ms, 120 * ms, false}, {2, 10 * ms, time.Hour, true},
	} {
		if got := r.excused(Record{Node: x.node, Start: x.start, End: x.end}); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
}

func TestSlowestIsOfNodesThatCouldAnswer(t *testing.T) {
	keys := newKeys("k", 2, 5, 0)
	r := &Records{keys: keys, lapses: []lapse{{to: 1, from: 0, till: forever}}, all: []Record{
		{Start: 0, End: 900 * ms, Node: 1, Said: Denied}, {Start: 0, End: 300 * ms, Said: Denied, Key: 1}, {Start: 0, End: 200 * ms, Said: Failed},
	}}
	if a := r.Account(keys); a.Slowest != 300*ms || a.Failed != 1 || a.Asked != 3 {
		t.Errorf("got %+v", a)
	}
	if a := r.Account(keys[:1]); a.Slowest != 200*ms || a.Due != few || a.Asked != 2 {
		t.Errorf("of one key: %+v", a)
	}
}

func TestMoments(t *testing.T) {
	keys := newKeys("k", 1, 5, 0)
	r := &Records{keys: keys}
	for i := range 14 { // one each 10 ms, answered after 15
		r.all = append(r.all, Record{Start: time.Duration(i) * 10 * ms, End: time.Duration(i)*10*ms + 15*ms, Hits: 1, Said: Admitted})
	}
	if got := r.OverAt(keys, 105*ms); got != 0 {
		t.Errorf("%d over when ten were answered", got)
	}
	if got := r.OverAt(keys, 125*ms); got != 2 {
		t.Errorf("%d over when twelve were answered", got)
	}
	if got := r.OverAt(keys, forever); got != 4 {
		t.Errorf("%d over in the end", got)
	}
	if got := r.InFlight(52*ms, 61*ms); got != 3 { // since 40, 50 and 60
		t.Errorf("%d in flight", got)
	}
	// Answered after 50, or asked before 100 and answered later.
	if got := r.AdmittedOn(map[int]bool{0: true}, 50*ms, 100*ms); got != 7 {
		t.Errorf("%d admitted", got)
	}
	if got := r.AdmittedOn(map[int]bool{1: true}, 0, forever); got != 0 {
		t.Errorf("%d admitted on another key", got)
	}
}
