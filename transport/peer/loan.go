package peer

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A Loan is hits that the holder has spent for the asker to hand out: it says how many, and for how long. Hits 0: none.
//
// An ask may wish for one (Ask.Borrow), and its answer may bring one (Ask.Loan). Of asks that were folded one brings it: the first whose
// caller still waits; the holder lends once an entry. The rest of a loan goes back by an ask with Return. A loan that is lost on the way,
// because nobody waits any more or the answer did not arrive, stays spent: what was lent may be handed out by nobody, but never
// twice. A repeated batch is answered from memory, so it brings the loan of the first answer and no other. What is relayed neither borrows nor
// returns: a loan is between a node and a holder that hear each other.
type Loan struct {
	Hits uint32
	// Term is how long they may be handed out, at most MaxTerm. The asker counts it from before it sent the ask, so that it ends
	// no later here than at the holder.
	Term time.Duration
	// Receipt names the slot that they were charged to.
	Receipt bucket.Receipt
}

// A loan on the wire: hits 4, term in microseconds 4, receipt 8.
const loanSize = 16

// maxBorrowByte is the largest byte that a wish to borrow travels as.
const maxBorrowByte = 32

var (
	errBorrow = errors.New("peer: only spending without a receipt borrows, at most 2^31 hits, and not through a relay")
	errReturn = errors.New("peer: only giving back with a receipt returns a loan, and not through a relay")
	errLoan   = errors.New("peer: a loan that was not asked for, or is out of range")
)

// borrowByte is how a wish to borrow travels: 0 for none, else one more than the logarithm to base 2, rounded up. A byte, because it
// lies in the part of an entry that may differ between asks alike, and rounded, so that the largest of those that fold is good for all.
func borrowByte(hits uint32) byte {
	if hits == 0 {
		return 0
	}
	return byte(min(bits.Len32(hits-1)+1, maxBorrowByte))
}

// borrowed is what such a byte asks for.
func borrowed(b byte) uint32 {
	if b == 0 {
		return 0
	}
	return 1 << (b - 1)
}

// validLoan checks what an ask or an entry says of loans.
func validLoan(hits int64, r bucket.Receipt, borrow uint32, back, through bool) error {
	if borrow > 0 && (hits <= 0 || r != 0 || through) {
		return errBorrow
	}
	if back && (hits >= 0 || r == 0 || through) {
		return errReturn
	}
	return nil
}

// fit makes a decider's loan one that the asker accepts. The term is rounded down: a loan may end early, never late. The zero Loan: there is none,
// or nothing of it is left.
func (l Loan) fit(asked uint32) Loan {
	l.Hits = min(l.Hits, asked)
	l.Term = min(l.Term, MaxTerm).Truncate(time.Microsecond)
	if l.Hits == 0 || l.Term <= 0 {
		return Loan{}
	}
	return l
}

func appendLoan(b []byte, l *Loan) []byte {
	b = binary.LittleEndian.AppendUint32(b, l.Hits)
	b = binary.LittleEndian.AppendUint32(b, uint32(l.Term/time.Microsecond))
	return binary.LittleEndian.AppendUint64(b, uint64(l.Receipt))
}

// readLoan reads the loan of an entry that asked for some hits, and returns what follows.
func readLoan(b []byte, asked uint32, l *Loan) ([]byte, error) {
	if len(b) < loanSize {
		return nil, errShort
	}
	l.Hits = binary.LittleEndian.Uint32(b)
	l.Term = time.Duration(binary.LittleEndian.Uint32(b[4:])) * time.Microsecond
	l.Receipt = bucket.Receipt(binary.LittleEndian.Uint64(b[8:]))
	if l.Hits < 1 || l.Hits > asked || l.Term < 1 || l.Term > MaxTerm {
		return nil, errLoan
	}
	return b[loanSize:], nil
}
