package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node"
	"github.com/stint-limiter/stint/node/admin"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/forwardauth"
	"github.com/stint-limiter/stint/transport/httpserver"
	"github.com/stint-limiter/stint/transport/native"
	"github.com/stint-limiter/stint/transport/peer"
)

// A running node and all its listeners.
type running struct {
	f   *serveFlags
	log *slog.Logger

	policies *policySet
	members  *members.Members
	node     *node.Node
	checks   *httpserver.Server
	peers    *peer.Server
	admin    *http.Server

	failed chan error // something that a node cannot live without has failed
}

// start brings a node up: first all that can be refused without having said a word to anybody (settings, policies,
// ports), then gossip, then the node, and the doors last.
func start(f *serveFlags, log *slog.Logger) (_ *running, err error) {
	s := &running{f: f, log: log, failed: make(chan error, 4)}
	seeds, err := f.seeds()
	if err != nil {
		return nil, err
	}
	mode, err := transport.ParseMode(f.failureMode)
	if err != nil {
		return nil, fmt.Errorf("--failure-mode: %w", err)
	}
	onFull, err := transport.ParseMode(f.onFull)
	if err != nil {
		return nil, fmt.Errorf("--on-full: %w", err)
	}
	secret, err := readKey("secret-file", f.secretFile, 16)
	if err != nil {
		return nil, err
	}
	hashKey, err := readKey("hash-key-file", f.hashKeyFile, 16)
	if err != nil {
		return nil, err
	}
	if s.policies, err = newPolicySet(f.policies, hashKey, os.Stderr, log); err != nil {
		return nil, err
	}

	var open []net.Listener
	defer func() {
		if err != nil {
			for _, ln := range open {
				ln.Close()
			}
		}
	}()
	listen := func(what, host string, port int) net.Listener {
		if err != nil {
			return nil
		}
		var ln net.Listener
		if ln, err = listen(what, host, port); err == nil {
			open = append(open, ln)
		}
		return ln
	}
	checks := listen("checks", f.bind, f.port)
	peers := listen("peers", f.bind, f.port+peerPort)
	adminLn := listen("admin", f.adminBind, f.port+adminPort)
	if err != nil {
		return nil, err
	}

	hasher := bucket.NewHasher(hashKey)
	startID := uint64(time.Now().UnixNano())
	s.members, err = members.New(members.Config{
		Name: f.name, StartID: startID,
		BindAddr: f.bind, BindPort: uint16(f.port + gossipPort), AdvertiseAddr: f.advertise,
		PeerPort: uint16(f.port + peerPort), DataPort: uint16(f.port),
		Seeds: seeds, Secret: secret, Constants: ring.Constants(), HashKey: hasher.Fingerprint(), Version: version,
		Patience: f.patience, Log: logger(log, "members"),
	})
	if err != nil {
		return nil, fmt.Errorf("join the cluster: %w", err)
	}
	self := peer.Member{Name: f.name, StartID: startID}
	hello := node.Hello(hasher)
	auth := peer.NewAuth(secret)
	clock := transport.NewClock()
	var server atomic.Pointer[peer.Server] // made after the node, which may want it
	s.node, err = node.New(node.Config{
		Name: f.name, StartID: startID, Gossip: s.members, First: f.first || len(seeds) == 0,
		Hasher: hasher, MaxLines: f.maxLines, FailureMode: mode, OnFull: onFull, NoBackups: !f.backups, NoLeases: !f.leases, Clock: clock, Log: logger(log, "node"),
		Timers: f.timers(), OnSplit: f.split(), Data: f.data,
		Pipe: func(c peer.PipeConfig) (*peer.Pipe, error) {
			c.Self, c.Auth, c.Hello, c.Log = self, auth, hello, logger(log, "peer")
			return peer.NewPipe(c)
		},
		Disconnect: func() {
			if p := server.Load(); p != nil {
				p.Disconnect()
			}
		},
	})
	if err != nil {
		s.members.Close()
		return nil, err
	}
	s.peers, err = peer.NewServer(peer.ServerConfig{Self: self, Decider: s.node, Mail: s.node.Mail, Auth: auth, Hello: hello, Log: logger(log, "peer")})
	if err != nil {
		s.node.Close()
		return nil, err
	}
	server.Store(s.peers)
	doors := doorSet{policies: s.policies, checker: s.node, clock: clock, mode: mode, log: logger(log, "doors")}
	routes := doors.open()
	s.checks = httpserver.New(httpserver.Config{Routes: routes, Log: logger(log, "doors")})
	s.admin = admin.NewServer(admin.Config{Node: s.node, Peeks: doors.peeks, Doors: doors.stats, Rules: doors.rules, ReloadFailed: s.policies.failed.Load, Version: version, Log: logger(log, "admin")})

	s.serve("checks", func() error { return s.checks.Serve(checks) })
	s.serve("peers", func() error { return s.peers.Serve(peers) })
	s.serve("admin", func() error {
		if err := s.admin.Serve(admin.Listen(adminLn)); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	go func() {
		if err, ok := <-s.members.Fatal(); ok && err != nil {
			s.failed <- err
		}
	}()
	return s, nil
}

// serve runs one of the servers; that it ends of itself is fatal.
func (s *running) serve(what string, f func() error) {
	go func() {
		if err := f(); err != nil {
			s.failed <- fmt.Errorf("serve %s: %w", what, err)
		}
	}()
}

// hello tells a newcomer what there is, and logs the same for everybody else.
func (s *running) hello() {
	f := s.f
	s.log.Info("stint", "version", version, "name", f.name,
		"checks", addr(f.bind, f.port), "peers", addr(f.bind, f.port+peerPort),
		"gossip", addr(f.bind, f.port+gossipPort), "admin", addr(f.adminBind, f.port+adminPort),
		"policies", s.policies.names(), "join", f.join)
	host := f.bind
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.log.Info("try it: curl -s " + addr(host, f.port) + `/v1/check -d '{"checks":[{"key":"account:42","limits":["5/1m"]}]}'`)
}

// drainMost is how long callers get to take their connections elsewhere, each with its next answer, before idle ones are closed. Load
// balancers that look at /readyz see it red meanwhile.
const drainMost = 500 * time.Millisecond

// stop takes no new work, finishes what is in flight, says goodbye, and closes everything, by the context's deadline.
//
// The order: the doors first, while this node still decides what it holds, so that every check in flight is answered as ever.
// Then the others hear that it leaves, and take its partitions over; their asks are answered `moved` until they have. The pipes and
// gossip go last. The doors get no more than a part of the time: a slow caller must not cost the goodbye.
func (s *running) stop(ctx context.Context) error {
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	s.node.Drain()
	doors, cancel := context.WithTimeout(ctx, s.f.leaveTimeout*6/10)
	defer cancel()
	drained, cancelDrain := context.WithTimeout(doors, min(drainMost, s.f.leaveTimeout/5))
	s.checks.Drain(drained)
	cancelDrain()
	keep(s.checks.Shutdown(doors))
	keep(s.node.Leave(ctx))
	keep(s.peers.Shutdown(ctx))
	keep(s.node.Close())
	keep(s.admin.Shutdown(ctx))
	return errors.Join(errs...)
}

// doorSet is the doors of a node and what they share.
type doorSet struct {
	policies *policySet
	checker  transport.Checker
	clock    *transport.Clock
	mode     transport.Mode
	log      *slog.Logger

	check *native.Door
	auth  *forwardauth.Door
}

func (d *doorSet) open() map[string]fasthttp.RequestHandler {
	c := native.Config{Checker: d.checker, Policies: d.policies.all, Clock: d.clock, FailureMode: d.mode, Log: d.log}
	d.check, d.auth = native.New(c), forwardauth.New(c)
	return map[string]fasthttp.RequestHandler{native.Path: d.check.Handle, forwardauth.Path: d.auth.Handle}
}

// peeks returns a peek at every limit of every policy, for explanations.
func (d *doorSet) peeks() []transport.Check {
	var out []transport.Check
	for _, p := range d.policies.all() {
		out = append(out, p.Peeks()...)
	}
	return out
}

func (d *doorSet) stats() []admin.DoorStats {
	c, a := d.check.Stats(), d.auth.Stats()
	return []admin.DoorStats{
		{Door: "check", Answers: map[string]uint64{"ok": c.OK, "bad": c.Bad, "too-large": c.TooLarge, "unavailable": c.Unavailable}, Unplanned: c.Unplanned},
		{Door: "auth", Answers: map[string]uint64{"ok": a.Allowed, "denied": a.Denied, "bad": a.Bad, "unavailable": a.Unavailable}, Unplanned: a.Unplanned},
	}
}

// rules returns the counters of every rule of the policies in force.
func (d *doorSet) rules() []admin.RuleStats {
	var out []admin.RuleStats
	for _, p := range d.policies.all() {
		for _, r := range p.RuleStats() {
			out = append(out, admin.RuleStats{Policy: r.Policy, Rule: r.Rule,
				Requests: map[string]uint64{"allowed": r.Allowed, "denied": r.Denied, "would-deny": r.WouldDeny}})
		}
	}
	return out
}
