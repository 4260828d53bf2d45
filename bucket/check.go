package bucket

import "time"

// An Instant is a time in microseconds since the Unix epoch, by the clock of the node that holds the line. Instants
// never travel between nodes; durations do. Those before 1970 and after 2110 are taken as these.
type Instant int64

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d/time.Microsecond) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Microsecond }

// A Want is one limit of a check and the line it is counted on.
type Want struct {
	ID    ID
	Limit Limit
	// Shadow: counted and reported, never denies.
	Shadow bool
	// CountDenied: attempts past the limit are counted on a line of their own.
	CountDenied bool
}

// A Receipt names the slot that a hit went into, so that giving it back takes it out of there. It means something
// only to the node that made it, under the epoch it was made in; anywhere else, and if it is 0, it names no slot.
type Receipt uint64

// epochBits of a receipt are those of the epoch, so that one from another hold is not taken for one of ours.
const epochBits = 12

func receipt(at Instant, epoch uint64) Receipt {
	return Receipt(uint64(at)<<epochBits | epoch&(1<<epochBits-1))
}

// instant returns what the receipt names, or -1.
func (r Receipt) instant(epoch uint64) Instant {
	if r == 0 || uint64(r)&(1<<epochBits-1) != epoch&(1<<epochBits-1) {
		return -1
	}
	return Instant(r >> epochBits)
}

// An Outcome is what a partition answers. Take and its siblings overwrite all of it but Each.
type Outcome struct {
	Allowed bool
	// Never: more hits than the limit can ever allow at once.
	Never bool
	// Full: the table had no room for a new line; nothing was spent, and Allowed is false. What to answer is on_full's.
	Full bool
	// By is the index of the deciding want, -1 where there is none: denied, the longest wait; allowed, the least
	// remaining, ties to the later reset.
	By int
	// State is that of the deciding want.
	State
	Receipt Receipt
	// Shadowed has bit i set where shadow want i would have denied.
	Shadowed uint64
	// Each is filled with the state of every want if it is as long as the wants.
	Each []State
}

// A State is how one limit stands after a check. A peek leaves it as it was before.
type State struct {
	Limit     uint32 // COUNT, or burst for a token bucket
	Remaining uint32 // hits that would be allowed now
	// Current is the hits that count now, with CountDenied the denied attempts of the window too.
	Current uint64
	// Reset is the time until Remaining next grows; 0 where nothing is spent. Never longer than the window, but for a
	// token bucket whose burst was lowered below what is spent.
	Reset time.Duration
	// Retry is the time until the same check would pass; 0 where it passed, or never will. Never longer than the
	// window, but for a token bucket, where that many hits at once may take longer to come back.
	Retry time.Duration
}
