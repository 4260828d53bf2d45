package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/vmihailenco/msgpack/v5"
)

// A Writer writes the fields of a control message as msgpack, one after the other, without reflection.
type Writer struct {
	buf bytes.Buffer
	enc *msgpack.Encoder
}

func newWriter(room int) *Writer {
	w := new(Writer)
	w.buf.Write(make([]byte, room))
	w.enc = msgpack.NewEncoder(&w.buf)
	w.enc.UseCompactInts(true)
	return w
}

func (w *Writer) bytes() []byte { return w.buf.Bytes() }

// Writing to a buffer does not fail.

// Array begins an array of n values; messages begin with one.
func (w *Writer) Array(n int)     { _ = w.enc.EncodeArrayLen(n) }
func (w *Writer) Uint(v uint64)   { _ = w.enc.EncodeUint(v) }
func (w *Writer) Int(v int64)     { _ = w.enc.EncodeInt(v) }
func (w *Writer) Bool(v bool)     { _ = w.enc.EncodeBool(v) }
func (w *Writer) String(v string) { _ = w.enc.EncodeString(v) }
func (w *Writer) Bytes(v []byte)  { _ = w.enc.EncodeBytes(append([]byte{}, v...)) }

// A Reader reads what a Writer wrote. The first error stays: later reads return zero values, and Err says it. No
// length from the wire makes it allocate: each is first held against a cap, and against the bytes that are left.
type Reader struct {
	in  bytes.Reader
	dec *msgpack.Decoder
	err error
}

func newReader(b []byte) *Reader {
	r := new(Reader)
	r.in.Reset(b)
	r.dec = msgpack.NewDecoder(&r.in)
	return r
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(err error) {
	if r.err == nil && err != nil {
		r.err = err
	}
}

// end returns the first error, or one if something is left.
func (r *Reader) end() error {
	if r.err == nil && r.in.Len() > 0 {
		r.err = fmt.Errorf("%d bytes after the end of the message", r.in.Len())
	}
	return r.err
}

// Array begins an array that must have n values.
func (r *Reader) Array(n int) {
	if got := r.ArrayMax(n, 0); r.err == nil && got != n {
		r.fail(fmt.Errorf("%d fields instead of %d", got, n))
	}
}

// ArrayMax begins an array of at most most values, each of at least size bytes on the wire, and returns how many.
func (r *Reader) ArrayMax(most, size int) int {
	if r.err != nil {
		return 0
	}
	n, err := r.dec.DecodeArrayLen()
	switch {
	case err != nil:
		r.fail(err)
	case n < 0 || n > most:
		r.fail(fmt.Errorf("array of %d values, at most %d are allowed", n, most))
	case n*size > r.in.Len():
		r.fail(io.ErrUnexpectedEOF)
	default:
		return n
	}
	return 0
}

func (r *Reader) Uint() (v uint64) { return read(r, r.dec.DecodeUint64) }
func (r *Reader) Int() (v int64)   { return read(r, r.dec.DecodeInt64) }
func (r *Reader) Bool() (v bool)   { return read(r, r.dec.DecodeBool) }

func read[T any](r *Reader, f func() (T, error)) (zero T) {
	if r.err != nil {
		return zero
	}
	v, err := f()
	if err != nil {
		r.fail(err)
		return zero
	}
	return v
}

// String reads a string of at most most bytes.
func (r *Reader) String(most int) string { return string(r.Bytes(most)) }

// Bytes reads at most most bytes. They are the caller's.
func (r *Reader) Bytes(most int) []byte {
	if r.err != nil {
		return nil
	}
	n, err := r.dec.DecodeBytesLen()
	switch {
	case err != nil:
		r.fail(err)
	case n < 0:
		r.fail(errors.New("nil instead of bytes"))
	case n > most:
		r.fail(fmt.Errorf("%d bytes, at most %d are allowed", n, most))
	case n > r.in.Len():
		r.fail(io.ErrUnexpectedEOF)
	default:
		b := make([]byte, n)
		if err := r.dec.ReadFull(b); err != nil {
			r.fail(err)
			return nil
		}
		return b
	}
	return nil
}
