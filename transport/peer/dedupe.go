package peer

import (
	"sync"
	"time"
)

// A memory remembers, for every lane of every sender, the latest batch and its answer: what makes sending a batch again
// harmless.
//
// A lane has one batch in flight and numbers them upwards, from above those of earlier pipes (lane.go), so there are three
// cases for a sequence:
//
//   - higher than the latest: new. It is decided, even if an earlier one is still being decided: its sender has given
//     that one up.
//   - the latest: it is answered from memory, once it has been decided.
//   - lower: it is refused. Its sender has given it up, or it is a replay.
//
// Timeline of the case that needs the waiting: a batch arrives, deciding it is slow (the machine is short of CPU); the
// sender's attempt times out, and it sends the same bytes on a new connection; that one waits here, and both
// connections get the one answer.
//
// A name has one start ID at a time, the highest that was seen; what comes from a lower one is refused. Answers are
// forgotten when a sender has been idle for idleAnswers, longer than any caller waits; the numbers stay, so
// that a recorded batch is not decided again a day later.
type memory struct {
	stats *ServerStats
	most  int64 // bytes of all answers

	mu      sync.Mutex // protects following
	senders map[string]*sender
	swept   time.Time
}

const (
	// maxSenders bounds the senders that are remembered, about 1 kB each beside their answers.
	maxSenders = 4096
	// maxRemembered bounds the bytes of all remembered answers. An answer beyond it is not kept, and its batch
	// refused if it comes again.
	maxRemembered = 64 << 20
	idleAnswers   = time.Minute
	idleSender    = time.Hour
)

type sender struct {
	start uint64
	last  time.Time
	lanes [MaxLanes]laneMemory
	mail  [mailLanes]uint64 // latest sequences
}

type laneMemory struct {
	mu       sync.Mutex // protects following; taken after memory.mu, never the other way
	cond     sync.Cond
	sequence uint64
	deciding bool
	kept     bool // answer is the one to sequence
	dropped  bool // its sender is forgotten: nothing is kept any more
	answer   []byte
}

func newMemory(stats *ServerStats) *memory {
	return &memory{stats: stats, most: maxRemembered, senders: make(map[string]*sender)}
}

// find returns the lane's memory for a batch, or why the batch is refused.
func (m *memory) find(h *header, now time.Time) (*laneMemory, status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, st := m.senderLocked(h, now)
	if st != statusDone {
		return nil, st
	}
	return &s.lanes[h.lane], statusDone
}

// mail takes note of a packet, or says why it is refused.
func (m *memory) mail(h *header, now time.Time) status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, st := m.senderLocked(h, now)
	if st != statusDone {
		return st
	}
	if h.sequence <= s.mail[h.lane] {
		return statusStale
	}
	s.mail[h.lane] = h.sequence
	return statusDone
}

// senderLocked returns who sent something, and makes a new start of it known.
func (m *memory) senderLocked(h *header, now time.Time) (*sender, status) {
	if now.Sub(m.swept) > idleAnswers/4 {
		m.sweepLocked(now)
	}
	s := m.senders[string(h.name)]
	if s != nil && h.start < s.start {
		return nil, statusSuperseded
	}
	if s == nil || h.start > s.start {
		if s != nil {
			s.forget(m.stats)
		} else if len(m.senders) >= maxSenders && !m.evictLocked(now) {
			return nil, statusBusy
		}
		s = &sender{start: h.start}
		for i := range s.lanes {
			s.lanes[i].cond.L = &s.lanes[i].mu
		}
		m.senders[string(h.name)] = s
	}
	s.last = now
	return s, statusDone
}

// begin says what to do with a batch: fresh means decide it, and then finish. Otherwise again is appended to dst and
// is the remembered answer, or ok is false and the batch is refused.
func (l *laneMemory) begin(sequence uint64, dst []byte) (again []byte, fresh, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence > l.sequence {
		l.sequence, l.deciding, l.kept = sequence, true, false
		return nil, true, true
	}
	for l.sequence == sequence && l.deciding {
		l.cond.Wait()
	}
	if l.sequence != sequence || !l.kept {
		return nil, false, false
	}
	return append(dst, l.answer...), false, true
}

// finish remembers the answer to a fresh batch, in a copy, and wakes who waits for it.
func (l *laneMemory) finish(sequence uint64, answer []byte, m *memory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sequence != sequence {
		return
	}
	l.deciding = false
	l.cond.Broadcast()
	if l.dropped {
		return
	}
	if had := cap(l.answer); had < len(answer) {
		size := len(answer) + len(answer)/4 // answers differ in length a little
		if m.stats.Remembered.Add(int64(size-had)) > m.most {
			m.stats.Remembered.Add(-int64(size - had))
			return
		}
		l.answer = make([]byte, 0, size)
	}
	l.answer = append(l.answer[:0], answer...)
	l.kept = true
}

// release gives the answers' memory back; with drop, for good.
func (l *laneMemory) release(stats *ServerStats, drop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats.Remembered.Add(-int64(cap(l.answer)))
	l.answer, l.kept = nil, false
	l.dropped = l.dropped || drop
}

func (s *sender) forget(stats *ServerStats) {
	for i := range s.lanes {
		s.lanes[i].release(stats, true)
	}
}

func (m *memory) sweepLocked(now time.Time) {
	m.swept = now
	for _, s := range m.senders {
		if now.Sub(s.last) > idleAnswers {
			for i := range s.lanes {
				s.lanes[i].release(m.stats, false)
			}
		}
	}
}

// evictLocked forgets the sender that has been idle longest, if it has been for idleSender.
func (m *memory) evictLocked(now time.Time) bool {
	var oldest string
	var last time.Time
	for name, s := range m.senders {
		if oldest == "" || s.last.Before(last) {
			oldest, last = name, s.last
		}
	}
	if now.Sub(last) <= idleSender {
		return false
	}
	m.senders[oldest].forget(m.stats)
	delete(m.senders, oldest)
	return true
}
