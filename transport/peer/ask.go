package peer

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A Code says how a member answered an ask.
type Code uint8

const (
	Pending Code = iota // not answered yet
	Decided             // Outcome is the holder's
	Moved               // not held there: ask Holder, whose epoch is at least Epoch
	Wait                // frozen, or not sure yet: ask the same member again in a moment
	Expired             // the deadline passed before it was sent or answered; nothing was spent if it was not sent
	Failed              // the member was asked and did not answer, or could not tell: it may have decided, or not
	Shed                // the pipe's queue is full, or too long for the deadline; nothing was spent
	Unsent              // surely decided by nobody: no connection, circuit open, pipe closed, or refused unread
)

// An Ask is one check on its way to the member that is believed to hold its partition. The node that was asked fills
// it in and hands it to a Pipe, which fills in the answer.
//
// Asks live in a Call. Fields of the question may be changed while no pipe has the ask: before Send, and after Call.Wait.
type Ask struct {
	Partition uint16
	// Epoch is that of the hold that the asker believes in.
	Epoch uint64
	// Wants, 1 to bucket.MaxWants, all with the same ID.Key. Must stay as they are until the ask is answered.
	Wants    []bucket.Want
	Hits     int64
	Receipt  bucket.Receipt
	Deadline time.Time
	Each     bool // the states of all wants are wanted: Outcome.Each is as long as Wants
	// Failed says: the hold of Epoch did not answer me. It is for the member that is to claim in its place.
	Failed bool
	// Through says: put this to the holder, whom I cannot reach, and bring me the answer. Such asks wait for two members,
	// and have a lane of their own.
	Through bool
	// OnSplit is that of the check.
	OnSplit transport.OnSplit
	// Borrow is how many hits the asker would like to be lent besides, at most MaxBorrow; 0: none. Rounded up to a power of two on the wire; of
	// asks that fold the largest counts. Only with Hits > 0, and not with Through.
	Borrow uint32
	// Return says that Hits are the rest of a loan, and Receipt is the loan's. It is only good under the hold of Epoch: a
	// later one was told that all of the loan is spent. Only with Hits < 0 and a Receipt, and not with Through.
	Return bool

	// The answer.
	Code    Code
	Via     transport.Via
	Holder  string
	Outcome bucket.Outcome
	// HoldEpoch is the epoch of the hold that decided, or that Moved points to.
	HoldEpoch uint64
	// Loan is what was lent: to this ask, or to another that it was folded with.
	Loan Loan

	call   *Call
	ticket uint32 // odd while a pipe has the ask; see Pipe.Send
}

// A Decider answers the asks of other members: a node.
type Decider interface {
	// Decide answers one entry of a batch, without blocking and without I/O. Times > 1 are that many alike checks,
	// folded. It is called from many goroutines, for the entries of one batch in their order. Both structs and all
	// that they point to are used again once it has returned. Where e.Each is set, both outcomes' Each are as long as
	// the wants and may be filled.
	Decide(now bucket.Instant, e *Entry, a *Answer)
	// Now tells the instant that the entries of a batch are decided at. It is asked once a batch: reading the clock costs as much as
	// finding a line.
	Now() bucket.Instant
}

// An Expecter is a Decider that is told before whose lines it is going to be asked for.
type Expecter interface {
	// Expect is called with the places of the entries that come next, at most bucket.MostExpected.
	Expect(places []bucket.Place)
}

// A Relayer is a Decider that also relays: it puts asks with Through to the holder, for members that cannot reach it. Where
// a server's Decider is none, those asks are answered with Unsent.
type Relayer interface {
	// Relay answers all entries of a batch. It may block, for no longer than the entries' Left. Whoever relays sends plain asks,
	// so an ask is relayed once and never goes round. All that the items point to is used again once it has returned.
	Relay(now bucket.Instant, batch []RelayItem)
}

// A RelayItem is an entry to be relayed, and where its answer goes. As for Decide, the outcomes have room for the states that
// are asked for.
type RelayItem struct {
	*Entry
	*Answer
}

// An Entry is one ask, or several alike ones folded, as it arrives.
type Entry struct {
	Partition uint16
	Epoch     uint64
	Wants     []bucket.Want
	Hits      int64
	Times     uint32 // 1 unless folded; then Hits > 0
	Receipt   bucket.Receipt
	Each      bool
	Failed    bool // the hold of Epoch did not answer the asker
	Through   bool // to be relayed to the holder
	OnSplit   transport.OnSplit
	// Borrow is how many hits the asker would like to be lent besides, a power of two, or 0; of folded asks the most that one of them would.
	Borrow uint32
	// Return says that Hits are the rest of a loan: good under the hold of Epoch, and under no other.
	Return bool
	// Left is how long the asker goes on waiting, in milliseconds, as it was when the batch was made; of folded asks
	// the longest. At most 65.535 s.
	Left time.Duration
}

// An Answer answers an entry.
type Answer struct {
	Code      Code
	Via       transport.Via
	HoldEpoch uint64
	Holder    string // Moved: who to ask
	// Granted of the entry's Times were allowed: Allowed is what the last of them was told, Denied what the others
	// were. With Times = 1 one of the two.
	Granted         uint32
	Allowed, Denied bucket.Outcome
	// Loan is what was lent, at most Entry.Borrow hits for at most MaxTerm; more is cut off, and stays spent. Only with Decided.
	Loan Loan
}
