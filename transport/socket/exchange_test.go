package socket

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Everything that is sent is read, in order, also what comes while what came before is dealt with, in pieces of all sizes; then comes the end.
func TestReadEachMissesNothing(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		x, y := pair(t)
		sent := make([]byte, 20_000)
		for i := range sent {
			sent[i] = byte(r.Uint32())
		}
		go func() {
			w := rand.New(rand.NewPCG(seed, 2))
			for rest := sent; len(rest) > 0; {
				n := min(1+w.IntN(300), len(rest))
				x.Write(rest[:n])
				rest = rest[n:]
				for range w.IntN(4) {
					runtime.Gosched()
				}
			}
			if seed%2 == 0 {
				x.CloseWrite()
			} else {
				x.Close()
			}
		}()
		var got []byte
		b := make([]byte, 100)
		c := Quick(y)
		// An end that comes with the last bytes is not seen: then it is the deadline that ends it.
		c.SetReadDeadline(time.Now().Add(time.Second))
		err := ReadEach(c, b, func(n int) bool {
			got = append(got, b[:n]...)
			for range r.IntN(4) {
				runtime.Gosched()
			}
			if r.IntN(8) == 0 {
				c.SetReadDeadline(time.Now().Add(time.Second))
			}
			return true
		})
		if !bytes.Equal(got, sent) {
			t.Fatalf("seed %d: %d of %d bytes, then %v", seed, len(got), len(sent), err)
		}
		if err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("seed %d: it ended with %v", seed, err)
		}
	}
}

func TestReadEachEnds(t *testing.T) {
	b := make([]byte, 100)
	t.Run("when it is told to", func(t *testing.T) {
		x, y := pair(t)
		x.Write([]byte("a"))
		if err := ReadEach(Quick(y), b, func(n int) bool { return n != 1 }); err != nil {
			t.Error(err)
		}
		x.Write([]byte("b")) // and can be read from as before
		if n, err := Quick(y).Read(b); n != 1 || b[0] != 'b' || err != nil {
			t.Error(n, err)
		}
	})
	t.Run("by a deadline that was set meanwhile", func(t *testing.T) {
		x, y := pair(t)
		x.Write([]byte("a"))
		c := Quick(y)
		err := ReadEach(c, b, func(int) bool {
			c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			return true
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("by Close", func(t *testing.T) {
		x, y := pair(t)
		c, came := Quick(y), make(chan bool)
		ended := make(chan error)
		go func() {
			ended <- ReadEach(c, b, func(int) bool {
				came <- true
				return true
			})
		}()
		x.Write([]byte("a"))
		<-came
		c.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("by a reset", func(t *testing.T) {
		x, y := pair(t)
		x.Write([]byte("a"))
		err := ReadEach(Quick(y), b, func(int) bool {
			x.SetLinger(0)
			x.Close()
			return true
		})
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

// Exchanges in turn, of all sizes, also of what the socket has no room for at once.
func TestExchange(t *testing.T) {
	x, y := pair(t)
	a, b := Quick(x), Quick(y)
	sizes := []int{1, 100, 4 << 10, 300 << 10, 16 << 20, 1}
	go func() {
		in := make([]byte, 1<<20)
		for _, size := range sizes {
			for got := 0; got < size; {
				n, err := b.Read(in)
				if err != nil {
					t.Error(err)
					return
				}
				got += n
			}
			b.Write([]byte("yes"))
		}
		b.Close()
	}()
	in := make([]byte, 100)
	for _, size := range sizes {
		wrote := 0
		n, sent, err := Exchange(a, make([]byte, size), in, func() { wrote++ })
		if n != 3 || !sent || err != nil || string(in[:3]) != "yes" || wrote != 1 {
			t.Fatalf("%d bytes: %d, %v, %v, %q, written %d times", size, n, sent, err, in[:n], wrote)
		}
	}
	if n, sent, err := Exchange(a, []byte("x"), in, nil); n != 0 || !sent || err == nil {
		t.Error("after the end:", n, sent, err)
	}
	a.Close()
	if n, sent, err := Exchange(a, []byte("x"), in, nil); n != 0 || sent || !errors.Is(err, net.ErrClosed) {
		t.Error("after Close:", n, sent, err)
	}
}

// A deadline that has passed stops the reading and not the writing: as of a Write and a Read.
func TestExchangeAfterADeadline(t *testing.T) {
	x, y := pair(t)
	c := Quick(x)
	c.SetReadDeadline(time.Unix(1, 0))
	in := make([]byte, 1)
	if n, sent, err := Exchange(c, []byte("x"), in, nil); n != 0 || !sent || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(n, sent, err)
	}
	if n, err := y.Read(in); n != 1 || err != nil {
		t.Error("it was not written:", n, err)
	}
}

func TestExchangesAllocateNothing(t *testing.T) {
	x, y := pair(t)
	a, b := Quick(x), Quick(y)
	go func() {
		buf := make([]byte, 100)
		for {
			n, err := b.Read(buf)
			if err != nil {
				return
			}
			b.Write(buf[:n])
		}
	}()
	out, in := make([]byte, 100), make([]byte, 100)
	wrote := func() {}
	if n := testing.AllocsPerRun(100, func() { Exchange(a, out, in, wrote) }); n > 0 {
		t.Errorf("%v allocations an exchange", n)
	}
	x.Close()
}
