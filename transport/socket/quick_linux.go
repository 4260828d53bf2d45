//go:build linux && !race

package socket

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Quick returns the connection with quick reads and writes if it is a *net.TCPConn, else as it is. Of what it returns, one goroutine may read and one
// may write at a time; everything else, and Close, is for any, as with a net.Conn.
func Quick(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil { // it is closed, and reading it will say so
		return c
	}
	q := &quick{tcp: tcp{t}, raw: raw}
	q.in.try, q.out.try, q.turn = q.in.read, q.out.write, q.writeThenRead
	return q
}

// tcp hides what of a TCPConn would go past Read and Write: io.Copy looks for ReadFrom and WriteTo.
type tcp struct{ net.Conn }

type quick struct {
	tcp
	raw     syscall.RawConn
	in, out transfer

	// An exchange under way.
	turn    func(fd uintptr) (done bool) // writeThenRead
	written bool
	wrote   func()
}

// A transfer is a read or a write under way. It is part of the connection, so that nothing is allocated for one.
type transfer struct {
	b   []byte
	n   int
	err syscall.Errno
	try func(fd uintptr) (done bool) // read or write; a method value made for each call would be allocated
}

func (q *quick) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := q.in.do("read", q.raw.Read, b, q)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

func (q *quick) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return q.out.do("write", q.raw.Write, b, q)
}

func (q *quick) exchange(out, in []byte, wrote func()) (n int, sent bool, err error) {
	q.in.begin(in)
	q.out.begin(out)
	q.written, q.wrote = false, wrote
	err = q.raw.Read(q.turn)
	q.in.b, q.out.b, q.wrote = nil, nil, nil
	if !q.written {
		// A deadline that has passed, an error, or a socket that is full: Write is for all of them.
		return plainExchange(q, out[q.out.n:], in, wrote)
	}
	n, err = q.in.result("read", err, q)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, true, err
}

// writeThenRead is called first with nothing written. That it cannot go on then makes its caller wait for what comes from now on: what came
// before, the poller has forgotten as the call began.
func (q *quick) writeThenRead(fd uintptr) bool {
	if q.written {
		return q.in.read(fd)
	}
	if !q.out.write(fd) || q.out.err != 0 {
		return true
	}
	q.written = true
	if q.wrote != nil {
		q.wrote()
	}
	return false
}

func (q *quick) readEach(b []byte, each func(n int) bool) error {
	var failed syscall.Errno
	err := q.raw.Read(func(fd uintptr) bool {
		for {
			q.in.begin(b)
			if !q.in.read(fd) {
				return false
			}
			n := q.in.n
			if failed = q.in.err; n == 0 || !each(n) {
				return true
			}
			if n < len(b) {
				return false // that was all; whatever came since, the poller knows of
			}
		}
	})
	q.in.b, q.in.err = nil, failed
	if _, err = q.in.result("read", err, q); err == nil && q.in.n == 0 {
		err = io.EOF
	}
	return err
}

// do makes a transfer: wait calls try, and again whenever the socket is ready, until it is done.
func (t *transfer) do(op string, wait func(func(uintptr) bool) error, b []byte, c net.Conn) (int, error) {
	t.begin(b)
	err := wait(t.try)
	t.b = nil
	return t.result(op, err, c)
}

func (t *transfer) begin(b []byte) { t.b, t.n, t.err = b, 0, 0 }

// result returns what came of a transfer that ended so.
func (t *transfer) result(op string, err error, c net.Conn) (int, error) {
	if err == nil && t.err != 0 {
		err = &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, t.err)}
	}
	return t.n, err
}

func (t *transfer) read(fd uintptr) bool {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&t.b[0])), uintptr(len(t.b)))
		switch err {
		case 0:
			t.n = int(n)
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
		}
		return true
	}
}

func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.b) {
		rest := t.b[t.n:]
		n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&rest[0])), uintptr(len(rest)))
		switch err {
		case 0:
			t.n += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
			return true
		}
	}
	return true
}
