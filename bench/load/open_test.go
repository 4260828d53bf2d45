package load

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// above counts the latencies over d.
func above(h *hdrhistogram.Histogram, d time.Duration) (n int64) {
	for _, b := range h.Distribution() {
		if b.From > int64(d) {
			n += b.Count
		}
	}
	return n
}

// stalling returns a limiter that answers in 1 ms, but stands still in the second second.
func stalling(start time.Time) *fakeLimiter {
	return &fakeLimiter{before: func(int, int) {
		time.Sleep(time.Millisecond)
		if at := time.Since(start); at > time.Second && at < 2*time.Second {
			time.Sleep(2*time.Second - at)
		}
	}}
}

func session(t *testing.T, target Target, name string, batch, callers int) *Session {
	t.Helper()
	w, err := NewWorkload(name, batch, callers, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSession(target, w, "test/", callers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestOpenLoopSeesAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session(t, stalling(time.Now()), "uniform", 1, 4)
		got := s.Open(t.Context(), 3*time.Second, Arrivals{Rate: 100, Sleep: time.Sleep})
		// 100 requests were due in the stall, 10 ms apart: the one at its beginning waits a second, the
		// one at its end not at all. So half of them wait more than half a second.
		if n := above(got.Latency, 500*time.Millisecond); n < 48 || n > 52 {
			t.Errorf("%d requests took more than 500 ms, want about 50", n)
		}
		if m := time.Duration(got.Latency.Max()); m < 980*time.Millisecond || m > 1020*time.Millisecond {
			t.Errorf("the slowest took %v, want about 1s", m)
		}
		if got.Requests < 298 || got.Requests > 300 || got.Unsent != 0 {
			t.Errorf("%d requests and %d unsent, want all of about 300", got.Requests, got.Unsent)
		}
	})
}

func TestClosedLoopDoesNot(t *testing.T) {
	// Not a virtue, but what a reader of the table has to know, and the reason for the open loop.
	synctest.Test(t, func(t *testing.T) {
		s := session(t, stalling(time.Now()), "uniform", 1, 4)
		got := s.Closed(t.Context(), 3*time.Second)
		if n := above(got.Latency, 500*time.Millisecond); n != 4 {
			t.Errorf("%d requests took more than 500 ms, want one a caller", n)
		}
		if got.Elapsed < 3*time.Second || got.Elapsed > 3*time.Second+10*time.Millisecond {
			t.Errorf("it took %v", got.Elapsed)
		}
	})
}

func TestOpenLoopCountsWhatItCouldNotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &fakeLimiter{before: func(int, int) { time.Sleep(time.Minute) }}
		s := session(t, dead, "uniform", 10, 2)
		got := s.Open(t.Context(), time.Second, Arrivals{Rate: 100, Sleep: time.Sleep})
		if got.Requests != 2 || got.Unsent < 97 {
			t.Errorf("%d sent and %d unsent, want 2 and the rest of about 99", got.Requests, got.Unsent)
		}
		if got.Failed != got.Unsent*10 || got.Latency.TotalCount() != int64(got.Requests+got.Unsent) {
			t.Errorf("%d checks failed and %d latencies, of %d unsent", got.Failed, got.Latency.TotalCount(), got.Unsent)
		}
	})
}

func TestOpenLoopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s := session(t, &fakeLimiter{}, "uniform", 1, 2)
		got := s.Open(ctx, time.Hour, Arrivals{Rate: 10, Sleep: time.Sleep})
		if got.Elapsed > 2*time.Second {
			t.Errorf("it took %v after a second", got.Elapsed)
		}
	})
}

func TestLateIsTheGeneratorsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session(t, &fakeLimiter{}, "uniform", 1, 4)
		coarse := func(d time.Duration) { time.Sleep(d + 3*time.Millisecond) }
		got := s.Open(t.Context(), time.Second, Arrivals{Rate: 100, Sleep: coarse})
		if l := time.Duration(got.Late.Min()); l < 2900*time.Microsecond || l > 3100*time.Microsecond {
			t.Errorf("late by %v, want the 3 ms by which every sleep was too long", l)
		}
	})
}

func TestArrivals(t *testing.T) {
	const rate, n = 30_000.0, 300_000
	for _, poisson := range []bool{false, true} {
		gap := Arrivals{Rate: rate, Poisson: poisson, Seed: 7}.gaps()
		var sum, squares float64
		for range n {
			g := gap().Seconds()
			sum += g
			squares += g * g
		}
		mean := sum / n
		// The standard deviation over the mean: 0 for a constant gap, 1 for an exponential one.
		cv := math.Sqrt(max(squares/n-mean*mean, 0)) / mean
		want := 0.0
		if poisson {
			want = 1
		}
		if math.Abs(mean*rate-1) > 0.01 || math.Abs(cv-want) > 0.01 {
			t.Errorf("poisson %v: mean gap %.3g of 1/rate, variation %.3f, want 1 and %v", poisson, mean*rate, cv, want)
		}
	}
}

func TestPreciseSleep(t *testing.T) {
	sleep, done := preciseSleep()
	defer done()
	start := time.Now()
	for time.Since(start) < 5*time.Millisecond { // as clock does: a sleep may end early, a loop of them must not hang
		sleep(time.Millisecond)
	}
}
