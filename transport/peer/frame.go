package peer

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A batch on the wire, little-endian:
//
//	head   magic 4, flags 1 (0), lane 1, count 2, cluster 8, sender's start ID 8, target's start ID 8, sequence 8,
//	       length of the sender's name 1, name
//	entry  partition 2, wants 1, flags 1, times 4, ms left 2, borrow 1 (loan.go), zero 1, hits 8, epoch 8, receipt 8, key 8, then the wants
//	want   line 8, count 4, burst 4, algorithm 1, flags 1
//
// The flags of an entry are 1 all states are wanted, 2 the hold did not answer, 4 relay it, 8 and 16 what to do on a split, 32 it returns a
// loan.
// The window of a limit is not there: its line's ID has it. Entries are fixed records so that two asks
// alike are equal bytes, which is how they are folded.
const (
	// frameVersion is that of all frames: batches, their answers and mail. A frame of another version is refused unread, with a status of 400. Version 2
	// brought loans.
	frameVersion = 2

	askMagic  = 'S' | 'p'<<8 | 'q'<<16 | frameVersion<<24
	askHead   = 41
	entrySize = 44
	wantSize  = 18

	// Offsets into an entry: what lies between times and hits is what may differ between asks alike.
	entryTimes  = 4
	entryLeft   = 8
	entryBorrow = 10
	entryHits   = 12
	entryKey    = 36

	flagEach    = 1
	flagFailed  = 2
	flagThrough = 4
	splitShift  = 3 // two bits of transport.OnSplit
	splitMask   = 3 << splitShift
	flagReturn  = 32

	flagShadow      = 1
	flagCountDenied = 2
)

var (
	errShort   = errors.New("peer: frame ends too early")
	errMagic   = errors.New("peer: not a frame of this version")
	errFlags   = errors.New("peer: unknown flags")
	errEntries = errors.New("peer: a batch has 1 to 4096 entries")
	errLane    = errors.New("peer: lane out of range")
	errName    = errors.New("peer: a member's name has 1 to 64 bytes")
	errTrail   = errors.New("peer: bytes after the last entry")
	errThrough = errors.New("peer: entries to be relayed have a lane of their own")
)

// A header is the head of a batch. Name points into the frame.
type header struct {
	lane          uint8
	count         int
	cluster       uint64
	start, target uint64
	sequence      uint64
	name          []byte
}

func appendHeader(b []byte, h *header) []byte {
	b = binary.LittleEndian.AppendUint32(b, askMagic)
	b = append(b, 0, h.lane)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.count))
	b = binary.LittleEndian.AppendUint64(b, h.cluster)
	b = binary.LittleEndian.AppendUint64(b, h.start)
	b = binary.LittleEndian.AppendUint64(b, h.target)
	b = binary.LittleEndian.AppendUint64(b, h.sequence)
	b = append(b, byte(len(h.name)))
	return append(b, h.name...)
}

// readHeader reads the head of a batch and returns what follows it. The count is checked against the bytes that are
// left, so that nobody needs to believe it.
func readHeader(b []byte, h *header) ([]byte, error) {
	if len(b) < askHead {
		return nil, errShort
	}
	if binary.LittleEndian.Uint32(b) != askMagic {
		return nil, errMagic
	}
	if b[4] != 0 {
		return nil, errFlags
	}
	if h.lane = b[5]; h.lane >= MaxLanes {
		return nil, errLane
	}
	h.count = int(binary.LittleEndian.Uint16(b[6:]))
	h.cluster = binary.LittleEndian.Uint64(b[8:])
	h.start = binary.LittleEndian.Uint64(b[16:])
	h.target = binary.LittleEndian.Uint64(b[24:])
	h.sequence = binary.LittleEndian.Uint64(b[32:])
	n := int(b[40])
	b = b[askHead:]
	if n < 1 || n > MaxName {
		return nil, errName
	}
	if n > len(b) {
		return nil, errShort
	}
	h.name, b = b[:n], b[n:]
	if h.count < 1 || h.count > MaxEntries {
		return nil, errEntries
	}
	if h.count*(entrySize+wantSize) > len(b) {
		return nil, errShort
	}
	return b, nil
}

// appendEntry appends one ask as an entry of its own; left is in milliseconds.
func appendEntry(b []byte, a *Ask, left uint16) []byte {
	var e [entrySize]byte
	binary.LittleEndian.PutUint16(e[0:], a.Partition)
	e[2] = byte(len(a.Wants))
	e[3] = entryFlags(a)
	binary.LittleEndian.PutUint32(e[entryTimes:], 1)
	binary.LittleEndian.PutUint16(e[entryLeft:], left)
	e[entryBorrow] = borrowByte(a.Borrow)
	binary.LittleEndian.PutUint64(e[entryHits:], uint64(a.Hits))
	binary.LittleEndian.PutUint64(e[20:], a.Epoch)
	binary.LittleEndian.PutUint64(e[28:], uint64(a.Receipt))
	binary.LittleEndian.PutUint64(e[entryKey:], a.Wants[0].ID.Key)
	b = append(b, e[:]...)
	for i := range a.Wants {
		w := &a.Wants[i]
		var flags byte
		if w.Shadow {
			flags |= flagShadow
		}
		if w.CountDenied {
			flags |= flagCountDenied
		}
		var x [wantSize]byte
		binary.LittleEndian.PutUint64(x[0:], w.ID.Line)
		binary.LittleEndian.PutUint32(x[8:], w.Limit.Count)
		binary.LittleEndian.PutUint32(x[12:], w.Limit.Burst)
		x[16], x[17] = byte(w.Limit.Algorithm), flags
		b = append(b, x[:]...)
	}
	return b
}

func entryFlags(a *Ask) byte {
	flags := byte(a.OnSplit) << splitShift & splitMask
	if a.Each {
		flags |= flagEach
	}
	if a.Failed {
		flags |= flagFailed
	}
	if a.Through {
		flags |= flagThrough
	}
	if a.Return {
		flags |= flagReturn
	}
	return flags
}

// setTimes, setLeft and setBorrow change an entry that has been appended.
func setTimes(entry []byte, times uint32) { binary.LittleEndian.PutUint32(entry[entryTimes:], times) }

func setLeft(entry []byte, left uint16) {
	if left > binary.LittleEndian.Uint16(entry[entryLeft:]) {
		binary.LittleEndian.PutUint16(entry[entryLeft:], left)
	}
}

func setBorrow(entry []byte, borrow byte) { entry[entryBorrow] = max(entry[entryBorrow], borrow) }

// readEntry reads one entry into e, its wants into the memory given, and returns what follows. It checks lengths and
// flags; the rest is validAsk's.
func readEntry(b []byte, e *Entry, wants *[bucket.MaxWants]bucket.Want) ([]byte, error) {
	if len(b) < entrySize {
		return nil, errShort
	}
	n := int(b[2])
	if n < 1 || n > bucket.MaxWants {
		return nil, errWants
	}
	if b[3]&^(flagEach|flagFailed|flagThrough|splitMask|flagReturn) != 0 || b[11] != 0 {
		return nil, errFlags
	}
	if b[entryBorrow] > maxBorrowByte {
		return nil, errBorrow
	}
	e.Partition = binary.LittleEndian.Uint16(b)
	e.Each, e.Failed, e.Through = b[3]&flagEach != 0, b[3]&flagFailed != 0, b[3]&flagThrough != 0
	e.OnSplit = transport.OnSplit(b[3] & splitMask >> splitShift)
	e.Times = binary.LittleEndian.Uint32(b[entryTimes:])
	e.Left = time.Duration(binary.LittleEndian.Uint16(b[entryLeft:])) * time.Millisecond
	e.Borrow, e.Return = borrowed(b[entryBorrow]), b[3]&flagReturn != 0
	e.Hits = int64(binary.LittleEndian.Uint64(b[entryHits:]))
	e.Epoch = binary.LittleEndian.Uint64(b[20:])
	e.Receipt = bucket.Receipt(binary.LittleEndian.Uint64(b[28:]))
	key := binary.LittleEndian.Uint64(b[entryKey:])
	b = b[entrySize:]
	if n*wantSize > len(b) {
		return nil, errShort
	}
	e.Wants = wants[:n]
	for i := range e.Wants {
		x, w := b[:wantSize], &e.Wants[i]
		if x[17]&^(flagShadow|flagCountDenied) != 0 {
			return nil, errFlags
		}
		w.ID = bucket.ID{Key: key, Line: binary.LittleEndian.Uint64(x)}
		w.Limit = bucket.Limit{
			Count:     binary.LittleEndian.Uint32(x[8:]),
			Burst:     binary.LittleEndian.Uint32(x[12:]),
			Window:    w.ID.Window(),
			Algorithm: bucket.Algorithm(x[16]),
		}
		w.Shadow, w.CountDenied = x[17]&flagShadow != 0, x[17]&flagCountDenied != 0
		b = b[wantSize:]
	}
	return b, nil
}

// readPlaces reads where the lines of the next entries are, which are known to be good.
func readPlaces(b []byte, places []bucket.Place) {
	for i := range places {
		places[i] = bucket.Place{Partition: int(binary.LittleEndian.Uint16(b)), Key: binary.LittleEndian.Uint64(b[entryKey:])}
		b = b[entrySize+int(b[2])*wantSize:]
	}
}

// validBatch walks all entries after the head, so that a batch is good as a whole before its first hit is spent. It
// returns how many asks there are, folded ones counted.
func validBatch(b []byte, h *header, partitions int, e *Entry, wants *[bucket.MaxWants]bucket.Want) (asks int, err error) {
	for range h.count {
		if b, err = readEntry(b, e, wants); err != nil {
			return 0, err
		}
		if e.Through != (h.lane == throughLane) {
			return 0, errThrough
		}
		if err = validAsk(e.Partition, partitions, e.Wants, e.Hits, e.Times, e.Receipt, e.Each); err != nil {
			return 0, err
		}
		if err = validLoan(e.Hits, e.Receipt, e.Borrow, e.Return, e.Through); err != nil {
			return 0, err
		}
		asks += int(e.Times)
	}
	if len(b) != 0 {
		return 0, errTrail
	}
	return asks, nil
}
