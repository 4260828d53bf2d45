package members

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Members is this node's membership in the cluster. Its methods may be called from any goroutine.
//
//	New ── starting: nobody answered yet ──► Seeded ──► Leave (says goodbye) or Close (looks like a crash)
type Members struct {
	cfg    Config
	timing Timing
	log    *slog.Logger
	bind   netip.Addr
	addr   netip.AddrPort // as others know it
	local  []netip.Addr   // of this machine
	ml     *memberlist.Memberlist
	table  *table
	seeds  []*seed
	calls  calls
	notes  notes

	view      atomic.Pointer[View]
	changed   chan struct{}
	fatal     chan error
	kick      chan struct{} // the table has news
	contested atomic.Bool

	// protects following fields
	mu   sync.Mutex
	self meta // what this node says of itself; memberlist may have an older one

	selfKick  chan struct{}
	ctx       context.Context // ends when closed: loops, calls and streams
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	leaveOnce sync.Once
	leaveErr  error
	closeOnce sync.Once
}

// New starts to listen and to call the seeds in the background. It fails on a bad Config or a port that is taken.
func New(cfg Config) (*Members, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Members{
		cfg: cfg, timing: cfg.Timing.withDefaults(), log: cfg.Log, table: newTable(cfg.Name),
		changed: make(chan struct{}, 1), fatal: make(chan error, 1), kick: make(chan struct{}, 1), selfKick: make(chan struct{}, 1),
		self: meta{
			startID: cfg.StartID, peerPort: cfg.PeerPort, dataPort: cfg.DataPort,
			hashKey: cfg.HashKey, constants: cfg.Constants, version: cfg.Version[:min(len(cfg.Version), maxVersion)],
			patience: uint32(math.Round(cfg.Patience * 1000)),
		},
	}
	m.notes.kick = make(chan struct{}, 1)
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	t, err := m.listen()
	if err != nil {
		m.cancel()
		return nil, err
	}
	for _, text := range cfg.Seeds {
		s, err := newSeed(text, m.addr.Port())
		if err != nil {
			m.cancel()
			t.Shutdown()
			return nil, err
		}
		m.seeds = append(m.seeds, s)
	}
	m.ml, err = memberlist.Create(m.memberlistConfig(t))
	if err != nil {
		m.cancel()
		t.Shutdown()
		return nil, fmt.Errorf("cannot start gossip on %s: %w", m.addr, err)
	}
	if ip := m.addr.Addr(); len(cfg.Secret) == 0 && !ip.IsPrivate() && !ip.IsLoopback() {
		m.log.Warn("gossip is open to whoever reaches this address: give all nodes the same --secret-file", "addr", m.addr)
	}
	m.publish()
	m.wg.Go(m.noteLoop)
	m.wg.Go(m.viewLoop)
	m.wg.Go(m.selfLoop)
	m.wg.Go(m.callLoop)
	return m, nil
}

// listen opens the sockets and finds out what address the others are told.
func (m *Members) listen() (memberlist.Transport, error) {
	if t := m.cfg.Transport; t != nil {
		m.addr = t.Addr()
		m.bind = m.addr.Addr()
		return newShim(t), nil
	}
	var err error
	if m.bind, err = hostAddr(m.cfg.BindAddr); err != nil {
		return nil, fmt.Errorf("cannot gossip on %q: %w; give an IP address of this machine", m.cfg.BindAddr, err)
	}
	m.local = localAddrs()
	ip, err := advertised(m.bind, m.cfg.AdvertiseAddr, m.local)
	if err != nil {
		return nil, err
	}
	// A free TCP port may be taken for UDP: try some.
	tries := 1
	if m.cfg.BindPort == 0 {
		tries = 10
	}
	for range tries {
		var t *memberlist.NetTransport
		t, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{m.bind.String()}, BindPort: int(m.cfg.BindPort), Logger: m.newLibraryLog(),
		})
		if err == nil {
			m.addr = netip.AddrPortFrom(ip, uint16(t.GetAutoBindPort()))
			return newSockets(m.ctx, t), nil
		}
	}
	return nil, fmt.Errorf("cannot gossip on %s: %w; if another node runs there, give this one another --port", netip.AddrPortFrom(m.bind, m.cfg.BindPort), err)
}

// View returns the present view. It never blocks.
func (m *Members) View() *View { return m.view.Load() }

// Changed is kicked after a new view was published: one kick may stand for several. It is for one reader.
func (m *Members) Changed() <-chan struct{} { return m.changed }

// Fatal gives an error with which this node cannot be a member, at most once: another member has its name. The node should say it
// and stop.
func (m *Members) Fatal() <-chan error { return m.fatal }

// Addr returns the gossip address that the others are told.
func (m *Members) Addr() netip.AddrPort { return m.addr }

// Seeded reports whether this node has ever been a member among others: another was heard of, and had this node in its
// list. Until then a node with seeds knows nothing of the cluster, or is being kept out of it, and its view shows nobody
// else.
func (m *Members) Seeded() bool { return m.table.seeded() }

// Contested reports whether another live node with this node's name was heard of and it is not yet settled who keeps
// the name.
func (m *Members) Contested() bool { return m.contested.Load() }

// Close stops at once and says no goodbye: to the others it looks like a crash.
func (m *Members) Close() error {
	var err error
	m.closeOnce.Do(func() {
		m.cancel()
		// Memberlist first: it closes the transport, which ends the calls that the loops wait for.
		if err = m.ml.Shutdown(); err != nil {
			err = fmt.Errorf("cannot stop gossip: %w", err)
		}
		m.wg.Wait()
	})
	return err
}

// Leave says goodbye and closes. It takes some gossip intervals where others are there to hear it, and at most
// the timeout. An error says that some may not have heard it; they see a crash, until another member tells them. Closed it is in any case.
func (m *Members) Leave(timeout time.Duration) error {
	m.leaveOnce.Do(func() {
		if m.ctx.Err() == nil {
			m.leaveErr = m.sayGoodbye(timeout)
		}
		m.leaveErr = errors.Join(m.leaveErr, m.Close())
	})
	return m.leaveErr
}

// viewLoop turns news into views.
func (m *Members) viewLoop() {
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	waiting := false
	for {
		select {
		case <-m.kick:
			if !waiting {
				waiting = true
				timer.Reset(m.timing.Debounce)
			}
		case <-timer.C:
			waiting = false
			m.publish()
		case <-m.ctx.Done():
			return
		}
	}
}

// publish swaps in a view of the table, if it differs. Only New and the view loop call it.
func (m *Members) publish() {
	m.mu.Lock()
	self := (&peer{addr: m.addr, meta: m.self}).member(m.cfg.Name)
	m.mu.Unlock()
	next := &View{Self: m.cfg.Name}
	next.Members, next.Refused = m.table.snapshot(self)
	if old := m.view.Load(); old != nil {
		if slices.Equal(old.Members, next.Members) && slices.Equal(old.Refused, next.Refused) {
			return
		}
		next.Seq = old.Seq + 1
	}
	m.view.Store(next)
	poke(m.changed)
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hostPort makes an address of memberlist's ours. An IPv4 address may come in 16 bytes.
func hostPort(ip []byte, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}
