package peer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// expecting is a decider that notes what it is told before, and what it then decides.
type expecting struct {
	*counters
	told, decided []bucket.Place
	most          int
}

func (x *expecting) Expect(places []bucket.Place) {
	x.told = append(x.told, places...)
	x.most = max(x.most, len(places))
}

func (x *expecting) Decide(now bucket.Instant, e *Entry, a *Answer) {
	x.decided = append(x.decided, bucket.Place{Partition: int(e.Partition), Key: e.Wants[0].ID.Key})
	if n := len(x.decided); n > len(x.told) || n < len(x.told)-bucket.MostExpected {
		panic("an entry is decided that nobody was told of, or was told of too long before")
	}
	x.counters.Decide(now, e, a)
}

// A decider is told of the entries of a batch, all of them and in order, a few at a time and not long before it decides them.
func TestEntriesAreExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &expecting{counters: newCounters()}
		x := newPair(t, d, nil)
		const n = 3*bucket.MostExpected + 5
		call := GetCall(n)
		for i := range call.Asks {
			wants := []bucket.Want{want(uint64(i), 10)}
			for range i % 3 { // entries differ in length
				wants = append(wants, wants[0])
				wants[len(wants)-1].ID.Line++
			}
			a := fill(call, i, uint64(i), 1, wants...)
			a.Deadline = time.Now().Add(time.Second)
			x.pipe.Send(a)
		}
		call.Wait()
		call.Put()
		if len(d.decided) != n || !slices.Equal(d.told, d.decided) || d.most != bucket.MostExpected {
			t.Errorf("%d decided, told of %d, at most %d at a time", len(d.decided), len(d.told), d.most)
		}
		x.close()
	})
}
