package mail

import (
	"fmt"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// Ping says nothing. That it arrives shows that its sender can be heard.
type Ping struct{}

// Of is 0: it is of no partition.
func (Ping) Of() int { return 0 }

// Forget says that an operator gave this start of a member up: it will not come back.
type Forget struct {
	Name  string
	Start uint64
}

// Of is 0: it is of no partition.
func (Forget) Of() int { return 0 }

// A Kind is a message's on the wire. Numbers are never used again for something else.
type Kind uint8

// Kinds.
const (
	Ask Kind = iota + 1
	Answer
	Nominate
	Release
	Probe
	Probed
	Holds
	Who
	Backup
	Refused // 10 was the answer to every Backup; those that say it was stored are Acks now
	Drop
	Flip
	Flipped
	Return
	Returned
	Pings
	Forgets
	Acks

	// Kinds is one more than the highest: the length of an array by kind.
	Kinds
)

var kindNames = [Kinds]string{"", "ask", "answer", "nominate", "release", "probe", "probed", "holds", "who",
	"backup", "refused", "drop", "flip", "flipped", "return", "returned", "ping", "forget", "acks"}

// String is for logs and metrics: "refused".
func (k Kind) String() string {
	if k == 0 || k >= Kinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// KindOf returns the kind of a message, which must be a pointer to one of this package or of package hold.
func KindOf(m hold.Message) Kind {
	switch m.(type) {
	case *hold.Ask:
		return Ask
	case *hold.Answer:
		return Answer
	case *hold.Nominate:
		return Nominate
	case *hold.Release:
		return Release
	case *hold.Probe:
		return Probe
	case *hold.Probed:
		return Probed
	case *hold.Holds:
		return Holds
	case *hold.Who:
		return Who
	case *hold.Backup:
		return Backup
	case *hold.Acks:
		return Acks
	case *hold.Refused:
		return Refused
	case *hold.Drop:
		return Drop
	case *hold.Flip:
		return Flip
	case *hold.Flipped:
		return Flipped
	case *hold.Return:
		return Return
	case *hold.Returned:
		return Returned
	case *Ping:
		return Pings
	case *Forget:
		return Forgets
	}
	panic(fmt.Sprintf("mail: no kind of message for %T", m))
}

// LaneOf returns the lane that a message goes in. Copies and returns may be long and can wait. All else is urgent; a handoff's last
// lines are too, because nobody decides until they are there.
func LaneOf(m hold.Message) peer.MailLane {
	switch m.(type) {
	case *hold.Backup, *hold.Return:
		return peer.MailBulk
	}
	return peer.MailUrgent
}
