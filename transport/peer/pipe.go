package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Member is one start of a member: its name, 1 to MaxName bytes, and its start ID, which rises with every start of that
// name and is never 0.
type Member struct {
	Name    string
	StartID uint64
}

// A PipeConfig is what a pipe is made from. Self, Peer, Addr and Hello must be set.
type PipeConfig struct {
	Self Member
	Peer Member
	Addr string // host:port of the peer's server
	// Hello is what this member says of itself; its constants and hash key must be those of the peer.
	Hello Hello
	// Auth is nil where the cluster has no secret.
	Auth *Auth

	// Lanes is how many batches may be in flight at once, 1 to MaxLanes−1; all asks of a call go through one lane.
	// Default 1, which costs the least, because batches are larger: with 64 callers over loopback an ask took 1.9–2.2
	// µs of CPU, both ends together, with one lane, 1.9–2.7 with two, 2.4–3.4 with four (BenchmarkLoopback). More
	// lanes are for members so far away that a round trip is long beside the work. One more lane is for asks with Through; it
	// begins with the first of them, and waits twice as long.
	Lanes int
	// MaxQueue is how many asks a lane holds, in flight or not, before it sheds. Default 65536.
	MaxQueue int
	// Attempt, Total and Down default to the package's constants. With Total = Attempt nothing is waited for twice.
	Attempt, Total, Down time.Duration

	// Mail is asked for the next packet of a lane: it appends it to dst and returns the whole, or returns dst as it is if there is
	// nothing to send. It is called from one goroutine a lane, when the packet before is answered, so what
	// gathers meanwhile goes together; say with Poke that there is something. A packet has at most MaxMail bytes. nil: no mail.
	Mail func(lane MailLane, dst []byte) []byte
	// Undelivered says that a packet was not delivered, or perhaps not: it is not sent again. See Pipe.Poke for the errors. It is
	// called from the lane's goroutine, which waits for it, and must not close the pipe. nil: nobody is told.
	Undelivered func(lane MailLane, err error)
	// MailAttempt is how long an urgent packet waits for its answer, and a bulk one 20 times as long. Default MailAttempt.
	MailAttempt time.Duration

	// Dial makes connections; nil is TCP. A refused connection must be told by an error that wraps syscall.ECONNREFUSED.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Stats may be shared between pipes; nil makes new ones.
	Stats *PipeStats
	Log   *slog.Logger // nil logs nothing
}

// A Pipe is the way to one start of one member. Its methods may be called from many goroutines. When the member starts
// again the pipe is of no more use: all its asks fail, and the node makes another one.
type Pipe struct {
	cfg   PipeConfig
	stats *PipeStats
	log   *slog.Logger
	base  time.Time // now() counts from here
	auth  *Auth

	template []byte // HTTP head, room for a MAC, frame head
	frameAt  int

	downUntil atomic.Int64 // 0: healthy; forever: the member has started again
	goneErr   atomic.Pointer[error]
	heard     atomic.Int64 // when the member last answered; 0: never
	cuts      atomic.Uint64
	lanes     []*lane
	through   atomic.Pointer[lane] // nil until it is needed
	mail      []*mailLane
	lanesDone sync.WaitGroup
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc

	control     chan *link // holds the control connection, or nil for none, while nobody uses it
	controlWire wire       // the same connection, for Disconnect
	closing     sync.Once
	mu          sync.Mutex // protects following, and the making of the lane of Through asks
	closed      bool

	names atomic.Pointer[map[string]string] // of holders, so that Moved allocates nothing
}

const forever = 1<<63 - 1

// What a pipe can be wrong about. They are wrapped with the member they concern.
var (
	ErrClosed     = errors.New("pipe is closed")
	ErrRestarted  = errors.New("member has started again: make a new pipe to its new start ID")
	ErrSuperseded = errors.New("member knows a later start of this node's name: two nodes have one name, or this one's clock went back before it started")
	ErrDiffers    = errors.New("member belongs to a cluster with other constants or another hash key")
	// ErrUnreachable says that nobody listens there: the host answered, and refused the connection. A member that does not answer,
	// or cannot be reached over the network, is another error.
	ErrUnreachable  = errors.New("nobody listens there")
	errRefused      = errors.New("member refused the batch")
	errDisconnected = errors.New("this node hung up, because it was stopped for a while")
)

// NewPipe returns a pipe. It connects when the first ask is sent, or by Hello. Close ends it.
func NewPipe(cfg PipeConfig) (*Pipe, error) {
	for _, m := range []Member{cfg.Self, cfg.Peer} {
		if !validName(m.Name) || m.StartID == 0 {
			return nil, fmt.Errorf("make a pipe from %q (start ID %d) to %q (%d): names have 1 to %d bytes and start IDs are not 0",
				cfg.Self.Name, cfg.Self.StartID, cfg.Peer.Name, cfg.Peer.StartID, MaxName)
		}
	}
	if err := cfg.Hello.valid(); err != nil {
		return nil, fmt.Errorf("make a pipe to %q: %w", cfg.Peer.Name, err)
	}
	cfg.Lanes = min(max(cfg.Lanes, 1), MaxLanes-1)
	if cfg.MaxQueue <= 0 {
		cfg.MaxQueue = 1 << 16
	}
	if cfg.Attempt <= 0 {
		cfg.Attempt = Attempt
	}
	if cfg.Total <= 0 {
		cfg.Total = Total
	}
	if cfg.Down <= 0 {
		cfg.Down = Down
	}
	if cfg.MailAttempt <= 0 {
		cfg.MailAttempt = MailAttempt
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	p := &Pipe{cfg: cfg, stats: cfg.Stats, log: cfg.Log, base: time.Now(), auth: cfg.Auth}
	if p.stats == nil {
		p.stats = new(PipeStats)
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.log = p.log.With("peer", cfg.Peer.Name)
	p.names.Store(&map[string]string{})
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.control = make(chan *link, 1)
	p.control <- nil
	p.template = appendHead(nil, BatchPath)
	p.template = append(p.template, make([]byte, p.auth.size())...)
	p.frameAt = len(p.template)
	p.template = appendHeader(p.template, &header{cluster: cfg.Hello.sum(), start: cfg.Self.StartID,
		target: cfg.Peer.StartID, name: []byte(cfg.Self.Name)})
	for i := range cfg.Lanes {
		p.lanes = append(p.lanes, newLane(p, uint8(i)))
	}
	if cfg.Mail != nil {
		for i := range mailLanes {
			p.mail = append(p.mail, newMailLane(p, i))
		}
	}
	for _, l := range p.lanes {
		p.lanesDone.Go(l.run)
	}
	for _, l := range p.mail {
		p.lanesDone.Go(l.run)
	}
	return p, nil
}

// Send hands an ask to the pipe; it never blocks. The ask is answered when Call.Wait returns, with a Code of Decided,
// Moved, Wait, Expired, Failed, Unsent or Shed; the last three may be its Code already when Send returns. An ask that was
// answered with anything but Expired may be sent again before the call is put back, by any pipe. After Failed it may count twice.
func (p *Pipe) Send(a *Ask) {
	a.Code, a.Loan = Pending, Loan{}
	err := validAsk(a.Partition, p.cfg.Hello.Partitions, a.Wants, a.Hits, 1, a.Receipt, a.Each)
	if err == nil {
		err = validLoan(a.Hits, a.Receipt, a.Borrow, a.Return, a.Through)
	}
	if err != nil {
		// One bad entry would have the whole batch refused.
		if p.stats.Invalid.Add(1) == 1 {
			p.log.Error("an ask was not sent; later ones like it are only counted", "err", err)
		}
		a.Code = Failed
		return
	}
	if p.down() {
		p.stats.Failed.Add(1)
		a.Code = Unsent
		return
	}
	l := p.lanes[a.call.lane%uint32(len(p.lanes))]
	if a.Through {
		l = p.relayLane()
	}
	switch code := l.push(a, int64(a.Deadline.Sub(p.base))); code {
	case Shed:
		p.stats.Shed.Add(1)
		a.Code = code
	case Unsent:
		p.stats.Failed.Add(1)
		a.Code = code
	}
}

// Peer returns the member that the pipe leads to.
func (p *Pipe) Peer() Member { return p.cfg.Peer }

// Healthy reports whether asks are being sent: false for a moment (Down) after the member could not be reached, and for
// good once it has started again.
func (p *Pipe) Healthy() bool { return !p.down() }

// Gone reports whether the member is known to have started again.
func (p *Pipe) Gone() bool { return p.downUntil.Load() == forever }

// Stats returns the pipe's counters.
func (p *Pipe) Stats() *PipeStats { return p.stats }

// LastHeard returns when the member last answered anything, a batch, mail or a control message; zero for never.
func (p *Pipe) LastHeard() time.Time {
	if at := p.heard.Load(); at != 0 {
		return p.base.Add(time.Duration(at))
	}
	return time.Time{}
}

func (p *Pipe) heardNow() { p.heard.Store(max(p.now(), 1)) }

// Close ends the pipe: asks that are not answered yet fail, connections are closed, and no goroutine is left when it
// returns. A batch in flight may still be decided by the member. Mail that was not asked for yet stays where it is.
func (p *Pipe) Close() {
	p.closing.Do(func() {
		p.cancel()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		for _, l := range p.allLanes() {
			l.close()
		}
		for _, l := range p.mail {
			l.wire.close()
		}
		p.lanesDone.Wait()
		(<-p.control).close() // and nobody gets it any more
	})
}

// Disconnect breaks all connections: for a node that was stopped for a while, where all that waits in them is old. Batches in flight are
// sent again as they were, and those that still wait are sent, over new connections (lane.anew); mail in flight is undelivered. What the pipe knew of the member's health
// is forgotten too: this node was the one that did not answer.
func (p *Pipe) Disconnect() {
	p.cuts.Add(1)
	for _, l := range p.allLanes() {
		l.cut()
	}
	for _, l := range p.mail {
		l.wire.cut()
	}
	p.controlWire.cut()
	p.healthy()
}

func (p *Pipe) allLanes() []*lane {
	if l := p.through.Load(); l != nil {
		return append(p.lanes[:len(p.lanes):len(p.lanes)], l)
	}
	return p.lanes
}

// relayLane returns the lane of Through asks. Most pipes never need one.
func (p *Pipe) relayLane() *lane {
	if l := p.through.Load(); l != nil {
		return l
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.through.Load()
	if l == nil {
		l = newLane(p, throughLane)
		if l.closed = p.closed; !l.closed {
			p.through.Store(l)
			p.lanesDone.Go(l.run)
		}
	}
	return l
}

// now is a moment of this pipe, in nanoseconds since it was made.
func (p *Pipe) now() int64 { return int64(time.Since(p.base)) }

func (p *Pipe) down() bool {
	until := p.downUntil.Load()
	return until != 0 && (until == forever || p.now() < until)
}

// trip opens the circuit: asks fail at once for a while, and those that wait in the lanes fail when their lane comes
// to them. The circuit belongs to the pipe and so to one start of the member: a late failure of the old start cannot
// open the new one's.
func (p *Pipe) trip(err error) {
	until := p.now() + int64(p.cfg.Down)
	for {
		was := p.downUntil.Load()
		if was == forever {
			return
		}
		if p.downUntil.CompareAndSwap(was, until) {
			if was == 0 {
				p.stats.Downs.Add(1)
				p.log.Warn("peer does not answer; its checks fail fast until it does", "addr", p.cfg.Addr, "err", err)
			}
			return
		}
	}
}

func (p *Pipe) gone(err error) {
	p.goneErr.Store(&err)
	if p.downUntil.Swap(forever) != forever {
		p.log.Info("pipe ends", "err", err)
	}
}

// healthy closes the circuit.
func (p *Pipe) healthy() {
	was := p.downUntil.Load()
	if was != 0 && was != forever && p.downUntil.CompareAndSwap(was, 0) {
		p.log.Info("peer answers again")
	}
}

// head begins a batch's bytes.
func (p *Pipe) head(b []byte, lane uint8) []byte {
	b = append(b, p.template...)
	b[p.frameAt+5] = lane
	return b
}

// seal finishes a batch's bytes: from here on they are sent as they are, however often.
func (p *Pipe) seal(b *batch, lane uint8, sequence uint64) {
	frame := b.buf[p.frameAt:]
	binary.LittleEndian.PutUint16(frame[6:], uint16(len(b.entries)))
	binary.LittleEndian.PutUint64(frame[32:], sequence)
	mac := b.buf[p.frameAt-p.auth.size() : p.frameAt]
	p.auth.sign(batchAsk, nil, frame, mac)
	setLength(b.buf, BatchPath, len(mac)+len(frame))
}

// intern makes a string of a holder's name without allocating each time. Names are few; if a peer invents them, the
// oldest thousand are kept and the others allocate.
func (p *Pipe) intern(name []byte) string {
	had := p.names.Load()
	if s, ok := (*had)[string(name)]; ok {
		return s
	}
	s := string(name)
	if len(*had) < 1024 {
		now := make(map[string]string, len(*had)+1)
		for k, v := range *had {
			now[k] = v
		}
		now[s] = s
		p.names.CompareAndSwap(had, &now)
	}
	return s
}
