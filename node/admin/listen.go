package admin

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxConns bounds the connections to the admin port: a scraper, some probes and a few people. net/http bounds none, and who opens
// enough of them takes the files that checks and peers need.
const maxConns = 256

// Listen wraps a listener so that it has at most 256 connections open; further ones are closed at once. Each must be closed
// in the end, as net/http does.
func Listen(ln net.Listener) net.Listener { return &bounded{Listener: ln} }

type bounded struct {
	net.Listener
	open atomic.Int32
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= maxConns {
			return &counted{Conn: c, open: &b.open}, nil
		}
		b.open.Add(-1)
		c.Close()
	}
}

type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
