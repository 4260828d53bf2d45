package load

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The whole of a session as run drives it, against limiters that are right, wrong and flaky.
func TestSessionFindsWrongCounts(t *testing.T) {
	cases := []struct {
		name        string
		extra       uint64
		denyAll     bool
		burns       bool
		fail        func(n int) bool
		over, under bool
	}{
		{name: "exact"},
		{name: "a denied check burns its other limits", burns: true, under: true},
		{name: "a check's hits over", extra: 5, over: true},
		{name: "denies everything", denyAll: true, under: true},
		{name: "answers get lost", fail: func(n int) bool { return n%10 == 0 }},
	}
	for _, item := range []struct {
		name  string
		batch int
	}{{"uniform", 1}, {"zipf", 100}, {"hot", 1}, {"hot", 100}, {"over", 1}, {"over", 100}, {"mixed", 1}, {"mixed", 100}} {
		w, err := NewWorkload(item.name, item.batch, 8, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if c.burns && len(w.Terms) == 1 {
				continue // there are no other limits
			}
			synctest.Test(t, func(t *testing.T) {
				f := fakeLimiter{extra: c.extra, denyAll: c.denyAll, burns: c.burns, fail: c.fail, before: func(int, int) { time.Sleep(time.Millisecond) }}
				s, err := NewSession(&f, w, "test/", 8)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Warm(t.Context(), 20*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				st := s.Closed(t.Context(), 100*time.Millisecond)
				if st.Requests != 800 || st.Checks != 800*uint64(item.batch) || st.Latency.TotalCount() != 800 {
					t.Errorf("%s, %v: %d requests, %d checks, want 100 requests a caller", c.name, item, st.Requests, st.Checks)
				}
				s.Finish(t.Context())
				if v := s.Verdict(); (v.Over > 0) != c.over || (v.Under > 0) != c.under {
					t.Errorf("%s, %v: %+v", c.name, item, v)
				}
				s.Close()
				if f.closed != 8 {
					t.Errorf("%d callers closed, want 8", f.closed)
				}
			})
		}
	}
}

// Finish must bring its keys over their limit: otherwise it shows nothing.
func TestFinishGoesOver(t *testing.T) {
	for _, callers := range []int{1, 7, 64} {
		for _, batch := range []int{1, 30, 100} {
			f := &fakeLimiter{}
			s := session(t, f, "hot", batch, callers)
			s.Finish(t.Context())
			for _, k := range s.Workload.sample() {
				e := &s.Account.keys[k]
				if e.asked.Load() <= uint64(s.Workload.Count()) || e.admitted.Load() != uint64(s.Workload.Count()) {
					t.Fatalf("%d callers, batch %d: key %d was asked for %d times and admitted %d", callers, batch, k, e.asked.Load(), e.admitted.Load())
				}
			}
		}
	}
}

func TestWarmSaysWhyEverythingFails(t *testing.T) {
	f := &fakeLimiter{fail: func(int) bool { return true }}
	s := session(t, f, "uniform", 1, 2)
	if err := s.Warm(t.Context(), 5*time.Millisecond); err == nil || err.Error() != "every check failed: no answer" {
		t.Errorf("got %v", err)
	}
}

func TestNewSessionClosesWhatItOpened(t *testing.T) {
	f := &flaky{}
	w, _ := NewWorkload("uniform", 1, 4, 1)
	if _, err := NewSession(f, w, "test/", 4); err == nil {
		t.Fatal("the third caller could not be opened, and nobody says so")
	}
	if f.closed != 2 {
		t.Errorf("%d of 2 open callers were closed", f.closed)
	}
}

type flaky struct{ fakeLimiter }

func (f *flaky) Caller(i int, w *Workload, prefix string) (Caller, error) {
	if i == 2 {
		return nil, errors.New("no more")
	}
	return f.fakeLimiter.Caller(i, w, prefix)
}

// Hits that are out on loan are denied elsewhere. That is no wrong count if they come back, and is shown.
func TestFinishWaitsForLoans(t *testing.T) {
	for _, c := range []struct {
		name        string
		back        time.Duration // after the stretch
		lent, under bool
	}{{"back in time", 200 * time.Millisecond, true, false}, {"never", time.Hour, false, true}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeLimiter{lent: 20, before: func(int, int) { time.Sleep(time.Millisecond) }}
			s := session(t, f, "over", 1, 4)
			f.loans = time.Now().Add(time.Second + c.back)
			s.Closed(t.Context(), time.Second) // a thousand checks of each key, of which 80 are admitted
			s.Finish(t.Context())
			v := s.Verdict()
			if v.Over > 0 || (v.Lent > 0) != c.lent || (v.Under > 0) != c.under {
				t.Errorf("%s: %+v", c.name, v)
			}
		})
	}
}

func TestDeniedWithoutALoanIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLimiter{before: func(int, int) { time.Sleep(time.Millisecond) }}
		s := session(t, f, "uniform", 1, 4)
		f.denyAll = true
		s.Closed(t.Context(), 100*time.Millisecond)
		f.denyAll = false
		s.Finish(t.Context())
		if v := s.Verdict(); v.Under == 0 || v.Lent != 0 {
			t.Errorf("%+v", v)
		}
	})
}

func TestFillAsksForEachKeyOnce(t *testing.T) {
	f := &fakeLimiter{}
	s := session(t, f, "uniform:1030", 100, 3)
	said := 0
	if got := s.Fill(t.Context(), 0, func(int) { said++ }); got.Checks != 1100 {
		t.Errorf("%d checks", got.Checks)
	}
	for k := range s.Account.keys {
		want := uint64(1)
		if k < 70 {
			want = 2 // the last request is full
		}
		if got := s.Account.keys[k].asked.Load(); got != want {
			t.Errorf("key %d was asked for %d times, want %d", k, got, want)
		}
	}
	if said != 0 {
		t.Errorf("spoke %d times of 11 requests", said)
	}
}

func TestFillAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session(t, &fakeLimiter{}, "uniform:1000", 10, 3)
		said := 0
		got := s.Fill(t.Context(), 100, func(keys int) { said += keys })
		if got.Elapsed < 9*time.Second || got.Elapsed > 10*time.Second || got.Checks != 1000 || said != 1000 {
			t.Errorf("1000 keys at 100 a second took %v, %d checks, %d said", got.Elapsed, got.Checks, said)
		}
	})
}

// Where some hits of a key are gone, Finish still brings it to its limit: exactly those are missing in the end.
func TestFinishFindsHowManyAreLost(t *testing.T) {
	for _, lost := range []uint64{5, 1000, 999_999_000} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeLimiter{lent: lost, loans: time.Now().Add(24 * time.Hour), before: func(int, int) { time.Sleep(time.Millisecond) }}
			s := session(t, f, "hot:1", 1, 4)
			s.Closed(t.Context(), 100*time.Millisecond)
			s.Finish(t.Context())
			if v := s.Verdict(); v.Under != lost || v.Over != 0 {
				t.Errorf("%d are gone: %+v", lost, v)
			}
		})
	}
}

// What Finish spends in bulk waits for loans first: it is not the callers who were denied it.
func TestFinishSpendsWhenLoansAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLimiter{lent: 1000, loans: time.Now().Add(time.Second), before: func(int, int) { time.Sleep(time.Millisecond) }}
		s := session(t, f, "hot:1", 1, 4)
		s.Closed(t.Context(), 100*time.Millisecond)
		s.Finish(t.Context())
		if v := s.Verdict(); !v.Exact() || v.Lent != 0 {
			t.Errorf("%+v", v)
		}
	})
}
