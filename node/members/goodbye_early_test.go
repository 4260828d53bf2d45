package members

import (
	"fmt"
	"net/netip"
	"testing"
)

// A goodbye that comes before the news of the one who says it is kept for it; of a run that is over already it says nothing.
func TestGoodbyeBeforeTheNews(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:7072")
	tb := newTable("n0")
	tb.bye(bye{name: "n1", startID: 5})
	tb.put("n1", addr, meta{startID: 5})
	tb.drop("n1")
	if s := tb.peers["n1"].state(); s != Left {
		t.Errorf("said goodbye before it was heard of: %v, want left", s)
	}
	tb.put("n1", addr, meta{startID: 6})
	if s := tb.peers["n1"].state(); s != Alive {
		t.Errorf("the next run: %v, want alive", s)
	}
	tb.bye(bye{name: "n1", startID: 5})
	if s := tb.peers["n1"].state(); s != Alive {
		t.Errorf("a goodbye of the run before: %v, want alive", s)
	}
	tb.bye(bye{name: "n1", startID: 7}) // the next run's, which is here before its news
	tb.put("n1", addr, meta{startID: 8})
	if s := tb.peers["n1"].state(); s != Alive {
		t.Errorf("a later run still: %v, want alive", s)
	}
	tb.drop("n1")
	tb.bye(bye{name: "n1", startID: 9}) // began and ended unheard, after one that died
	if p := tb.peers["n1"]; p.state() != Left || p.meta.startID != 9 {
		t.Errorf("an unheard run's goodbye: %v of run %d, want left of 9", p.state(), p.meta.startID)
	}
	for i := range 10 * maxGone {
		tb.bye(bye{name: fmt.Sprint("x", i), startID: 1})
	}
	if len(tb.early) > maxGone {
		t.Errorf("%d goodbyes of strangers are kept, want at most %d", len(tb.early), maxGone)
	}
}
