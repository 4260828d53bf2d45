package peernet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Net is a network. A host is the part of an address before the port, or a whole address without one; it is there from the first
// time that it is named. All methods may be called at any time from many goroutines.
type Net struct {
	mu      sync.Mutex // protects everything, also of connections and listeners
	rand    *rand.Rand
	hosts   map[string]*host
	cut     map[link]bool
	delays  map[link]span
	delay   span
	conns   map[*conn]bool // ends that are open
	ports   int            // given to those who dial
	changed chan struct{}  // closed, and made anew, when a fault comes or goes or somebody listens
}

// A link is one direction between two hosts.
type link struct{ from, to string }

type span struct{ min, max time.Duration }

type host struct {
	listeners map[string]*listener // by address
	gone      bool
	paused    bool
}

// New returns a network without faults and delays.
func New(r *rand.Rand) *Net {
	return &Net{rand: r, hosts: map[string]*host{}, cut: map[link]bool{}, delays: map[link]span{}, conns: map[*conn]bool{},
		changed: make(chan struct{})}
}

// hostOf returns the host of an address.
func hostOf(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}

func (n *Net) hostLocked(name string) *host {
	h := n.hosts[name]
	if h == nil {
		h = &host{listeners: map[string]*listener{}}
		n.hosts[name] = h
	}
	return h
}

// changedLocked lets all that wait for the network look again.
func (n *Net) changedLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
	for c := range n.conns {
		c.wakeLocked()
	}
	for _, h := range n.hosts {
		for _, l := range h.listeners {
			l.ready.Broadcast()
		}
	}
}

// pathLocked reports whether packets get from one host to another.
func (n *Net) pathLocked(from, to string) bool {
	return !n.cut[link{from, to}] && !n.hostLocked(from).gone && !n.hostLocked(to).gone
}

// tripLocked draws how long a packet takes.
func (n *Net) tripLocked(from, to string) time.Duration {
	d, have := n.delays[link{from, to}]
	if !have {
		d = n.delay
	}
	if d.max <= d.min {
		return d.min
	}
	return d.min + time.Duration(n.rand.Int64N(int64(d.max-d.min)+1))
}

// An addr is a net.Addr of this network.
type addr string

func (a addr) Network() string { return "mem" }
func (a addr) String() string  { return string(a) }

// Listen takes an address. A host that was gone is back with it.
func (n *Net) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(hostOf(address))
	if h.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "mem", Addr: addr(address), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{net: n, addr: address, host: h}
	l.ready.L = &n.mu
	h.listeners[address] = l
	if h.gone {
		h.gone = false
		n.backLocked(hostOf(address))
	}
	n.changedLocked()
	return l, nil
}

// backLocked resets the connections of a host that was gone: it does not know them. Who has sent something hears so now, the others
// once they send.
func (n *Net) backLocked(name string) {
	for c := range n.conns {
		if c.peer.vanished && c.peer.host == name && c.out.size > 0 {
			c.in.endLocked(errReset("read"))
		}
	}
}

func errReset(call string) error { return os.NewSyscallError(call, syscall.ECONNRESET) }

type listener struct {
	net    *Net
	addr   string
	host   *host
	queue  []*conn
	ready  sync.Cond
	closed bool
}

func (l *listener) Addr() net.Addr { return addr(l.addr) }

func (l *listener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for !l.closed && (len(l.queue) == 0 || l.host.paused) {
		l.ready.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: addr(l.addr), Err: net.ErrClosed}
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close frees the address. Connections that nobody has accepted yet are reset.
func (l *listener) Close() error {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.closed {
		return fmt.Errorf("close the listener of %s: %w", l.addr, net.ErrClosed)
	}
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	l.closed = true
	delete(l.host.listeners, l.addr)
	for _, c := range l.queue {
		c.closeLocked(errReset("read"))
	}
	l.queue = nil
	l.ready.Broadcast()
}
