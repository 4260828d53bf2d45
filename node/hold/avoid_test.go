package hold_test

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// A member whose acknowledgements come too late is left alone for longer each time, as one is whose do not come: each try costs the time in which
// nobody has the changes.
func TestWhoAnswersLateIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.in("held") // home is a, so a is to have the copy
	seq := uint64(5)
	to := func() string {
		seq++
		b.sent = nil
		b.do(hold.BackupDue{Seq: func(int) uint64 { return seq }})
		for _, s := range b.sent {
			if k, ok := s.Message.(*hold.Backup); ok {
				if s.To == "c" { // who has it meanwhile, and is in time
					b.from("c", &hold.Acks{List: []hold.Ack{{Round: k.Round}}})
				}
				return s.To
			}
		}
		return ""
	}
	var alone []time.Duration
	for range 3 {
		var late uint64
		for sent := ""; sent != "c"; b.wait(20 * ms) {
			b.from("a", &hold.Holds{Hold: hold.Hold{}}) // it is there
			if sent = to(); sent == "a" {
				late = asked[*hold.Backup](b, "a").Round
			}
		}
		began := b.now
		b.from("a", &hold.Acks{List: []hold.Ack{{Round: late}}})
		for to() != "a" {
			b.from("a", &hold.Holds{Hold: hold.Hold{}})
			b.wait(20 * ms)
		}
		alone = append(alone, b.now-began)
	}
	for i := range alone[1:] {
		if alone[i+1] < alone[i]*3/2 {
			t.Errorf("left alone for %v", alone)
			break
		}
	}
}
