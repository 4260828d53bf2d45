//go:build !linux || race

package socket

import "net"

// Quick returns the connection as it is.
//
// So it does with the race detector: what is written to a socket and what is read from it are ordered, and the syscall package tells the detector so. A
// raw call does not, and a test with both ends in one process, which is right, would be blamed.
func Quick(c net.Conn) net.Conn { return c }
