package socket

import "net"

// Exchange writes out and then reads into in, as Write and Read would, one after the other; sent says that all of out was written. If wrote is not nil it
// is called in between. Where the connection is quick that is a system call less: after it wrote, it waits for an answer instead of
// looking for one first.
//
// It is for who has read all that came before, and whose other end says nothing more before it has got out. What else came before it was called may
// lie unread until more comes, or a deadline. in and out are not empty. One goroutine may call it, and none Read and Write meanwhile.
func Exchange(c net.Conn, out, in []byte, wrote func()) (n int, sent bool, err error) {
	if q, ok := c.(quicker); ok {
		return q.exchange(out, in, wrote)
	}
	return plainExchange(c, out, in, wrote)
}

func plainExchange(c net.Conn, out, in []byte, wrote func()) (n int, sent bool, err error) {
	if len(out) > 0 {
		if _, err = c.Write(out); err != nil {
			return 0, false, err
		}
	}
	if wrote != nil {
		wrote()
	}
	n, err = c.Read(in)
	return n, true, err
}

// ReadEach reads into b as Read would, calls each with how many bytes came, and so on for as long as each returns true. Then, and at the end of the
// connection and after an error, it returns what Read would have.
//
// Where the connection is quick it does not look for more after it got less than b has room for, but waits: a system call less where the other end
// speaks only when it has been answered. What comes meanwhile, also while each runs, it is told of and misses none. Only an end of the connection that came
// together with the last bytes is not seen before something else happens, or a deadline. each may write and set deadlines; it must not read from
// the connection, nor close it: that would wait for each.
func ReadEach(c net.Conn, b []byte, each func(n int) bool) error {
	if q, ok := c.(quicker); ok {
		return q.readEach(b, each)
	}
	for {
		n, err := c.Read(b)
		if n > 0 && !each(n) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type quicker interface {
	exchange(out, in []byte, wrote func()) (n int, sent bool, err error)
	readEach(b []byte, each func(n int) bool) error
}
