package node

import (
	"sync"

	"github.com/stint-limiter/stint/transport/peer"
)

// A route says where the checks of a partition go. Routes are immutable and swapped one by one; a check that reads an old
// one is put right by the gate of the partition it comes to.
type route struct {
	here  bool // this node holds it
	name  string
	epoch uint64
	pipe  *peer.Pipe // nil where here, or where nobody is known
}

// pipes keeps one pipe per member and start ID.
type pipes struct {
	open func(name string, startID uint64, addr string) (*peer.Pipe, error)

	mu  sync.Mutex // protects all
	all map[string]pipeTo
}

type pipeTo struct {
	startID uint64
	addr    string
	pipe    *peer.Pipe
}

// to sees to it that there is a pipe to this start of a member. The pipe to an
// earlier start is closed: what is under way in it fails, for that member is gone.
func (ps *pipes) to(name string, startID uint64, addr string) error {
	ps.mu.Lock()
	old, ok := ps.all[name]
	if ok && old.startID == startID && old.addr == addr {
		ps.mu.Unlock()
		return nil
	}
	delete(ps.all, name)
	p, err := ps.open(name, startID, addr)
	if err == nil {
		ps.all[name] = pipeTo{startID, addr, p}
	}
	ps.mu.Unlock()
	if ok {
		old.pipe.Close()
	}
	return err
}

// get returns the pipe to a member if there is one.
func (ps *pipes) get(name string) *peer.Pipe {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.all[name].pipe
}

// keep closes the pipes to all members that are not in the set.
func (ps *pipes) keep(names map[string]bool) {
	var gone []*peer.Pipe
	ps.mu.Lock()
	for name, p := range ps.all {
		if !names[name] {
			gone = append(gone, p.pipe)
			delete(ps.all, name)
		}
	}
	ps.mu.Unlock()
	for _, p := range gone {
		p.Close()
	}
}

func (ps *pipes) closeAll() { ps.keep(nil) }

// each calls f for every pipe, under the lock: f must not call back.
func (ps *pipes) each(f func(name string, startID uint64, p *peer.Pipe)) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name, p := range ps.all {
		f(name, p.startID, p.pipe)
	}
}
