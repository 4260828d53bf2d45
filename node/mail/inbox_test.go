package mail

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var n1 = peer.Member{Name: "n1", StartID: 11}

func deliver(t *testing.T, in *Inbox, from peer.Member, messages ...hold.Message) {
	t.Helper()
	packet := packetOf(messages...)
	if err := in.Deliver(from, packet); err != nil {
		t.Fatal(err)
	}
	clear(packet) // it is the connection's again
}

func kicked(in *Inbox) bool {
	select {
	case <-in.C():
		return true
	default:
		return false
	}
}

// drain takes all that waits, as the loop does: while it is kicked.
func drain(in *Inbox) (items []Item) {
	for kicked(in) {
		items = append(items, in.Take()...)
	}
	return items
}

func messagesOf(items []Item) (ms []hold.Message) {
	for _, i := range items {
		ms = append(ms, i.Message)
	}
	return ms
}

func TestMailSaysWhoItIsFrom(t *testing.T) {
	stats := new(Stats)
	in := NewInbox(partitions, stats)
	if kicked(in) || in.Take() != nil {
		t.Fatal("there is mail already")
	}
	backup := &hold.Backup{Part: 5, Lines: linesOfN(2)}
	deliver(t, in, n1, &hold.Who{}, backup)
	deliver(t, in, peer.Member{Name: "n2", StartID: 22}, &hold.Release{Part: 4092})
	items := drain(in)
	same(t, messagesOf(items), &hold.Who{}, &hold.Release{Part: 4092}, backup)
	for i, from := range []peer.Member{n1, {Name: "n2", StartID: 22}, n1} {
		if items[i].From != from.Name || items[i].Start != from.StartID {
			t.Errorf("%+v is not from %v", items[i], from)
		}
	}
	if items[0].Lines != nil || items[2].Lines != linesOf(items[2].Message) {
		t.Error("lines are with another message")
	}
	if in.Take() != nil {
		t.Error("something came twice")
	}
	if stats.In[Who].Load() != 1 || stats.In[Backup].Load() != 1 || stats.LinesIn.Load() != 2 {
		t.Error("not counted")
	}
}

func TestUrgentMailComesFirst(t *testing.T) {
	in := NewInbox(partitions, new(Stats))
	for range 3 {
		deliver(t, in, n1, &hold.Backup{Part: 1, Lines: linesOfN(10_000)})
	}
	if items := in.Take(); len(items) != 1 || KindOf(items[0].Message) != Backup {
		t.Fatalf("%d items: long ones come one by one", len(items))
	}
	deliver(t, in, n1, &hold.Release{Part: 1})
	deliver(t, in, n1, &hold.Release{Part: 2})
	same(t, messagesOf(in.Take()), &hold.Release{Part: 1}, &hold.Release{Part: 2})
	if n := len(drain(in)); n != 2 {
		t.Fatalf("%d backups left", n)
	}
}

func TestALotComesInPieces(t *testing.T) {
	in := NewInbox(partitions, new(Stats))
	var all []hold.Message
	for i := range 3*takeItems + 5 {
		all = append(all, &hold.Release{Part: 1, Epoch: uint64(i)})
	}
	deliver(t, in, n1, all...)
	var got []hold.Message
	for kicked(in) {
		items := in.Take()
		if len(items) > takeItems {
			t.Fatalf("%d at once", len(items))
		}
		got = append(got, messagesOf(items)...)
	}
	same(t, got, all...)
}

func TestABadPacketIsRefusedWhole(t *testing.T) {
	stats := new(Stats)
	in := NewInbox(partitions, stats)
	packet := packetOf(&hold.Who{}, &hold.Backup{Part: 1, Lines: linesOfN(100)}, &hold.Release{Part: 1})
	if err := in.Deliver(n1, packet[:len(packet)-1]); !errors.Is(err, ErrBad) {
		t.Fatal(err)
	}
	if kicked(in) || in.Take() != nil {
		t.Fatal("a part of it was delivered")
	}
	if stats.Bad.Load() != 1 || stats.In[Who].Load() != 0 || stats.LinesIn.Load() != 0 {
		t.Error("counted wrongly")
	}
	empty(t, in)
	// What was left of it must not show in the next.
	deliver(t, in, n1, &hold.Release{Part: 2})
	same(t, messagesOf(drain(in)), &hold.Release{Part: 2})
}

// empty fails if the inbox believes that something is in it.
func empty(t *testing.T, in *Inbox) {
	t.Helper()
	for lane := range in.bytes {
		if n := in.bytes[lane].Load(); n != 0 {
			t.Errorf("%d bytes in lane %d of an empty inbox", n, lane)
		}
	}
}

func TestAFullInboxRefuses(t *testing.T) {
	bulk := packetOf(&hold.Backup{Part: 1, Lines: linesOfN(10_000)})
	urgent := packetOf(&hold.Flip{Part: 1, Lines: linesOfN(10_000)})
	for lane, packet := range map[peer.MailLane][]byte{peer.MailUrgent: urgent, peer.MailBulk: bulk} {
		stats := new(Stats)
		in := NewInbox(partitions, stats)
		n := 0
		var err error
		for ; err == nil; n++ {
			if n > 200 {
				t.Fatalf("lane %d: no bound", lane)
			}
			err = in.Deliver(n1, packet)
		}
		if !errors.Is(err, ErrFull) || stats.InboxFull.Load() != 1 || n < 10 {
			t.Fatalf("lane %d: %v after %d", lane, err, n)
		}
		// One lane that is full leaves the other alone, and is good again when the loop was there.
		other := bulk
		if lane == peer.MailBulk {
			other = urgent
		}
		if err := in.Deliver(n1, other); err != nil {
			t.Fatal(err)
		}
		drain(in)
		empty(t, in)
		if err := in.Deliver(n1, packet); err != nil {
			t.Fatal(err)
		}
		in.Clear()
		empty(t, in)
		if in.Take() != nil {
			t.Fatal("it was not cleared")
		}
	}
}

// What is refused because it is too much does not take room from what comes behind it.
func TestAPacketThatIsTooMuchTakesNoRoom(t *testing.T) {
	in := NewInbox(partitions, new(Stats))
	var many []hold.Message
	for range maxInUrgent/itemSize + 1 {
		many = append(many, &hold.Release{Part: 1})
	}
	packet := packetOf(many...)
	if len(packet) > peer.MaxMail {
		t.Fatal("no packet is that long")
	}
	for range 2 {
		if err := in.Deliver(n1, packet); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	empty(t, in)
	deliver(t, in, n1, &hold.Release{Part: 2})
	same(t, messagesOf(drain(in)), &hold.Release{Part: 2})
}

// Many connections deliver while one loop takes: all comes, once, in each sender's order.
func TestManyConnections(t *testing.T) {
	const members, packets = 4, 500
	in := NewInbox(partitions, new(Stats))
	var delivering sync.WaitGroup
	for m := range members {
		delivering.Go(func() {
			from := peer.Member{Name: fmt.Sprint("n", m), StartID: uint64(m)}
			for i := range uint64(packets) {
				packet := packetOf(&hold.Release{Part: 1, Epoch: 2 * i}, &hold.Backup{Part: 1, Seq: i, Lines: linesOfN(2)}, &hold.Release{Part: 1, Epoch: 2*i + 1})
				for in.Deliver(from, packet) != nil {
				}
			}
		})
	}
	got := map[string]uint64{}
	for n := 0; n < 3*members*packets; {
		<-in.C()
		for _, item := range in.Take() {
			key := item.From + KindOf(item.Message).String()
			if i := count(item.Message); i != got[key] {
				t.Fatalf("%s: %d came after %d others", key, i, got[key])
			}
			got[key]++
			n++
		}
	}
	delivering.Wait()
	empty(t, in)
}
