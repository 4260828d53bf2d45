package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// Mail is packets of bytes that mean nothing here, from one member to another, one way. A packet is delivered once or not at all,
// and the sender is told when it was not, or perhaps not; it is never sent again on the strength of that: who wrote what is in it
// knows whether it is still worth saying.
//
// A pipe has two lanes of mail, each with a connection and a goroutine of its own and one packet in flight. A lane pulls: it asks
// for the next packet when the one before is answered, so that what gathers meanwhile goes together. An open circuit holds no
// mail back, mail is how members find out who is there; mail that is delivered closes it.

// A MailLane is one of the two lanes of mail.
type MailLane uint8

const (
	MailUrgent MailLane = iota // small messages that somebody waits for
	MailBulk                   // messages with lines
	mailLanes
)

var mailLaneNames = [mailLanes]string{"urgent", "bulk"}

func (l MailLane) String() string {
	if l < mailLanes {
		return mailLaneNames[l]
	}
	return "unknown"
}

// A packet of mail on the wire, little-endian:
//
//	head   magic 4, lane 1, zero 3, cluster 8, sender's start ID 8, target's start ID 8, sequence 8, length of the sender's name 1, name
//	packet
//
// The answer is the head of a batch's answer with a count of 0 and, if the status is statusRefused, a text.
//
// Sequences of a lane rise, also from one pipe to the next (lanesMade): what comes after a later one was given up by its sender, or
// is a recording.
const (
	mailMagic = 'S' | 'p'<<8 | 'm'<<16 | frameVersion<<24
	mailHead  = 41
)

// keepMail is how large a lane's buffer may stay.
const keepMail = 256 << 10

var (
	errMailLane = errors.New("peer: lane of mail out of range")
	errMailZero = errors.New("peer: unknown flags of mail")
)

func appendMailHeader(b []byte, h *header) []byte {
	b = binary.LittleEndian.AppendUint32(b, mailMagic)
	b = append(b, h.lane, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, h.cluster)
	b = binary.LittleEndian.AppendUint64(b, h.start)
	b = binary.LittleEndian.AppendUint64(b, h.target)
	b = binary.LittleEndian.AppendUint64(b, h.sequence)
	b = append(b, byte(len(h.name)))
	return append(b, h.name...)
}

// readMailHeader reads the head of a packet and returns the packet.
func readMailHeader(b []byte, h *header) ([]byte, error) {
	if len(b) < mailHead {
		return nil, errShort
	}
	if binary.LittleEndian.Uint32(b) != mailMagic {
		return nil, errMagic
	}
	if h.lane = b[4]; h.lane >= uint8(mailLanes) {
		return nil, errMailLane
	}
	if b[5]|b[6]|b[7] != 0 {
		return nil, errMailZero
	}
	h.cluster = binary.LittleEndian.Uint64(b[8:])
	h.start = binary.LittleEndian.Uint64(b[16:])
	h.target = binary.LittleEndian.Uint64(b[24:])
	h.sequence = binary.LittleEndian.Uint64(b[32:])
	n := int(b[40])
	b = b[mailHead:]
	if n < 1 || n > MaxName {
		return nil, errName
	}
	if n > len(b) {
		return nil, errShort
	}
	h.name = b[:n]
	return b[n:], nil
}

// A mailLane sends the packets of one lane.
type mailLane struct {
	p        *Pipe
	id       MailLane
	attempt  time.Duration
	wire     wire
	poked    atomic.Bool
	wake     chan struct{}
	template []byte // HTTP head, room for a MAC, frame head
	frameAt  int
	sequence uint64
	buf      []byte
}

func newMailLane(p *Pipe, id MailLane) *mailLane {
	l := &mailLane{p: p, id: id, attempt: p.cfg.MailAttempt, wake: make(chan struct{}, 1), sequence: lanesMade.Add(1) << sequenceBits}
	if id == MailBulk {
		l.attempt *= bulkAttempts
	}
	l.template = append(appendHead(nil, MailPath), make([]byte, p.auth.size())...)
	l.frameAt = len(l.template)
	l.template = appendMailHeader(l.template, &header{lane: uint8(id), cluster: p.cfg.Hello.sum(), start: p.cfg.Self.StartID,
		target: p.cfg.Peer.StartID, name: []byte(p.cfg.Self.Name)})
	return l
}

// Poke says that PipeConfig.Mail has something to send in a lane. It never blocks, and costs next to nothing while the lane is
// busy. Put the message where Mail finds it first, then poke.
//
// What becomes of the packet is only told if it is bad: Undelivered's error wraps ErrUnreachable if nobody listens there,
// ErrRestarted, ErrSuperseded or ErrDiffers as for batches, ErrRefused if the member did not take it,
// context.DeadlineExceeded if it did not answer in time, ErrClosed if the pipe was closed.
func (p *Pipe) Poke(lane MailLane) {
	if int(lane) >= len(p.mail) {
		return
	}
	if l := p.mail[lane]; !l.poked.Swap(true) {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// run is the lane's goroutine. poked is taken back before Mail is asked, so a message that comes after the answer finds it false and
// wakes the lane, and one that comes before is in the answer.
func (l *mailLane) run() {
	defer l.hangUp()
	for l.p.ctx.Err() == nil {
		l.poked.Store(false)
		l.buf = l.p.cfg.Mail(l.id, append(l.buf[:0], l.template...))
		n := len(l.buf) - len(l.template)
		if n <= 0 {
			if cap(l.buf) > keepMail {
				l.buf = nil // the next packet may be long in coming
			}
			select {
			case <-l.wake:
			case <-l.p.ctx.Done():
			}
			continue
		}
		if err := l.deliver(n); err != nil {
			l.p.stats.Undelivered.Add(1)
			if l.p.cfg.Undelivered != nil {
				l.p.cfg.Undelivered(l.id, fmt.Errorf("mail (%s) to %q at %s: %w", l.id, l.p.cfg.Peer.Name, l.p.cfg.Addr, err))
			}
			continue
		}
		l.p.stats.Mail.Add(1)
		l.p.stats.MailBytes.Add(uint64(n))
	}
}

// deliver sends the packet in the buffer, of n bytes.
func (l *mailLane) deliver(n int) error {
	p := l.p
	if n > MaxMail {
		return fmt.Errorf("packet of %d bytes, at most %d fit", n, MaxMail)
	}
	if err := p.goneErr.Load(); err != nil {
		return *err
	}
	l.sequence++
	frame, mac := l.buf[l.frameAt:], l.buf[l.frameAt-p.auth.size():l.frameAt]
	binary.LittleEndian.PutUint64(frame[32:], l.sequence)
	p.auth.sign(mailAsk, nil, frame, mac)
	setLength(l.buf, MailPath, len(mac)+len(frame))
	cuts := p.cuts.Load()
	until := time.Now().Add(l.attempt)
	body, kept, broke, err := l.exchange(until)
	if broke && p.cuts.Load() == cuts && p.ctx.Err() == nil {
		// The connection may have been closed since it was last used, or its member may have died with the packet unread. The same bytes
		// on a new connection tell which; should the member have them already, it refuses them for their sequence.
		body, kept, _, err = l.exchange(until)
	}
	if err == nil {
		err = l.verdict(body, mac)
	}
	if err != nil || !kept {
		l.hangUp()
	}
	switch {
	case err == nil:
		return nil
	case p.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(err, ErrRestarted), errors.Is(err, ErrSuperseded):
		p.gone(err)
	case p.cuts.Load() != cuts:
		return errDisconnected
	case isTimeout(err):
		return fmt.Errorf("no answer within %v: %w", l.attempt, context.DeadlineExceeded)
	}
	return err
}

// exchange sends the buffer once, connecting if it must. broke says that there was a connection, and that it ended without an answer.
func (l *mailLane) exchange(until time.Time) (body []byte, kept, broke bool, err error) {
	p, k := l.p, l.wire.link
	if k == nil {
		if k, err = dial(p.ctx, &p.cfg, until); err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				err = fmt.Errorf("%w: %w", ErrUnreachable, err)
			}
			return nil, false, false, err
		}
		if !l.wire.hold(k) {
			return nil, false, false, ErrClosed
		}
	}
	p.stats.BytesOut.Add(uint64(len(l.buf)))
	body, kept, _, err = k.exchange(l.buf, answerHead+maxText+macSize, until)
	p.stats.BytesIn.Add(uint64(len(body)))
	if err == nil {
		return body, kept, false, nil
	}
	l.hangUp()
	var refused httpError
	return nil, false, !errors.As(err, &refused) && !isTimeout(err), err
}

// verdict reads the answer to the packet in the buffer.
func (l *mailLane) verdict(body, mac []byte) error {
	p, n := l.p, l.p.auth.size()
	if len(body) < n || !p.auth.check(mailAnswer, mac, body[n:], body[:n]) {
		return errAnswer
	}
	var h answerHeader
	text, err := readAnswerHeader(body[n:], &h)
	if err != nil {
		return err
	}
	if h.start != p.cfg.Self.StartID || h.sequence != l.sequence || h.lane != uint8(l.id) || h.count != 0 {
		return errAnswer
	}
	switch h.status {
	case statusDone:
		if h.answerer != p.cfg.Peer.StartID {
			return errAnswer
		}
		p.healthy()
		p.heardNow()
		return nil
	case statusRestarted:
		return ErrRestarted
	case statusSuperseded:
		return ErrSuperseded
	case statusDiffers:
		return ErrDiffers
	case statusRefused:
		return fmt.Errorf("%w: %s", ErrRefused, text)
	case statusStale:
		return fmt.Errorf("%w: it has a later packet, or this one already", ErrRefused)
	}
	return fmt.Errorf("%w: no room to remember another sender", ErrRefused)
}

// hangUp drops the connection, if there is one.
func (l *mailLane) hangUp() {
	l.wire.mu.Lock()
	k := l.wire.link
	l.wire.link = nil
	l.wire.mu.Unlock()
	k.close()
}
