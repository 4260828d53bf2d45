package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestRoomPercent(t *testing.T) {
	for _, x := range []struct {
		live uint64
		want int
	}{
		{0, 3200}, {1 << 20, 3200}, {32 << 20, 100}, {320 << 20, 10}, {1 << 30, 6}, {1 << 40, leastPercent},
	} {
		if got := roomPercent(x.live); got != x.want && got != x.want+1 {
			t.Errorf("%d MiB live: GOGC %d, want %d", x.live>>20, got, x.want)
		}
	}
}

// After a run of the collector the room is that of what lives then.
func TestTheRoomFollowsTheHeap(t *testing.T) {
	was := debug.SetGCPercent(100)
	defer debug.SetGCPercent(was)
	t.Setenv("GOGC", "")
	keepRoom()
	large := make([]byte, 200<<20)
	gogc := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	deadline := time.Now().Add(30 * time.Second)
	for {
		runtime.GC()
		metrics.Read(gogc)
		p := gogc[0].Value.Uint64()
		if p <= 20 { // 32 MiB beside 200
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("GOGC is %d with 200 MiB that live", p)
		}
		runtime.Gosched()
	}
	runtime.KeepAlive(large)
}
