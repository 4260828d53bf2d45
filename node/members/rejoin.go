package members

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A seed is an address from the configuration, with what it stood for when last looked up.
type seed struct {
	text, host string
	port       uint16

	// protects following fields
	mu     sync.Mutex
	addrs  []netip.AddrPort
	known  bool // looked up at least once
	busy   bool
	failed time.Time // when the present row of failures began
}

func newSeed(text string, port uint16) (*seed, error) {
	host, port, err := splitSeed(text, port)
	if err != nil {
		return nil, err
	}
	s := &seed{text: text, host: host, port: port}
	if a, err := netip.ParseAddr(host); err == nil {
		s.addrs, s.known = []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), port)}, true
	}
	return s, nil
}

// lookup returns the seed's addresses, asking DNS where it is a name and not all of the last answer is satisfied.
func (s *seed) lookup(ctx context.Context, enough func(netip.AddrPort) bool) ([]netip.AddrPort, error) {
	s.mu.Lock()
	addrs, known := s.addrs, s.known
	s.mu.Unlock()
	if _, err := netip.ParseAddr(s.host); err == nil || known && len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return !enough(a) }) {
		return addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", s.host)
	if err != nil {
		return nil, err
	}
	addrs = nil
	for _, ip := range ips[:min(len(ips), maxGone)] {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), s.port))
	}
	s.mu.Lock()
	s.addrs, s.known = addrs, true
	s.mu.Unlock()
	return addrs, nil
}

// Alone reports whether there is nobody to call: no seed but this node itself. A seed whose name could not yet be
// looked up counts as another node.
func (m *Members) Alone() bool {
	for _, s := range m.seeds {
		s.mu.Lock()
		other := !s.known || slices.ContainsFunc(s.addrs, func(a netip.AddrPort) bool { return !m.isSelf(a) })
		s.mu.Unlock()
		if other {
			return false
		}
	}
	return true
}

// calls keeps the calls under way, at most one to an address and maxCalls in all.
type calls struct {
	mu    sync.Mutex
	busy  map[netip.AddrPort]bool
	slots chan struct{}
}

// maxCalls bounds the calls under way. One that is not answered takes Timing.Dial, so 16 get through the at most
// 100 that can be missing in 14 s even if none answers.
const maxCalls = 16

// askAgain is how long another member gets to let this node in.
const askAgain = 10 * time.Millisecond

// callLoop calls the seeds at once, and then them and everybody who is missing, as long as this node runs: memberlist itself
// never calls those again that it took for dead for half a minute.
func (m *Members) callLoop() {
	m.calls.busy = map[netip.AddrPort]bool{}
	m.calls.slots = make(chan struct{}, maxCalls)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-timer.C:
		}
		m.round()
		if m.judge() {
			return // with a name that is another's there is nobody to call
		}
		_, rival := m.table.theRival(time.Now())
		m.mu.Lock()
		settled := m.self.flags&serving != 0 || m.Seeded()
		m.mu.Unlock()
		if settled && !rival {
			timer.Reset(m.timing.Rejoin)
		} else {
			timer.Reset(m.timing.FirstRejoin)
		}
	}
}

// round starts the calls that are due: to seeds and members that are not there, and until one of those who
// are is known to have this node in its list, to all. Memberlist does not say when it ignores a newcomer whose name is
// another's, or belongs to the ghost of its last run at another address; it would be noticed a minute later, by chance.
func (m *Members) round() {
	everybody := !m.Seeded()
	skip := func(a netip.AddrPort) bool { return m.isSelf(a) || !everybody && m.table.liveAt(a) }
	for _, s := range m.seeds {
		s.mu.Lock()
		busy := s.busy
		s.busy = true
		s.mu.Unlock()
		if busy {
			continue
		}
		m.wg.Go(func() {
			defer func() {
				s.mu.Lock()
				s.busy = false
				s.mu.Unlock()
			}()
			alone := m.Alone()
			addrs, err := s.lookup(m.ctx, skip)
			if err != nil {
				m.seedFailed(s, "", err)
				return
			}
			if m.Alone() != alone {
				poke(m.changed)
			}
			for _, a := range addrs {
				if !skip(a) {
					m.join(a, s)
				}
			}
		})
	}
	for _, a := range m.table.lost(everybody) {
		if !m.isSelf(a) {
			m.join(a, nil)
		}
	}
}

// join calls one address, on a goroutine of its own, unless it is being called; s is the seed it came from.
func (m *Members) join(a netip.AddrPort, s *seed) {
	m.calls.mu.Lock()
	busy := m.calls.busy[a]
	m.calls.busy[a] = true
	m.calls.mu.Unlock()
	if busy {
		return
	}
	done := func() {
		m.calls.mu.Lock()
		delete(m.calls.busy, a)
		m.calls.mu.Unlock()
	}
	select {
	case m.calls.slots <- struct{}{}:
	case <-m.ctx.Done():
		done()
		return
	}
	m.wg.Go(func() {
		defer func() { <-m.calls.slots; done() }()
		_, err := m.ml.Join([]string{a.String()})
		// The other side answers before it reads on. Whether it let this node in is in its next answer, or the one
		// after it, if this node's last run had to be outbid.
		for try := 0; err == nil && try < 3 && !m.Seeded(); try++ {
			select {
			case <-time.After(askAgain):
			case <-m.ctx.Done():
				return
			}
			_, err = m.ml.Join([]string{a.String()})
		}
		if m.ctx.Err() != nil {
			return
		}
		if one := errors.Unwrap(err); one != nil {
			err = one // memberlist wraps it in a list of several lines
		}
		if s == nil {
			if err != nil {
				m.log.Debug("a missing member does not answer", "addr", a, "err", err)
			}
			return
		}
		if err != nil {
			m.seedFailed(s, a.String(), err)
			return
		}
		s.mu.Lock()
		s.failed = time.Time{}
		s.mu.Unlock()
	})
}

// seedQuiet is how long a seed may be silent before that is worth a warning: nodes that start together call each
// other before they listen.
const seedQuiet = 8 * time.Second

func (m *Members) seedFailed(s *seed, addr string, err error) {
	if m.ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	if s.failed.IsZero() {
		s.failed = time.Now()
	}
	failing := time.Since(s.failed)
	s.mu.Unlock()
	if failing < seedQuiet {
		m.log.Debug("a seed does not answer yet", "seed", s.text, "addr", addr, "err", err)
		return
	}
	m.notes.add(note{slog.LevelWarn, "a seed does not answer: is it up, is this its gossip port, and has it the same --secret-file?", "seed " + s.text,
		[]any{"seed", s.text, "err", err}})
}
