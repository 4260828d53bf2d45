package snapshot

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// A Partition is one partition in a snapshot.
type Partition struct {
	Index   int
	Version hold.Version  // of the lines
	After   time.Duration // they were exported so long after Header.Written, to the microsecond
	Lines   []byte
}

const (
	partMagic = "PART"
	tailMagic = "TAIL"
	partHead  = 44 // what is before the lines
	// MaxLines bounds the bytes of a partition's lines: 65,536 lines of 64 bytes are the most that a partition
	// has, and there is something in front of them and of each history.
	MaxLines = 4<<20 + 4096
)

// appendHead writes what is before the lines.
func (p *Partition) appendHead(b []byte) ([]byte, error) {
	after := p.After.Microseconds()
	if p.Index < 0 || p.Index >= 1<<16 || len(p.Lines) > MaxLines || after < 0 {
		return nil, fmt.Errorf("snapshot: partition %d with %d bytes of lines from %v after the beginning: the most are 65535 and %d, and not before",
			p.Index, len(p.Lines), p.After, MaxLines)
	}
	b = append(b, partMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Index))
	b = binary.LittleEndian.AppendUint64(b, p.Version.Epoch)
	b = binary.LittleEndian.AppendUint64(b, p.Version.Start)
	b = binary.LittleEndian.AppendUint64(b, p.Version.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(after))
	return binary.LittleEndian.AppendUint32(b, uint32(len(p.Lines))), nil
}

// head reads what appendHead wrote, and says how many bytes of lines follow. Nothing in it is proved yet.
func (p *Partition) head(b []byte) (lines int, err error) {
	lines = int(binary.LittleEndian.Uint32(b[40:]))
	index, after := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[32:])
	const maxAfter = uint64(366 * 24 * time.Hour / time.Microsecond)
	if lines > MaxLines || index >= 1<<16 || after > maxAfter {
		return 0, fmt.Errorf("%w: the head of a partition is wrong", ErrDamaged)
	}
	*p = Partition{
		Index: int(index),
		Version: hold.Version{
			Epoch: binary.LittleEndian.Uint64(b[8:]), Start: binary.LittleEndian.Uint64(b[16:]), Seq: binary.LittleEndian.Uint64(b[24:]),
		},
		After: time.Duration(after) * time.Microsecond,
	}
	return lines, nil
}
