package hold

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// Age is a duration in the machine.
type Age = time.Duration

// A Message goes from one member's machine to another's. It may come late, twice, out of order or not at all. Every message but
// Who and Acks is of one partition. Messages do not say who sent them: the connection does, by name and start ID.
type Message interface{ Of() int }

// Part is the partition that a message is about.
type Part uint16

// Of returns the partition.
func (p Part) Of() int { return int(p) }

// Lines are those of a partition that go with a message: opaque to the machine.
type Lines any

// Ask is a claimer's: who holds this, who reaches the holder, who else claims?
type Ask struct {
	Part
	Round    uint64 // names the round; the answer repeats it
	Target   Hold   // the hold that does not answer; the claimer's own if it was stopped
	InFlight bool   // target is only the claimer's own flip, of which nothing was heard
	Epoch    uint64 // that the claimer offers
}

// Verdict is how an Ask was answered.
type Verdict uint8

const (
	HOLD    Verdict = iota + 1 // I hold it, under Answer.Hold
	KNOWS                      // Answer.Hold is higher than your target
	REACH                      // I reach the target, and it decides
	BUSY                       // Answer.By is claiming it
	PROMISE                    // nothing of all that, and I shall not claim for a while
)

var verdictNames = [...]string{"?", "hold", "knows", "reach", "busy", "promise"}

func (v Verdict) String() string { return verdictNames[v] }

// Answer to an Ask.
type Answer struct {
	Part
	Round   uint64
	Verdict Verdict
	Hold    Hold    // the highest hold that the member knows of
	Floor   uint64  // as it was before the Ask
	Copy    Version // of what the member has, if it does not hold
	By      string  // BUSY: who claims
	Keeper  string  // who has the holder's whole copy, as far as the member knows
}

// Nominate is a claimer's that won its round, to the member whose copy is newer than its own: claim in my place, and under the promises
// that I was given.
type Nominate struct {
	Part
	Target Hold
	// Asked is the epoch of the promise that the claimer got; Epoch the one to claim.
	Asked, Epoch uint64
	// Took is how long the member's answer was on its way, both ways and its own time together, by the claimer's clock: from it the
	// member knows how old the promises are at most.
	Took Age
	// Olds are all who have copies.
	Olds []string
}

// Release ends a claimer's round: the promise to it is over.
type Release struct {
	Part
	Epoch uint64
}

// Probe asks a claim's target whether it decides under this start ID and hold, or a later one.
type Probe struct {
	Part
	ID     uint64
	Target Hold
	Epoch  uint64
}

// Probed answers a Probe.
type Probed struct {
	Part
	ID   uint64
	Yes  bool
	Busy bool
	Hold Hold
}

// Holds says who holds a partition. The holder says it every second to everybody.
type Holds struct {
	Part
	Hold   Hold
	Keeper string
}

// Who asks for Holds of all partitions.
type Who struct{}

// Of is 0: it is of no partition.
func (Who) Of() int { return 0 }

// Backup brings a partition's lines to who keeps the copy.
type Backup struct {
	Part
	Hold Hold
	// Base is the version that Lines are the changes since; zero: they are all there is.
	Base Version
	Seq  uint64 // the count of changes that Lines go up to; node puts it in with the lines
	// Round rises with every Backup of a holder; the answer repeats it. An answer to an earlier one, with the same Seq, says nothing of
	// whether the copy was dropped meanwhile.
	Round uint64
	Lines
}

// Whole reports whether it brings everything.
func (b *Backup) Whole() bool { return b.Base == Version{} }

// Acks answer Backups whose lines were stored: so many come at a time that one message brings all that waited to be sent.
type Acks struct{ List []Ack }

// Of is 0: they are of no partition.
func (Acks) Of() int { return 0 }

// An Ack acknowledges the Backup that has this round.
type Ack struct {
	Part
	Round uint64
}

// Refused answers a Backup whose lines were not stored.
type Refused struct {
	Part
	Hold  Hold // the highest known to the member
	Under Hold // that the backup was sent under
	Round uint64
	Code  StoreCode // any but Stored
}

// StoreCode says what became of lines that were sent.
type StoreCode uint8

const (
	Stored   StoreCode = iota + 1
	Lower              // the member knows a higher hold, or holds the partition itself
	NotBase            // the member does not have what these are changes to: send all
	NoRoom             // the member's table is full
	NotReady           // not now: starting, or leaving
)

// Drop: the sender's copies are elsewhere; forget yours.
type Drop struct {
	Part
	Hold Hold
	Seq  uint64
	// Round is that of the sender's last Backup. A copy from a later one is there because the member has the copy again.
	Round  uint64
	Keeper string
}

// Flip hands a partition over to a member that has the whole copy.
type Flip struct {
	Part
	From    Hold // the sender's
	Hold    Hold // the receiver's to be
	History bucket.Name
	Base    Version // what the receiver must have; Lines are the changes since
	Seq     uint64  // put in by node with the lines
	Leaving bool    // the sender leaves: the receiver need not be home
	Doubt   Age     // see Own.Doubt
	Lines
}

// Flipped answers a Flip.
type Flipped struct {
	Part
	Flip  Hold
	OK    bool
	Code  StoreCode // if not OK: NotBase, NoRoom, NotReady where only the epoch is too low (see Floor), or Lower for any other reason
	Hold  Hold
	Floor uint64
}

// Return brings what was spent in a partition that another claimed meanwhile.
type Return struct {
	Part
	Hold  Hold // that it is returned to
	Round uint64
	Lines
}

// Returned answers a Return.
type Returned struct {
	Part
	Round uint64
	OK    bool
	Hold  Hold
}
