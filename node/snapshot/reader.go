package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"time"
)

// MaxAge is how old a snapshot may be: what was spent before counts under no window.
const MaxAge = 366 * 24 * time.Hour

// Info says what Read found.
type Info struct {
	Header
	// Age is how old the snapshot is by the wall clock, at least 0.
	Age time.Duration
	// ClockBack says that it is from the future: the wall clock was put back.
	ClockBack bool
	Used      int // partitions that were used
	Lost      int // partitions that could not be used, as far as it is known
	// SetAside is the name that a file which is damaged or foreign has now; "" where it could not be renamed.
	SetAside string
}

// Read calls use for every partition of the snapshot at path whose checksums are good, in order, with the age of its lines. What
// use is given is its own until it returns; an error says that the lines are not what they should be.
//
// The errors: fs.ErrNotExist; ErrOld, with nothing used; ErrForeign, with nothing used, and ErrDamaged, with all that is good used,
// and the file set aside for both. In each case the file is in nobody's way, and a node can begin with what it got.
func Read(path string, want Cluster, now time.Time, use func(p *Partition, age time.Duration) error) (Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return Info{}, fmt.Errorf("read a snapshot: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("read a snapshot: %w", err)
	}
	if !st.Mode().IsRegular() {
		return Info{}, fmt.Errorf("read a snapshot: %s is not a file", path)
	}
	info, err := read(f, st.Size(), want, now, use)
	how := ""
	switch {
	case errors.Is(err, ErrDamaged):
		how = "damaged"
	case errors.Is(err, ErrForeign):
		how = "foreign"
	default:
		return info, err
	}
	aside := path + "." + how + "-" + now.UTC().Format("20060102T150405Z")
	if renamed := os.Rename(path, aside); renamed != nil {
		return info, errors.Join(err, renamed)
	}
	info.SetAside = aside
	return info, err
}

// A reader reads pieces of a file, each into the same memory, and keeps the checksum of all. left bounds them: nothing is read or
// allocated for a length that the file does not have.
type reader struct {
	in   *bufio.Reader
	left int64
	buf  []byte
	sum  uint32
}

func (r *reader) next(n int) ([]byte, error) {
	if int64(n) > r.left {
		return nil, io.ErrUnexpectedEOF
	}
	r.left -= int64(n)
	r.buf = slices.Grow(r.buf[:0], n)[:n]
	_, err := io.ReadFull(r.in, r.buf)
	return r.buf, err
}

func (r *reader) summed(n int) ([]byte, error) {
	b, err := r.next(n)
	if err == nil {
		r.sum = crc32.Update(r.sum, castagnoli, b)
	}
	return b, err
}

func read(in io.Reader, size int64, want Cluster, now time.Time, use func(*Partition, time.Duration) error) (Info, error) {
	r := &reader{in: bufio.NewReaderSize(in, 256<<10), left: size}
	h, count, err := r.header()
	info := Info{Header: h}
	if err != nil {
		return info, err
	}
	if err := h.foreign(want); err != nil {
		return info, err
	}
	if info.Age = now.Sub(h.Written); info.Age < 0 {
		info.Age, info.ClockBack = 0, true
	}
	if info.Age > MaxAge {
		return info, fmt.Errorf("%w: it was written on %s", ErrOld, h.Written.Format(time.DateOnly))
	}
	last := -1
	for {
		var p Partition
		end, err := r.partition(&p)
		if end && info.Lost == 0 {
			err = r.tail(count, info.Used)
		}
		switch {
		case errors.Is(err, errBlock):
			info.Lost++ // if its lengths are right, the next one will be found
		case err != nil:
			info.Lost = max(int(count)-info.Used, info.Lost)
			return info, err
		case end && info.Lost > 0:
			return info, fmt.Errorf("%w: %d of its %d partitions", ErrDamaged, info.Lost, count)
		case end:
			return info, nil
		case p.Index <= last || p.Index >= want.Partitions || use(&p, max(info.Age-p.After, 0)) != nil:
			info.Lost++
		default:
			info.Used++
			last = p.Index
		}
	}
}

// errBlock: the checksum of a block is wrong. It may be as long as it says, all the same.
var errBlock = errors.New("the checksum of a block is wrong")

// partition reads the next block, or reports the end.
func (r *reader) partition(p *Partition) (end bool, err error) {
	cut := fmt.Errorf("%w: it ends too early", ErrDamaged)
	b, err := r.next(len(partMagic))
	if err != nil {
		return false, cut
	}
	if string(b) == tailMagic {
		r.sum = crc32.Update(r.sum, castagnoli, b)
		return true, nil
	}
	if string(b) != partMagic {
		return false, fmt.Errorf("%w: no partition begins where one should", ErrDamaged)
	}
	head := [partHead]byte{}
	copy(head[:], b)
	if b, err = r.next(len(head) - len(partMagic)); err != nil {
		return false, cut
	}
	copy(head[len(partMagic):], b)
	lines, err := p.head(head[:])
	if err != nil {
		return false, err
	}
	r.sum = crc32.Update(r.sum, castagnoli, head[:])
	if b, err = r.summed(lines + 4); err != nil {
		return false, cut
	}
	if crc32.Update(checksum(head[:]), castagnoli, b[:lines]) != binary.LittleEndian.Uint32(b[lines:]) {
		return false, errBlock
	}
	p.Lines = b[:lines:lines]
	return false, nil
}

// tail reads the end, after its magic. It finds what the checksums of blocks do not show: one that is missing, or one too many.
func (r *reader) tail(count uint32, got int) error {
	b, err := r.summed(4)
	if err != nil {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	if n := binary.LittleEndian.Uint32(b); n != count || int(n) != got {
		return fmt.Errorf("%w: it says %d partitions at the beginning and %d at the end, and has %d", ErrDamaged, count, n, got)
	}
	sum := r.sum
	if b, err = r.next(4); err != nil {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	if binary.LittleEndian.Uint32(b) != sum {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	if r.left > 0 {
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	return nil
}
