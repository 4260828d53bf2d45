package peernet

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// dialTimeout bounds a dial whose context has no deadline, about as a kernel does.
const dialTimeout = 2 * time.Minute

// Dialer returns what a host dials with. It takes a round trip. A host that is up and has no listener at the address refuses
// (syscall.ECONNREFUSED); where packets get lost, one way or the other, it goes on until they arrive or the context ends.
func (n *Net) Dialer(from string) func(ctx context.Context, address string) (net.Conn, error) {
	from = hostOf(from)
	return func(ctx context.Context, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		c, err := n.dial(ctx, from, address)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "mem", Addr: addr(address), Err: err}
		}
		return c, nil
	}
}

func (n *Net) dial(ctx context.Context, from, address string) (net.Conn, error) {
	to := hostOf(address)
	for {
		n.mu.Lock()
		takes, changed := time.Duration(-1), n.changed
		if n.pathLocked(from, to) && n.pathLocked(to, from) && !n.hostLocked(from).paused {
			takes = n.tripLocked(from, to) + n.tripLocked(to, from)
		}
		n.mu.Unlock()
		if takes < 0 {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if takes > 0 {
			arrives := time.NewTimer(takes)
			select {
			case <-arrives.C:
			case <-ctx.Done():
				arrives.Stop()
				return nil, ctx.Err()
			}
		}
		if c, err := n.arrive(from, address); c != nil || err != nil {
			return c, err
		}
	}
}

// arrive ends a dial when its packets have arrived. Nil and no error: they got lost on the way.
func (n *Net) arrive(from, address string) (net.Conn, error) {
	to := hostOf(address)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.pathLocked(from, to) || !n.pathLocked(to, from) {
		return nil, nil
	}
	l := n.hostLocked(to).listeners[address]
	if l == nil {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	n.ports++
	client, server := n.connectLocked(fmt.Sprintf("%s:%d", from, 1<<16+n.ports), address)
	l.queue = append(l.queue, server)
	l.ready.Signal()
	return client, nil
}
