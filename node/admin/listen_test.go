package admin

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestConnectionsAreBounded(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := Listen(tcp)
	accepted := make(chan net.Conn, maxConns+1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var first net.Conn
	for range maxConns {
		dial()
		if c := <-accepted; first == nil {
			first = c
		} else {
			t.Cleanup(func() { c.Close() })
		}
	}
	extra := dial()
	extra.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := extra.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("connection %d: %v, want its end", maxConns+1, err)
	}
	// A place is free again once, however often its connection is closed.
	first.Close()
	first.Close()
	dial()
	c := <-accepted
	extra = dial()
	extra.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := extra.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection closed twice has freed two places: %v", err)
	}
	c.Close()
	ln.Close()
	<-done
}
