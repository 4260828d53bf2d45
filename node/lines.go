package node

import (
	"math/bits"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/ring"
)

// wholesPerBackup is how many times in Timers.Backup the next whole copies may be sent.
const wholesPerBackup = 20

// exportTime is how long the loop exports partitions before it looks for other events: a fraction of a tick.
const exportTime = 4 * time.Millisecond

// looksEvery is how many are exported between two looks at the clock, which cost as much as half of a small one. A large one takes 0.1 ms.
const looksEvery = 4

// An export is a message that waits for its lines.
type export struct {
	to      string
	message hold.Message
}

// send posts a message. Copies and returns are put off: there may be thousands, their lines are taken when their turn comes, and
// whatever else the machine wants done comes first.
func (n *Node) send(to string, m hold.Message) {
	switch m := m.(type) {
	case *hold.Backup, *hold.Return:
		n.exports = append(n.exports, export{to, m})
	case *hold.Flip:
		n.sendFlip(to, m)
	case *hold.Acks:
		n.acks.add(to, m)
	default:
		n.post(to, m, nil)
	}
}

// sendFlip sends the last changes of a handoff. Sent again, the lines and their count must be the same: the receiver may have taken the first and
// gone on counting from there, and this node must not believe that it has more.
func (n *Node) sendFlip(to string, f *hold.Flip) {
	p := f.Of()
	lines := n.out[p].sent
	if n.flips[p] != f || lines == nil {
		n.unacknowledged(p)
		lines = n.table.Partition(p).Changes(n.clock.Now(), true)
		n.out[p].sent, n.flips[p] = lines, f
		f.Seq = lines.Seq
	}
	n.count(lines)
	again := *f // what is posted must not change any more
	n.post(to, &again, lines)
}

// export sends some of the messages that wait for lines.
func (n *Node) export() {
	began, now := time.Now(), n.pulse.now()
	k := 0
	for k < len(n.exports) && (k%looksEvery != 0 || time.Since(began) < exportTime) {
		if k%expectAtOnce == 0 {
			n.expectExports(n.exports[k:min(k+expectAtOnce, len(n.exports))])
		}
		e := n.exports[k]
		n.exports[k] = export{}
		k++
		switch m := e.message.(type) {
		case *hold.Backup:
			n.exportBackup(e.to, m, now)
		case *hold.Return:
			if h, state := n.machine.Hold(m.Of()); state == hold.Returning && h == m.Hold {
				lines := n.table.Partition(m.Of()).Whole(n.clock.Now(), true)
				n.count(lines)
				n.post(e.to, m, lines)
			}
		}
	}
	if n.exports = n.exports[k:]; len(n.exports) == 0 {
		n.exports = nil
	}
}

// expectExports brings near the partitions that are exported next.
func (n *Node) expectExports(next []export) {
	var places [expectAtOnce]bucket.Place
	for i := range next {
		places[i].Partition = next[i].message.Of()
	}
	n.table.Expect(places[:len(next)])
}

// exportBackup sends a copy, or what changed since the last that was acknowledged.
func (n *Node) exportBackup(to string, b *hold.Backup, now time.Duration) {
	p := b.Of()
	if h, state := n.machine.Hold(p); state != hold.Held || h != b.Hold {
		return // it was given away since
	}
	part := n.table.Partition(p)
	var lines *bucket.Lines
	n.unacknowledged(p)
	if b.Whole() {
		lines = part.Whole(n.clock.Now(), false)
	} else {
		lines = part.ChangesIn(n.spareLines(), n.clock.Now(), false)
		n.out[p].changes = lines
	}
	b.Seq = lines.Seq
	o := &n.out[p]
	o.sent = lines
	if o.pending == 0 {
		o.pending = now
	}
	n.count(lines)
	if !n.post(to, b, lines) {
		n.step(hold.BackupStuck{Partition: p, To: to})
	}
}

func (n *Node) count(lines *bucket.Lines) {
	for i := range lines.Histories {
		n.stats.lines.Add(uint64(len(lines.Histories[i].Records)))
	}
}

// unacknowledged has the lines that were sent last sent again with the next.
func (n *Node) unacknowledged(p int) {
	if lines := n.out[p].sent; lines != nil {
		n.table.Partition(p).Unacknowledged(lines)
		n.out[p].sent = nil
	}
}

// acknowledged: lines are safe with another member.
func (n *Node) acknowledged(e *hold.Acknowledged) {
	o := &n.out[e.Partition]
	if lines := o.sent; lines != nil && lines.Seq <= e.Seq {
		n.wholes = n.wholes || lines.Whole
		o.sent = nil
		if o.changes == lines && !lines.Whole && lines.Room() <= keepRecords && len(n.spare) < ring.Partitions {
			n.spare = append(n.spare, lines)
		}
	}
	o.changes, o.pending = nil, 0
}

// keepRecords is how large lines may be whose memory is used again.
const keepRecords = 64

// spareLines returns lines whose memory may be used again, nil if there are none: changes that were acknowledged are nobody's any more. They
// were written into a packet, for the member has it; and no other message was sent with them.
func (n *Node) spareLines() *bucket.Lines {
	k := len(n.spare) - 1
	if k < 0 {
		return nil
	}
	lines := n.spare[k]
	n.spare = n.spare[:k]
	return lines
}

// backUpNext goes on with the next whole copies as soon as some have arrived: the machine has only so many under way, and a
// newcomer waits for all of them.
func (n *Node) backUpNext() {
	if n.wholes && n.pulse.now()-n.backedUp >= n.cfg.Timers.Backup/wholesPerBackup {
		n.backUp()
	}
}

// backUp has the machine look at what has changed. The counts of changes are read first, with ticks between: each may have to wait for a
// check that holds the partition's lock.
func (n *Node) backUp() {
	n.wholes, n.backedUp = false, n.pulse.now()
	n.table.Changed(n.changed[:])
	for w, set := range n.changed {
		if set != 0 {
			n.tickIfDue()
		}
		for ; set != 0; set &= set - 1 {
			if p := w*64 + bits.TrailingZeros64(set); n.open[p] {
				n.seqs[p] = n.table.Partition(p).Seq()
			}
		}
	}
	n.step(hold.BackupDue{Seq: func(p int) uint64 { return n.seqs[p] }, Changed: n.changed[:]})
}
