package peer

import (
	"testing"
)

func TestOneAskGoesThereAndBack(t *testing.T) {
	d := newCounters()
	x := newPair(t, d, nil)
	defer x.close()
	c := GetCall(3)
	for i := range c.Asks {
		x.pipe.Send(fill(c, i, 7, 1, want(7, 2)))
	}
	c.Wait()
	for i, allowed := range []bool{true, true, false} {
		a := &c.Asks[i]
		if a.Code != Decided || a.Outcome.Allowed != allowed || a.Holder != "n1" || a.HoldEpoch != 1 {
			t.Errorf("ask %d: %+v", i, a)
		}
	}
	if r := []uint32{c.Asks[0].Outcome.Remaining, c.Asks[1].Outcome.Remaining}; r[0] != 1 || r[1] != 0 {
		t.Errorf("remaining %v", r)
	}
	c.Put()
}
