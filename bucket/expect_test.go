package bucket

import (
	"strconv"
	"testing"
)

// What is expected is found as before, whatever is named.
func TestExpectChangesNothing(t *testing.T) {
	const keys = 500
	tab := tableOf(uniformParts, keys)
	places := make([]Place, keys)
	take := func(now Instant) (used uint64) {
		var out Outcome
		for i := range keys {
			w := [1]Want{uniformWant(i)}
			places[i] = Place{w[0].ID.Partition(uniformParts), w[0].ID.Key}
			tab.Partition(places[i].Partition).Take(now, w[:], 1, &out)
			used += uint64(out.State.Current)
		}
		return used
	}
	tab.Expect(places) // nothing is there
	tab.Expect(nil)
	take(noon)
	tab.Expect(places)
	tab.Expect(append(places, Place{0, 0}, Place{uniformParts - 1, 1<<64 - 1}))
	p := tab.Partition(places[0].Partition)
	p.mu.Lock()
	tab.Expect(places) // and waits for nobody
	p.mu.Unlock()
	if used := take(noon); used != 2*keys {
		t.Errorf("%d hits count, not %d", used, 2*keys)
	}
}

// Batches of keys all over the table, with their lines expected and without.
func BenchmarkTakeBatch(b *testing.B) {
	for _, keys := range []int{1 << 10, 1 << 17, 5_000_000} {
		for _, n := range []int{1, 4, MostExpected} {
			for _, expected := range []bool{false, true} {
				name := strconv.Itoa(keys) + "/" + strconv.Itoa(n) + map[bool]string{false: "", true: "/expected"}[expected]
				b.Run(name, func(b *testing.B) {
					tab := uniformTable(keys)
					var out Outcome
					var wants [MostExpected][1]Want
					var places [MostExpected]Place
					b.ResetTimer()
					i := 0
					for range b.N / n {
						for k := range n {
							i = (i + 7919) % keys
							w := &wants[k][0]
							*w = uniformWant(0)
							w.ID.Key = uint64(i) * 0x9e3779b97f4a7c15
							places[k] = Place{w.ID.Partition(uniformParts), w.ID.Key}
						}
						if expected {
							tab.Expect(places[:n])
						}
						for k := range n {
							tab.Partition(places[k].Partition).Take(noon, wants[k][:], 1, &out)
						}
					}
				})
			}
		}
	}
}
