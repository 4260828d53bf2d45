package hold

import (
	"testing"
	"unsafe"
)

// What is touched for each copy is in the first two lines of the processor's, and no partition's lies across others.
func TestPartLiesInLines(t *testing.T) {
	var p part
	const line = 64
	if size := unsafe.Sizeof(p); size%line != 0 {
		t.Errorf("a part has %d bytes", size)
	}
	if end := unsafe.Offsetof(p.olds) + unsafe.Sizeof(p.olds); end > 2*line {
		t.Errorf("what a copy touches ends at byte %d", end)
	}
}

// What was put stays as it is until the reset, however much is put after it.
func TestArena(t *testing.T) {
	var a arena[int]
	for range 3 {
		var all []*int
		for i := range 3 * arenaRoom {
			all = append(all, a.put(i))
		}
		for i, p := range all {
			if *p != i {
				t.Fatalf("%d became %d", i, *p)
			}
		}
		a.reset()
	}
	if len(a.rooms) != 3 {
		t.Errorf("%d rooms", len(a.rooms))
	}
}
