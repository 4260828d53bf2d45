package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

// Control messages: small ones, one at a time, on a connection of their own, so that they never stand behind a batch.
// The body of a request is two msgpack values, an envelope [version, kind, sender's name, its start ID, start ID it is
// meant for] and the message; that of an answer [version, verdict, text] and, if the verdict is good, the message.
//
// To add a message: give it a Kind, write its Encode and Decode, and register what answers it with Handle. A message
// may arrive twice: the connection may break after it was handled, and it is then sent again.

// A Kind says what a control message is.
type Kind uint8

// Kinds. Numbers are never used again for something else.
const KindHello Kind = 1

// A Message is a control message or the answer to one. Encode and Decode must agree on its fields; Decode must not
// believe a length (see Reader).
type Message interface {
	Kind() Kind
	Encode(w *Writer)
	Decode(r *Reader) error
}

const (
	controlVersion = 1

	verdictDone       = 0
	verdictRefused    = 1
	verdictRestarted  = 2
	verdictSuperseded = 3
	verdictDiffers    = 4

	maxText = 1024 // bytes of what a refusal says

	// controlTimeout bounds a control exchange whose context has no deadline.
	controlTimeout = 2 * time.Second
)

// ErrRefused is what Control's error wraps when the member's handler returned an error; its text is in the message.
var ErrRefused = errors.New("member refused")

type handler func(from Member, r *Reader) (Message, error)

// Handle registers what answers control messages of one kind. It must be called before Serve. The function is called
// from many goroutines, and holds up the sender's later control messages until it returns. Its error is sent to the
// sender; one that wraps ErrDiffers or ErrSuperseded arrives as that.
func Handle[T any, M interface {
	*T
	Message
}](s *Server, f func(from Member, m M) (Message, error)) {
	kind := M(new(T)).Kind()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving || s.handlers[kind] != nil {
		panic(fmt.Sprintf("peer: handler of control messages of kind %d registered twice or too late", kind))
	}
	s.handlers[kind] = func(from Member, r *Reader) (Message, error) {
		m := M(new(T))
		if err := m.Decode(r); err != nil {
			return nil, badMessage{err}
		}
		if err := r.end(); err != nil {
			return nil, badMessage{err}
		}
		return f(from, m)
	}
}

type badMessage struct{ error }

// control answers one control message.
func (s *Server) control(ctx *fasthttp.RequestCtx) {
	frame, mac, ok := s.verified(controlAsk, ctx.Request.Body())
	if !ok {
		s.refuse(ctx, fasthttp.StatusForbidden)
		return
	}
	r := newReader(frame)
	kind, from, target, err := readEnvelope(r)
	if err != nil {
		s.refuse(ctx, fasthttp.StatusBadRequest)
		return
	}
	w := newWriter(s.auth.size())
	answer, err := s.answerControl(kind, from, target, r)
	var bad badMessage
	if errors.As(err, &bad) {
		s.refuse(ctx, fasthttp.StatusBadRequest)
		return
	}
	verdict, text := verdictOf(err)
	w.Array(3)
	w.Uint(controlVersion)
	w.Uint(verdict)
	w.String(text)
	if err == nil {
		answer.Encode(w)
	}
	body, n := w.bytes(), s.auth.size()
	s.auth.sign(controlAnswer, mac, body[n:], body[:n])
	s.stats.Controls.Add(1)
	ctx.Response.SetBody(body)
}

func (s *Server) answerControl(kind Kind, from Member, target uint64, r *Reader) (Message, error) {
	if target != s.cfg.Self.StartID {
		return nil, ErrRestarted
	}
	h := s.handlers[kind]
	if h == nil {
		return nil, fmt.Errorf("unknown kind of control message %d: %q runs an older version", kind, s.cfg.Self.Name)
	}
	m, err := h(from, r)
	if err == nil && m == nil {
		err = errors.New("no answer")
	}
	return m, err
}

func verdictOf(err error) (verdict uint64, text string) {
	if err == nil {
		return verdictDone, ""
	}
	text = err.Error()
	text = text[:min(len(text), maxText)]
	switch {
	case errors.Is(err, ErrRestarted):
		return verdictRestarted, text
	case errors.Is(err, ErrSuperseded):
		return verdictSuperseded, text
	case errors.Is(err, ErrDiffers):
		return verdictDiffers, text
	}
	return verdictRefused, text
}

func readEnvelope(r *Reader) (kind Kind, from Member, target uint64, err error) {
	r.Array(5)
	version, k := r.Uint(), r.Uint()
	from = Member{r.String(MaxName), r.Uint()}
	target = r.Uint()
	switch {
	case r.Err() != nil:
		err = r.Err()
	case version != controlVersion:
		err = fmt.Errorf("control message of version %d, this is version %d", version, controlVersion)
	case k > 255:
		err = errors.New("kind of control message out of range")
	case !validName(from.Name) || from.StartID == 0:
		err = errors.New("control message of a sender without name or start ID")
	}
	return Kind(k), from, target, err
}

// Control sends a message to the member and reads its answer into answer. It waits until ctx ends, or two seconds if
// ctx has no deadline. Messages of one pipe go one after the other. The circuit plays no part: a member whose batches
// hang may still hear this. The error wraps ErrRestarted, ErrSuperseded, ErrDiffers or ErrRefused if the member said
// so.
func (p *Pipe) Control(ctx context.Context, ask, answer Message) error {
	if err := p.controlOnce(ctx, ask, answer); err != nil {
		return fmt.Errorf("control message (kind %d) to %q at %s: %w", ask.Kind(), p.cfg.Peer.Name, p.cfg.Addr, err)
	}
	return nil
}

func (p *Pipe) controlOnce(ctx context.Context, ask, answer Message) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	w := newWriter(len(appendHead(nil, ControlPath)) + p.auth.size())
	w.Array(5)
	w.Uint(controlVersion)
	w.Uint(uint64(ask.Kind()))
	w.String(p.cfg.Self.Name)
	w.Uint(p.cfg.Self.StartID)
	w.Uint(p.cfg.Peer.StartID)
	ask.Encode(w)
	request := w.bytes()
	at := len(appendHead(request[:0:0], ControlPath))
	copy(request, appendHead(nil, ControlPath))
	n := p.auth.size()
	mac, frame := request[at:at+n], request[at+n:]
	if len(frame) > MaxControl-macSize {
		return fmt.Errorf("message of %d bytes, at most %d fit", len(frame), MaxControl-macSize)
	}
	p.auth.sign(controlAsk, nil, frame, mac)
	setLength(request, ControlPath, n+len(frame))

	var k *link
	select {
	case k = <-p.control:
	case <-ctx.Done():
		if p.ctx.Err() != nil {
			return ErrClosed
		}
		return ctx.Err()
	}
	// What is put back must be what is left of the link; its memory holds the answer until then.
	defer func() { p.control <- k }()
	if p.ctx.Err() != nil {
		return ErrClosed
	}
	kept := k != nil
	body, k, err := p.exchangeControl(ctx, k, request)
	var refused httpError
	if err != nil && kept && ctx.Err() == nil && !errors.As(err, &refused) && !errors.Is(err, context.DeadlineExceeded) {
		// A connection that was kept may have been closed by the server since: that is no failure yet.
		body, k, err = p.exchangeControl(ctx, nil, request)
	}
	if err != nil {
		if p.ctx.Err() != nil {
			return ErrClosed
		}
		return err
	}
	if len(body) < n || !p.auth.check(controlAnswer, mac, body[n:], body[:n]) {
		return errors.New("answer is not authentic: the cluster secrets differ, or somebody stands between")
	}
	if err := p.readControl(newReader(body[n:]), answer); err != nil {
		return err
	}
	p.stats.Controls.Add(1)
	p.heardNow()
	return nil
}

func (p *Pipe) readControl(r *Reader, answer Message) error {
	r.Array(3)
	version, verdict, text := r.Uint(), r.Uint(), r.String(maxText)
	if r.Err() == nil && version != controlVersion {
		return fmt.Errorf("answer of version %d, this is version %d", version, controlVersion)
	}
	if r.Err() == nil {
		switch verdict {
		case verdictDone:
			if err := answer.Decode(r); err != nil {
				return fmt.Errorf("read its answer: %w", err)
			}
		case verdictRestarted:
			p.gone(ErrRestarted)
			return ErrRestarted
		case verdictSuperseded:
			return fmt.Errorf("%w (%s)", ErrSuperseded, text)
		case verdictDiffers:
			return fmt.Errorf("%w (%s)", ErrDiffers, text)
		default:
			return fmt.Errorf("%w: %s", ErrRefused, text)
		}
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	return nil
}

// exchangeControl sends a request, connecting first if it must. It returns the connection to keep, or nil.
func (p *Pipe) exchangeControl(ctx context.Context, k *link, request []byte) ([]byte, *link, error) {
	until, _ := ctx.Deadline()
	if k == nil {
		var err error
		if k, err = dial(ctx, &p.cfg, until); err != nil {
			return nil, nil, err
		}
		p.controlWire.hold(k)
	}
	stop := context.AfterFunc(ctx, k.close)
	body, keep, _, err := k.exchange(request, MaxControl, until)
	if !stop() {
		keep = false
	}
	if !keep || err != nil {
		k.close()
		k = nil
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	case isTimeout(err):
		// The connection's deadline is the context's, and may be noticed first.
		err = context.DeadlineExceeded
	}
	return body, k, err
}
