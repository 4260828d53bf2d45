package peer

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/valyala/fasthttp"
)

// Taking mail. Packets may be large, so memory for them is taken as their bytes arrive, never for what a head
// promises, and all connections together have maxMailRoom. That is why connections for mail have an HTTP server of their own, which
// leaves bodies to the handler; the one for batches reads them first, which is faster for small ones.

// handleMail is the handler of connections that are for mail.
func (s *Server) handleMail(ctx *fasthttp.RequestCtx) {
	if !s.open(ctx) {
		return
	}
	switch {
	case !ctx.IsPost():
		s.refuse(ctx, fasthttp.StatusMethodNotAllowed)
		return
	case string(ctx.Request.Header.RequestURI()) != MailPath:
		s.refuse(ctx, fasthttp.StatusNotFound)
		return
	}
	n := ctx.Request.Header.ContentLength()
	switch {
	case n < 0:
		s.refuse(ctx, fasthttp.StatusLengthRequired)
		return
	case n > maxMailFrame:
		s.refuse(ctx, fasthttp.StatusRequestEntityTooLarge)
		return
	}
	r := mailRoom{stats: s.stats}
	defer r.give()
	body, err := r.read(ctx.RequestBodyStream(), n)
	s.stats.BytesIn.Add(uint64(len(body)))
	switch {
	case err == errNoRoom:
		s.stats.MailNoRoom.Add(1)
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		ctx.SetConnectionClose()
	case err != nil:
		s.refuse(ctx, fasthttp.StatusBadRequest)
	case s.open(ctx): // again: the body was long in coming
		s.takeMail(ctx, body)
		s.stats.BytesOut.Add(uint64(len(ctx.Response.Body())))
	}
}

// takeMail hands the packet in a body to the node.
func (s *Server) takeMail(ctx *fasthttp.RequestCtx, body []byte) {
	frame, mac, ok := s.verified(mailAsk, body)
	if !ok {
		s.refuse(ctx, fasthttp.StatusForbidden)
		return
	}
	var h header
	packet, err := readMailHeader(frame, &h)
	if err != nil {
		s.refuse(ctx, fasthttp.StatusBadRequest)
		return
	}
	var text string
	st := statusDone
	switch {
	case h.cluster != s.cluster:
		st = statusDiffers
	case h.target != s.cfg.Self.StartID:
		st = statusRestarted
	case s.cfg.Mail == nil:
		st, text = statusRefused, "this node takes no mail"
	default:
		if st = s.memory.mail(&h, ctx.Time()); st != statusDone {
			break
		}
		if err := s.cfg.Mail(Member{string(h.name), h.start}, packet); err != nil {
			st, text = statusRefused, err.Error()
		}
	}
	if st == statusDone {
		s.stats.Mail.Add(1)
		s.stats.MailBytes.Add(uint64(len(packet)))
	} else {
		s.stats.MailRefused.Add(1)
	}
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	x.begin(s, &h, st, 0)
	x.out = append(x.out, text[:min(len(text), maxText)]...)
	x.sign(s, mailAnswer, mac)
	ctx.Response.SetBody(x.body())
}

var errNoRoom = fmt.Errorf("no room for mail: %d bytes of it are being received", maxMailRoom)

// A mailRoom is the memory for one packet.
type mailRoom struct {
	stats *ServerStats
	buf   *[]byte // from the pool, if it is small
	taken int64   // of what all connections share; 0 while the small one does
}

var smallMails = sync.Pool{New: func() any {
	b := make([]byte, 0, smallMail)
	return &b
}}

// read reads n bytes, which are good until give. The buffer doubles when what is there is full.
func (r *mailRoom) read(in io.Reader, n int) ([]byte, error) {
	if in == nil {
		return nil, errors.New("no body")
	}
	r.buf = smallMails.Get().(*[]byte)
	b := (*r.buf)[:0]
	for len(b) < n {
		if len(b) == cap(b) {
			size := min(2*cap(b), n)
			had := r.taken
			if r.stats.MailRoom.Add(int64(size)) > maxMailRoom {
				r.stats.MailRoom.Add(-int64(size))
				return b, errNoRoom
			}
			more := make([]byte, len(b), size)
			copy(more, b)
			b, r.taken = more, int64(size)
			r.stats.MailRoom.Add(-had)
		}
		got, err := in.Read(b[len(b):min(cap(b), n)])
		b = b[:len(b)+got]
		if err != nil && len(b) < n {
			return b, fmt.Errorf("read a packet of %d bytes, of which %d came: %w", n, len(b), err)
		}
	}
	return b, nil
}

// give gives everything back.
func (r *mailRoom) give() {
	r.stats.MailRoom.Add(-r.taken)
	r.taken = 0
	if r.buf != nil {
		smallMails.Put(r.buf)
		r.buf = nil
	}
}
