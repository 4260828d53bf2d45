package mail

import (
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

// Bounds of packets and of names and lists in them. Both ends keep to them.
const (
	// maxOlds bounds the members that a Nominate names: those with a copy of one partition, which are two or three, and more only after
	// many failures in a row. Who is left out keeps its copy until the next Drop.
	maxOlds = 256

	// MaxAcks bounds the acknowledgements in one message, and with it how long the machine is busy with one.
	MaxAcks = 128

	// keepAcks is how many messages of acknowledgements an outbox keeps memory for: a packet's.
	keepAcks = 8

	// urgentPacket and bulkPacket bound what is gathered into one packet. An urgent one is short, so that what comes behind it is
	// not late; one message that is longer goes alone. The lines of one partition take a little more than 4 MiB at most, so all is
	// far from peer.MaxMail.
	urgentPacket = 1 << 20
	bulkPacket   = 4 << 20
)

// Room for what waits.
const (
	// maxUrgent bounds the urgent mail that waits for one member, in bytes: some 80,000 messages, twenty about every
	// partition.
	maxUrgent = 16 << 20
	// maxBulk bounds the bulk mail that waits for one member, in bytes: about a million lines.
	maxBulk = 64 << 20
	// maxInUrgent and maxInBulk bound what waits for the loop, in bytes, from all members together. All members may answer one Who
	// about every partition at once.
	maxInUrgent = 64 << 20
	maxInBulk   = 64 << 20

	// itemSize is about what a message takes in memory beside its lines and names.
	itemSize = 160
)

const (
	partSize    = 3 // kind and partition
	numberSize  = 10
	nameSize    = 2
	holdSize    = numberSize + 8 + nameSize
	versionSize = numberSize + 8 + numberSize
	ackSize     = 2 + numberSize
)

// sizeOf returns at least how many bytes a message takes in a packet.
func sizeOf(m hold.Message, lines *bucket.Lines) int {
	switch m := m.(type) {
	case *hold.Ask:
		return partSize + 8 + holdSize + 1 + numberSize + len(m.Target.Name)
	case *hold.Answer:
		return partSize + 8 + 1 + holdSize + numberSize + versionSize + 2*nameSize + len(m.Hold.Name) + len(m.By) + len(m.Keeper)
	case *hold.Nominate:
		n := partSize + holdSize + 4*numberSize + len(m.Target.Name)
		for _, name := range m.Olds {
			n += nameSize + len(name)
		}
		return n
	case *hold.Release:
		return partSize + numberSize
	case *hold.Probe:
		return partSize + 8 + holdSize + numberSize + len(m.Target.Name)
	case *hold.Probed:
		return partSize + 8 + 2 + holdSize + len(m.Hold.Name)
	case *hold.Holds:
		return partSize + holdSize + nameSize + len(m.Hold.Name) + len(m.Keeper)
	case *hold.Backup:
		return partSize + holdSize + versionSize + 2*numberSize + linesSize(lines) + len(m.Hold.Name)
	case *hold.Acks:
		return 1 + 2 + len(m.List)*ackSize
	case *hold.Refused:
		return partSize + 2*holdSize + numberSize + 1 + len(m.Hold.Name) + len(m.Under.Name)
	case *hold.Drop:
		return partSize + holdSize + 2*numberSize + nameSize + len(m.Hold.Name) + len(m.Keeper)
	case *hold.Flip:
		return partSize + 2*holdSize + 2*versionSize + 2*numberSize + linesSize(lines) + len(m.From.Name) + len(m.Hold.Name)
	case *hold.Flipped:
		return partSize + 2*holdSize + 2 + numberSize + len(m.Flip.Name) + len(m.Hold.Name)
	case *hold.Return:
		return partSize + holdSize + 8 + linesSize(lines) + len(m.Hold.Name)
	case *hold.Returned:
		return partSize + 8 + 1 + holdSize + len(m.Hold.Name)
	case *Forget:
		return 1 + nameSize + 8 + len(m.Name)
	}
	return 1
}

// linesSize returns at least how many bytes lines take in a packet, with the byte that says whether there are any. It is about what they
// take in memory, too.
func linesSize(lines *bucket.Lines) int {
	n := 1
	if lines != nil {
		n += 64 + 24*len(lines.Past) + 64*len(lines.Histories) + 64*lines.Len()
	}
	return n
}
