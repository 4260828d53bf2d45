package peer

import (
	"testing"
	"testing/synctest"
	"time"
)

// The circuit is about whether the member answers, not about whether it once did not.

func TestDeliveredMailClosesTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		defer x.close()
		x.mem.Cut("n0", "n1")
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || x.pipe.Healthy() {
			t.Fatalf("cut: code %d, healthy %v", a.Code, x.pipe.Healthy())
		}
		x.mem.Heal()
		x.out.put(x.pipe, MailUrgent, "are you there?")
		if got := x.in.got(); len(got) != 1 || !x.pipe.Healthy() {
			t.Errorf("after %q was delivered the pipe is healthy: %v", got, x.pipe.Healthy())
		}
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Decided {
			t.Errorf("code %d, want decided at once", a.Code)
		}
	})
}

// The batch is stuck in a member that was stopped; the mail after it was answered. An answer that comes as the batch goes out shows nothing.
func TestALateBatchFromBeforeTheLastAnswerLeavesTheCircuitClosed(t *testing.T) {
	for _, after := range []time.Duration{0, Attempt / 50, Attempt / 2} {
		heard := after > Attempt/10
		synctest.Test(t, func(t *testing.T) {
			x := newMailPair(t, func(pc *PipeConfig, _ *ServerConfig) { pc.Total = Attempt })
			defer x.close()
			stuck := make(chan struct{})
			x.d.before = func(e *Entry) {
				if e.Partition == 7 {
					<-stuck
				}
			}
			c := GetCall(1)
			a := fill(c, 0, 7, 1, want(7, 10))
			x.pipe.Send(a)
			c.Post()
			if time.Sleep(after); after > 0 {
				x.out.put(x.pipe, MailUrgent, "x")
				x.in.got()
			}
			c.Wait()
			if a.Code != Failed || x.pipe.Healthy() != heard {
				t.Errorf("heard %v after; code %d, healthy %v", after, a.Code, x.pipe.Healthy())
			}
			c.Put()
			close(stuck)
		})
	}
}
