package members

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

func TestStreamsFromStrangersAreBounded(t *testing.T) {
	var open atomic.Int32
	var ours, theirs []net.Conn
	for range maxStreams {
		here, there := net.Pipe()
		c := take(here, &open)
		if c == nil {
			t.Fatalf("stream %d of %d was turned away", len(ours)+1, maxStreams)
		}
		ours, theirs = append(ours, c), append(theirs, there)
	}
	here, there := net.Pipe()
	if take(here, &open) != nil {
		t.Errorf("stream %d was taken; the most is %d", maxStreams+1, maxStreams)
	}
	if _, err := there.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a stream that was turned away says %v, want its end", err)
	}
	// Closing twice, as memberlist may, frees one place.
	ours[0].Close()
	ours[0].Close()
	if n := open.Load(); n != maxStreams-1 {
		t.Errorf("%d streams open after one of %d was closed twice", n, maxStreams)
	}
	here, there = net.Pipe()
	if ours[0] = take(here, &open); ours[0] == nil {
		t.Error("no room after a stream was closed")
	}
	theirs[0] = there
	for i := range ours {
		ours[i].Close()
		theirs[i].Close()
	}
}

func TestAStreamBringsNoMoreThanItsShare(t *testing.T) {
	var open atomic.Int32
	here, there := net.Pipe()
	c := take(here, &open)
	defer c.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		there.Write(bytes.Repeat([]byte{1}, maxStream+1))
	}()
	b, err := io.ReadAll(c)
	if len(b) != maxStream || !errors.Is(err, errStream) {
		t.Errorf("a stream of %d bytes brought %d and then %v, want %d and %v", maxStream+1, len(b), err, maxStream, errStream)
	}
	c.Close()
	<-done
}
