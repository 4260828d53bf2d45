package bucket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Lines on the wire, all little-endian: Seq; a word of how many histories (8 bits), past histories (8 bits) and whether they are whole (1
// bit); the past histories, three words each; each history's epoch, start ID, sequence and count of records, and its records, eight
// words each.

const (
	linesHead   = 16
	pastBytes   = 24
	copyHead    = 32
	recordBytes = 64
)

// ErrBadLines: bytes that AppendLines does not make.
var ErrBadLines = errors.New("bucket: bytes that are no lines of a partition; were they cut off, or sent by another version?")

// AppendLines appends the lines as they travel and as they are kept on disk: at most 4 MiB and some 350 bytes.
func AppendLines(dst []byte, ls *Lines) []byte {
	put := binary.LittleEndian.AppendUint64
	dst = put(dst, ls.Seq)
	head := uint64(len(ls.Histories)) | uint64(len(ls.Past))<<8
	if ls.Whole {
		head |= 1 << 16
	}
	dst = put(dst, head)
	for _, x := range ls.Past {
		dst = put(put(put(dst, x.Name.Epoch), x.Name.Start), x.Seq)
	}
	for i := range ls.Histories {
		c := &ls.Histories[i]
		dst = put(put(put(put(dst, c.Name.Epoch), c.Name.Start), c.Seq), uint64(len(c.Records)))
		for j := range c.Records {
			dst = c.Records[j].append(dst)
		}
	}
	return dst
}

func (r *Record) append(dst []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, recordBytes)[:n+recordBytes]
	b := dst[n:]
	binary.LittleEndian.PutUint64(b[0:], r.ID.Key)
	binary.LittleEndian.PutUint64(b[8:], r.ID.Line)
	binary.LittleEndian.PutUint64(b[16:], r.Clock)
	for i, m := range r.Marks {
		binary.LittleEndian.PutUint64(b[24+8*i:], m)
	}
	return dst
}

func (r *Record) read(b []byte) {
	_ = b[recordBytes-1]
	r.ID = ID{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
	r.Clock = binary.LittleEndian.Uint64(b[16:])
	for i := range r.Marks {
		r.Marks[i] = binary.LittleEndian.Uint64(b[24+8*i:])
	}
}

// ReadLines reads what AppendLines wrote, and returns the bytes behind it. It allocates no more than b has, and no more than
// MaxPartitionLines records. The error is ErrBadLines. What the records say is checked by Prepare.
func ReadLines(b []byte) (ls *Lines, rest []byte, err error) {
	ls = new(Lines)
	if rest, err = ReadLinesIn(ls, b); err != nil {
		return nil, nil, err
	}
	return ls, rest, nil
}

// ReadLinesIn is ReadLines with the memory of lines that nobody looks at any more. After an error there is nothing in them.
func ReadLinesIn(ls *Lines, b []byte) (rest []byte, err error) {
	rest, err = readLines(ls, b)
	if err != nil {
		ls.Past, ls.Histories = ls.Past[:0], ls.Histories[:0]
	}
	return rest, err
}

func readLines(ls *Lines, b []byte) ([]byte, error) {
	get := binary.LittleEndian.Uint64
	if len(b) < linesHead {
		return nil, fmt.Errorf("read lines from %d bytes: %w", len(b), ErrBadLines)
	}
	ls.Seq, ls.at, ls.Past, ls.Histories = get(b), 0, ls.Past[:0], ls.Histories[:0]
	head := get(b[8:])
	b = b[linesHead:]
	histories, past := int(head&0xff), int(head>>8&0xff)
	ls.Whole = head>>16 == 1
	if head>>17 != 0 || histories > maxHistories || past > maxPast || len(b) < past*pastBytes {
		return nil, fmt.Errorf("read lines of %d histories after %d past ones: %w", histories, past, ErrBadLines)
	}
	for range past {
		ls.Past = append(ls.Past, Past{Name{get(b), get(b[8:])}, get(b[16:])})
		b = b[pastBytes:]
	}
	left := uint64(MaxPartitionLines)
	for range histories {
		if len(b) < copyHead {
			return nil, fmt.Errorf("read a history from %d bytes: %w", len(b), ErrBadLines)
		}
		c := ls.add(Name{get(b), get(b[8:])}, get(b[16:]))
		n := get(b[24:])
		b = b[copyHead:]
		if n > left || n > uint64(len(b)/recordBytes) {
			return nil, fmt.Errorf("read %d records from %d bytes: %w", n, len(b), ErrBadLines)
		}
		left -= n
		if c.Records == nil || uint64(cap(c.Records)) < n {
			c.Records = make([]Record, n)
		}
		c.Records = c.Records[:n]
		for i := range c.Records {
			c.Records[i].read(b)
			b = b[recordBytes:]
		}
	}
	return b, nil
}
