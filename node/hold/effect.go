package hold

import "github.com/stint-limiter/stint/bucket"

// An Effect is what node is to do, in the order in which effects come. None of them fails: what can be refused is asked for in an
// event's fields before it is decided. Those that come in crowds (Send, Store, Acknowledged) are pointers, good until the next Step.
type Effect interface{ effect() }

// Send a message. Where it wants lines (Backup, Flip, Return) and has none yet, node puts them in as they are now, with their Seq: the
// machine keeps the message and reads Seq from it. A Flip is sent again as it is.
type Send struct {
	To      string
	Message Message
}

// Own: decide for the partition from now on, under this hold. With Resume its history of that name, a copy until now,
// becomes the one that is written, after the lines that came with the Flip (if any) were merged; without, a new history of that name
// begins, and what is there counts beside it.
type Own struct {
	Partition int
	Hold      Hold
	History   bucket.Name
	Resume    bool
	// Seq is what the partition's count of changes goes on from.
	Seq uint64
	// Flip has the last lines of a handoff; nil for a claim.
	Flip *Flip
	Why  Why
	// Before is the hold that this one follows.
	Before Hold
	// Doubt is how long ago (0: never) somebody claimed this history or a part of it: until a window has passed, answers may
	// not know of all that was spent.
	Doubt Age
}

// Why a node came to hold a partition.
type Why uint8

const (
	Began   Why = iota // nobody ever held it, as far as anybody knows
	Handed             // its holder handed it over
	Copied             // its holder did not answer: claimed, with a copy of what it spent
	Reset              // its holder did not answer: claimed, and nobody had a copy
	Resumed            // it was held here all along: this node was stopped for a moment, and nobody else had claimed it
)

var whyNames = [...]string{"began", "handed", "copied", "reset", "resumed"}

func (w Why) String() string { return whyNames[w] }

// Freeze the partition: nobody spends in it until Own, Thaw or Shut says what became of it.
type Freeze struct{ Partition int }

// Thaw: a handoff was refused, decide again as before.
type Thaw struct{ Partition int }

// Shut: another member decides from now on; the lines stay, as a copy or to be returned.
type Shut struct {
	Partition int
	To        Hold // this node's own, if it goes (Quit)
	// Gave says that it was handed over in order, false that another claimed it.
	Gave bool
}

// Store the lines that came with the message being handled: whole, in place of all that is there, or added to it.
type Store struct {
	Partition int
	Backup    *Backup
}

// Absorb merges the lines that came with the message being handled, by history, into a partition that is held.
type Absorb struct {
	Partition int
	Return    *Return
}

// Clear drops all lines of the partition.
type Clear struct{ Partition int }

// Rerouted: the partition's checks go another way; see Machine.Route.
type Rerouted struct{ Partition int }

// Unacknowledged: the lines last sent to be backed up are to be sent again with the next.
type Unacknowledged struct{ Partition int }

// Acknowledged: the lines up to this count of changes are safe with another member.
type Acknowledged struct {
	Partition int
	Seq       uint64
}

// Woke: this node was stopped for so long. All connections are to be dropped: what waits in them is old.
type Woke struct{ Late Age }

func (*Send) effect()          {}
func (Own) effect()            {}
func (Freeze) effect()         {}
func (Thaw) effect()           {}
func (Shut) effect()           {}
func (*Store) effect()         {}
func (Absorb) effect()         {}
func (Clear) effect()          {}
func (Rerouted) effect()       {}
func (Unacknowledged) effect() {}
func (*Acknowledged) effect()  {}
func (Woke) effect()           {}
