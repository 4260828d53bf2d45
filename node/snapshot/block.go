package snapshot

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// A Partition is one partition in a snapshot.
type Partition struct {
	Index int
	Hold  hold.Hold     // that it was held under; its name is at most 64 bytes
	Seq   uint64        // its count of changes
	After time.Duration // it was exported so long after Header.Written, to the microsecond
	Lines []byte
}

// Version is that of the lines.
func (p *Partition) Version() hold.Version {
	return hold.Version{Epoch: p.Hold.Epoch, Start: p.Hold.Start, Seq: p.Seq}
}

const (
	partMagic = "PART"
	tailMagic = "TAIL"
	partHead  = 44
	// MaxLines bounds the bytes of a partition's lines: 65,536 lines of 64 bytes are the most that a partition
	// has, and there is something in front of them and of each history.
	MaxLines = 4<<20 + 4096
	// maxHolder bounds a holder's name: what a member's name may have.
	maxHolder = 64
)

// appendHead writes what is before the name and the lines.
func (p *Partition) appendHead(b []byte) ([]byte, error) {
	after := p.After.Microseconds()
	if p.Index < 0 || p.Index >= 1<<16 || len(p.Hold.Name) > maxHolder || len(p.Lines) > MaxLines || after < 0 {
		return nil, fmt.Errorf("snapshot: partition %d, held by a name of %d bytes, with %d bytes of lines from %v after the beginning: the most are 65535, %d and %d, and not before",
			p.Index, len(p.Hold.Name), len(p.Lines), p.After, maxHolder, MaxLines)
	}
	b = append(b, partMagic...)
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Index))
	b = append(b, byte(len(p.Hold.Name)), 0)
	b = binary.LittleEndian.AppendUint64(b, p.Hold.Epoch)
	b = binary.LittleEndian.AppendUint64(b, p.Hold.Start)
	b = binary.LittleEndian.AppendUint64(b, p.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(after))
	return binary.LittleEndian.AppendUint32(b, uint32(len(p.Lines))), nil
}

// head reads what appendHead wrote, and says how many bytes of name and lines follow. Nothing in it is proved yet.
func (p *Partition) head(b []byte) (name, lines int, err error) {
	name, lines = int(b[6]), int(binary.LittleEndian.Uint32(b[40:]))
	after := binary.LittleEndian.Uint64(b[32:])
	const maxAfter = uint64(366 * 24 * time.Hour / time.Microsecond)
	if name > maxHolder || lines > MaxLines || after > maxAfter {
		return 0, 0, fmt.Errorf("%w: the head of a partition is wrong", ErrDamaged)
	}
	*p = Partition{
		Index: int(binary.LittleEndian.Uint16(b[4:])),
		Hold:  hold.Hold{Epoch: binary.LittleEndian.Uint64(b[8:]), Start: binary.LittleEndian.Uint64(b[16:])},
		Seq:   binary.LittleEndian.Uint64(b[24:]),
		After: time.Duration(after) * time.Microsecond,
	}
	return name, lines, nil
}
