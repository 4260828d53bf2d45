package peer

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// remember plays a batch that is decided at once, and returns its status, or the answer remembered for it.
func remember(m *memory, name string, start uint64, lane uint8, sequence uint64, now time.Time, answer string) string {
	l, st := m.find(&header{name: []byte(name), start: start, lane: lane}, now)
	if st != statusDone {
		return fmt.Sprint("refused ", st)
	}
	again, fresh, ok := l.begin(sequence, nil)
	switch {
	case !ok:
		return fmt.Sprint("refused ", statusStale)
	case fresh:
		l.finish(sequence, []byte(answer), m)
		return "decided"
	}
	return string(again)
}

func TestWhatIsRememberedOfASender(t *testing.T) {
	stats := new(ServerStats)
	m := newMemory(stats)
	now := time.Now()
	stale, superseded, busy := fmt.Sprint("refused ", statusStale), fmt.Sprint("refused ", statusSuperseded), fmt.Sprint("refused ", statusBusy)
	step := func(what, name string, start uint64, lane uint8, sequence uint64, answer, expect string) {
		t.Helper()
		if got := remember(m, name, start, lane, sequence, now, answer); got != expect {
			t.Errorf("%s: %s, not %s", what, got, expect)
		}
	}
	step("the first", "a", 5, 0, 1, "one", "decided")
	step("again", "a", 5, 0, 1, "two", "one")
	step("another lane", "a", 5, 1, 1, "three", "decided")
	step("the next", "a", 5, 0, 2, "four", "decided")
	step("an older one", "a", 5, 0, 1, "five", stale)
	step("the other lane again", "a", 5, 1, 1, "six", "three")
	step("with a gap", "a", 5, 0, 9, "seven", "decided")
	step("in the gap", "a", 5, 0, 8, "eight", stale)
	step("an earlier start", "a", 4, 0, 10, "nine", superseded)
	step("another name", "b", 1, 0, 1, "ten", "decided")
	step("a later start", "a", 6, 0, 1, "eleven", "decided")
	step("the start before it", "a", 5, 0, 9, "twelve", superseded)

	now = now.Add(idleAnswers + 1)
	step("somebody, so that it is swept", "c", 1, 0, 1, "", "decided")
	step("answers of the idle are forgotten", "a", 6, 0, 1, "thirteen", stale)
	step("their numbers are not", "b", 1, 0, 1, "fourteen", stale)
	step("and they go on", "b", 1, 0, 2, "fifteen", "decided")

	for i := range maxSenders - len(m.senders) {
		step("many", fmt.Sprint("s", i), 1, 0, 1, "x", "decided")
	}
	step("one too many", "late", 1, 0, 1, "x", busy)
	now = now.Add(idleSender - time.Minute)
	step("alive", "b", 1, 0, 3, "y", "decided")
	now = now.Add(2 * time.Minute)
	step("one has been idle long enough", "late", 1, 0, 1, "x", "decided")
	step("not this one", "b", 1, 0, 3, "", stale)
	if len(m.senders) != maxSenders {
		t.Errorf("%d senders", len(m.senders))
	}
}

func TestRememberedBytesAreBoundedAndCounted(t *testing.T) {
	stats := new(ServerStats)
	m := newMemory(stats)
	m.most = 1000
	now := time.Now()
	x := strings.Repeat("x", 80) // 100 with what is kept for a longer one
	for i := range 20 {
		remember(m, fmt.Sprint(i), 1, 0, 1, now, x)
	}
	if n := stats.Remembered.Load(); n != 1000 {
		t.Errorf("%d bytes", n)
	}
	if got := remember(m, "3", 1, 0, 1, now, ""); got != x {
		t.Errorf("what fitted: %s", got)
	}
	if got := remember(m, "15", 1, 0, 1, now, ""); got != fmt.Sprint("refused ", statusStale) {
		t.Errorf("what did not fit: %s", got)
	}
	if got := remember(m, "3", 1, 0, 2, now, "z"); got != "decided" || remember(m, "3", 1, 0, 2, now, "") != "z" {
		t.Errorf("in the place of an older one: %s", got)
	}
	for i := range 20 {
		remember(m, fmt.Sprint(i), 2, 1, 1, now, x)
	}
	if n := stats.Remembered.Load(); n != 1000 {
		t.Errorf("%d bytes after all have started again", n)
	}
	remember(m, "0", 2, 1, 2, now.Add(2*idleAnswers), x)
	if n := stats.Remembered.Load(); n != 100 {
		t.Errorf("%d bytes after all but one were idle", n)
	}
}

// A later batch of the lane does not wait for an earlier one that is still being decided, and its answer is the one
// that stays.
func TestALaterBatchOvertakesAStuckOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(new(ServerStats))
		l, _ := m.find(&header{name: []byte("a"), start: 1}, time.Now())
		if _, fresh, _ := l.begin(1, nil); !fresh {
			t.Fatal("not fresh")
		}
		refused := make(chan bool)
		go func() {
			_, _, ok := l.begin(1, nil) // waits for the first
			refused <- !ok
		}()
		synctest.Wait()
		if _, fresh, _ := l.begin(2, nil); !fresh {
			t.Fatal("not fresh")
		}
		l.finish(2, []byte("two"), m)
		l.finish(1, []byte("one"), m)
		if !<-refused {
			t.Error("a batch that was overtaken was answered")
		}
		if again, _, ok := l.begin(2, nil); !ok || string(again) != "two" {
			t.Errorf("%q", again)
		}
	})
}

// A member that was taken for dead and is back under the same start ID is asked over a new pipe. Its memory of the old
// one's batches must neither answer nor refuse those of the new.
func TestANewPipeIsNotTakenForTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		var cfg PipeConfig
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { cfg = *pc })
		defer x.close()
		for range 3 {
			ask(t, x.pipe, 7, 1, 10)
		}
		x.pipe.Close()
		again, err := NewPipe(cfg)
		if err != nil {
			t.Fatal(err)
		}
		x.pipe = again
		for i := range 5 {
			if a := ask(t, x.pipe, 8, 1, 10); a.Code != Decided || a.Outcome.Remaining != uint32(9-i) || d.total(8) != int64(i+1) {
				t.Errorf("ask %d: %d spent, %+v", i, d.total(8), a)
			}
		}
	})
}
