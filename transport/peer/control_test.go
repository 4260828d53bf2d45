package peer

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHelloTellsWhatDiffers(t *testing.T) {
	more := hello
	more.Constants = append(more.Constants[:1:1], Constant{"hash", "xxh3"})
	load := hello
	load.Constants = []Constant{{"load", "1.2"}}
	for _, x := range []struct {
		there Hello
		says  string
	}{
		{hello, ""},
		{Hello{Partitions: 1021, Constants: hello.Constants, HashKey: hello.HashKey}, "partitions is 1021 here and 4093 there"},
		{load, `load is "1.2" here and "1.1" there`},
		{more, `constant 1 is "hash" here and "" there`},
		{Hello{Partitions: partitions, Constants: hello.Constants, HashKey: 8}, "hash keys differ (--hash-key-file)"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newCounters()
			p := newPair(t, d, func(_ *PipeConfig, sc *ServerConfig) { sc.Hello = x.there })
			defer p.close()
			there, err := p.pipe.Hello(context.Background())
			a := ask(t, p.pipe, 7, 1, 10)
			if x.says == "" {
				if err != nil || there.Differs(&hello) != nil || a.Code != Decided {
					t.Errorf("%v, %+v, code %d", err, there, a.Code)
				}
				return
			}
			if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), x.says) || !strings.Contains(err.Error(), `"n1"`) {
				t.Errorf("%v\nmust say %s", err, x.says)
			}
			// Who did not say hello is refused all the same, and nothing is spent.
			if a.Code != Unsent || d.total(7) != 0 {
				t.Errorf("code %d, %d spent", a.Code, d.total(7))
			}
		})
	}
}

// A note is a message as a later one would be added.
type note struct{ text string }

func (*note) Kind() Kind         { return 200 }
func (n *note) Encode(w *Writer) { w.Array(1); w.String(n.text) }
func (n *note) Decode(r *Reader) error {
	r.Array(1)
	n.text = r.String(100)
	return r.Err()
}

func notes(t *testing.T, answer func(Member, *note) (Message, error)) *pair {
	// The handler is registered before the server serves.
	nw := newNetwork()
	s, err := NewServer(ServerConfig{Self: n1, Decider: newCounters(), Hello: hello})
	if err != nil {
		t.Fatal(err)
	}
	Handle(s, answer)
	panics(t, "a second handler", func() { Handle(s, answer) })
	p, err := NewPipe(PipeConfig{Self: n0, Peer: n1, Addr: "n1", Hello: hello, Dial: nw.Dial})
	if err != nil {
		t.Fatal(err)
	}
	x := &pair{t: t, net: nw, server: s, pipe: p, served: make(chan error, 1)}
	go func() { x.served <- s.Serve(nw) }()
	return x
}

func TestControlMessagesGoThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := notes(t, func(from Member, n *note) (Message, error) {
			if n.text == "no" {
				return nil, errors.New("not today")
			}
			return &note{from.Name + " says " + n.text}, nil
		})
		defer x.close()
		for range 3 {
			var back note
			if err := x.pipe.Control(t.Context(), &note{"hi"}, &back); err != nil || back.text != "n0 says hi" {
				t.Errorf("%q, %v", back.text, err)
			}
		}
		if x.net.dials != 1 {
			t.Errorf("%d connections", x.net.dials)
		}
		err := x.pipe.Control(t.Context(), &note{"no"}, &note{})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not today") {
			t.Error(err)
		}
		if err := x.pipe.Control(t.Context(), &note{strings.Repeat("x", 101)}, &note{}); err == nil || x.server.Stats().Bad.Load() != 1 {
			t.Errorf("a text beyond its cap: %v", err)
		}
		// The server closes idle connections; that is no failure.
		time.Sleep(2 * idleTimeout)
		if err := x.pipe.Control(t.Context(), &note{"hi"}, &note{}); err != nil {
			t.Error(err)
		}
	})
}

func TestControlIsRefusedByAnotherStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newPair(t, newCounters(), func(_ *PipeConfig, sc *ServerConfig) { sc.Self.StartID++ })
		defer x.close()
		if _, err := x.pipe.Hello(t.Context()); !errors.Is(err, ErrRestarted) || !x.pipe.Gone() {
			t.Errorf("%v, gone %v", err, x.pipe.Gone())
		}
	})
}

func TestControlIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		x := notes(t, func(Member, *note) (Message, error) { <-hang; return &note{}, nil })
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		first := make(chan error)
		go func() { first <- x.pipe.Control(ctx, &note{}, &note{}) }()
		synctest.Wait()
		if err := x.pipe.Control(ctx, &note{}, &note{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind another: %v", err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 70*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := x.pipe.Control(t.Context(), &note{}, &note{}); err == nil || time.Since(began) != 70*time.Millisecond+controlTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// Closing ends it too.
		go func() { first <- x.pipe.Control(t.Context(), &note{}, &note{}) }()
		synctest.Wait()
		x.pipe.Close()
		if err := <-first; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := x.pipe.Control(t.Context(), &note{}, &note{}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		close(hang)
		x.close()
	})
}

func TestControlSurvivesABrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := notes(t, func(_ Member, n *note) (Message, error) { return n, nil })
		defer x.close()
		x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
			if dial == 1 {
				return cutAfter(c, -1, 100), nil
			}
			return c, nil
		})
		for range 4 {
			if err := x.pipe.Control(t.Context(), &note{"hi"}, &note{}); err != nil {
				t.Error(err)
			}
		}
		x.pipe.Close()
		synctest.Wait()
		if n := x.server.Stats().Conns.Load(); n != 0 {
			t.Errorf("%d connections after Close", n)
		}
	})
}

// A length is held against the bytes that are left before anything is allocated for it, however generous the cap.
func TestALyingLengthAllocatesNothing(t *testing.T) {
	for what, b := range map[string][]byte{
		"bytes":  {0xc6, 0x1f, 0xff, 0xff, 0xff, 1, 2, 3},
		"string": {0xdb, 0x1f, 0xff, 0xff, 0xff, 1, 2, 3},
		"nil":    {0xc0},
		"array":  {0xdd, 0x1f, 0xff, 0xff, 0xff, 1, 2, 3},
	} {
		var r *Reader
		if n := spentBytes(func() {
			r = newReader(b)
			if what == "array" {
				r.ArrayMax(1<<30, 1)
			} else {
				r.Bytes(1 << 30)
			}
		}); n > budget(len(b)) || r.Err() == nil {
			t.Errorf("%s: %d bytes allocated, %v", what, n, r.Err())
		}
	}
}

func FuzzControl(f *testing.F) {
	w := newWriter(0)
	w.Array(5)
	for _, v := range []uint64{controlVersion, uint64(KindHello)} {
		w.Uint(v)
	}
	w.String("n0")
	w.Uint(100)
	w.Uint(200)
	hello.Encode(w)
	f.Add(w.bytes())
	f.Add([]byte{0x95, 1, 1, 0xdb, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add(append(w.bytes()[:9:9], 0x93, 1, 1, 0xdd, 0x7f, 0xff, 0xff, 0xff))
	s, err := NewServer(ServerConfig{Self: n1, Decider: newCounters(), Hello: hello})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := spentBytes(func() {
			r := newReader(b)
			kind, from, target, err := readEnvelope(r)
			if err == nil {
				_, _ = s.answerControl(kind, from, target, r)
			}
			r = newReader(b)
			var h Hello
			_ = h.Decode(r)
		}); n > budget(len(b)) {
			t.Fatalf("%d bytes allocated from %d", n, len(b))
		}
	})
}
