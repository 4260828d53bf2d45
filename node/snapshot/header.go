package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A Cluster is what a snapshot and who reads it must agree on: else its partitions and lines mean something else.
type Cluster struct {
	HashKey    uint64 // fingerprint of the hash key
	Partitions int    // of the ring, at most 65536
	Constants  string // of the ring, at most 255 bytes
}

// A Header says where a snapshot comes from.
type Header struct {
	Cluster
	Node    string    // who wrote it, at most 255 bytes
	Written time.Time // by its wall clock, to the microsecond
}

var (
	// ErrDamaged: checksums or lengths are wrong, or something is missing.
	ErrDamaged = errors.New("snapshot: damaged")
	// ErrForeign: it is whole, but of another cluster or format.
	ErrForeign = errors.New("snapshot: of another cluster or release")
	// ErrOld: it is older than any window.
	ErrOld = errors.New("snapshot: too old to be of use")
)

const (
	magic   = "STINTSNP"
	version = 1
	// headFixed is the header up to the texts.
	headFixed = 38
	// maxHead bounds the header: two texts of at most 255 bytes, and a checksum.
	maxHead = headFixed + 2*255 + 4
	countAt = 12 // where the header has the count
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// encode writes the header for so many partitions.
func (h *Header) encode(count uint32) ([]byte, error) {
	if len(h.Node) > 255 || len(h.Constants) > 255 || h.Partitions < 1 || h.Partitions > 1<<16 {
		return nil, fmt.Errorf("snapshot: a header with a name of %d bytes, constants of %d and %d partitions: the most are 255, 255 and 65536",
			len(h.Node), len(h.Constants), h.Partitions)
	}
	b := make([]byte, 0, maxHead)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, uint16(headFixed+len(h.Node)+len(h.Constants)+4))
	b = binary.LittleEndian.AppendUint32(b, count)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Written.UnixMicro()))
	b = binary.LittleEndian.AppendUint64(b, h.HashKey)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Partitions))
	b = append(b, byte(len(h.Node)), byte(len(h.Constants)))
	b = append(b, h.Node...)
	b = append(b, h.Constants...)
	return binary.LittleEndian.AppendUint32(b, checksum(b)), nil
}

// header reads the header.
func (r *reader) header() (h Header, count uint32, err error) {
	b, err := r.next(headFixed)
	if err != nil || string(b[:len(magic)]) != magic {
		return h, 0, fmt.Errorf("%w: it does not begin as a snapshot does", ErrDamaged)
	}
	// The version comes before the checksum: only the magic is the same for ever.
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return h, 0, fmt.Errorf("%w: its format is version %d, and this release reads %d", ErrForeign, v, version)
	}
	size, name, texts := int(binary.LittleEndian.Uint16(b[10:])), int(b[36]), int(b[36])+int(b[37])
	if size != headFixed+texts+4 {
		return h, 0, fmt.Errorf("%w: its header is not as long as it says", ErrDamaged)
	}
	b = append(make([]byte, 0, maxHead), b...)
	rest, err := r.next(texts + 4)
	if err != nil {
		return h, 0, fmt.Errorf("%w: it ends in its header", ErrDamaged)
	}
	b = append(b, rest...)
	if checksum(b[:size-4]) != binary.LittleEndian.Uint32(b[size-4:]) {
		return h, 0, fmt.Errorf("%w: the checksum of its header is wrong", ErrDamaged)
	}
	h.Written = time.UnixMicro(int64(binary.LittleEndian.Uint64(b[16:]))).UTC()
	h.HashKey = binary.LittleEndian.Uint64(b[24:])
	h.Partitions = int(binary.LittleEndian.Uint32(b[32:]))
	h.Node = string(b[headFixed : headFixed+name])
	h.Constants = string(b[headFixed+name : headFixed+texts])
	return h, binary.LittleEndian.Uint32(b[countAt:]), nil
}

// foreign says what of the snapshot is another cluster's; nil if nothing is.
func (h *Header) foreign(want Cluster) error {
	switch {
	case h.HashKey != want.HashKey:
		return fmt.Errorf("%w: it was written under another hash key (--hash-key-file)", ErrForeign)
	case h.Partitions != want.Partitions:
		return fmt.Errorf("%w: its ring has %d partitions, and this one %d", ErrForeign, h.Partitions, want.Partitions)
	case h.Constants != want.Constants:
		return fmt.Errorf("%w: its ring is %q, and this one %q", ErrForeign, h.Constants, want.Constants)
	}
	return nil
}
