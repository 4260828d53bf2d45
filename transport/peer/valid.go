package peer

import (
	"errors"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// What makes an entry bad. The same rules are applied before an ask is let into a batch, where one bad ask would
// make the server refuse all others, and after it is read from the wire. They are plain values: a bad frame must not
// make anybody allocate.
var (
	errPartition = errors.New("peer: partition out of range, or not that of the key")
	errWants     = errors.New("peer: an entry has 1 to 64 wants, all of one key")
	errHits      = errors.New("peer: hits out of range")
	errTimes     = errors.New("peer: only spending without a receipt folds, 1 to 65536 times")
	errReceipt   = errors.New("peer: a receipt belongs to giving back")
	errWindow    = errors.New("peer: window out of range, or not that of the line")
	errAlgorithm = errors.New("peer: unknown algorithm")
	errCount     = errors.New("peer: a limit's count is at least 1")
	errBurst     = errors.New("peer: burst is at least count for a token bucket, and 0 for the others")
)

// validAsk checks what both an ask and an entry have. partitions is the cluster's number of them.
func validAsk(partition uint16, partitions int, wants []bucket.Want, hits int64, times uint32, r bucket.Receipt, each bool) error {
	if len(wants) < 1 || len(wants) > bucket.MaxWants {
		return errWants
	}
	if int(partition) >= partitions || wants[0].ID.Partition(partitions) != int(partition) {
		return errPartition
	}
	if hits < -transport.MaxHits || hits > transport.MaxHits {
		return errHits
	}
	if r != 0 && hits >= 0 {
		return errReceipt
	}
	if times < 1 || times > MaxTimes || times > 1 && (hits <= 0 || each) {
		return errTimes
	}
	key := wants[0].ID.Key
	for i := range wants {
		if wants[i].ID.Key != key {
			return errWants
		}
		if err := validWant(&wants[i]); err != nil {
			return err
		}
	}
	return nil
}

func validWant(w *bucket.Want) error {
	l := &w.Limit
	if l.Algorithm > bucket.TokenBucket {
		return errAlgorithm
	}
	window := w.ID.Window()
	if l.Window != window {
		return errWindow
	}
	if (window < bucket.MinWindow || window > bucket.MaxWindow) && (window != bucket.Month || l.Algorithm != bucket.FixedWindow) {
		return errWindow
	}
	if l.Count < 1 {
		return errCount
	}
	if l.Algorithm == bucket.TokenBucket && l.Burst < l.Count || l.Algorithm != bucket.TokenBucket && l.Burst != 0 {
		return errBurst
	}
	return nil
}

// validName checks a member's name: 1 to MaxName bytes.
func validName[S string | []byte](name S) bool { return len(name) >= 1 && len(name) <= MaxName }
