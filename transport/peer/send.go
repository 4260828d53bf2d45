package peer

import (
	"errors"
	"fmt"
	"time"
)

// send sends the lane's batch until it is answered, and returns the answer's frame, or an error when all asks that are
// left have failed: with Unsent if surely nobody has decided them, else with Failed.
//
// Which failures are tried again, with the same bytes, and which end it:
//
//   - no connection can be made: the member is not there. It ends, and the circuit opens.
//   - the connection broke, before or after the batch was decided, nobody knows: again, on a new one. This is also
//     what an idle connection looks like that the server closed.
//   - no answer within Attempt: again, on a new connection; the server waits with the second until the first is decided.
//   - the member refused the batch, or is shutting down: it ends.
//   - the node hung up itself (Disconnect), because it was stopped: again, on a new connection, and its time begins anew: of what is over
//     the member had no part. If it had not gone out yet, it ends.
//
// Trying again also ends when Total is over, and when nobody waits any more.
//
// A batch that never went out whole was decided by nobody. One that went out whole once, and was refused then, neither: the refusal
// is signed, and says that nothing was decided now. After two, the first may have been decided.
func (l *lane) send() ([]byte, Code, error) {
	p, b := l.p, &l.batch
	began, cuts := p.now(), p.cuts.Load()
	code, sendings := Unsent, 0
	l.late = false
	for try := 1; ; try++ {
		now := p.now()
		until := min(now+int64(l.attempt), began+int64(l.total))
		if try > 1 {
			p.stats.Retries.Add(1)
		}
		if l.link == nil {
			k, err := dial(p.ctx, &p.cfg, p.base.Add(time.Duration(until)))
			if p.cuts.Load() != cuts {
				k.close()
				if code == Unsent || !l.anew(try) {
					return nil, code, errDisconnected
				}
				began, cuts = p.now(), p.cuts.Load()
				continue
			}
			if err != nil {
				p.trip(err)
				return nil, code, err
			}
			if !l.hold(k) {
				return nil, code, ErrClosed
			}
		}
		p.stats.BytesOut.Add(uint64(len(b.buf)))
		body, keep, sent, err := l.link.exchange(b.buf, MaxAnswer+macSize, p.base.Add(time.Duration(until)))
		if sent {
			code = Failed
			sendings++
		}
		if sent && err != nil && isTimeout(err) && p.cuts.Load() == cuts {
			body, keep, err = l.link.lastLook(MaxAnswer + macSize)
			l.late = err == nil
		}
		if !keep {
			// The body stays good: it is the link's memory, not the connection's.
			l.hangUp()
		}
		if err == nil {
			p.stats.BytesIn.Add(uint64(len(body)))
			if body, err = l.open(body); err == nil {
				p.stats.Batches.Add(1)
				p.stats.RTTMicros.Add(uint64(p.now()-now) / uint64(time.Microsecond))
				if !l.late { // else nobody knows when it came, and how the member is by now
					p.healthy()
					p.heardNow()
				}
				return body, Decided, nil
			}
			l.hangUp()
		}
		var refused httpError
		switch {
		case p.ctx.Err() != nil:
			return nil, code, ErrClosed
		case errors.Is(err, ErrRestarted), errors.Is(err, ErrSuperseded), errors.Is(err, errRefused), errors.Is(err, ErrDiffers):
			switch {
			case errors.Is(err, ErrDiffers):
				p.trip(err)
			case !errors.Is(err, errRefused):
				p.gone(err)
			}
			if sendings == 1 {
				code = Unsent
			}
			return nil, code, err
		case errors.As(err, &refused):
			p.trip(err)
			return nil, code, err
		case p.cuts.Load() != cuts:
			if code == Unsent || !l.anew(try) {
				return nil, code, errDisconnected
			}
			began, cuts = p.now(), p.cuts.Load()
			continue
		}
		// A relay that is late may be waiting for the holder: that says nothing of the member. Nor does a batch that went out before the
		// member was last heard:
		//
		//  1. n1 is stopped. n0's batch to it is late, and so is its mail.
		//  2. n1 goes on, and hangs up on everybody; the mail is answered over a new connection.
		//  3. The batch's time is over. Were the circuit to open now, checks would fail for as long as it is open, at a member that answers.
		// What was heard just after the batch had gone out does not count, for it may have been on its way. Else:
		//
		//  1. n0's batch goes out, the answer to its mail comes in, n1 dies.
		//  2. The batch's time is over, and the circuit stays closed. What has gathered meanwhile goes to n1, and waits as long again.
		//  3. Only then does n0 turn to who is to claim: a check has waited for two attempts and a round.
		late := isTimeout(err)
		blame := !late || l.id != throughLane && p.heard.Load() <= now+int64(l.attempt)/10
		now = p.now()
		if try == maxTries || now >= began+int64(l.total) {
			if blame {
				p.trip(err)
			}
			return nil, code, err
		}
		if now >= b.latest {
			if late && blame {
				p.trip(err)
			}
			return nil, code, err
		}
	}
}

// anew begins the time of a batch that had gone out when this node, which was stopped, hung up; false: nobody waits for it any more.
//
// The same bytes go again, for the batch may have been decided:
//
//  1. n0 sends a batch. n1, which holds the partitions, decides it: 25 of 25 are spent.
//  2. n0 was stopped, notices, and hangs up before it has read the answer.
//  3. It sends the batch again. n1 answers from memory. Had the checks been sent as others, by another way or in another batch, n1 would have denied
//     them, and nobody been told of the 25.
//
// What n1 answers is no older for that. What it decides now, it decides as for anybody; what it remembers was spent when it held the
// partition, lies in its lines, and goes where they go, whoever holds the partition by now. It is n1's matter whether it may decide, and n1 hangs up too
// when it was stopped. What n0 knew counts for nothing there.
func (l *lane) anew(try int) bool {
	now := l.p.now()
	if try == maxTries || now >= l.batch.latest {
		return false
	}
	l.mu.Lock()
	l.pace.began = now
	l.mu.Unlock()
	return true
}

// open checks that an answer is the one to this batch, and returns its frame.
func (l *lane) open(body []byte) ([]byte, error) {
	p := l.p
	n := p.auth.size()
	request := l.batch.buf[p.frameAt-n : p.frameAt]
	if len(body) < n || !p.auth.check(batchAnswer, request, body[n:], body[:n]) {
		return nil, errAnswer
	}
	body = body[n:]
	var h answerHeader
	if _, err := readAnswerHeader(body, &h); err != nil {
		return nil, err
	}
	if h.start != p.cfg.Self.StartID || h.sequence != l.sequence || h.lane != l.id {
		return nil, errAnswer
	}
	switch h.status {
	case statusDone:
		if h.answerer != p.cfg.Peer.StartID {
			return nil, errAnswer
		}
		return body, nil
	case statusRestarted:
		return nil, fmt.Errorf("batch to %q, start ID %d: %w", p.cfg.Peer.Name, p.cfg.Peer.StartID, ErrRestarted)
	case statusSuperseded:
		return nil, fmt.Errorf("batch to %q: %w", p.cfg.Peer.Name, ErrSuperseded)
	case statusDiffers:
		return nil, fmt.Errorf("batch to %q: %w", p.cfg.Peer.Name, ErrDiffers)
	}
	return nil, errRefused
}

// hold makes the link the lane's, unless the pipe has been closed meanwhile.
func (l *lane) hold(k *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		k.close()
		return false
	}
	l.link = k
	return true
}

// hangUp drops the connection, if there is one.
func (l *lane) hangUp() {
	l.mu.Lock()
	k := l.link
	l.link = nil
	l.mu.Unlock()
	k.close()
}

// cut closes the connection, and leaves it to the lane's goroutine to notice.
func (l *lane) cut() {
	l.mu.Lock()
	k := l.link
	l.mu.Unlock()
	k.close()
}

// close ends the lane's goroutine: hanging up ends what it waits for.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	k := l.link
	l.mu.Unlock()
	l.cond.Signal()
	k.close()
}
