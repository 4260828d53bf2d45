package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The garbage collector runs when the heap has doubled, unless told otherwise. That suits neither end of what a node is: with a few
// thousand lines it would run many times a second, for the few megabytes that requests leave behind; with millions it would let
// the process grow to twice what the lines take, though they are never garbage. So how much may gather between two runs is set by
// room, and not as a part of the heap. Lines have no pointers: a run costs about the same with a thousand of them as with five million.

const (
	// leastRoom is what may gather where the heap is small: some 10,000 requests' worth.
	leastRoom = 32 << 20
	// mostRoom is what may gather where it is large; between the two it is a part of it, roomPart.
	mostRoom = 512 << 20
	roomPart = 16
	// leastPercent keeps the collector from running all the time on a machine with a terabyte.
	leastPercent = 2
)

// keepRoom has the collector run when that much has gathered, from now on. Where GOGC is set, it is left alone: somebody knows better.
func keepRoom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	r := &room{percent: 100}
	r.sample[0].Name = "/gc/heap/live:bytes"
	r.next()
}

// A room is set anew after each run of the collector.
type room struct {
	sample  [1]metrics.Sample
	percent int
}

// A token is garbage as soon as it is made, so that its finalizer is called after the next run.
type token struct{ _ *byte }

// next sets the room, and sees to being called again. A finalizer's goroutine calls it, one call after the other.
func (r *room) next() {
	metrics.Read(r.sample[:])
	// Setting it stops the world for some microseconds.
	if p := roomPercent(r.sample[0].Value.Uint64()); p < r.percent*9/10 || p > r.percent*11/10 {
		r.percent = p
		debug.SetGCPercent(p)
	}
	runtime.SetFinalizer(&token{}, func(*token) { r.next() })
}

// roomPercent is GOGC for so many bytes that live.
func roomPercent(live uint64) int {
	live = max(live, 1<<20)
	return max(int(min(max(live/roomPart, leastRoom), mostRoom)*100/live), leastPercent)
}
