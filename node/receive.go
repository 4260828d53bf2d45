package node

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/node/mail"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport/peer"
)

// Mail takes a packet of another member's: it is what peer.ServerConfig.Mail is to be. It does not wait.
func (n *Node) Mail(from peer.Member, packet []byte) error { return n.inbox.Deliver(from, packet) }

// receive hands mail to the machine, one message at a time.
func (n *Node) receive() {
	wakes := n.wakes
	items := n.inbox.Take()
	for i := range items {
		it := &items[i]
		if i%expectAtOnce == 0 {
			n.expectCopies(items[i:min(i+expectAtOnce, len(items))])
		}
		if i == 0 || it.From != items[i-1].From || it.Start != items[i-1].Start {
			n.acks.flush()
			n.heardFrom(peer.Member{Name: it.From, StartID: it.Start})
		}
		if n.handle(it); n.wakes != wakes {
			n.acks.drop() // as what waited in the outboxes was: the holders will send again
			return        // this node was stopped: what is left is old
		}
	}
	n.acks.flush()
	n.backUpNext()
}

// heardFrom takes note that a member speaks.
func (n *Node) heardFrom(m peer.Member) {
	if err := n.contacts.heard(m); err != nil {
		n.log.Error("no pipe to a member that was started anew", "member", m.Name, "error", err)
	}
}

// expectAtOnce is how many partitions' copies are brought near together: one after the other, each would be waited for.
const expectAtOnce = 8

// expectCopies brings near what the next copies are going to change.
func (n *Node) expectCopies(items []mail.Item) {
	var parts [expectAtOnce]int
	var places [expectAtOnce]bucket.Place
	k := 0
	for i := range items {
		if b, ok := items[i].Message.(*hold.Backup); ok && items[i].Lines != nil && b.Of() < ring.Partitions {
			parts[k], places[k] = b.Of(), items[i].Lines.First(b.Of())
			k++
		}
	}
	if k > 1 {
		n.machine.Expect(parts[:k])
		n.table.Expect(places[:k])
	}
}

func (n *Node) handle(it *mail.Item) {
	switch m := it.Message.(type) {
	case *mail.Ping:
	case *mail.Forget:
		n.forget(m.Name, m.Start)
	default:
		// Lines are made ready before the machine decides what to do with them: once it has decided, nothing may fail.
		e := &n.received
		*e = hold.Received{From: it.From, Start: it.Start, Message: m}
		if it.Lines != nil {
			err := n.prepare(m.Of(), it.Lines)
			if e.Fits = err == nil; err != nil {
				n.news.unfit(it.From, err)
			}
		}
		n.step(e)
		if n.parcel != nil {
			n.parcel.Discard()
			n.parcel = nil
		}
		if b, ok := m.(*hold.Backup); ok && it.Lines != nil {
			b.Lines = nil // what it said is in the copy by now, or was not wanted
			n.inbox.Done(it.Lines)
		}
	}
}

// prepare makes a parcel of lines for a partition. Changes come all the time, so theirs are made in the memory of the one before.
func (n *Node) prepare(partition int, lines *bucket.Lines) (err error) {
	part := n.table.Partition(partition)
	if lines.Whole {
		n.parcel, err = part.Prepare(n.clock.Now(), lines)
		return err
	}
	if err = part.PrepareIn(&n.prepared, n.clock.Now(), lines); err == nil {
		n.parcel = &n.prepared
	}
	return err
}

// post puts a message into a member's outbox and has it sent; false: too much waits there.
func (l *link) post(m hold.Message, lines *bucket.Lines) bool {
	if !l.out.Put(m, lines) {
		return false
	}
	l.pipe.Poke(mail.LaneOf(m))
	return true
}

// post sends a message to a member, if it can be.
func (n *Node) post(to string, m hold.Message, lines *bucket.Lines) bool {
	l := n.contacts.get(to).link.Load()
	return l != nil && l.post(m, lines)
}
