package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Path returns the name of a node's snapshot in a directory. Nodes may share a directory.
func Path(dir, node string) string { return filepath.Join(dir, node+".snapshot") }

// A Writer writes a snapshot: Add the partitions, then Commit or Abort. It is for one goroutine, and a path for one Writer at a time.
type Writer struct {
	path   string
	file   *os.File
	buf    *bufio.Writer
	header Header
	last   int
	count  uint32
	sum    uint32
	bytes  int64
	head   []byte
	err    error
	ended  bool
}

// Create begins a snapshot that is to be at path. Until Commit what is there now stays as it is.
func Create(path string, h Header) (*Writer, error) {
	head, err := h.encode(0)
	if err != nil {
		return nil, err
	}
	// What an attempt before has left behind is overwritten.
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a snapshot: %w", err)
	}
	w := &Writer{path: path, file: f, buf: bufio.NewWriterSize(f, 256<<10), header: h, last: -1}
	if _, err := w.buf.Write(head); err != nil {
		w.Abort()
		return nil, fmt.Errorf("begin a snapshot: %w", err)
	}
	w.bytes = int64(len(head))
	return w, nil
}

// Add writes a partition; they must come in order. After an error nothing but Abort is of use.
func (w *Writer) Add(p *Partition) error {
	if w.err != nil {
		return w.err
	}
	if p.Index <= w.last || p.Index >= w.header.Partitions {
		w.err = fmt.Errorf("snapshot: partition %d after %d, of %d: they must come in order", p.Index, w.last, w.header.Partitions)
		return w.err
	}
	head, err := p.appendHead(w.head[:0])
	if err != nil {
		w.err = err
		return err
	}
	w.head = head
	sum := checksum(head)
	w.write(head)
	sum = crc32.Update(sum, castagnoli, p.Lines)
	w.write(p.Lines)
	w.write(binary.LittleEndian.AppendUint32(nil, sum))
	w.last = p.Index
	w.count++
	return w.err
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.bytes += int64(len(b))
	if _, err := w.buf.Write(b); err != nil {
		w.err = fmt.Errorf("write a snapshot: %w", err)
	}
}

// Commit puts the snapshot in the place of the one before, when all of it is on disk, and returns its size in bytes. On an error
// the one before is still there, unless it was only the directory that could not be synced.
func (w *Writer) Commit() (int64, error) {
	w.write(binary.LittleEndian.AppendUint32([]byte(tailMagic), w.count))
	w.write(binary.LittleEndian.AppendUint32(nil, w.sum))
	err := w.err
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		w.Abort()
		return 0, err
	}
	w.ended = true
	return w.bytes, nil
}

func (w *Writer) finish() error {
	fail := func(what string, err error) error { return fmt.Errorf("write a snapshot: %s: %w", what, err) }
	if err := w.buf.Flush(); err != nil {
		return fail("the last of it", err)
	}
	// Only now it is known how many partitions there are.
	head, err := w.header.encode(w.count)
	if err != nil {
		return err
	}
	if _, err := w.file.WriteAt(head, 0); err != nil {
		return fail("its header", err)
	}
	if err := w.file.Sync(); err != nil {
		return fail("sync it", err)
	}
	if err := w.file.Close(); err != nil {
		return fail("close it", err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		return fail("put it in place", err)
	}
	dir, err := os.Open(filepath.Dir(w.path))
	if err != nil {
		return fail("sync its directory", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fail("sync its directory", err)
	}
	return nil
}

// Abort forgets the snapshot; the one before stays. After Commit it does nothing.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	w.file.Close() // twice, if Commit came so far: no harm
	os.Remove(w.path + ".new")
}
