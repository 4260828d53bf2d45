package members

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Goodbyes. Memberlist itself tells a leaver from a crash but not us: both are a NotifyLeave. So a leaver tells every
// member, each on a connection of its own, before it has memberlist say so; and members tell each other in every
// exchange of state whom they heard it from, for those that could not be reached.
//
// A flag in the metadata would not do. Memberlist's gossip about a leave takes the place of gossip about the same
// node in every queue it meets: who had not got the flag by then would never get it.

// A bye names a run of a node that ended with a goodbye; or one that is dead, and forgotten (forget.go).
type bye struct {
	name    string
	startID uint64
	forgot  bool
}

const (
	byeVersion = 2
	// forgotMark is added to the length of a name, which is at most 64.
	forgotMark = 0x80
	// maxByes bounds what one message may claim: as many as are remembered.
	maxByes = maxGone
)

// encodeByes writes version, then for each the start ID, the name's length with the mark, and the name: at most 7,301 bytes.
func encodeByes(list []bye) []byte {
	b := []byte{byeVersion}
	for _, g := range list[:min(len(list), maxByes)] {
		b = binary.BigEndian.AppendUint64(b, g.startID)
		mark := byte(0)
		if g.forgot {
			mark = forgotMark
		}
		b = append(b, byte(len(g.name))|mark)
		b = append(b, g.name...)
	}
	return b
}

var errByes = errors.New("not a list of goodbyes")

// decodeByes reads what encodeByes wrote, and allocates for no more than that.
func decodeByes(b []byte) ([]bye, error) {
	if len(b) == 0 || b[0] != byeVersion {
		return nil, errByes
	}
	var list []bye
	for b = b[1:]; len(b) > 0; {
		if len(list) == maxByes || len(b) < 9 || len(b) < 9+int(b[8]&^forgotMark) {
			return nil, errByes
		}
		g := bye{string(b[9 : 9+int(b[8]&^forgotMark)]), binary.BigEndian.Uint64(b), b[8]&forgotMark != 0}
		if !validName(g.name) {
			return nil, errByes
		}
		list = append(list, g)
		b = b[9+len(g.name):]
	}
	return list, nil
}

// hearByes takes down what a message says; it comes from the network and may be anything.
func (m *Members) hearByes(b []byte) {
	list, err := decodeByes(b)
	if err != nil {
		return
	}
	for _, g := range list {
		if g.forgot && m.table.forget(g) || !g.forgot && m.table.bye(g) {
			poke(m.kick)
		}
	}
}

// sayGoodbye tells the others that this node leaves of its own will, then leaves.
//
// Memberlist's own message may come to nothing: it is made with incarnation 5; before it is taken in, a rumour that
// this node is dead is refuted with incarnation 6; then 5 is old, nothing is sent, and Leave waits in vain. So it is waited
// for no longer than sending takes, and where all others were told it does not matter: they have this node as left,
// and will notice that it does not answer probes.
func (m *Members) sayGoodbye(timeout time.Duration) error {
	start := time.Now()
	silent := m.tellAll(encodeByes([]bye{{name: m.cfg.Name, startID: m.cfg.StartID}}), timeout/2)
	wait := min(timeout-time.Since(start), leaveRounds*m.timing.GossipInterval)
	err := m.ml.Leave(max(wait, time.Millisecond))
	if silent == 0 {
		return nil
	}
	told := fmt.Errorf("left, but %d members could not be told and may take it for a crash at first", silent)
	return errors.Join(told, err)
}

// leaveRounds is how many gossip intervals memberlist gets to send its message to some: it needs two to four.
const leaveRounds = 10

// tellAll sends a message to every live member and returns how many did not get it in time.
func (m *Members) tellAll(msg []byte, timeout time.Duration) (silent int) {
	var (
		mu      sync.Mutex
		slots   = make(chan struct{}, maxCalls)
		done    = make(chan struct{})
		late    = time.NewTimer(timeout)
		members = m.table.allLive()
		all     sync.WaitGroup
	)
	defer late.Stop()
	silent = len(members)
	m.wg.Go(func() {
		defer close(done)
		for name, addr := range members {
			select {
			case slots <- struct{}{}:
			case <-m.ctx.Done():
				return
			}
			all.Go(func() {
				defer func() { <-slots }()
				to := &memberlist.Node{Name: name, Addr: net.IP(addr.Addr().AsSlice()), Port: addr.Port()}
				if m.ml.SendReliable(to, msg) == nil {
					mu.Lock()
					silent--
					mu.Unlock()
				}
			})
		}
		all.Wait()
	})
	select {
	case <-done:
	case <-late.C:
	}
	mu.Lock()
	defer mu.Unlock()
	return silent
}

// bye records a goodbye and reports whether it was news.
//
// A goodbye may come before the news of the one who says it: n2 starts and n1 hears of it; n2 leaves and tells n0 on a
// connection of its own; then n1's gossip says to n0 that n2 is there, and that it is gone: dead, as far as memberlist knows. So the
// goodbye of a run that was not heard of yet is kept for it; or, where the run before is known to be over, taken for news of both.
func (t *table) bye(g bye) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[g.name]
	if p != nil && p.dead && p.meta.startID < g.startID {
		p.meta.startID, p.left = g.startID, true
		return true
	}
	if g.name != t.self && (p == nil || p.meta.startID < g.startID) {
		if len(t.early) < maxGone || t.early[g.name] != 0 {
			t.early[g.name] = max(t.early[g.name], g.startID)
		}
		return false
	}
	if p == nil || p.meta.startID != g.startID || p.left {
		return false
	}
	p.left = true
	return true
}

// byes returns whom goodbyes were heard from, and who was forgotten.
func (t *table) byes() []bye {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []bye
	for name, p := range t.peers {
		if s := p.state(); s == Left || s == Forgotten {
			list = append(list, bye{name, p.meta.startID, s == Forgotten})
		}
	}
	return list
}

// allLive returns where the live members gossip.
func (t *table) allLive() map[string]netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]netip.AddrPort{}
	for name, p := range t.peers {
		if !p.dead && !p.left {
			all[name] = p.addr
		}
	}
	return all
}
