package members

import "time"

// Local is what this node tells the others of itself, beside what never changes.
type Local struct {
	Serving bool // it may hold partitions
	Leaving bool // it is handing over: leave it out of the ring
	RingID  uint64
}

// SetLocal changes what this node says of itself. The own entry of the view changes at once or nearly; the others
// hear it by gossip. Of changes that come quickly only the last is told. It does not block.
func (m *Members) SetLocal(l Local) {
	m.mu.Lock()
	var f flags
	if l.Serving {
		f |= serving
	}
	if l.Leaving {
		f |= leaving
	}
	m.self.flags, m.self.ringID = f, l.RingID
	m.mu.Unlock()
	poke(m.selfKick)
	poke(m.kick)
}

func (m *Members) selfMeta() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self.encode()
}

// selfSpacing is the least time between two updates of the own metadata: gossip sends every 200 ms anyway.
const selfSpacing = 50 * time.Millisecond

// selfLoop hands changed metadata to memberlist, whose update blocks: hence a goroutine of its own.
//
// It looks whether an update took effect, and else repeats it. Memberlist may drop one silently: the update takes incarnation 5; before
// it gets the lock, a rumour that this node is dead arrives and is refuted with incarnation 6; then 5 is old news.
func (m *Members) selfLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.selfKick:
			timer.Reset(selfSpacing)
			continue
		case <-timer.C:
		}
		if m.table.isApplied(m.selfMeta()) {
			continue
		}
		// The update is in effect here at once and on its way; no need to wait until it was sent as often as it will be.
		m.ml.UpdateNode(time.Millisecond)
		timer.Reset(selfSpacing)
	}
}
