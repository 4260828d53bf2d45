package peer

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// An answer on the wire, little-endian, its entries in the order of the batch:
//
//	head     magic 4, status 1, lane 1, count 2, answerer's start ID 8, sender's start ID 8, sequence 8
//	entry    code 1, via 1, flags 1, length of holder 1, granted 4, epoch of the hold 8, holder,
//	         then if decided: the loan if there is one (flag 1), the outcome of the granted if there are any, and that of the denied if there are any
//	outcome  flags 1, by 1 (255: none), states 1, zero 1, limit 4, remaining 4, current 8, reset 8, retry 8, receipt 8, shadowed 8,
//	         then the states of all wants, if asked for
//	state    limit 4, remaining 4, current 8, reset 8, retry 8
//
// Durations are microseconds: instants never travel.
const (
	answerMagic = 'S' | 'p'<<8 | 'a'<<16 | frameVersion<<24
	answerHead  = 32
	answerSize  = 16
	outcomeSize = 52
	stateSize   = 32

	flagLoan = 1

	flagNever = 1
	flagFull  = 2

	byNone = 255
)

// A status is what a server says of a batch as a whole. With any but statusDone nothing was decided now.
type status uint8

const (
	statusDone       status = 1 + iota
	statusRestarted         // meant for an earlier start of this member
	statusSuperseded        // the sender's name has started again since
	statusStale             // older than the batch that is remembered, or its answer is gone
	statusDiffers           // the clusters' constants or hash keys differ
	statusBusy              // no room to remember another sender
	statusRefused           // mail: not taken; why is in the text after the head
	statusCount
)

var (
	errAnswer  = errors.New("peer: not an answer to this batch")
	errCode    = errors.New("peer: unknown code, via or holder in an answer")
	errGranted = errors.New("peer: more granted than asked")
	errBy      = errors.New("peer: an outcome points outside its wants")
	errSpan    = errors.New("peer: a duration beyond the longest window")
	errStates  = errors.New("peer: the states of an outcome are not those of its wants")
)

type answerHeader struct {
	status   status
	lane     uint8
	count    int
	answerer uint64
	start    uint64
	sequence uint64
}

func appendAnswerHeader(b []byte, h *answerHeader) []byte {
	b = binary.LittleEndian.AppendUint32(b, answerMagic)
	b = append(b, byte(h.status), h.lane)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.count))
	b = binary.LittleEndian.AppendUint64(b, h.answerer)
	b = binary.LittleEndian.AppendUint64(b, h.start)
	return binary.LittleEndian.AppendUint64(b, h.sequence)
}

func readAnswerHeader(b []byte, h *answerHeader) ([]byte, error) {
	if len(b) < answerHead {
		return nil, errShort
	}
	if binary.LittleEndian.Uint32(b) != answerMagic {
		return nil, errMagic
	}
	h.status, h.lane = status(b[4]), b[5]
	if h.status == 0 || h.status >= statusCount {
		return nil, errCode
	}
	h.count = int(binary.LittleEndian.Uint16(b[6:]))
	h.answerer = binary.LittleEndian.Uint64(b[8:])
	h.start = binary.LittleEndian.Uint64(b[16:])
	h.sequence = binary.LittleEndian.Uint64(b[24:])
	b = b[answerHead:]
	if h.count > MaxEntries || h.count*answerSize > len(b) {
		return nil, errShort
	}
	return b, nil
}

// appendAnswer appends the answer to an entry. What a decider must not say is made harmless here: a code that is not
// an answer becomes Failed, a long holder none, a long duration the longest.
func appendAnswer(b []byte, e *Entry, a *Answer) []byte {
	code, holder, granted := a.Code, a.Holder, min(a.Granted, e.Times)
	switch code {
	case Decided, Moved, Wait, Unsent:
	default:
		code = Failed
	}
	if code != Decided {
		granted = 0
	}
	if len(holder) > MaxName {
		holder = ""
	}
	var loan Loan
	var flags byte
	if code == Decided && e.Borrow > 0 {
		if loan = a.Loan.fit(e.Borrow); loan.Hits > 0 {
			flags |= flagLoan
		}
	}
	b = append(b, byte(code), byte(a.Via), flags, byte(len(holder)))
	b = binary.LittleEndian.AppendUint32(b, granted)
	b = binary.LittleEndian.AppendUint64(b, a.HoldEpoch)
	b = append(b, holder...)
	if loan.Hits > 0 {
		b = appendLoan(b, &loan)
	}
	if code == Decided {
		if granted > 0 {
			b = appendOutcome(b, e, &a.Allowed)
		}
		if granted < e.Times {
			b = appendOutcome(b, e, &a.Denied)
		}
	}
	return b
}

func appendOutcome(b []byte, e *Entry, o *bucket.Outcome) []byte {
	var x [outcomeSize]byte
	if o.Never {
		x[0] |= flagNever
	}
	if o.Full {
		x[0] |= flagFull
	}
	x[1] = byNone
	if o.By >= 0 && o.By < len(e.Wants) {
		x[1] = byte(o.By)
	}
	each := e.Each && len(o.Each) == len(e.Wants)
	if each {
		x[2] = byte(len(o.Each))
	}
	binary.LittleEndian.PutUint32(x[4:], o.Limit)
	binary.LittleEndian.PutUint32(x[8:], o.Remaining)
	binary.LittleEndian.PutUint64(x[12:], o.Current)
	binary.LittleEndian.PutUint64(x[20:], micros(o.Reset))
	binary.LittleEndian.PutUint64(x[28:], micros(o.Retry))
	binary.LittleEndian.PutUint64(x[36:], uint64(o.Receipt))
	binary.LittleEndian.PutUint64(x[44:], o.Shadowed&wantMask(len(e.Wants)))
	b = append(b, x[:]...)
	if each {
		for i := range o.Each {
			s := &o.Each[i]
			b = binary.LittleEndian.AppendUint32(b, s.Limit)
			b = binary.LittleEndian.AppendUint32(b, s.Remaining)
			b = binary.LittleEndian.AppendUint64(b, s.Current)
			b = binary.LittleEndian.AppendUint64(b, micros(s.Reset))
			b = binary.LittleEndian.AppendUint64(b, micros(s.Retry))
		}
	}
	return b
}

// An expected answer is what the asker knows of its entry: the answer is read against it.
type expected struct {
	wants  int
	times  uint32
	each   bool
	borrow uint32
}

// readAnswer reads the answer to one entry and returns what follows. States go into the memory of the outcomes' Each,
// which has room for MaxWants; Each comes back as long as what was read. holder is called for the name of a holder, to
// make a string of it without allocating one each time.
func readAnswer(b []byte, x expected, a *Answer, holder func([]byte) string) ([]byte, error) {
	if len(b) < answerSize {
		return nil, errShort
	}
	a.Code, a.Via = Code(b[0]), transport.Via(b[1])
	if a.Code != Decided && a.Code != Moved && a.Code != Wait && a.Code != Failed && a.Code != Unsent || a.Via > transport.ViaUnavailable {
		return nil, errCode
	}
	lent := b[2] == flagLoan
	if b[2]&^flagLoan != 0 {
		return nil, errFlags
	}
	n := int(b[3])
	a.Granted = binary.LittleEndian.Uint32(b[4:])
	a.HoldEpoch = binary.LittleEndian.Uint64(b[8:])
	b = b[answerSize:]
	if n > MaxName {
		return nil, errCode
	}
	if n > len(b) {
		return nil, errShort
	}
	a.Holder = ""
	if n > 0 {
		a.Holder = holder(b[:n])
	}
	b = b[n:]
	if a.Granted > x.times || a.Code != Decided && a.Granted != 0 {
		return nil, errGranted
	}
	a.Loan = Loan{}
	if lent && (a.Code != Decided || x.borrow == 0) {
		return nil, errLoan
	}
	if a.Code != Decided {
		return b, nil
	}
	var err error
	if lent {
		if b, err = readLoan(b, x.borrow, &a.Loan); err != nil {
			return nil, err
		}
	}
	if a.Granted > 0 {
		if b, err = readOutcome(b, x, &a.Allowed); err != nil {
			return nil, err
		}
		a.Allowed.Allowed = true
	}
	if a.Granted < x.times {
		if b, err = readOutcome(b, x, &a.Denied); err != nil {
			return nil, err
		}
		a.Denied.Allowed = false
	}
	return b, nil
}

func readOutcome(b []byte, x expected, o *bucket.Outcome) ([]byte, error) {
	if len(b) < outcomeSize {
		return nil, errShort
	}
	if b[0]&^(flagNever|flagFull) != 0 || b[3] != 0 {
		return nil, errFlags
	}
	o.Never, o.Full = b[0]&flagNever != 0, b[0]&flagFull != 0
	if o.By = int(b[1]); b[1] == byNone {
		o.By = -1
	} else if o.By >= x.wants {
		return nil, errBy
	}
	n := int(b[2])
	if n != 0 && (!x.each || n != x.wants) {
		return nil, errStates
	}
	o.Limit = binary.LittleEndian.Uint32(b[4:])
	o.Remaining = binary.LittleEndian.Uint32(b[8:])
	o.Current = binary.LittleEndian.Uint64(b[12:])
	reset, retry := binary.LittleEndian.Uint64(b[20:]), binary.LittleEndian.Uint64(b[28:])
	o.Receipt = bucket.Receipt(binary.LittleEndian.Uint64(b[36:]))
	o.Shadowed = binary.LittleEndian.Uint64(b[44:])
	if o.Shadowed&^wantMask(x.wants) != 0 {
		return nil, errBy
	}
	var ok bool
	if o.Reset, o.Retry, ok = spans(reset, retry); !ok {
		return nil, errSpan
	}
	b = b[outcomeSize:]
	if n*stateSize > len(b) {
		return nil, errShort
	}
	if n == 0 {
		o.Each = o.Each[:0]
		return b, nil
	}
	if cap(o.Each) < n {
		return nil, errStates
	}
	o.Each = o.Each[:n]
	for i := range o.Each {
		s := &o.Each[i]
		s.Limit = binary.LittleEndian.Uint32(b)
		s.Remaining = binary.LittleEndian.Uint32(b[4:])
		s.Current = binary.LittleEndian.Uint64(b[8:])
		if s.Reset, s.Retry, ok = spans(binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])); !ok {
			return nil, errSpan
		}
		b = b[stateSize:]
	}
	return b, nil
}

// micros rounds up: a retry-after may be late by a microsecond, never early.
func micros(d time.Duration) uint64 {
	d = min(max(d, 0), maxSpan)
	return uint64((d + time.Microsecond - 1) / time.Microsecond)
}

func spans(a, b uint64) (time.Duration, time.Duration, bool) {
	const most = uint64(maxSpan / time.Microsecond)
	if a > most || b > most {
		return 0, 0, false
	}
	return time.Duration(a) * time.Microsecond, time.Duration(b) * time.Microsecond, true
}

// wantMask has a bit for each of n wants; a shift by 64 gives 0, and so all bits.
func wantMask(n int) uint64 { return 1<<n - 1 }
