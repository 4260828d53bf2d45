package peer

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// A lane is one queue, one connection and one batch in flight. Its goroutine runs:
//
//	idle ──an ask is posted──▶ make a batch ──▶ send, wait for the answer (again, if it must) ──▶ answer the asks ─┐
//	  ▲                            ▲ what has gathered meanwhile                                                  │
//	  └────────nothing left────────┴──────────────────────────────────────────────────────────────────────────────┘
//
// # Who answers an ask
//
// The lane's goroutine, or its sweep (a timer) when the deadline passes first. Both swap the ask's ticket before they
// write to it, so one of the two does:
//
//  1. lane sends a batch with ask A, due in 20 ms; the answer hangs.
//  2. sweep: A is late. It swaps A's ticket, writes Expired, tells the call. The caller goes on, and so may A's memory.
//  3. the answer comes. The lane fails to swap the ticket it knows, counts a late answer, and touches nothing.
//
// The one moment in which the lane reads the question is the making of a batch, without the lock. The sweep leaves
// the flight alone then (making), and comes back a few milliseconds later: so no question changes hands under the lane.
type lane struct {
	p              *Pipe
	id             uint8
	attempt, total time.Duration

	mu     sync.Mutex // protects following
	cond   sync.Cond  // the goroutine waits here; signalled by Call.Post and Close
	idle   bool
	closed bool
	queue  []slot // what has gathered
	flight []slot // what is being sent: done of them are answered, those up to sent are in the batch in flight
	done   int
	sent   int
	making bool
	pace   pace
	link   *link // for Close, which hangs up

	sweepAt int64 // when the sweep comes, 0: not at all
	timer   *time.Timer

	// The goroutine's own.
	batch    batch
	sequence uint64
	late     bool // the answer in hand was found after its time
	ans      Answer
	each     [2][bucket.MaxWants]bucket.State // room for ans
	telling  *Call                            // asks of one call are told together
	tells    int
}

// A slot is an ask in a lane. The deadline is here too, so that the sweep needs to read nothing of the ask but its
// ticket.
type slot struct {
	a        *Ask
	c        *Call
	deadline int64
	ticket   uint32
}

// keepSlots is how long a queue may become before its memory is given back after a burst.
const keepSlots = 2 * MaxEntries

// A lane's sequences begin above those of every lane that was made before it, in this process and so under this start ID.
// Else:
//
//  1. n0 has sent batches 1 to 5000 to n1, and takes it for dead: the pipe is closed.
//  2. n1 was only cut off, and is back under its start ID: n0 makes another pipe, whose batches are 1, 2, …
//  3. n1 remembers batch 5000 of n0's start. It refuses 4999 batches as old, and answers the next from memory: hits
//     are allowed that were never spent.
//
// There is room for 4 million lanes of 4 × 10^12 batches each, seven years at 20,000 a second.
var lanesMade atomic.Uint64

const sequenceBits = 42

func newLane(p *Pipe, id uint8) *lane {
	l := &lane{p: p, id: id, attempt: p.cfg.Attempt, total: p.cfg.Total, sequence: lanesMade.Add(1) << sequenceBits}
	if id == throughLane {
		// Two members in a row. How long the second takes says nothing of how much the first can do, so such a lane has no pace.
		l.attempt, l.total = 2*l.attempt, 2*l.total
		l.pace.most = MaxEntries
	} else {
		l.pace = newPace(int64(l.attempt))
	}
	l.cond.L = &l.mu
	l.timer = time.AfterFunc(time.Hour, l.sweep)
	l.timer.Stop()
	return l
}

// push queues an ask. Its ticket is drawn here, so that an ask that is refused is as it was.
func (l *lane) push(a *Ask, deadline int64) Code {
	if atomic.LoadUint32(&a.ticket)&1 != 0 {
		panic("peer: an ask was sent again before it was answered")
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return Unsent
	}
	if len(l.queue)+len(l.flight)-l.done >= l.p.cfg.MaxQueue || l.pace.late(len(l.queue)+len(l.flight)-l.sent, deadline) {
		l.mu.Unlock()
		return Shed
	}
	ticket := atomic.AddUint32(&a.ticket, 1)
	l.queue = append(l.queue, slot{a, a.call, deadline, ticket})
	if l.sweepAt == 0 || deadline < l.sweepAt {
		l.arm(deadline)
	}
	idle := l.idle
	l.mu.Unlock()
	a.call.sent++
	if idle {
		// The lane sleeps, or was signalled by another caller and has not woken yet; it looks at the queue before it
		// sleeps again. A busy lane looks at it anyway.
		a.call.post(l)
	}
	return Pending
}

// claim makes the ask ours to answer. Whoever gets it must write the answer and then tell the call.
func (s *slot) claim() bool { return atomic.CompareAndSwapUint32(&s.a.ticket, s.ticket, s.ticket+1) }

// run is the lane's goroutine.
func (l *lane) run() {
	for l.take() {
		if l.p.down() {
			l.failRest()
			continue
		}
		sent := l.make()
		var took int64
		if len(l.batch.entries) > 0 {
			l.p.stats.InFlight.Add(1)
			body, code, err := l.send()
			if err == nil && !l.late || isTimeout(err) {
				took = l.p.now() - l.pace.began
			}
			if err == nil {
				code, err = Failed, l.answer(body)
			}
			l.p.stats.InFlight.Add(-1)
			if err != nil {
				l.fail(l.flight[l.done:sent], code)
			}
			l.tell()
		}
		l.mu.Lock()
		if took > 0 {
			l.pace.answered(took, l.batch.asks, len(l.batch.entries), sent < len(l.flight), l.done > 0)
		}
		l.done = sent
		l.mu.Unlock()
		// Callers that have just been answered are ready to run, and so perhaps to ask again: let them first, and what they ask goes with
		// the next batch and not with the one after it. Where nobody else is ready this is no wait. With 64 callers batches are half as large
		// again, and an ask takes a tenth less of CPU and of time (BenchmarkLoopback).
		runtime.Gosched()
	}
	l.failRest()
	l.hangUp()
	l.timer.Stop()
}

// take waits until there is something to send. False: the pipe is closed.
func (l *lane) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done < len(l.flight) && !l.closed {
		l.making = true
		return true
	}
	for len(l.queue) == 0 && !l.closed {
		l.idle = true
		l.pace.idle()
		l.cond.Wait()
		l.idle = false
	}
	if l.closed {
		return false
	}
	clear(l.flight) // or idle lanes would keep calls from being collected
	if cap(l.flight) > keepSlots && len(l.queue) < keepSlots {
		l.flight = nil // a burst is over
	}
	l.flight, l.queue, l.done, l.sent = l.queue, l.flight[:0], 0, 0
	l.making = true
	return true
}

// make makes a batch of the flight, and returns where it ends. The expired are dropped here, before they are sent.
func (l *lane) make() (end int) {
	now := l.p.now()
	b := &l.batch
	b.reset(l.p.head(b.buf[:0], l.id), l.done, len(l.flight)-l.done, l.pace.most)
	expired := 0
	for end = l.done; end < len(l.flight); end++ {
		s := &l.flight[end]
		if atomic.LoadUint32(&s.a.ticket) != s.ticket {
			b.skip()
			continue
		}
		if s.deadline <= now {
			if s.claim() {
				s.a.Code = Expired
				l.tellLater(s.c)
				expired++
			}
			b.skip()
			continue
		}
		left := uint16(min((s.deadline-now)/int64(time.Millisecond), maxLeft))
		if !b.add(s.a, s.deadline, left, l.p.frameAt) {
			break
		}
	}
	l.mu.Lock()
	l.making, l.sent, l.pace.began = false, end, now
	l.mu.Unlock()
	if expired > 0 {
		l.p.stats.Expired.Add(uint64(expired))
	}
	l.tell()
	if len(b.entries) > 0 {
		l.sequence++
		l.p.seal(b, l.id, l.sequence)
		l.p.stats.Asks.Add(uint64(b.asks))
		l.p.stats.Folded.Add(uint64(b.asks - len(b.entries)))
	}
	return end
}

// answer hands the answers of a batch to its asks. An error means that the answer could not be read to its end: what
// was handed out stays.
func (l *lane) answer(body []byte) (err error) {
	var h answerHeader
	if body, err = readAnswerHeader(body, &h); err != nil {
		return err
	}
	if h.count != len(l.batch.entries) {
		return errAnswer
	}
	late := 0
	for i := range l.batch.entries {
		e := &l.batch.entries[i]
		l.ans.Allowed.Each, l.ans.Denied.Each = l.each[0][:0], l.each[1][:0]
		asked := borrowed(l.batch.buf[int(e.at)+entryBorrow])
		body, err = readAnswer(body, expected{int(e.wants), e.times, e.each, asked}, &l.ans, l.p.intern)
		if err != nil {
			return err
		}
		if l.ans.Code == Decided {
			l.ans.Holder = l.p.cfg.Peer.Name
		}
		loan := l.ans.Loan
		var k uint32
		for at := e.first; at >= 0; at = l.batch.next[int(at)-l.batch.base] {
			s := &l.flight[at]
			if s.claim() {
				a := s.a
				a.Via, a.Holder, a.HoldEpoch = l.ans.Via, l.ans.Holder, l.ans.HoldEpoch
				a.Loan = Loan{}
				if a.Borrow > 0 { // those that relay for others did not, and would not know what to do with it
					a.Loan, loan = loan, Loan{}
				}
				if l.ans.Code == Decided {
					e.handBack(k, &l.ans, &a.Outcome)
				}
				a.Code = l.ans.Code
				l.tellLater(s.c)
			} else {
				late++
			}
			k++
		}
		if l.ans.Loan.Hits > 0 {
			l.p.stats.Loans.Add(1)
			if loan.Hits > 0 {
				l.p.stats.LoansLost.Add(1)
			}
		}
	}
	if late > 0 {
		l.p.stats.Late.Add(uint64(late))
	}
	if len(body) != 0 {
		return errTrail
	}
	return nil
}

// fail answers asks with Failed or Unsent, if nobody has answered them yet.
func (l *lane) fail(slots []slot, code Code) {
	n := 0
	for i := range slots {
		if s := &slots[i]; s.claim() {
			s.a.Code = code
			l.tellLater(s.c)
			n++
		}
	}
	l.tell()
	l.p.stats.Failed.Add(uint64(n))
}

// failRest fails all that waits in the lane: none of it was sent.
func (l *lane) failRest() {
	l.mu.Lock()
	l.making = false
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	l.fail(l.flight[l.done:], Unsent)
	l.fail(queue, Unsent)
	l.mu.Lock()
	l.done, l.sent = len(l.flight), len(l.flight)
	if l.queue == nil {
		clear(queue)
		l.queue = queue[:0]
	}
	l.mu.Unlock()
}

// tellLater counts one more answer for a call; those of one call mostly come in a row and are told at once.
func (l *lane) tellLater(c *Call) {
	if c != l.telling {
		l.tell()
		l.telling = c
	}
	l.tells++
}

func (l *lane) tell() {
	if l.tells > 0 {
		l.telling.told(l.tells)
	}
	l.telling, l.tells = nil, 0
}
