package bucket

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// tableOf returns a table with all partitions open.
func tableOf(parts, maxLines int) *Table {
	t := NewTable(Config{Partitions: parts, MaxLines: maxLines})
	for i := range parts {
		t.Partition(i).SetState(Open, 1)
	}
	return t
}

// on takes in the partition that the want belongs to.
func on(t testing.TB, tab *Table, now Instant, hits uint32, w Want) Outcome {
	t.Helper()
	return take(t, tab.Partition(w.ID.Partition(len(tab.parts))), now, hits, w)
}

// A small table over many partitions finds what it can drop wherever it is.
func TestEvictionFindsAnEvictableLineAnywhere(t *testing.T) {
	tab := tableOf(4093, 10)
	for i := range 500 {
		if out := on(t, tab, noon+Instant(i), 1, want(sliding(5, time.Minute), strconv.Itoa(i))); !out.Allowed {
			t.Fatalf("key %d: %+v", i, out)
		}
	}
	if s := tab.Stats(); s.Lines != 10 || s.Evicted != 490 || s.Full != 0 {
		t.Fatalf("%+v", s)
	}
}

// Law: memory pressure never resets a line that is denying.
func TestPressureNeverResetsADenyingLine(t *testing.T) {
	tab := tableOf(17, 100)
	var blocked []Want
	for i := range 60 {
		w := want(sliding(1, time.Hour), "blocked "+strconv.Itoa(i))
		on(t, tab, noon, 1, w) // leaves nothing: it denies from here on
		blocked = append(blocked, w)
	}
	for i := range 3000 {
		if out := on(t, tab, noon+Instant(i), 1, want(sliding(2, time.Hour), "flood "+strconv.Itoa(i))); !out.Allowed {
			t.Fatalf("flood key %d: %+v", i, out)
		}
	}
	for i, w := range blocked {
		if out := on(t, tab, noon+minute, 1, w); out.Allowed || out.Full {
			t.Fatalf("blocked key %d was let through", i)
		}
	}
	if s := tab.Stats(); s.Lines > 100 || s.Evicted != 2960 {
		t.Fatalf("%+v", s)
	}
}

// Where every line denies, a new key finds no room: at once, without looking at each line again for each key. When one
// of them stops denying, or is fresh, there is room again.
func TestFullOfDenyingLines(t *testing.T) {
	const parts, lines = 7, 700
	tab := tableOf(parts, lines)
	key := func(i int) Want { return want(sliding(1, time.Hour), strconv.Itoa(i)) }
	for i := range lines {
		if out := on(t, tab, noon+Instant(i)*second, 1, key(i)); !out.Allowed {
			t.Fatalf("%d: %+v", i, out)
		}
	}
	full := func(now Instant, i int) {
		t.Helper()
		if out := on(t, tab, now, 1, key(i)); !out.Full || out.Allowed || out.By != -1 {
			t.Fatalf("%+v", out)
		}
	}
	now := noon + lines*second
	full(now, 1000)
	if until := Instant(tab.room.barren.Load()); until != noon+hour {
		t.Fatalf("nothing to drop until %v, not %v", until-noon, hour)
	}
	for i := range parts {
		if tab.parts[i].barren == 0 {
			t.Fatalf("partition %d will be looked through again", i)
		}
	}
	full(now, 1001)

	// A give-back: that line no longer denies (it is gone, in fact).
	w := want(sliding(5, time.Hour), "17")
	give(t, tab.Partition(w.ID.Partition(parts)), now, 1, 0, w)
	if out := on(t, tab, now, 1, key(1002)); !out.Allowed {
		t.Fatalf("no room after a give-back: %+v", out)
	}
	full(now, 1003)

	// A raised limit: that line allows again, and may be dropped.
	if out := on(t, tab, now, 1, want(sliding(5, time.Hour), "18")); !out.Allowed {
		t.Fatalf("%+v", out)
	}
	if out := on(t, tab, now, 1, key(1004)); !out.Allowed {
		t.Fatalf("no room after a limit was raised: %+v", out)
	}
	full(now, 1005)

	// The first hit has left.
	full(noon+hour-1, 1006)
	if out := on(t, tab, noon+hour, 1, key(1007)); !out.Allowed {
		t.Fatalf("no room for a fresh line's place: %+v", out)
	}
}

// Nobody waits until a large table has been looked through: a key that finds nothing to drop among some thousands of lines is told
// that the table is full, and later ones look on from there, until one finds the place that there is.
func TestALookForRoomEnds(t *testing.T) {
	const parts, lines = 8, 4 * evictWalk
	tab := tableOf(parts, lines)
	key := uint64(0)
	in := func(part uint64, l Limit) Want { // of a partition
		key++
		return Want{ID: ID{Key: key*0x9e3779b97f4a7c15&^(parts-1) | part, Line: uint64(l.Window) << restBits}, Limit: l}
	}
	for i := range uint64(lines - 1) {
		on(t, tab, noon, 1, in(i%parts, sliding(1, time.Hour)))
	}
	on(t, tab, noon, 1, in(parts-1, sliding(5, time.Hour)))
	for i := range 20 {
		out := on(t, tab, noon+second, 1, in(0, sliding(1, time.Hour)))
		barren := 0
		for i := range tab.parts {
			if tab.parts[i].barren > 0 {
				barren++
			}
		}
		switch {
		case i == 0 && (!out.Full || barren == 0 || barren > parts/2):
			t.Fatalf("%d of %d partitions were looked through at once: %+v", barren, parts, out)
		case out.Allowed && i > 1:
			return
		}
	}
	t.Fatal("the place that there is was not found")
}

func TestTheNearestToFreshGoesFirst(t *testing.T) {
	tab := tableOf(1, 3)
	p := tab.Partition(0)
	short, long, denying := want(sliding(5, time.Minute), "short"), want(sliding(5, time.Hour), "long"), want(sliding(1, time.Second), "denying")
	allowed(t, p, noon, 1, short)
	allowed(t, p, noon, 1, long)
	allowed(t, p, noon, 1, denying)
	allowed(t, p, noon, 1, want(sliding(5, 24*time.Hour), "new"))
	for _, c := range []struct {
		w    Want
		left uint64
	}{{short, 0}, {long, 1}, {denying, 1}} {
		if out := take(t, p, noon, 0, c.w); out.Current != c.left {
			t.Errorf("%v: %d hits left, not %d", c.w.Limit, out.Current, c.left)
		}
	}
}

func TestAttemptsGoFirstAndAreNotMadeInAFullTable(t *testing.T) {
	p := tableOf(1, 2).Partition(0)
	w := want(sliding(1, time.Hour), "k")
	w.CountDenied = true
	allowed(t, p, noon, 1, w)
	denied(t, p, noon, 1, w)
	if p.Len() != 2 {
		t.Fatal("no line for attempts")
	}
	allowed(t, p, noon, 1, want(sliding(5, time.Minute), "other"))
	if out := denied(t, p, noon, 1, w); out.Current != 1 || p.Len() != 2 {
		t.Fatalf("%+v, %d lines", out, p.Len())
	}
}

// A check that needs several lines gets all or none.
func TestSeveralLinesOrNone(t *testing.T) {
	p := tableOf(1, 4).Partition(0)
	for _, k := range []string{"a", "b"} {
		allowed(t, p, noon, 1, want(sliding(1, time.Hour), k))
	}
	ws := []Want{want(sliding(5, time.Second), "k"), want(sliding(5, time.Minute), "k"), want(sliding(5, time.Hour), "k")}
	if out := take(t, p, noon, 1, ws...); !out.Full || p.Len() != 2 {
		t.Fatalf("%+v, %d lines", out, p.Len())
	}
	ws[2].Shadow = true // what never denies does not fail for want of room either
	if out := allowed(t, p, noon, 1, ws...); out.Full || p.Len() != 4 {
		t.Fatalf("%+v, %d lines", out, p.Len())
	}
	if n := p.t.Stats().Lines; n != 4 {
		t.Fatalf("%d lines counted", n)
	}
}

func TestFrozenLinesStay(t *testing.T) {
	tab := tableOf(2, 2)
	var w [2]Want
	for i := 0; w[0].ID == (ID{}) || w[1].ID == (ID{}); i++ {
		k := want(sliding(5, time.Minute), strconv.Itoa(i))
		w[k.ID.Partition(2)] = k
	}
	on(t, tab, noon, 1, w[0])
	on(t, tab, noon, 1, want(sliding(5, time.Minute), "x"))
	tab.Partition(0).SetState(Frozen, 2)
	tab.Partition(1).Reset()
	on(t, tab, noon, 1, w[1])
	on(t, tab, noon, 1, w[1])
	if tab.Partition(0).Len() == 0 {
		t.Fatal("a frozen line was dropped")
	}
}

func TestExpire(t *testing.T) {
	tab := tableOf(3, 10000)
	for i := range 3000 {
		on(t, tab, noon, 1, want(sliding(5, time.Duration(1+i%10)*time.Minute), strconv.Itoa(i)))
	}
	full := tab.Stats().Bytes
	if n := tab.Expire(noon+minute-1, 3); n != 0 {
		t.Fatalf("%d lines expired early", n)
	}
	n := 0
	for range 3 {
		n += tab.Expire(noon+5*minute, 1)
	}
	if s := tab.Stats(); n != 1500 || s.Lines != 1500 || s.Expired != 1500 {
		t.Fatalf("%d expired; %+v", n, s)
	}
	tab.Expire(noon+9*minute, 3)
	if s := tab.Stats(); s.Lines != 300 || s.Bytes > full/4 {
		t.Fatalf("a sparse table keeps its memory: %+v, was %d bytes", s, full)
	}
	tab.Expire(noon+hour, 3)
	if s := tab.Stats(); s.Lines != 0 || s.Bytes != 0 {
		t.Fatalf("%+v", s)
	}
}

// A token bucket's line that is fresh by itself stays while it waits for that of another history, wherever sweeping has moved it.
func TestSweepingKeepsWhatWaits(t *testing.T) {
	const keys = 200
	p := open(10 * keys)
	bucket := sliding(60, time.Minute).with(TokenBucket, 60)
	for i := range keys {
		allowed(t, p, noon, 30, want(bucket, strconv.Itoa(i))) // back after 30 s
		allowed(t, p, noon, 1, want(sliding(5, 10*time.Second), strconv.Itoa(i)))
	}
	p.SetHistory(Name{Epoch: 2})
	for i := range keys {
		allowed(t, p, noon+second, 30, want(bucket, strconv.Itoa(i))) // in turn: back after 60 s
		allowed(t, p, noon+second, 1, want(sliding(5, 10*time.Second), strconv.Itoa(i)))
	}
	p.t.Expire(noon+45*second, 1)
	if n := p.Len(); n != 2*keys {
		t.Fatalf("%d lines, want the %d that wait", n, 2*keys)
	}
	for i := range keys {
		denied(t, p, noon+45*second, 46, want(bucket, strconv.Itoa(i)))
	}
	if p.t.Expire(noon+60*second, 1); p.Len() != 0 {
		t.Fatalf("%d lines are left", p.Len())
	}
}

func TestReset(t *testing.T) {
	p := open(10)
	w := want(sliding(1, time.Minute), "k")
	allowed(t, p, noon, 1, w)
	if n := p.Reset(); n != 1 || p.Len() != 0 || p.t.Stats().Lines != 0 || p.t.Stats().Bytes != 0 {
		t.Fatalf("%d dropped; %+v", n, p.t.Stats())
	}
	allowed(t, p, noon, 1, w)
}

// A caller may name any number of windows for one key. It may not make the others slow.
func TestOneKeyHasABoundedNumberOfLines(t *testing.T) {
	p := open(1 << 20)
	for i := range maxKeyLines {
		allowed(t, p, noon, 1, want(sliding(5, time.Hour+time.Duration(i)*time.Millisecond), "k"))
	}
	if out := take(t, p, noon, 1, want(sliding(5, time.Minute), "k")); !out.Full {
		t.Fatalf("%+v", out)
	}
	allowed(t, p, noon, 1, want(sliding(5, time.Minute), "other"))
	if n := p.t.Stats().Lines; n != maxKeyLines+1 {
		t.Fatalf("%d lines counted", n)
	}
}

// The hash table against a map.
func TestLines(t *testing.T) {
	for seed := range uint64(histories(200)) {
		r := rand.New(rand.NewPCG(seed, 2))
		var ls lines
		model := map[ID]bool{}
		spread, several := uint64(1)<<(r.IntN(8)*9), uint64(8)
		if r.IntN(4) == 0 {
			several = 300 // clusters longer than a segment
		}
		for range 400 * (1 + r.IntN(5)/4*9) {
			id := ID{Key: r.Uint64N(spread) * (1<<63/spread | 1), Line: r.Uint64N(several)}
			switch {
			case ls.find(id, slidingFamily) != nil != model[id]:
				t.Fatalf("seed %d: %v: is there: %v", seed, id, !model[id])
			case !model[id] && r.IntN(3) > 0:
				ls.grow(1)
				ls.insert(id, exact)
				model[id] = true
			case model[id] && r.IntN(2) == 0:
				ls.removeLine(ls.find(id, slidingFamily))
				delete(model, id)
			case r.IntN(50) == 0:
				cut := r.Uint64N(8)
				ls.sweep(func(l *line) bool { return l.id.Line == cut })
				for id := range model {
					if id.Line == cut {
						delete(model, id)
					}
				}
			case r.IntN(50) == 0:
				ls.spread(uint64(ls.n+1), 2)
			}
			if err := ls.check(len(model)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// check says whether all lines are in order, behind their homes and without gaps from there.
func (t *lines) check(n int) error {
	if t.n != n {
		return fmt.Errorf("%d lines, not %d", t.n, n)
	}
	var last ID
	gap := -1
	for i := range t.places() {
		l := t.at(i)
		if l.empty() {
			gap = i
			continue
		}
		n--
		if home := t.home(l.id.Key); home > i || home <= gap {
			return fmt.Errorf("line %v lies at %d; its home is %d, the last gap %d", l.id, i, home, gap)
		}
		if l.id.Key < last.Key || l.id.Key == last.Key && l.id.Line < last.Line {
			return fmt.Errorf("line %v lies behind %v", l.id, last)
		}
		last = l.id
	}
	if n != 0 || t.places() > 0 && gap != t.places()-1 {
		return fmt.Errorf("%d lines are missing; the last gap is at %d of %d", n, gap, t.places())
	}
	return nil
}

func TestMemoryPerLine(t *testing.T) {
	p := open(1 << 20)
	var sum float64
	n := 0
	for i := range 20000 {
		p.own.grow(1)
		p.own.insert(ID{Key: rand.Uint64(), Line: 1}, exact)
		if i >= 2000 {
			sum += float64(p.own.bytes()) / float64(p.own.n)
			n++
		}
	}
	if b := sum / float64(n); b > 83 {
		t.Fatalf("%.1f bytes a line", b)
	}
}

// A give-back that finds nothing to give, or that leaves the line over a lowered limit, does not make it evictable.
func TestAGiveBackThatDoesNotMakeRoomDoesNotEndTheDenying(t *testing.T) {
	p := open(3)
	w := want(sliding(2, time.Hour), "k")
	old := take(t, p, noon, 1, w).Receipt
	take(t, p, noon+hour, 1, w)
	take(t, p, noon+hour, 1, w) // full
	var out Outcome
	if err := p.Give(noon+hour+1, []Want{w}, 1, old, &out); err != nil || out.Remaining != 0 {
		t.Fatalf("%+v %v", out, err)
	}
	for i := range 20 {
		take(t, p, noon+hour+2, 1, want(sliding(5, 24*time.Hour), strconv.Itoa(i)))
	}
	if out := take(t, p, noon+hour+3, 1, w); out.Allowed {
		t.Fatal("memory pressure reset a line that denied")
	}
}

// Who looks for room in all partitions reads their notes while others change them.
func TestLookingForRoomWhileLinesStopDenying(t *testing.T) {
	const parts = 3
	tab := tableOf(parts, 30)
	for i := range 30 {
		on(t, tab, noon, 2, want(sliding(2, time.Hour), strconv.Itoa(i)))
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range 2000 {
				var out Outcome
				w := want(sliding(2, time.Hour), strconv.Itoa(i%30))
				p := tab.Partition(w.ID.Partition(parts))
				if g > 0 {
					p.Give(noon+1, []Want{w}, 1, 0, &out)
					p.Take(noon+1, []Want{w}, 1, &out)
					continue
				}
				w = want(sliding(1, time.Hour), "new "+strconv.Itoa(i))
				tab.Partition(w.ID.Partition(parts)).Take(noon+1, []Want{w}, 1, &out)
			}
		})
	}
	wg.Wait()
}
