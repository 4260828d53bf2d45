package hold_test

import (
	"slices"
	"testing"

	"github.com/stint-limiter/stint/node/hold"
)

// lender is a bench whose machine lends, and holds the partition.
func lender(t *testing.T) *bench {
	b := newBench(t)
	b.m = hold.New(hold.Config{Name: "b", Start: 2, Partitions: 1, Timers: hold.Patience(1), Loans: term})
	b.do(hold.Tick{})
	b.view()
	return b
}

var loansBack = term + hold.Patience(1).Rests

// While home is another nothing is lent, and the partition is handed over once what was lent before is back.
func TestHandoffWaitsForLoans(t *testing.T) {
	b := lender(t)
	b.in("held")
	due := hold.BackupDue{Seq: func(int) uint64 { return 5 }}
	if !b.m.Route(0).Lends {
		t.Fatal("nothing is lent at home")
	}
	b.frozenForC(due)
	if _, s := b.m.Hold(0); s != hold.Held || b.m.Route(0).Lends {
		t.Fatalf("home is another: %v, %+v", s, b.m.Route(0))
	}
	if said := b.wait(loansBack - ms); len(said) > 0 {
		t.Errorf("before the loans are back: %q", said)
	}
	b.now += ms
	if said := b.do(hold.Beat{}); !slices.Equal(said, []string{"freeze", "c: flip 2 by c"}) {
		t.Errorf("once they are back: %q", said)
	}
	// It is refused, and sent again: nothing was lent since.
	b.from("c", &hold.Flipped{Flip: by("c", 2), Code: hold.NotReady, Floor: 5})
	if b.m.Route(0).Lends {
		t.Error("it lends after a flip that was refused")
	}
	if said := b.wait(100 * ms); !slices.Contains(said, "c: flip 6 by c") {
		t.Errorf("refused for its epoch: %q", said)
	}
}

// Who is home again lends again, and what is lent then is waited for as well.
func TestHomeGoesToAndFro(t *testing.T) {
	b := lender(t)
	b.in("held")
	due := hold.BackupDue{Seq: func(int) uint64 { return 5 }}
	b.frozenForC(due)
	b.wait(loansBack - 20*ms)
	b.home = "b"
	b.view()
	if !b.m.Route(0).Lends {
		t.Error("home again, and nothing is lent")
	}
	if said := b.wait(40 * ms); len(said) > 0 {
		t.Errorf("handed over from home: %q", said)
	}
	b.home = "c"
	b.view()
	if said := b.wait(loansBack - 20*ms); len(said) > 0 {
		t.Errorf("before the second loans are back: %q", said)
	}
	// That home is yet another meanwhile is no new wait.
	b.home = "a"
	b.view()
	b.home = "c"
	b.view()
	if said := b.wait(20 * ms); !slices.Contains(said, "c: flip 2 by c") {
		t.Errorf("once they are back: %q", said)
	}
}

// What is claimed where it is not home was lent from by nobody whom its rests could come back to.
func TestNoLoansNoWait(t *testing.T) {
	b := lender(t)
	b.do(hold.CheckFailed{})
	for _, name := range []string{"a", "c"} {
		b.from(name, &hold.Answer{Round: asked[*hold.Ask](b, name).Round, Verdict: hold.PROMISE})
	}
	if _, s := b.m.Hold(0); s != hold.Held || b.m.Route(0).Lends {
		t.Fatalf("%v, %+v", s, b.m.Route(0))
	}
	b.do(hold.BackupDue{Seq: func(int) uint64 { return 5 }})
	k := asked[*hold.Backup](b, "a")
	said := b.from("a", &hold.Acks{List: []hold.Ack{{Round: k.Round}}})
	if !slices.Contains(said, "a: flip 2 by a") {
		t.Errorf("%q", said)
	}
}

// A node that leaves takes back what it has lent, also where nobody takes its partitions over: its snapshot is to have that.
func TestLeavingWaitsForLoans(t *testing.T) {
	for _, alone := range []bool{false, true} {
		b := lender(t)
		b.in("held")
		for i := range b.members {
			b.members[i].Leaving = true
		}
		if alone {
			b.members, b.gone = nil, map[string]uint64{"a": 1, "c": 3}
		}
		b.view()
		b.do(hold.LeaveNow{})
		if b.m.Route(0).Lends {
			t.Error("who leaves lends")
		}
		if b.wait(loansBack - ms); b.m.Left() != alone {
			t.Errorf("alone %v: left %v before its loans are back", alone, b.m.Left())
		}
		if b.wait(20 * ms); !b.m.Left() {
			t.Error("never left")
		}
	}
}
