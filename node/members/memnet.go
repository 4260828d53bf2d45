package members

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// MemNet is a gossip network in memory, for tests: no sockets, so it works under testing/synctest, and links can be
// cut. The zero value is ready.
type MemNet struct {
	mu    sync.Mutex
	hosts map[netip.AddrPort]*memHost
	link  func(from, to netip.AddrPort) bool
}

// Link sets which links work, in each direction; nil: all do. Through one that does not, packets get lost and calls
// time out. Streams that are open stay.
func (n *MemNet) Link(works func(from, to netip.AddrPort) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link = works
}

// Listen takes an address of the network.
func (n *MemNet) Listen(addr netip.AddrPort) (Transport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[netip.AddrPort]*memHost{}
	}
	if n.hosts[addr] != nil {
		return nil, fmt.Errorf("cannot listen on %s: the address is taken", addr)
	}
	h := &memHost{
		net: n, addr: addr, conns: map[net.Conn]bool{},
		packets: make(chan Packet, 1024), streams: make(chan net.Conn), done: make(chan struct{}),
	}
	n.hosts[addr] = h
	return h, nil
}

// peer returns who listens at an address, and whether the link to it works.
func (n *MemNet) peer(from, to netip.AddrPort) (*memHost, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[to], n.link == nil || n.link(from, to)
}

type memHost struct {
	net     *MemNet
	addr    netip.AddrPort
	packets chan Packet
	streams chan net.Conn
	done    chan struct{}

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func (h *memHost) Addr() netip.AddrPort     { return h.addr }
func (h *memHost) Packets() <-chan Packet   { return h.packets }
func (h *memHost) Streams() <-chan net.Conn { return h.streams }

func (h *memHost) Send(b []byte, to netip.AddrPort) error {
	if peer, works := h.net.peer(h.addr, to); peer != nil && works {
		select {
		case peer.packets <- Packet{h.addr, b, time.Now()}:
		default: // a full socket buffer loses packets, too
		}
	}
	return nil
}

func (h *memHost) Dial(to netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	peer, works := h.net.peer(h.addr, to)
	giveUp := time.NewTimer(timeout)
	defer giveUp.Stop()
	if !works {
		select {
		case <-giveUp.C:
			return nil, fmt.Errorf("cannot reach %s: timed out after %v", to, timeout)
		case <-h.done:
			return nil, net.ErrClosed
		}
	}
	if peer == nil {
		return nil, fmt.Errorf("cannot reach %s: connection refused", to)
	}
	here, there := net.Pipe()
	if !h.keep(here) || !peer.keep(there) {
		here.Close()
		there.Close()
		return nil, net.ErrClosed
	}
	err := errors.New("timed out")
	select {
	case peer.streams <- there:
		return here, nil
	case <-peer.done:
		err = errors.New("connection refused")
	case <-h.done:
		err = net.ErrClosed
	case <-giveUp.C:
	}
	here.Close()
	there.Close()
	return nil, fmt.Errorf("cannot reach %s: %w", to, err)
}

// keep remembers a stream, to be ended with the host. Tests are short: nothing is taken out before.
func (h *memHost) keep(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.conns[c] = true
	return true
}

func (h *memHost) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	close(h.done)
	for c := range h.conns {
		c.Close()
	}
	h.net.mu.Lock()
	delete(h.net.hosts, h.addr)
	h.net.mu.Unlock()
	return nil
}
