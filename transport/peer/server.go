package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/bucket"
)

// A ServerConfig is what a server is made from. Self, Decider and Hello must be set.
type ServerConfig struct {
	Self    Member
	Decider Decider
	// Hello is what this member says of itself. Who differs is refused. Its Partitions bound those of the asks.
	Hello Hello
	// Auth is nil where the cluster has no secret.
	Auth *Auth
	// Mail takes a packet of mail, whose bytes are good until it returns. It is called from the goroutine of the packet's connection,
	// so for several at once; packets of one lane of one sender begin in their order, and overlap only if it takes longer than
	// the sender waits. Its error, of which the sender is told the text, means that the packet is lost. nil takes none.
	Mail func(from Member, packet []byte) error
	// MaxConns bounds the connections; each may hold MaxBatch bytes (MaxControl on the control path). Default 1024.
	MaxConns int
	// Stats is where to count; nil makes new ones.
	Stats *ServerStats
	Log   *slog.Logger // nil logs nothing
}

// A Server answers the pipes of other members. A batch is decided inline, in the goroutine of its connection, entries
// in their order.
//
//	NewServer ──Serve──▶ serving ──Shutdown──▶ stopping: takes no connection and no batch, ──▶ stopped
//	                                           answers what it has begun
type Server struct {
	cfg      ServerConfig
	stats    *ServerStats
	log      *slog.Logger
	auth     *Auth
	cluster  uint64
	http     fasthttp.Server // batches and control messages
	mailHTTP fasthttp.Server // mail
	memory   *memory
	scratch  sync.Pool // of *scratch
	stopping atomic.Bool

	mu       sync.Mutex // protects following
	ln       net.Listener
	conns    map[*served]struct{}
	handlers [256]handler // of control messages, by kind; set before Serve
	serving  bool
	wg       sync.WaitGroup // connections

	foreigners  int // hellos of other clusters since foreignSaid, when the last one was logged
	foreignSaid time.Time
}

const (
	readTimeout  = 5 * time.Second // a request that has begun; batches are small and peers near
	writeTimeout = 5 * time.Second
	idleTimeout  = 5 * time.Minute // pipes connect again when they need to
)

// scratch is what one batch needs to be decided.
type scratch struct {
	entry Entry
	ans   Answer
	wants [bucket.MaxWants]bucket.Want
	each  [2][bucket.MaxWants]bucket.State
	out   []byte // the answer, with its HTTP head

	places [bucket.MostExpected]bucket.Place
}

// NewServer returns a server that listens to nothing yet.
func NewServer(cfg ServerConfig) (*Server, error) {
	if !validName(cfg.Self.Name) || cfg.Self.StartID == 0 {
		return nil, fmt.Errorf("make a peer server as %q (start ID %d): a name has 1 to %d bytes and a start ID is not 0",
			cfg.Self.Name, cfg.Self.StartID, MaxName)
	}
	if err := cfg.Hello.valid(); err != nil {
		return nil, fmt.Errorf("make a peer server: %w", err)
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 1024
	}
	s := &Server{cfg: cfg, stats: cfg.Stats, log: cfg.Log, auth: cfg.Auth, cluster: cfg.Hello.sum(), conns: make(map[*served]struct{})}
	if s.stats == nil {
		s.stats = new(ServerStats)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.memory = newMemory(s.stats)
	s.scratch.New = func() any { return new(scratch) }
	s.setHTTP(&s.http, s.handle, false)
	s.setHTTP(&s.mailHTTP, s.handleMail, true)
	s.registerHello()
	return s, nil
}

// setHTTP sets up an HTTP server. stream leaves the reading of bodies to the handler.
func (s *Server) setHTTP(h *fasthttp.Server, handle fasthttp.RequestHandler, stream bool) {
	*h = fasthttp.Server{
		Handler:            handle,
		StreamRequestBody:  stream,
		ErrorHandler:       s.unreadable,
		HeaderReceived:     bodyLimit,
		ConnState:          s.connState,
		Concurrency:        1 << 20, // ours is MaxConns; fasthttp counts what ServeConn serves twice
		ReadBufferSize:     maxHead,
		WriteBufferSize:    16 << 10,
		ReadTimeout:        readTimeout,
		WriteTimeout:       writeTimeout,
		IdleTimeout:        idleTimeout,
		MaxRequestBodySize: MaxControl,
		// A form would be read into files by itself.
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true, // else fasthttp starts a goroutine that never ends
		NoDefaultContentType:         true,
		Logger:                       quiet{},
	}
}

// Stats returns the server's counters.
func (s *Server) Stats() *ServerStats { return s.stats }

// bodyLimit bounds the body by its path, before any of it is read.
func bodyLimit(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	switch string(h.RequestURI()) {
	case ControlPath:
		return fasthttp.RequestConfig{MaxRequestBodySize: MaxControl}
	case MailPath:
		return fasthttp.RequestConfig{MaxRequestBodySize: maxMailFrame}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: MaxBatch + macSize}
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	s.stats.BytesIn.Add(uint64(len(ctx.Request.Body())))
	if !s.open(ctx) {
		return
	}
	if !ctx.IsPost() {
		s.refuse(ctx, fasthttp.StatusMethodNotAllowed)
		return
	}
	switch string(ctx.Request.Header.RequestURI()) {
	case BatchPath:
		s.batch(ctx)
	case ControlPath:
		s.control(ctx)
	default:
		s.refuse(ctx, fasthttp.StatusNotFound)
	}
	s.stats.BytesOut.Add(uint64(len(ctx.Response.Body())))
}

// open reports whether a request may be handled. It is answered if not.
func (s *Server) open(ctx *fasthttp.RequestCtx) bool {
	if !s.stopping.Load() && !ctx.Conn().(*served).cut.Load() {
		return true
	}
	ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	ctx.SetConnectionClose()
	return false
}

// refuse answers a request that makes no sense, and hangs up: whoever sent it is no peer of ours.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, code int) {
	if code == fasthttp.StatusForbidden {
		s.stats.Unauthenticated.Add(1)
	} else {
		s.stats.Bad.Add(1)
	}
	ctx.SetStatusCode(code)
	ctx.SetConnectionClose()
}

// unreadable is fasthttp's: the request could not be read.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	code := fasthttp.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		code = fasthttp.StatusRequestEntityTooLarge
	case errors.As(err, &small):
		code = fasthttp.StatusRequestHeaderFieldsTooLarge
	}
	// fasthttp sets no deadline for this answer, and who sends nonsense may not read either.
	_ = ctx.Conn().SetWriteDeadline(time.Now().Add(writeTimeout))
	s.refuse(ctx, code)
}

// verified returns a body's frame, if its MAC is right, and the MAC.
func (s *Server) verified(d domain, body []byte) (frame, mac []byte, ok bool) {
	n := s.auth.size()
	if len(body) < n {
		return nil, nil, false
	}
	frame, mac = body[n:], body[:n]
	return frame, mac, s.auth.check(d, nil, frame, mac)
}

// batch answers one batch that fasthttp has read.
func (s *Server) batch(ctx *fasthttp.RequestCtx) {
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	if code := s.answer(x, ctx.Request.Body(), ctx.Time()); code != fasthttp.StatusOK {
		s.refuse(ctx, code)
		return
	}
	ctx.Response.SetBody(x.body())
}

// answer answers the batch in a body, and leaves the answer in x.out. A status other than 200: it is none of ours; nothing was done.
func (s *Server) answer(x *scratch, body []byte, now time.Time) (code int) {
	frame, mac, ok := s.verified(batchAsk, body)
	if !ok {
		return fasthttp.StatusForbidden
	}
	var h header
	entries, err := readHeader(frame, &h)
	if err != nil {
		return fasthttp.StatusBadRequest
	}
	st := statusDone
	switch {
	case h.cluster != s.cluster:
		// Before the entries are looked at: with other constants they may look bad and be good.
		st = statusDiffers
	case h.target != s.cfg.Self.StartID:
		st = statusRestarted
	}
	if st != statusDone {
		s.answerStatus(x, mac, &h, st)
		return fasthttp.StatusOK
	}
	asks, err := validBatch(entries, &h, s.cfg.Hello.Partitions, &x.entry, &x.wants)
	if err != nil {
		return fasthttp.StatusBadRequest
	}
	lane, st := s.memory.find(&h, now)
	if st != statusDone {
		s.answerStatus(x, mac, &h, st)
		return fasthttp.StatusOK
	}
	again, fresh, ok := lane.begin(h.sequence, x.out[:0])
	switch {
	case !ok:
		s.answerStatus(x, mac, &h, statusStale)
	case !fresh:
		x.out = again
		s.stats.Repeats.Add(1)
	default:
		if h.lane == throughLane {
			s.relay(x, entries, mac, &h, asks)
		} else {
			s.decide(x, entries, mac, &h)
		}
		s.stats.Batches.Add(1)
		s.stats.Entries.Add(uint64(h.count))
		s.stats.Asks.Add(uint64(asks))
		lane.finish(h.sequence, x.out, s.memory)
	}
	return fasthttp.StatusOK
}

// decide decides all entries, which are known to be good, and leaves the answer's body in x.out.
func (s *Server) decide(x *scratch, entries, mac []byte, h *header) {
	x.begin(s, h, statusDone, h.count)
	now := s.cfg.Decider.Now()
	expecter, _ := s.cfg.Decider.(Expecter)
	for i := range h.count {
		if left := h.count - i; i%bucket.MostExpected == 0 && left > 1 && expecter != nil {
			n := min(left, bucket.MostExpected)
			readPlaces(entries, x.places[:n])
			expecter.Expect(x.places[:n])
		}
		entries, _ = readEntry(entries, &x.entry, &x.wants)
		x.ans = Answer{}
		if x.entry.Each {
			n := len(x.entry.Wants)
			x.ans.Allowed.Each, x.ans.Denied.Each = x.each[0][:n], x.each[1][:n]
			clear(x.ans.Allowed.Each)
			clear(x.ans.Denied.Each)
		}
		s.cfg.Decider.Decide(now, &x.entry, &x.ans)
		x.out = appendAnswer(x.out, &x.entry, &x.ans)
	}
	x.end(s, mac)
}

// answerStatus answers a batch of which nothing is decided.
func (s *Server) answerStatus(x *scratch, mac []byte, h *header, st status) {
	s.stats.Refused.Add(1)
	x.begin(s, h, st, 0)
	x.end(s, mac)
}

func (x *scratch) begin(s *Server, h *header, st status, count int) {
	var none [macSize]byte
	x.out = append(appendReply(x.out[:0]), none[:s.auth.size()]...)
	x.out = appendAnswerHeader(x.out, &answerHeader{status: st, lane: h.lane, count: count,
		answerer: s.cfg.Self.StartID, start: h.start, sequence: h.sequence})
}

func (x *scratch) end(s *Server, mac []byte) { x.sign(s, batchAnswer, mac) }

func (x *scratch) sign(s *Server, d domain, mac []byte) {
	n, body := s.auth.size(), x.body()
	s.auth.sign(d, mac, body[n:], body[:n])
	setReplyLength(x.out)
}

// body is the answer without its HTTP head.
func (x *scratch) body() []byte { return x.out[replyHead:] }

// quiet is fasthttp's logger: what is worth knowing of connections is counted.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
