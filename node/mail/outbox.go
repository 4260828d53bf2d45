package mail

import (
	"sync"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// An Outbox has the mail that waits for one member. It may be used by many goroutines. Its zero value is of no use; see NewOutbox.
type Outbox struct {
	stats *Stats
	lanes [2]outLane
	// holds has, for each partition, one more than the number of the Holds that was last queued. Under the urgent lane's mutex.
	holds []uint64
}

type outLane struct {
	mu sync.Mutex // protects following fields
	fifo[letter]
	bytes int
	once  [Kinds]bool  // kinds of which one message is queued and says it all
	acks  []*hold.Acks // that were sent, to be used again; as many as it has room for

	// taken and w belong to the one goroutine that sends on this lane.
	taken []letter
	w     writer
}

// A letter is a message that waits to be sent.
type letter struct {
	m     hold.Message
	lines *bucket.Lines
	size  int // of it in a packet, at most
}

// NewOutbox returns an empty outbox for messages about that number of partitions.
func NewOutbox(partitions int, stats *Stats) *Outbox {
	o := &Outbox{stats: stats, holds: make([]uint64, partitions)}
	o.lanes[peer.MailUrgent].acks = make([]*hold.Acks, 0, keepAcks)
	return o
}

// Put queues a message, a pointer, with the lines that go with it; where there are none, those of the message's own Lines field go.
// Neither may be changed from now on; the same message may go into many outboxes. The order within a lane is that of the
// calls, but a Holds takes the place of one of the same partition that still waits and is no newer.
//
// Put reports false if too much waits for this member, and the message is dropped: mail may be lost, and the machine sends again
// what matters. Lines that were changes are then for the caller to mark as changed again.
//
// The pipe has to be told that there is mail in LaneOf(m).
func (o *Outbox) Put(m hold.Message, lines *bucket.Lines) bool {
	kind := KindOf(m)
	if lines == nil {
		lines = linesOf(m)
	}
	l, most := &o.lanes[peer.MailUrgent], maxUrgent
	if LaneOf(m) == peer.MailBulk {
		l, most = &o.lanes[peer.MailBulk], maxBulk
	}
	size := sizeOf(m, lines)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch m := m.(type) {
	case *hold.Holds:
		if n := o.holds[m.Part]; n > 0 {
			if old := l.numbered(n - 1); old != nil {
				if m.Hold.Compare(old.m.(*hold.Holds).Hold) >= 0 {
					l.bytes += size - old.size
					old.m, old.size = m, size
				}
				o.stats.Replaced.Add(1)
				return true
			}
		}
	case *Ping, *hold.Who:
		if l.once[kind] {
			o.stats.Replaced.Add(1)
			return true
		}
	case *hold.Acks:
		if l.join(m) {
			return true
		}
	}
	if l.bytes+size+itemSize > most {
		o.stats.Full[kind].Add(1)
		return false
	}
	l.bytes += size + itemSize
	if acks, ok := m.(*hold.Acks); ok {
		m = l.own(acks)
	}
	n := l.push(letter{m, lines, size})
	switch m := m.(type) {
	case *hold.Holds:
		o.holds[m.Part] = n + 1
	case *Ping, *hold.Who:
		l.once[kind] = true
	}
	return true
}

// join adds acknowledgements to those that wait as the last of the lane.
func (l *outLane) join(m *hold.Acks) bool {
	if l.len() == 0 {
		return false
	}
	last := &l.queued()[l.len()-1]
	acks, ok := last.m.(*hold.Acks)
	if !ok || len(acks.List)+len(m.List) > MaxAcks {
		return false
	}
	acks.List = append(acks.List, m.List...)
	last.size += len(m.List) * ackSize
	l.bytes += len(m.List) * ackSize
	return true
}

// own returns a copy that may grow.
func (l *outLane) own(m *hold.Acks) *hold.Acks {
	acks := &hold.Acks{}
	if k := len(l.acks) - 1; k >= 0 {
		acks, l.acks = l.acks[k], l.acks[:k]
	}
	acks.List = append(acks.List[:0], m.List...)
	return acks
}

// keepAcks keeps some of the acknowledgements that were written, for own.
func (l *outLane) keepAcks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.taken {
		if acks, ok := l.taken[i].m.(*hold.Acks); ok && len(l.acks) < cap(l.acks) {
			l.acks = append(l.acks, acks)
		}
	}
}

// Next appends to dst a packet of what waits in a lane, the oldest first, or nothing if nothing waits. At most one goroutine may ask for
// one lane at a time: it is for peer.PipeConfig.Mail. What it returns counts as sent: if it cannot be delivered, it is lost.
func (o *Outbox) Next(lane peer.MailLane, dst []byte) []byte {
	l, most := &o.lanes[lane], urgentPacket
	if lane == peer.MailBulk {
		most = bulkPacket
	}
	l.take(most)
	if len(l.taken) == 0 {
		return dst
	}
	var t tally
	l.w.begin(dst)
	for i := range l.taken {
		m := &l.taken[i]
		t.add(KindOf(m.m), m.lines)
		l.w.message(m.m, m.lines)
	}
	l.keepAcks()
	clear(l.taken)
	if l.taken = l.taken[:0]; cap(l.taken) > keepQueue {
		l.taken = nil
	}
	t.into(&o.stats.Out, &o.stats.LinesOut)
	return l.w.end()
}

// linesOf returns the lines that a message has in itself, or nil.
func linesOf(m hold.Message) *bucket.Lines {
	var lines hold.Lines
	switch m := m.(type) {
	case *hold.Backup:
		lines = m.Lines
	case *hold.Flip:
		lines = m.Lines
	case *hold.Return:
		lines = m.Lines
	}
	l, _ := lines.(*bucket.Lines)
	return l
}

// take moves messages that fit into a packet of so many bytes, or one that does not, from the queue. Writing them is done without the
// lock, so that the loop does not wait for it.
func (l *outLane) take(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 1
	for i, m := range l.queued() {
		if size += m.size; size > most && i > 0 {
			break
		}
		l.bytes -= m.size + itemSize
		n++
	}
	l.taken = l.popTo(l.taken, n)
	clear(l.once[:])
}

// Clear drops all that waits.
func (o *Outbox) Clear() {
	for i := range o.lanes {
		l := &o.lanes[i]
		l.mu.Lock()
		l.drop()
		l.bytes = 0
		clear(l.once[:])
		l.mu.Unlock()
	}
}
