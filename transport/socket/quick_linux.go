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
	q.in.try, q.out.try = q.in.read, q.out.write
	return q
}

// tcp hides what of a TCPConn would go past Read and Write: io.Copy looks for ReadFrom and WriteTo.
type tcp struct{ net.Conn }

type quick struct {
	tcp
	raw     syscall.RawConn
	in, out transfer
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

// do makes a transfer: wait calls try, and again whenever the socket is ready, until it is done.
func (t *transfer) do(op string, wait func(func(uintptr) bool) error, b []byte, c net.Conn) (int, error) {
	t.b, t.n, t.err = b, 0, 0
	err := wait(t.try)
	t.b = nil
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
