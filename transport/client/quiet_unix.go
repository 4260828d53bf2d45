//go:build unix

package client

import (
	"net"
	"syscall"
)

// quiet reports whether an idle connection is open and has nothing to say: one look, without waiting. A node that went away while the
// connection was idle has said so by now; who looks first knows that a request was never sent.
func quiet(conn net.Conn) bool {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return true // TLS, or a pipe: writing will tell
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		n, err := syscall.Read(int(fd), b[:])
		is = n < 0 && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR)
		return true
	})
	return err == nil && is
}
