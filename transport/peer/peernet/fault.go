package peernet

import "time"

// SetDelay sets how long packets take, one way, on all links without a delay of their own. It counts for what is sent from now on.
func (n *Net) SetDelay(min, max time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = span{min, max}
}

// SetLinkDelay sets it for both directions between two hosts.
func (n *Net) SetLinkDelay(a, b string, min, max time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, b = hostOf(a), hostOf(b)
	n.delays[link{a, b}], n.delays[link{b, a}] = span{min, max}, span{min, max}
}

// Cut cuts a link in both directions: what is sent over it, or is under way, does not arrive, and nobody is told.
func (n *Net) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cutLocked(hostOf(a), hostOf(b))
	n.cutLocked(hostOf(b), hostOf(a))
}

// CutOneWay cuts one direction of a link.
func (n *Net) CutOneWay(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cutLocked(hostOf(from), hostOf(to))
}

func (n *Net) cutLocked(from, to string) {
	n.cut[link{from, to}] = true
	now := time.Now()
	for c := range n.conns {
		for _, s := range []*stream{c.in, c.out} { // both: the other end may be gone
			if s.from == from && s.to == to {
				s.holdLocked(now)
			}
		}
	}
}

// Heal mends all links.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.healedLocked()
}

// HealLink mends one link, in both directions.
func (n *Net) HealLink(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, b = hostOf(a), hostOf(b)
	delete(n.cut, link{a, b})
	delete(n.cut, link{b, a})
	n.healedLocked()
}

// healedLocked decides for each connection that lost something over a link which works again: it goes on, late, or it is dead.
func (n *Net) healedLocked() {
	for c := range n.conns {
		for _, s := range []*stream{c.in, c.out} {
			if !s.held || s.dead || n.cut[link{s.from, s.to}] {
				continue
			}
			if n.rand.IntN(2) == 0 {
				c.in.dieLocked()
				c.out.dieLocked()
				break
			}
			s.resendLocked()
		}
	}
	n.changedLocked()
}

// Pause stops a host as SIGSTOP stops its one process: nothing that it reads, writes or accepts comes back before Resume, and others
// can still connect and send. Deadlines pass, and so do the timers of the process, which this cannot stop.
func (n *Net) Pause(host string) { n.pause(host, true) }

// Resume ends Pause.
func (n *Net) Resume(host string) { n.pause(host, false) }

func (n *Net) pause(host string, paused bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hostLocked(hostOf(host)).paused = paused
	n.changedLocked()
}

// Crash ends a host's process: its listeners are closed, its connections reset, and who dials it is refused. It may Listen again.
func (n *Net) Crash(host string) { n.end(host, false) }

// Vanish takes a host off the network: nobody is told, and who dials it hears nothing. It is back once it listens again.
func (n *Net) Vanish(host string) { n.end(host, true) }

func (n *Net) end(name string, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = hostOf(name)
	h := n.hostLocked(name)
	h.gone, h.paused = silent, false
	for c := range n.conns {
		if c.host == name {
			c.vanished = silent
			c.closeLocked(errReset("read"))
		}
	}
	for _, l := range h.listeners {
		l.closeLocked()
	}
	n.changedLocked()
}
