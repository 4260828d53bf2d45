package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a connection.
func pair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.Close()
		y.Close()
	})
	return x.(*net.TCPConn), y.(*net.TCPConn)
}

// Everything that is written arrives, in order, also what is far more than the socket takes at once.
func TestAllArrives(t *testing.T) {
	x, y := pair(t)
	a, b := Quick(x), Quick(y)
	sent := bytes.Repeat([]byte("0123456789abcde\n"), 1<<19) // 8 MiB
	wrote := make(chan error, 1)
	go func() {
		n, err := a.Write(sent)
		if n != len(sent) && err == nil {
			err = io.ErrShortWrite
		}
		a.Close()
		wrote <- err
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes arrived: %v", len(got), len(sent), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read after the end: %d, %v", n, err)
	}
}

// Errors are those of a net.Conn, for who looks at them.
func TestErrors(t *testing.T) {
	buf := make([]byte, 1<<16)
	timeout := func(err error) bool {
		var ne net.Error
		return errors.As(err, &ne) && ne.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
	}
	t.Run("read deadline", func(t *testing.T) {
		x, _ := pair(t)
		c := Quick(x)
		c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := c.Read(buf); !timeout(err) {
			t.Error(err)
		}
		c.SetReadDeadline(time.Unix(1, 0))
		if _, err := c.Read(buf); !timeout(err) {
			t.Error(err)
		}
	})
	t.Run("write deadline", func(t *testing.T) {
		x, _ := pair(t)
		c := Quick(x)
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Write(make([]byte, 64<<20)) // nobody reads it
		if !timeout(err) || n == 0 || n == 64<<20 {
			t.Error(n, err)
		}
	})
	t.Run("closed while it is read", func(t *testing.T) {
		x, _ := pair(t)
		c := Quick(x)
		read := make(chan error)
		go func() {
			_, err := c.Read(buf)
			read <- err
		}()
		c.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := c.Write(buf); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		x, y := pair(t)
		c := Quick(x)
		y.SetLinger(0)
		y.Close()
		_, err := c.Read(buf)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != y.LocalAddr().String() {
			t.Errorf("%#v", err)
		}
		if _, err := c.Write(buf); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		x, _ := pair(t)
		c := Quick(x)
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
	})
}

// Other connections stay as they are, and a quick one has no way past Read and Write.
func TestWhich(t *testing.T) {
	p, _ := net.Pipe()
	if Quick(p) != p {
		t.Error("a pipe was wrapped")
	}
	p.Close()
	x, _ := pair(t)
	c := Quick(x)
	if _, ok := c.(io.ReaderFrom); ok && c != net.Conn(x) {
		t.Error("io.Copy would go past Write")
	}
}

func TestTransfersAllocateNothing(t *testing.T) {
	x, y := pair(t)
	a, b := Quick(x), Quick(y)
	buf := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		a.Write(buf)
		b.Read(buf)
	}); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}
