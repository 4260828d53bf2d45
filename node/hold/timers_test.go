package hold_test

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// Every patience that an operator may name keeps the inequalities, however it is rounded, and a timer that is set alone breaks one.
func TestPatienceKeepsTheInequalities(t *testing.T) {
	for i := 50; i <= 10_000; i++ {
		if err := hold.Patience(float64(i) / 100).Check(); err != nil {
			t.Fatalf("patience %v: %v", float64(i)/100, err)
		}
	}
	for _, rests := range []time.Duration{0, 90 * ms, 110 * ms} {
		timers := hold.Patience(1)
		if timers.Rests = rests; timers.Check() == nil {
			t.Errorf("rests of loans have %v, and that is enough", rests)
		}
	}
}
