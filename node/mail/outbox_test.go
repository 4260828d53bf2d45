package mail

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// sent returns what the lane's next packet brings.
func sent(t *testing.T, o *Outbox, lane peer.MailLane) []hold.Message {
	t.Helper()
	b := o.Next(lane, []byte("head"))
	if string(b[:4]) != "head" {
		t.Fatal("what was there is gone")
	}
	if len(b) == 4 {
		return nil
	}
	got, err := read(b[4:])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func put(t *testing.T, o *Outbox, messages ...hold.Message) {
	t.Helper()
	for _, m := range messages {
		if !o.Put(m, nil) {
			t.Fatalf("no room for %+v", m)
		}
	}
}

func same(t *testing.T, got []hold.Message, want ...hold.Message) {
	t.Helper()
	if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("got %s\nwant %s", list(got), list(want))
	}
}

func list(messages []hold.Message) (s string) {
	for _, m := range messages {
		s += fmt.Sprintf("%v %+v; ", KindOf(m), m)
	}
	return s
}

func linesOfN(n int) *bucket.Lines {
	return &bucket.Lines{Histories: []bucket.Copy{{Records: make([]bucket.Record, n)}}}
}

func holds(p hold.Part, epoch uint64) *hold.Holds {
	return &hold.Holds{Part: p, Hold: hold.Hold{Epoch: epoch, Start: 1, Name: "n1"}}
}

func TestWhatGathersGoesTogetherInOrder(t *testing.T) {
	o := NewOutbox(partitions, new(Stats))
	same(t, sent(t, o, peer.MailUrgent))
	a, b, c := &hold.Release{Part: 1, Epoch: 1}, holds(3, 1), &hold.Release{Part: 1, Epoch: 2}
	put(t, o, a, b, c)
	same(t, sent(t, o, peer.MailUrgent), a, b, c)
	same(t, sent(t, o, peer.MailUrgent))
	put(t, o, b)
	same(t, sent(t, o, peer.MailUrgent), b)
}

func TestLanes(t *testing.T) {
	o := NewOutbox(partitions, new(Stats))
	var urgent, bulk []hold.Message
	r := newRandom(3)
	for kind := Kind(1); kind < Kinds; kind++ {
		m := r.message(kind)
		put(t, o, m)
		if kind == Backup || kind == Return {
			bulk = append(bulk, m)
		} else {
			urgent = append(urgent, m)
		}
	}
	same(t, sent(t, o, peer.MailUrgent), urgent...)
	same(t, sent(t, o, peer.MailBulk), bulk...)
}

func TestANewerHoldsTakesThePlaceOfAnOlder(t *testing.T) {
	stats := new(Stats)
	o := NewOutbox(partitions, stats)
	release := &hold.Release{Part: 7, Epoch: 1}
	put(t, o, holds(7, 1), holds(8, 1), release, holds(7, 3), holds(7, 2))
	same(t, sent(t, o, peer.MailUrgent), holds(7, 3), holds(8, 1), release)
	if n := stats.Replaced.Load(); n != 2 {
		t.Fatalf("%d replaced", n)
	}

	// What was sent takes no part: the same number may be somebody else's place by now.
	put(t, o, holds(9, 1), holds(8, 1), holds(7, 1))
	same(t, sent(t, o, peer.MailUrgent), holds(9, 1), holds(8, 1), holds(7, 1))

	// The same hold with a new keeper is newer, too.
	kept := holds(7, 1)
	kept.Keeper = "n2"
	put(t, o, holds(7, 1), kept)
	same(t, sent(t, o, peer.MailUrgent), kept)

	// A cleared outbox has no places.
	put(t, o, holds(7, 1), holds(8, 1))
	o.Clear()
	same(t, sent(t, o, peer.MailUrgent))
	put(t, o, holds(8, 1), holds(7, 1))
	same(t, sent(t, o, peer.MailUrgent), holds(8, 1), holds(7, 1))
}

func TestOnePingIsEnough(t *testing.T) {
	o := NewOutbox(partitions, new(Stats))
	for range 2 {
		put(t, o, &Ping{}, &hold.Who{}, &Ping{}, &hold.Who{})
		same(t, sent(t, o, peer.MailUrgent), &Ping{}, &hold.Who{})
	}
	put(t, o, &Ping{})
	o.Clear()
	put(t, o, &Ping{})
	same(t, sent(t, o, peer.MailUrgent), &Ping{})
}

func TestLinesGoWithTheirMessage(t *testing.T) {
	stats := new(Stats)
	o := NewOutbox(partitions, stats)
	beside := &hold.Backup{Part: 1, Hold: hold.Hold{Epoch: 1, Name: "n1"}}
	if !o.Put(beside, linesOfN(3)) {
		t.Fatal("no room")
	}
	within := *beside
	within.Lines = linesOfN(2)
	put(t, o, &within)
	want := *beside
	want.Lines = linesOfN(3)
	same(t, sent(t, o, peer.MailBulk), &want, &within)
	if n := stats.LinesOut.Load(); n != 5 {
		t.Fatalf("%d lines counted", n)
	}
	if n := stats.Out[Backup].Load(); n != 2 {
		t.Fatalf("%d backups counted", n)
	}
}

func TestAPacketIsBounded(t *testing.T) {
	o := NewOutbox(partitions, new(Stats))
	var all []hold.Message
	for i := range 60_000 {
		all = append(all, &hold.Returned{Part: hold.Part(i % partitions), Round: uint64(i), Hold: hold.Hold{Epoch: 1, Name: "n1"}})
	}
	put(t, o, all...)
	packets := 0
	for len(all) > 0 {
		b := o.Next(peer.MailUrgent, nil)
		got, err := read(b)
		if err != nil || len(b) > urgentPacket || len(got) == 0 {
			t.Fatalf("%d bytes, %d messages, %v", len(b), len(got), err)
		}
		for i, m := range got {
			if m.(*hold.Returned).Round != all[i].(*hold.Returned).Round {
				t.Fatalf("packet %d: message %d is another", packets, i)
			}
		}
		all = all[len(got):]
		packets++
	}
	if packets < 2 {
		t.Fatal("this tested nothing")
	}

	// One that is longer than a packet should be goes alone, and nothing overtakes it.
	short, long := &hold.Flip{Part: 1, Hold: hold.Hold{Epoch: 2}}, &hold.Flip{Part: 1, Hold: hold.Hold{Epoch: 3}}
	long.Lines = linesOfN(1 << 15)
	put(t, o, short, long, short)
	same(t, sent(t, o, peer.MailUrgent), short)
	same(t, sent(t, o, peer.MailUrgent), long)
	same(t, sent(t, o, peer.MailUrgent), short)
}

func TestAFullOutboxRefuses(t *testing.T) {
	for _, lane := range []peer.MailLane{peer.MailUrgent, peer.MailBulk} {
		stats := new(Stats)
		o := NewOutbox(partitions, stats)
		var m hold.Message = &hold.Flip{Lines: linesOfN(1000)}
		most := maxUrgent
		if lane == peer.MailBulk {
			m, most = &hold.Backup{Lines: linesOfN(1000)}, maxBulk
		}
		n := 0
		for o.Put(m, nil) {
			if n++; n > most/64_000 {
				t.Fatalf("%d of 64,000 bytes each wait", n)
			}
		}
		if n < most/70_000 || stats.Full[KindOf(m)].Load() != 1 {
			t.Fatalf("refused after %d", n)
		}
		// The other lane has room, and this one again when a packet has gone.
		other := hold.Message(&hold.Return{})
		if lane == peer.MailBulk {
			other = &hold.Who{}
		}
		put(t, o, other)
		gone := len(sent(t, o, lane))
		for range gone {
			put(t, o, m)
		}
		if o.Put(m, nil) {
			t.Fatal("more room than was made")
		}
		o.Clear()
		for range n {
			put(t, o, m)
		}
	}
}

// Replacing a Holds by one with a longer name counts as that one.
func acks(rounds ...uint64) *hold.Acks {
	a := &hold.Acks{}
	for _, r := range rounds {
		a.List = append(a.List, hold.Ack{Part: hold.Part(r % partitions), Round: r})
	}
	return a
}

// Acknowledgements go together, in order with all else, and those who put them may use them again.
func TestAcknowledgementsGoTogether(t *testing.T) {
	o := NewOutbox(partitions, new(Stats))
	l := &o.lanes[peer.MailUrgent]
	for range 3 { // later in memory that was used before
		one := acks(1)
		put(t, o, one)
		one.List[0].Round = 77
		put(t, o, acks(2), acks(3, 4), holds(1, 1), acks(5))
		same(t, sent(t, o, peer.MailUrgent), acks(1, 2, 3, 4), holds(1, 1), acks(5))
		var want []uint64
		for r := range uint64(MaxAcks + 1) {
			put(t, o, acks(r))
			want = append(want, r)
		}
		same(t, sent(t, o, peer.MailUrgent), acks(want[:MaxAcks]...), acks(want[MaxAcks:]...))
		if l.bytes != 0 {
			t.Fatalf("%d bytes in an empty outbox", l.bytes)
		}
	}
	put(t, o, acks(1))
	o.Clear()
	put(t, o, acks(2))
	same(t, sent(t, o, peer.MailUrgent), acks(2))
	l.bytes = maxUrgent - itemSize
	if o.Put(acks(3), nil) {
		t.Error("there is no end to them")
	}
}

func TestBytesAreCountedOnce(t *testing.T) {
	o := NewOutbox(partitions, new(Stats))
	for i := range 10_000 {
		m := holds(hold.Part(i%50), uint64(i))
		m.Keeper = fmt.Sprint(i)
		put(t, o, m)
		if i%1000 == 0 {
			o.Next(peer.MailUrgent, nil)
		}
	}
	o.Next(peer.MailUrgent, nil)
	if n := o.lanes[peer.MailUrgent].bytes; n != 0 {
		t.Fatalf("%d bytes in an empty outbox", n)
	}
}

func count(m hold.Message) uint64 {
	if m, ok := m.(*hold.Release); ok {
		return m.Epoch
	}
	return m.(*hold.Backup).Seq
}

// Many put and two send: everything arrives once, in the order of each who put it.
func TestManyGoroutines(t *testing.T) {
	const writers, each = 4, 5000
	o := NewOutbox(partitions, new(Stats))
	var putting, sending sync.WaitGroup
	for w := range writers {
		putting.Go(func() {
			for i := range each {
				o.Put(&hold.Release{Part: hold.Part(w), Epoch: uint64(i)}, nil)
				o.Put(&hold.Backup{Part: hold.Part(w), Seq: uint64(i)}, nil)
			}
		})
	}
	done := make(chan struct{})
	var got [2][writers]uint64
	for _, lane := range []peer.MailLane{peer.MailUrgent, peer.MailBulk} {
		sending.Go(func() {
			for last := false; ; {
				b := o.Next(lane, nil)
				if len(b) == 0 {
					if last {
						return
					}
					select {
					case <-done:
						last = true
					default:
					}
					continue
				}
				messages, err := read(b)
				if err != nil {
					t.Error(err)
				}
				for _, m := range messages {
					n := &got[lane][m.Of()]
					if i := count(m); i != *n {
						t.Errorf("lane %d: %d came after %d others", lane, i, *n)
					}
					*n++
				}
			}
		})
	}
	putting.Wait()
	close(done)
	sending.Wait()
	for lane := range got {
		for w, n := range got[lane] {
			if n != each {
				t.Errorf("lane %d: %d of writer %d", lane, n, w)
			}
		}
	}
}
