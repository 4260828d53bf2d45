package members

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// A Transport carries gossip. Left out of a Config it is UDP and TCP; tests put a network of their own under a
// cluster ([MemNet]). Its methods may be called from many goroutines.
type Transport interface {
	// Addr is where others reach this transport.
	Addr() netip.AddrPort
	// Send sends a packet, which may get lost. It may keep b.
	Send(b []byte, to netip.AddrPort) error
	Packets() <-chan Packet
	// Dial opens a stream, or gives up after timeout.
	Dial(to netip.AddrPort, timeout time.Duration) (net.Conn, error)
	Streams() <-chan net.Conn
	// Close frees the address and ends all streams.
	Close() error
}

// A Packet came in.
type Packet struct {
	From netip.AddrPort
	Data []byte
	At   time.Time
}

// shim shows a Transport to memberlist.
type shim struct {
	Transport
	packets chan *memberlist.Packet
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

func newShim(t Transport) *shim {
	s := &shim{Transport: t, packets: make(chan *memberlist.Packet), done: make(chan struct{})}
	s.wg.Go(func() {
		for {
			select {
			case p := <-t.Packets():
				in := &memberlist.Packet{Buf: p.Data, From: net.UDPAddrFromAddrPort(p.From), Timestamp: p.At}
				select {
				case s.packets <- in:
				case <-s.done:
					return
				}
			case <-s.done:
				return
			}
		}
	})
	return s
}

func (s *shim) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	a := s.Addr()
	return a.Addr().AsSlice(), int(a.Port()), nil
}

func (s *shim) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	// Send may keep what it gets; memberlist's buffer is its own.
	return time.Now(), s.Send(append([]byte(nil), b...), to)
}

func (s *shim) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return s.WriteTo(b, a.Addr)
}

func (s *shim) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	return s.Dial(to, timeout)
}

func (s *shim) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return s.DialTimeout(a.Addr, timeout)
}

func (s *shim) PacketCh() <-chan *memberlist.Packet { return s.packets }
func (s *shim) StreamCh() <-chan net.Conn           { return s.Streams() }

func (s *shim) Shutdown() error {
	err := s.Close()
	s.once.Do(func() { close(s.done) })
	s.wg.Wait()
	return err
}

// sockets is UDP and TCP. Memberlist's own transport does the listening; here its calls are made to end with the
// context, so that closing does not wait for a peer that does not answer, and strangers' streams are bounded (inbound.go).
type sockets struct {
	*memberlist.NetTransport
	ctx     context.Context
	streams chan net.Conn
	open    atomic.Int32 // streams from others
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

func newSockets(ctx context.Context, t *memberlist.NetTransport) *sockets {
	s := &sockets{NetTransport: t, ctx: ctx, streams: make(chan net.Conn), done: make(chan struct{})}
	s.wg.Go(func() {
		for {
			select {
			case c := <-t.StreamCh():
				if c = take(c, &s.open); c == nil {
					continue
				}
				select {
				case s.streams <- c:
				case <-s.done:
					c.Close()
					return
				}
			case <-s.done:
				return
			}
		}
	})
	return s
}

func (s *sockets) StreamCh() <-chan net.Conn { return s.streams }

// Shutdown ends the listeners first: they may be waiting to hand a stream over.
func (s *sockets) Shutdown() error {
	err := s.NetTransport.Shutdown()
	s.once.Do(func() { close(s.done) })
	s.wg.Wait()
	return err
}

func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(s.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &call{conn, context.AfterFunc(s.ctx, func() { conn.Close() })}, nil
}

func (s *sockets) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return s.DialTimeout(a.Addr, timeout)
}

// A call is a connection this node made, closed with the context.
type call struct {
	net.Conn
	release func() bool
}

func (c *call) Close() error {
	c.release()
	return c.Conn.Close()
}
