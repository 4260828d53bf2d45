package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The family of ports: `--port P` sets them all.
const (
	peerPort   = 1
	gossipPort = 2
	adminPort  = 3
)

// serveFlags are the settings of `stint serve`, as the flags have them.
type serveFlags struct {
	name, bind, advertise, adminBind string
	port                             int
	join                             []string
	first                            bool
	policies                         []string
	secretFile, hashKeyFile          string
	failureMode, onFull              string
	maxLines                         int
	patience                         float64
	onSplit, data                    string
	backups, leases                  bool
	leaveTimeout                     time.Duration
	logFormat, logLevel              string
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Runs a node until it is told to stop (SIGTERM, Ctrl-C), then finishes what is in flight,
hands its place to the others and says goodbye. SIGHUP reads the policy files again; where they have a mistake, the old
ones stay in force.

--port P sets a family of ports: checks P, peers P+1, gossip P+2 (TCP and UDP), admin P+3.`,
		Example: `  stint serve                                                  # a cluster of one
  stint serve --policy api.yaml                                # with a published rate-limit page
  stint serve --name n1 --port 7170 --join 127.0.0.1:7072      # a second node on this machine`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "this node's `NAME`, unique in the cluster (default: the host's, with the port unless it is 7070)")
	fl.IntVar(&f.port, "port", 7070, "first `PORT` of the family")
	fl.StringVar(&f.bind, "bind", "127.0.0.1", "`ADDRESS` to listen on for checks, peers and gossip")
	fl.StringVar(&f.advertise, "advertise", "", "`ADDRESS` that other members reach this node at (default: --bind, or this host's private address)")
	fl.StringVar(&f.adminBind, "admin-bind", "127.0.0.1", "`ADDRESS` to listen on for admin and metrics; it has no authentication")
	fl.StringSliceVar(&f.join, "join", nil, "`HOST:GOSSIP,…` of members to join; the port may be left out if it is this node's own; repeatable")
	fl.BoolVar(&f.first, "first", false, "begin at once, though the members to join do not answer")
	fl.StringSliceVar(&f.policies, "policy", nil, "policy `FILE`; repeatable")
	fl.StringVar(&f.secretFile, "secret-file", "", "`FILE` with the cluster's secret: gossip is encrypted and peers are authenticated with it")
	fl.StringVar(&f.hashKeyFile, "hash-key-file", "", "`FILE` with the cluster's hash key, the same on every node and never changed")
	fl.StringVar(&f.failureMode, "failure-mode", "allow", "`allow|deny`: the answer when nobody can decide and the rule does not say")
	fl.StringVar(&f.onFull, "on-full", "allow", "`allow|deny`: the answer for a new key when every line in memory is denying")
	fl.IntVar(&f.maxLines, "max-lines", 8<<20, "most `LINES` in memory, one per key and limit, 64 bytes each and some room")
	fl.Float64Var(&f.patience, "patience", 1, "`FACTOR`, 0.5 to 100, by which nodes wait longer for each other, on machines or networks that stall; the same on every node")
	fl.StringVar(&f.onSplit, "on-split", "full", "`full|share|deny`: what each side of a split cluster may grant where the rule does not say")
	fl.BoolVar(&f.leases, "leases", true, "lend hits of hot keys to the nodes that are asked for them, and remember denials; without, every check goes to its key's holder")
	fl.BoolVar(&f.backups, "backups", true, "keep a copy of each partition on another node; without, a crash forgets what the node held, and memory is half")
	fl.StringVar(&f.data, "data", "", "`DIR` for a snapshot of the counts, so that they outlive a stop of the whole cluster (default: none is kept)")
	fl.DurationVar(&f.leaveTimeout, "leave-timeout", 10*time.Second, "most time to finish what is in flight after SIGTERM")
	fl.StringVar(&f.logFormat, "log-format", "auto", "`auto|text|json`; auto is text on a terminal")
	fl.StringVar(&f.logLevel, "log-level", "info", "`debug|info|warn|error`")
	return cmd
}

// serve runs a node until a signal comes.
func serve(ctx context.Context, f *serveFlags) error {
	keepRoom()
	log, err := newLog(os.Stderr, f.logFormat, f.logLevel)
	if err != nil {
		return err
	}
	if err := f.settle(); err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	s, err := start(f, log)
	if err != nil {
		return &exit{exitOK + 1, err}
	}
	s.hello()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	var cause error
	for running := true; running; {
		select {
		case <-reload:
			s.policies.reload()
		case <-ctx.Done():
			log.Info("stopping", "leave_timeout", f.leaveTimeout.String())
			running = false
		case cause = <-s.failed:
			log.Error("stopping", "error", cause)
			running = false
		}
	}
	// A second signal ends the process at once.
	stop()
	leave, cancel := context.WithTimeout(context.Background(), f.leaveTimeout)
	defer cancel()
	if err := s.stop(leave); err != nil {
		log.Warn("stopped, not everything in time", "error", err)
	} else {
		log.Info("stopped")
	}
	if cause != nil {
		return &exit{exitOK + 1, cause}
	}
	return nil
}

// settle checks the flags and fills in what depends on others.
func (f *serveFlags) settle() error {
	if f.port < 1 || f.port > 65535-5 {
		return fmt.Errorf("--port %d: want 1 to %d, as the family needs five more above it", f.port, 65535-5)
	}
	if f.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--name is missing and the host has none: %w", err)
		}
		f.name = host
		if f.port != 7070 {
			f.name += "-" + strconv.Itoa(f.port)
		}
	}
	if len(f.name) > 64 {
		return fmt.Errorf("--name %.20q…: %d bytes; the most is 64", f.name, len(f.name))
	}
	for _, a := range []struct{ flag, value string }{{"bind", f.bind}, {"admin-bind", f.adminBind}} {
		if net.ParseIP(a.value) == nil {
			return fmt.Errorf("--%s %q: want an IP address, such as 127.0.0.1 or 0.0.0.0", a.flag, a.value)
		}
	}
	if f.maxLines < 1 {
		return fmt.Errorf("--max-lines %d: want at least 1", f.maxLines)
	}
	if f.leaveTimeout <= 0 {
		return fmt.Errorf("--leave-timeout %v: want more than 0", f.leaveTimeout)
	}
	return f.settleFaults()
}

// seeds returns the addresses to join, with ports, and whether there is anybody to wait for: this node itself is nobody.
func (f *serveFlags) seeds() ([]string, error) {
	own := strconv.Itoa(f.port + gossipPort)
	var out []string
	for _, j := range f.join {
		if j == "" {
			continue
		}
		host, port, err := net.SplitHostPort(j)
		if err != nil {
			var ae *net.AddrError
			if !errors.As(err, &ae) || ae.Err != "missing port in address" {
				return nil, fmt.Errorf("--join %q: want HOST or HOST:GOSSIPPORT: %w", j, err)
			}
			host, port = j, own
		}
		if port == own && (host == f.bind || host == f.advertise || host == f.name) {
			continue
		}
		out = append(out, net.JoinHostPort(host, port))
	}
	return out, nil
}

// readKey reads a secret of a file: everything but the white space around it.
func readKey(flag, path string, least int) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	b = bytes.TrimSpace(b)
	if len(b) < least {
		return nil, fmt.Errorf("--%s %s: %d bytes; want at least %d (head -c 32 /dev/urandom | base64 makes one)", flag, path, len(b), least)
	}
	return b, nil
}

func addr(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func listen(what, host string, port int) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w (another port: --port, which sets the whole family)", what, err)
	}
	return ln, nil
}

func logger(l *slog.Logger, room string) *slog.Logger { return l.With("room", room) }
