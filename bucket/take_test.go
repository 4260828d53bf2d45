package bucket

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

const (
	second = Instant(1e6)
	minute = 60 * second
	hour   = 60 * minute
	// noon is the instant that most timelines begin at: Monday 2026-11-23, 12:00 UTC.
	noon = Instant(1795435200 * 1e6)
)

func TestLineIsACacheLine(t *testing.T) {
	if n := unsafe.Sizeof(line{}); n != 64 {
		t.Fatalf("a line is %d bytes, not 64", n)
	}
	if n := unsafe.Sizeof(Partition{}); n%64 != 0 {
		t.Errorf("partitions of %d bytes share cache lines", n)
	}
	if n := unsafe.Offsetof(Partition{}.known); n > 128 {
		t.Errorf("what a check touches of its partition is %d bytes, not two cache lines", n)
	}
}

// open returns a partition that may be spent from, of a table with room for that many lines.
func open(maxLines int) *Partition {
	p := NewTable(Config{Partitions: 1, MaxLines: maxLines}).Partition(0)
	p.SetState(Open, 1)
	return p
}

var hasher = NewHasher(nil)

// want returns the want of a limit on a key.
func want(l Limit, key string) Want {
	return Want{ID: hasher.Key([]byte(key)).ID(l.Window, Scope("", "inline", l.Window, l.Algorithm)), Limit: l}
}

func sliding(count uint32, w time.Duration) Limit {
	return Limit{Count: count, Window: Window(w / time.Millisecond)}
}

// take takes and returns the outcome.
func take(t testing.TB, p *Partition, now Instant, hits uint32, wants ...Want) Outcome {
	t.Helper()
	var out Outcome
	if err := p.Take(now, wants, hits, &out); err != nil {
		t.Fatalf("take at %v: %v", now, err)
	}
	return out
}

func (l Limit) with(a Algorithm, burst uint32) Limit {
	l.Algorithm, l.Burst = a, burst
	return l
}

func allowed(t testing.TB, p *Partition, now Instant, hits uint32, wants ...Want) Outcome {
	t.Helper()
	out := take(t, p, now, hits, wants...)
	if !out.Allowed {
		t.Fatalf("%d hits at %v: denied: %+v", hits, time.Duration(now-noon)*time.Microsecond, out)
	}
	return out
}

func denied(t testing.TB, p *Partition, now Instant, hits uint32, wants ...Want) Outcome {
	t.Helper()
	out := take(t, p, now, hits, wants...)
	if out.Allowed {
		t.Fatalf("%d hits at %v: allowed: %+v", hits, time.Duration(now-noon)*time.Microsecond, out)
	}
	return out
}

func give(t testing.TB, p *Partition, now Instant, hits uint32, r Receipt, wants ...Want) Outcome {
	t.Helper()
	var out Outcome
	if err := p.Give(now, wants, hits, r, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A naive limiter with ten slots of a tenth of the window lets both hundreds through.
func TestNeverTwiceTheLimitAcrossSlots(t *testing.T) {
	p, w := open(10), want(sliding(100, time.Minute), "k")
	allowed(t, p, noon+5990*second/1000, 100, w)
	denied(t, p, noon+60*second, 100, w)
	denied(t, p, noon+60*second, 1, w)
	allowed(t, p, noon+65990*second/1000, 100, w)
}

// COUNT is not part of a line: what was spent under one COUNT counts under another.
func TestCountByTurns(t *testing.T) {
	p := open(10)
	ten, twenty := want(sliding(10, time.Minute), "k"), want(sliding(20, time.Minute), "k")
	for i := range Instant(5) {
		allowed(t, p, noon+i*second, 1, ten)
		allowed(t, p, noon+i*second, 1, twenty)
	}
	denied(t, p, noon+5*second, 1, ten)
	for i := range Instant(10) {
		allowed(t, p, noon+(6+i)*second, 1, twenty)
		denied(t, p, noon+(6+i)*second, 1, ten)
	}
	out := denied(t, p, noon+16*second, 1, twenty)
	if out.Current != 20 || out.Limit != 20 {
		t.Fatalf("%+v", out)
	}
}

// A caller that paces itself at 90 % of a sliding limit is never denied, whatever the layout.
func TestPacedCallerIsNeverDenied(t *testing.T) {
	for _, count := range []uint32{1, 7, 10, 11, 100, 255, 256, 5000, 65535, 65536, 80000} {
		p, w := open(10), want(sliding(count, time.Minute), "k")
		step := (minute*10/9 + Instant(count) - 1) / Instant(count)
		for i := range min(3*Instant(count), 120000) {
			allowed(t, p, noon+i*step, 1, w)
		}
	}
}

func TestAllOrNothing(t *testing.T) {
	p := open(10)
	a, b := want(sliding(100, time.Minute), "k"), want(sliding(2, time.Hour), "k")
	allowed(t, p, noon, 1, a, b)
	out := allowed(t, p, noon, 1, a, b)
	if out.By != 1 || out.Remaining != 0 {
		t.Fatalf("decided by %d: %+v", out.By, out)
	}
	out = denied(t, p, noon, 1, a, b)
	if out.By != 1 || out.Retry != time.Hour {
		t.Fatalf("decided by %d: %+v", out.By, out)
	}
	if out := take(t, p, noon, 0, a); out.Remaining != 98 {
		t.Fatalf("the denied check spent: %+v", out)
	}
}

func TestNeverIsLongerThanAnyWait(t *testing.T) {
	p := open(10)
	a, b := want(sliding(5, 24*time.Hour), "k"), want(sliding(3, time.Second), "k")
	allowed(t, p, noon, 2, a)
	out := denied(t, p, noon, 4, a, b)
	if out.By != 1 || !out.Never || out.Retry != 0 {
		t.Fatalf("%+v", out)
	}
}

func TestShadowNeverDecides(t *testing.T) {
	p := open(10)
	a, b := want(sliding(100, time.Minute), "k"), want(sliding(1, time.Hour), "k")
	b.Shadow = true
	allowed(t, p, noon, 1, a, b)
	out := allowed(t, p, noon, 1, a, b)
	if out.By != 0 || out.Shadowed != 2 || out.Remaining != 98 {
		t.Fatalf("%+v", out)
	}
	if out := allowed(t, p, noon, 1, b); out.By != -1 || out.Shadowed != 1 {
		t.Fatalf("only shadows: %+v", out)
	}
}

func TestAPeekMakesNoLine(t *testing.T) {
	p := open(10)
	if out := take(t, p, noon, 0, want(sliding(5, time.Minute), "k")); !out.Allowed || out.Remaining != 5 || out.Reset != 0 || p.Len() != 0 {
		t.Fatalf("%+v, %d lines", out, p.Len())
	}
}

func TestDeniedAttemptsAreCountedAndNeverSpent(t *testing.T) {
	p, w := open(10), want(sliding(900, 30*time.Minute), "k")
	w.CountDenied = true
	allowed(t, p, noon, 900, w)
	if p.Len() != 1 {
		t.Fatal("attempts have a line before the first denial")
	}
	for range 4 {
		denied(t, p, noon+second, 1, w)
	}
	if out := denied(t, p, noon+second, 1, w); out.Current != 905 || out.Remaining != 0 {
		t.Fatalf("%+v", out)
	}
	if out := allowed(t, p, noon+30*minute, 1, w); out.Current != 6 || out.Remaining != 899 {
		t.Fatalf("attempts of the last 30 minutes and one hit: %+v", out)
	}
}

func TestGiveBack(t *testing.T) {
	p, w := open(10), want(sliding(2, time.Minute), "k")
	allowed(t, p, noon, 1, w)
	r := allowed(t, p, noon+30*second, 1, w).Receipt
	denied(t, p, noon+31*second, 1, w)
	give(t, p, noon+31*second, 1, r, w) // that of 12:00:30, so that of 12:00:00 stays
	allowed(t, p, noon+40*second, 1, w)
	if out := denied(t, p, noon+40*second, 1, w); out.Retry != 20*time.Second {
		t.Fatalf("%+v", out)
	}
	if out := give(t, p, noon+40*second, 100, 0, w); out.Remaining != 2 || out.Current != 0 || p.Len() != 0 {
		t.Fatalf("given back more than was there: %+v", out)
	}
}

// A receipt is worth nothing once its hit has left of itself, nor under another hold.
func TestReceiptOutOfTime(t *testing.T) {
	for _, l := range []Limit{sliding(2, time.Minute), sliding(200, time.Minute), sliding(200, time.Minute).with(FixedWindow, 0), sliding(200, time.Minute).with(TokenBucket, 200)} {
		p, w := open(10), want(l, "k")
		r := allowed(t, p, noon, 1, w).Receipt
		allowed(t, p, noon+70*second, 1, w)
		if out := give(t, p, noon+70*second, 1, r, w); out.Current != 1 {
			t.Errorf("%v: a hit that had left was given back: %+v", l, out)
		}
	}
}

func TestGates(t *testing.T) {
	p, wants := open(10), []Want{want(sliding(2, time.Minute), "k")}
	var out, denied Outcome
	for _, c := range []struct {
		gate Gate
		want error
	}{{Shut, ErrNotHeld}, {Frozen, ErrFrozen}, {Open, nil}} {
		p.SetState(c.gate, 7)
		if err := p.Take(noon, wants, 0, &out); err != c.want {
			t.Errorf("gate %v: Take: %v", c.gate, err)
		}
		if err := p.Give(noon, wants, 1, 0, &out); err != c.want {
			t.Errorf("gate %v: Give: %v", c.gate, err)
		}
		if _, err := p.TakeUpTo(noon, wants, 0, 1, &out, &denied); err != c.want {
			t.Errorf("gate %v: TakeUpTo: %v", c.gate, err)
		}
		if e, g := p.Epoch(); e != 7 || g != c.gate {
			t.Errorf("gate %v: %v, %v", c.gate, e, g)
		}
	}
	if err := NewTable(Config{}).Partition(0).Take(noon, wants, 1, &out); err != ErrNotHeld {
		t.Errorf("a new partition: %v", err)
	}
}

func TestBadWants(t *testing.T) {
	p := open(10)
	good := want(sliding(2, time.Minute), "k")
	other := good
	other.Limit.Window = 1000
	zero := good
	zero.Limit.Count = 0
	noBurst := want(sliding(2, time.Minute).with(TokenBucket, 0), "k")
	month := want(Limit{Count: 1, Window: Month}, "k")
	for i, ws := range [][]Want{nil, make([]Want, MaxWants+1), {other}, {zero}, {noBurst}, {month}, {good, want(sliding(2, time.Minute), "other")}} {
		var out Outcome
		if err := p.Take(noon, ws, 1, &out); err != ErrBadWants {
			t.Errorf("wants %d: %v", i, err)
		}
	}
	if p.Len() != 0 {
		t.Error("bad wants made lines")
	}
}

// Callers fold wants of one line. If they do not, the strictest holds and the hits are counted once.
func TestOneLineWantedTwice(t *testing.T) {
	p := open(10)
	ten, twenty := want(sliding(10, time.Minute), "k"), want(sliding(20, time.Minute), "k")
	for i := range 10 {
		if out := allowed(t, p, noon, 1, twenty, ten); out.Remaining != uint32(9-i) || out.By != 1 {
			t.Fatalf("%+v", out)
		}
	}
	denied(t, p, noon, 1, twenty, ten)
	if n := p.t.Stats().Lines; n != 1 {
		t.Fatalf("%d lines", n)
	}
}

func TestMonthAndWeek(t *testing.T) {
	at := func(s string) Instant {
		x, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return Instant(x.UnixMicro())
	}
	for _, c := range []struct {
		w     Window
		now   string
		reset string
	}{
		{Month, "2027-02-27 10:00", "2027-03-01 00:00"},
		{Month, "2028-02-29 10:00", "2028-03-01 00:00"},
		{Month, "2026-12-31 23:59", "2027-01-01 00:00"},
		{week, "2026-11-22 23:59", "2026-11-23 00:00"},
		{week, "2026-11-23 00:00", "2026-11-30 00:00"},
		{day, "2026-11-23 00:01", "2026-11-24 00:00"},
		{15 * 60 * 1000, "2026-11-23 00:16", "2026-11-23 00:30"},
	} {
		p, w := open(10), want(Limit{Count: 1, Window: c.w, Algorithm: FixedWindow}, "k")
		allowed(t, p, at(c.now), 1, w)
		out := denied(t, p, at(c.now), 1, w)
		if end := at(c.now).Add(out.Retry); end != at(c.reset) {
			t.Errorf("%v at %s: until %v, want %s", c.w, c.now, time.UnixMicro(int64(end)).UTC(), c.reset)
		}
		allowed(t, p, at(c.reset), 1, w)
	}
}

// Skew shifts a fixed window and never grants one: a window that came from a clock 40 s behind ends 40 s into ours, and
// then the next one runs to the boundary after.
func TestSkewedFixedWindow(t *testing.T) {
	w := want(sliding(10, time.Minute).with(FixedWindow, 0), "k")
	p := open(10)
	allowed(t, p, noon, 10, w)
	q := open(10)
	q.Replace(prepare(t, q, noon+40*second, p.Whole(noon, true)))
	denied(t, q, noon+60*second, 1, w)
	denied(t, q, noon+99*second, 1, w)
	allowed(t, q, noon+100*second, 10, w)
	denied(t, q, noon+120*second, 1, w)
	allowed(t, q, noon+180*second, 1, w)
}

func TestTakeAllocatesNothing(t *testing.T) {
	p := open(100)
	one := []Want{want(sliding(1000, time.Minute), "k")}
	four := []Want{one[0], want(sliding(1e6, time.Hour), "k"), want(sliding(5, time.Second), "k"), want(sliding(100, time.Second).with(TokenBucket, 100), "k")}
	out := Outcome{Each: make([]State, 4)}
	now := noon
	for i, wants := range [][]Want{one, four, one, four} {
		if i == 2 {
			p.Whole(now, false) // and with a copy kept up to date
		}
		if n := testing.AllocsPerRun(1000, func() {
			now += 1000
			p.Take(now, wants, 1, &out)
			p.Take(now, wants, 0, &out)
			p.Give(now, wants, 1, out.Receipt, &out)
		}); n != 0 {
			t.Errorf("%d wants: %v allocations", len(wants), n)
		}
	}
}

func TestManyGoroutinesAdmitExactlyCount(t *testing.T) {
	tab := NewTable(Config{Partitions: 3, MaxLines: 1000})
	const workers, keys, count = 8, 9, 500
	var admitted [keys]atomic.Int64
	var wg sync.WaitGroup
	for i := range 3 {
		tab.Partition(i).SetState(Open, 1)
	}
	for g := range workers {
		wg.Go(func() {
			var out, no Outcome
			for i := range keys * count {
				k := (i + g) % keys
				a := Algorithm(k % 3)
				l := sliding(count, 366*24*time.Hour)
				if a == TokenBucket {
					l.Burst = count
				}
				l.Algorithm = a
				w := want(l, strconv.Itoa(k))
				p := tab.Partition(w.ID.Partition(3))
				if i%5 == 0 {
					n, err := p.TakeUpTo(noon, []Want{w}, 1, 3, &out, &no)
					if err != nil {
						t.Error(err)
					}
					admitted[k].Add(int64(n))
				} else if err := p.Take(noon, []Want{w}, 1, &out); err != nil {
					t.Error(err)
				} else if out.Allowed {
					admitted[k].Add(1)
				}
				if i%100 == 0 {
					tab.Expire(noon, 3)
				}
			}
		})
	}
	wg.Wait()
	for k := range admitted {
		if n := admitted[k].Load(); n != count {
			t.Errorf("key %d: %d admitted, not %d", k, n, count)
		}
	}
}

// Counting an attempt makes a line, which moves the lines of other wants.
func TestAttemptsDoNotDisturbTheOtherWants(t *testing.T) {
	for k := range 200 {
		key := "k" + strconv.Itoa(k)
		p := open(100)
		counted := want(sliding(1, time.Minute), key)
		counted.CountDenied = true
		hourly, monthly := want(sliding(1, time.Hour), key), want(Limit{Count: 1, Window: Month, Algorithm: FixedWindow}, key)
		ws := []Want{counted, hourly, monthly}
		take(t, p, noon, 1, ws...)
		out := Outcome{Each: make([]State, 3)}
		if err := p.Take(noon+second, ws, 1, &out); err != nil || out.Allowed {
			t.Fatalf("%+v %v", out, err)
		}
		_, end := Month.around(noon)
		for i, wait := range []time.Duration{59 * time.Second, time.Hour - time.Second, end.Sub(noon + second)} {
			if out.Each[i].Retry != wait {
				t.Fatalf("%s, want %d: retry after %v, should be %v", key, i, out.Each[i].Retry, wait)
			}
		}
	}
}

// A batch is decided at the instant at which it began. Its hit on a line that another check has begun since can be given back; one
// from the window before is none of this window's.
func TestAHitFromJustBeforeTheFirstCanBeGivenBack(t *testing.T) {
	w := want(Limit{Count: 2, Window: 60_000, Algorithm: FixedWindow}, "k")
	p := open(100)
	before := allowed(t, p, noon-1, 1, w).Receipt
	allowed(t, p, noon+1000, 1, w)
	r := allowed(t, p, noon+500, 1, w).Receipt
	if out := give(t, p, noon+2000, 1, before, w); out.Remaining != 0 {
		t.Errorf("a hit of the window before was given back: %+v", out)
	}
	if out := give(t, p, noon+2000, 1, r, w); out.Remaining != 1 {
		t.Errorf("after giving back: %+v", out)
	}
	allowed(t, p, noon+3000, 1, w)
	denied(t, p, noon+3000, 1, w)

	// The same where the batch began in the window before.
	p = open(100)
	before = allowed(t, p, noon-1, 1, w).Receipt
	allowed(t, p, noon+1000, 1, w)
	allowed(t, p, noon-10, 1, w)
	if out := give(t, p, noon+2000, 1, before, w); out.Remaining != 0 {
		t.Errorf("a hit of the window before was given back: %+v", out)
	}
}
