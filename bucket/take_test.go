package bucket

import (
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

func TestSmoke(t *testing.T) {
	for _, l := range []Limit{sliding(5, time.Minute), sliding(50, time.Minute), sliding(500, time.Minute), sliding(100000, time.Minute),
		{Count: 50, Window: 60000, Algorithm: FixedWindow}, {Count: 50, Burst: 60, Window: 60000, Algorithm: TokenBucket}} {
		p := open(10)
		w := want(l, "k")
		for i := range l.Most() {
			out := take(t, p, noon, 1, w)
			if !out.Allowed || out.Remaining != l.Most()-i-1 {
				t.Fatalf("%+v: hit %d: %+v", l, i, out)
			}
		}
		out := take(t, p, noon, 1, w)
		t.Logf("%+v", out)
		if out.Allowed || out.Retry == 0 || out.Retry > time.Minute {
			t.Fatalf("%+v: %+v", l, out)
		}
		if out := take(t, p, noon+Instant(out.Retry/1000)-1, 1, w); out.Allowed {
			t.Fatalf("%+v: allowed a moment early", l)
		}
		if out := take(t, p, noon+Instant(out.Retry/1000), 1, w); !out.Allowed {
			t.Fatalf("%+v: denied at retry", l)
		}
	}
}

func BenchmarkTakeWarm(b *testing.B) {
	for _, l := range []Limit{sliding(10, time.Minute), sliding(200, time.Minute), sliding(50000, time.Minute), sliding(1<<32-1, time.Minute),
		{Count: 1<<32 - 1, Window: 60000, Algorithm: FixedWindow}, {Count: 1e9, Burst: 1e9, Window: 60000, Algorithm: TokenBucket}} {
		b.Run(string(rune('a'+l.Algorithm))+"-"+time.Duration(l.Count).String(), func(b *testing.B) {
			p := open(10)
			wants := []Want{want(l, "k")}
			var out Outcome
			b.ReportAllocs()
			now := noon
			for b.Loop() {
				now += 1
				p.Take(now, wants, 1, &out)
			}
		})
	}
}
