package mail

import (
	"slices"
	"testing"
)

// A fifo against a slice that keeps everything.
func TestFifo(t *testing.T) {
	for seed := range uint64(50) {
		r := newRandom(seed)
		var q fifo[int]
		var all []int
		gone, pushes := 0, 1+r.IntN(9)
		for range 3000 {
			switch k := r.IntN(10); {
			case k == 0 && r.IntN(50) == 0:
				q.drop()
				gone = len(all)
			case k < pushes:
				v := r.Int()
				if n := q.push(v); n != uint64(len(all)) {
					t.Fatalf("seed %d: number %d of %d", seed, n, len(all))
				}
				all = append(all, v)
			case gone < len(all):
				n := 1 + r.IntN(min(5, len(all)-gone))
				if got := q.popTo([]int{-1}, n); !slices.Equal(got[1:], all[gone:gone+n]) {
					t.Fatalf("seed %d: others came", seed)
				}
				gone += n
			case k == 9:
				more := []int{r.Int(), r.Int(), r.Int()}
				q.pushAll(more)
				all = append(all, more...)
			}
			if q.len() != len(all)-gone || !slices.Equal(q.queued(), all[gone:]) {
				t.Fatalf("seed %d: %d queued, want %d", seed, q.len(), len(all)-gone)
			}
			if n := r.IntN(len(all) + 2); n < gone || n >= len(all) {
				if q.numbered(uint64(n)) != nil {
					t.Fatalf("seed %d: %d is not gone", seed, n)
				}
			} else if *q.numbered(uint64(n)) != all[n] {
				t.Fatalf("seed %d: %d is another", seed, n)
			}
		}
	}
}

// What was a crowd once is not kept for ever.
func TestFifoLetsGoOfMemory(t *testing.T) {
	var q fifo[int]
	for i := range 10 * keepQueue {
		q.push(i)
	}
	for q.len() > 0 {
		q.popTo(nil, 1)
	}
	if n := cap(q.a); n > keepQueue {
		t.Fatalf("room for %d in an empty queue", n)
	}
}

// One that is never empty does not grow with all that ever came.
func TestFifoStaysAsLongAsWhatIsQueued(t *testing.T) {
	var q fifo[int]
	for i := range 100_000 {
		q.push(i)
		if q.len() > 10 {
			q.popTo(nil, 1)
		}
	}
	if n := cap(q.a); n > 64 {
		t.Fatalf("room for %d with 10 queued", n)
	}
}
