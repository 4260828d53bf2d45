package bucket

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

var (
	rssKeys  = flag.Int("bucket.keys", 0, "how many keys TestRSS fills a table with; it is skipped without")
	rssParts = flag.Int("bucket.partitions", 4093, "over how many partitions")
	rssSlack = flag.Int64("bucket.slack", 0, "MiB of garbage before the collector runs, beside the lines; 0: as the runtime does")
)

// rss returns the memory of this process that is resident now, and that was at most, in bytes.
func rss(t testing.TB) (now, most int64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "VmRSS:" || f[0] == "VmHWM:") {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if f[0] == "VmRSS:" {
				now = n << 10
			} else {
				most = n << 10
			}
		}
	}
	return now, most
}

// cpu returns the processor time of this thread: on a busy machine the clock on the wall tells mostly of the others.
func cpu() time.Duration {
	var ts syscall.Timespec
	const threadCPU = 3
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// A longest has the longest times that something took, and how many were longer than a millisecond.
type longest struct {
	top       []time.Duration
	all, over int
}

func (l *longest) add(d time.Duration) {
	l.all++
	if d > time.Millisecond {
		l.over++
	}
	if l.top = append(l.top, d); len(l.top) > 1<<12 {
		l.sort()
		l.top = l.top[:16]
	}
}

func (l *longest) sort() { slices.SortFunc(l.top, func(a, b time.Duration) int { return int(b - a) }) }

func (l *longest) String() string {
	l.sort()
	s := ""
	for _, d := range l.top[:min(len(l.top), 6)] {
		s += fmt.Sprintf(" %d", d.Microseconds())
	}
	return fmt.Sprintf("%s; %d of %d over 1 ms", s, l.over, l.all)
}

// TestRSS fills a table, expires half of it, fills it again beyond its most lines, and prints what it costs: memory, and the longest times for which
// something held a partition. It judges nothing, for the machine has a part in the times: whoever reads it does. The times are those of
// calls, with the reading of the clock, a fault of a page and the collector's share in them.
func TestRSS(t *testing.T) {
	n := *rssKeys
	if n == 0 {
		t.Skip("say -bucket.keys 5000000 -v")
	}
	collect := func() {}
	if *rssSlack > 0 {
		collect = func() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			debug.SetGCPercent(int(max(1, min(100, 100**rssSlack<<20/int64(m.HeapAlloc)))))
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	base, _ := rss(t)
	tab := NewTable(Config{Partitions: *rssParts, MaxLines: n})
	for i := range tab.parts {
		tab.parts[i].SetState(Open, 1)
	}
	ids := rand.New(rand.NewPCG(1, 1))
	l := sliding(100, time.Hour)
	var out Outcome
	now := noon
	take := func(key uint64, h *longest) {
		w := [1]Want{{ID: ID{key, uint64(l.Window)<<restBits | 7}, Limit: l}}
		p := tab.Partition(w[0].ID.Partition(*rssParts))
		at := cpu()
		if err := p.Take(now, w[:], 1, &out); err != nil || !out.Allowed {
			t.Fatalf("%v %+v", err, out)
		}
		h.add(cpu() - at)
	}
	say := func(what string, h *longest, began time.Time) {
		s := tab.Stats()
		r, most := rss(t)
		lines := float64(max(s.Lines, 1))
		t.Logf("%-30s %8d lines, %5.1f bytes of table a line, RSS %5.1f, at most %5.1f; longest, in µs of processor:%v (%v in all)", what, s.Lines,
			float64(s.Bytes)/lines, float64(r-base)/lines, float64(most-base)/lines, h, time.Since(began).Round(time.Millisecond))
	}
	phase := func(what string, f func(h *longest)) {
		var h longest
		began := time.Now()
		f(&h)
		say(what, &h, began)
	}
	fill := func(keys int) func(*longest) {
		return func(h *longest) {
			for i := range keys {
				if i%(n/50+1) == 0 {
					collect()
					now += second
				}
				take(ids.Uint64(), h)
			}
		}
	}
	phase("nothing: the machine's own", func(h *longest) {
		for range n / 2 {
			at := cpu()
			h.add(cpu() - at)
		}
	})
	phase("fill", fill(n))
	phase("after a collection", func(*longest) {
		runtime.GC()
		debug.FreeOSMemory()
	})
	phase("flood: each evicts another", fill(n/5))
	now = noon + hour + 25*second
	phase("expire about half", func(h *longest) {
		for range *rssParts {
			at := cpu()
			tab.Expire(now, 1)
			h.add(cpu() - at)
		}
	})
	phase("fill again", fill(n/2))
	phase("whole copies", func(h *longest) {
		for i := range min(200, *rssParts) {
			at := cpu()
			tab.parts[i].Whole(now, true)
			h.add(cpu() - at)
		}
	})
}
