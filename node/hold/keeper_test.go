package hold_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stint-limiter/stint/node/hold"
)

// Changes go to who has acknowledged what they are changes to, whoever is given the copy meanwhile, and whenever a member that was left alone may be
// asked again: also between the moment at which it was last looked who is to have it and that at which an acknowledgement is given up.
func TestChangesGoToWhoHasTheCopy(t *testing.T) {
	changes, moves := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t)
		b.in("held")
		b.sent = nil
		has, seq := "", uint64(5)
		for range 200 {
			b.wait(hold.Age(1+r.IntN(4)) * 20 * ms)
			for _, name := range []string{"a", "c"} {
				if r.IntN(3) > 0 {
					b.from(name, &hold.Holds{}) // it is there
				}
			}
			seq++
			b.sent = nil
			b.do(hold.BackupDue{Seq: func(int) uint64 { return seq }})
			for _, s := range b.sent {
				k, ok := s.Message.(*hold.Backup)
				if !ok {
					continue
				}
				if !k.Whole() {
					changes++
					if s.To != has {
						t.Fatalf("seed %d: changes go to %s, and %q has the copy", seed, s.To, has)
					}
				}
				switch r.IntN(8) {
				case 0: // it is lost
				case 1:
					b.from(s.To, &hold.Refused{Hold: hold.Hold{}, Under: k.Hold, Round: k.Round, Code: hold.NotReady})
				default:
					b.from(s.To, &hold.Acks{List: []hold.Ack{{Round: k.Round}}})
					if has != s.To {
						has = s.To
						moves++
					}
				}
			}
		}
	}
	if changes < 1000 || moves < 300 {
		t.Errorf("only %d changes were sent, and the copy moved %d times", changes, moves)
	}
}
