package mail

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// ErrFull is what Deliver's error wraps if too much waits for the loop.
var ErrFull = errors.New("mail: inbox is full")

// An Item is a message that was delivered.
type Item struct {
	From    string // name of the sender
	Start   uint64 // its start ID
	Message hold.Message
	// Lines came with a Backup, Flip or Return, or are nil. They are also in its Lines field.
	Lines *bucket.Lines
}

// An Inbox brings the mail of many connections to one loop. Deliver and C may be called from everywhere, Take and Clear only by the loop.
type Inbox struct {
	partitions int
	stats      *Stats
	kick       chan struct{}
	readers    sync.Pool
	// bytes are those of what waits or is being read, by lane. Reading charges them, so that a connection cannot fill the memory before
	// its packet is queued.
	bytes [2]atomic.Int64

	mu    sync.Mutex // protects lanes
	lanes [2]fifo[Item]

	taken []Item
}

const (
	// takeItems and takeBytes bound what Take returns, so that the loop comes to its clock between.
	takeItems = 256
	takeBytes = 256 << 10
)

// NewInbox returns an empty inbox for messages about that number of partitions.
func NewInbox(partitions int, stats *Stats) *Inbox {
	return &Inbox{partitions: partitions, stats: stats, kick: make(chan struct{}, 1)}
}

// A delivery is a packet while it is read.
type delivery struct {
	reader
	items [2][]Item
	bytes [2]int64
	tally tally
}

// Deliver reads a packet of that member's and queues all that is in it, or nothing. It works in the caller's goroutine, and
// keeps nothing of the packet. The error wraps ErrBad or ErrFull.
func (in *Inbox) Deliver(from peer.Member, packet []byte) error {
	d, _ := in.readers.Get().(*delivery)
	if d == nil {
		d = new(delivery)
	}
	err := d.packet(packet, in.partitions, func(m hold.Message, lines *bucket.Lines) error {
		lane, size := LaneOf(m), cost(m, lines)
		d.bytes[lane] += size
		if in.bytes[lane].Add(size) > most(lane) {
			return fmt.Errorf("%w: %d MiB wait to be handled; the sender will send again what matters", ErrFull, most(lane)>>20)
		}
		d.tally.add(KindOf(m), lines)
		d.items[lane] = append(d.items[lane], Item{From: from.Name, Start: from.StartID, Message: m, Lines: lines})
		return nil
	})
	switch {
	case err == nil:
		in.queue(d)
	case errors.Is(err, ErrFull):
		in.stats.InboxFull.Add(1)
		in.refund(d)
	default:
		in.stats.Bad.Add(1)
		in.refund(d)
	}
	d.reset()
	in.readers.Put(d)
	if err != nil {
		return fmt.Errorf("deliver mail of %q: %w", from.Name, err)
	}
	return nil
}

func most(lane peer.MailLane) int64 {
	if lane == peer.MailBulk {
		return maxInBulk
	}
	return maxInUrgent
}

// cost is about what a message takes in memory.
func cost(m hold.Message, lines *bucket.Lines) int64 {
	n := itemSize
	if lines != nil {
		n += linesSize(lines)
	}
	switch m := m.(type) {
	case *hold.Nominate:
		n += 16 * len(m.Olds)
	case *hold.Acks:
		n += 16 * len(m.List)
	}
	return int64(n)
}

func (in *Inbox) queue(d *delivery) {
	in.mu.Lock()
	for lane := range d.items {
		in.lanes[lane].pushAll(d.items[lane])
	}
	in.mu.Unlock()
	d.tally.into(&in.stats.In, &in.stats.LinesIn)
	in.wake()
}

func (in *Inbox) refund(d *delivery) {
	for lane, n := range d.bytes {
		in.bytes[lane].Add(-n)
	}
}

func (d *delivery) reset() {
	for lane := range d.items {
		clear(d.items[lane])
		if d.items[lane] = d.items[lane][:0]; cap(d.items[lane]) > keepQueue {
			d.items[lane] = nil
		}
	}
	d.bytes, d.tally = [2]int64{}, tally{}
}

// C is kicked when there is something to take.
func (in *Inbox) C() <-chan struct{} { return in.kick }

func (in *Inbox) wake() {
	select {
	case in.kick <- struct{}{}:
	default:
	}
}

// Take returns some of what waits, in order within a lane: urgent mail if there is any, else bulk mail; nil if there is none. It is not
// much at a time, and C is kicked again if there is more. What it returns is valid until the next call.
func (in *Inbox) Take() []Item {
	clear(in.taken)
	in.taken = in.taken[:0]
	in.mu.Lock()
	defer in.mu.Unlock()
	lane := peer.MailUrgent
	if in.lanes[peer.MailUrgent].len() == 0 {
		lane = peer.MailBulk
	}
	q := &in.lanes[lane]
	n, bytes := 0, int64(0)
	for _, item := range q.queued() {
		if n == takeItems || bytes >= takeBytes {
			break
		}
		bytes += cost(item.Message, item.Lines)
		n++
	}
	in.taken = q.popTo(in.taken, n)
	in.bytes[lane].Add(-bytes)
	if in.lanes[peer.MailUrgent].len()+in.lanes[peer.MailBulk].len() > 0 {
		in.wake()
	}
	if len(in.taken) == 0 {
		return nil
	}
	return in.taken
}

// spareLines are lines whose memory may be used again.
var spareLines sync.Pool

// keepRecords is how many records' memory is worth keeping.
const keepRecords = 64

// Done says that nobody looks at an item's lines any more, so that their memory may be used for others.
func (in *Inbox) Done(lines *bucket.Lines) {
	if lines.Room() <= keepRecords {
		spareLines.Put(lines)
	}
}

// Clear drops all that waits: for a node that was stopped, it is old.
func (in *Inbox) Clear() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for lane := range in.lanes {
		q := &in.lanes[lane]
		var bytes int64
		for _, item := range q.queued() {
			bytes += cost(item.Message, item.Lines)
		}
		q.drop()
		in.bytes[lane].Add(-bytes)
	}
}
