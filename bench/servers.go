package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/proc"
)

// A server is one of those that are measured in turn.
type server struct {
	name    string
	nodes   int
	variant string
	target  load.Target
	procs   []*proc.Process // whose processor time counts; none: not ours, and not known
	addr    string          // Redis's, for whoever needs it
	counts  bool            // it counts, so admitted and due can be compared
	cluster *proc.Cluster   // Stint's
	close   func()

	gomaxprocs int // of each of its processes; 0: as their runtimes find it

	scrape float64 // allocations of one look at all nodes' metrics
}

// rival reports whether it is neither Stint nor the floor.
func (s *server) rival() bool { return s.name != "stint" && s.name != "echo" && s.name != "echoes" }

// errAbsent is why a server is skipped, which is no failure.
type errAbsent struct{ reason string }

func (e errAbsent) Error() string { return e.reason }

// start starts the named server in the group; before are those that run already.
func start(ctx context.Context, g *proc.Group, name string, o *options, v variant, before []*server) (*server, error) {
	switch name {
	case "echo":
		return startEcho(ctx, g, 0)
	case "echoes":
		return startEchoes(ctx, g, v.nodes, o.processors)
	case "redis":
		return startRedis(ctx, g, o.callers)
	case "ratelimit":
		return startRatelimit(ctx, g, before)
	case "gubernator":
		return findGubernator(ctx, o.gubernator)
	case "stint":
		return startStint(ctx, g, o, v)
	}
	return nil, fmt.Errorf("no server is called %q: there are echo, echoes, redis, ratelimit, gubernator, stint; %w", name, errUsage)
}

// runsOn is the environment of a Go process that is to use no more processors at once; 0: as many as its runtime finds.
func runsOn(processors int) []string {
	if processors == 0 {
		return nil
	}
	return []string{"GOMAXPROCS=" + strconv.Itoa(processors)}
}

// startEcho starts this program again, as the echo.
func startEcho(ctx context.Context, g *proc.Group, processors int) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the echo: %w", err)
	}
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p, err := g.Start(proc.Spec{Name: "echo", Path: self, Args: []string{"echo", "--addr", addr}, Env: runsOn(processors)})
	if err != nil {
		return nil, err
	}
	if err := p.Listening(ctx, addr); err != nil {
		return nil, err
	}
	return &server{name: "echo", nodes: 1, target: load.HTTP{Addrs: []string{addr}}, procs: []*proc.Process{p}, close: func() {}}, nil
}

// startEchoes starts as many echoes as there are nodes, to be asked in turn: what it costs to answer from several processes, before any of
// them asks another.
func startEchoes(ctx context.Context, g *proc.Group, n, processors int) (*server, error) {
	all := &server{name: "echoes", nodes: n, gomaxprocs: processors, close: func() {}}
	var addrs []string
	for range n {
		one, err := startEcho(ctx, g, processors)
		if err != nil {
			return nil, err
		}
		all.procs = append(all.procs, one.procs...)
		addrs = append(addrs, one.target.(load.HTTP).Addrs...)
	}
	all.target = load.HTTP{Addrs: addrs}
	return all, nil
}

// startRedis starts the system's redis-server, in memory only: no snapshots, no log of writes.
func startRedis(ctx context.Context, g *proc.Group, callers int) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errAbsent{"no redis-server on the PATH (Debian: apt install redis-server)"}
	}
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	p, err := g.Start(proc.Spec{Name: "redis", Path: path, Args: []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no",
	}})
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := p.Listening(ctx, addr); err != nil {
		return nil, err
	}
	t := load.NewRedis(addr, callers)
	return &server{name: "redis", nodes: 1, target: t, procs: []*proc.Process{p}, addr: addr, counts: true, close: func() { t.Client.Close() }}, nil
}

func startStint(ctx context.Context, g *proc.Group, o *options, v variant) (*server, error) {
	binary, err := stintBinary(ctx, g, o.stint)
	if err != nil {
		return nil, err
	}
	args := append(v.args(), strings.Fields(o.stintFlags)...)
	if err := knows(ctx, binary, v.args()); err != nil {
		return nil, err
	}
	cl, err := g.StartCluster(ctx, proc.ClusterConfig{Binary: binary, Nodes: v.nodes, Port: o.port, Args: args, Env: runsOn(o.processors)})
	if err != nil {
		return nil, err
	}
	s := &server{name: "stint", nodes: v.nodes, variant: v.String(), target: load.HTTP{Addrs: cl.Checks()}, counts: true, cluster: cl, gomaxprocs: o.processors, close: func() {}}
	if o.stintFlags != "" {
		s.variant = strings.TrimPrefix(s.variant+", "+o.stintFlags, ", ")
	}
	for _, n := range cl.Nodes {
		s.procs = append(s.procs, n.Process)
	}
	first := s.mallocs(ctx)
	s.scrape = s.mallocs(ctx) - first
	return s, nil
}

// knows looks whether the binary has the flags, for --stint may name an older one.
func knows(ctx context.Context, binary string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	help, err := exec.CommandContext(ctx, binary, "serve", "--help").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask %s for its flags: %w", binary, err)
	}
	for _, a := range args {
		if name, _, _ := strings.Cut(a, "="); !strings.Contains(string(help), name+" ") {
			return errAbsent{fmt.Sprintf("this stint serve has no %s", name)}
		}
	}
	return nil
}

// mallocs returns how many objects the nodes have allocated so far, 0 if that is not known.
func (s *server) mallocs(ctx context.Context) float64 {
	if s.cluster == nil {
		return 0
	}
	return sum(ctx, s.cluster, "go_memstats_mallocs_total")
}

// lost returns how many hits that the nodes have lent each other were neither handed out nor taken back so far: those that are out, or, when
// all have come back, those that stay spent.
func (s *server) lost(ctx context.Context) float64 {
	if s.cluster == nil {
		return 0
	}
	of := func(what string) float64 { return sum(ctx, s.cluster, `stint_loan_hits_total{what="`+what+`"}`) }
	return of("lent") - of("took_back") - of("spent")
}

// wakes returns how often the nodes found themselves starved so far.
func (s *server) wakes(ctx context.Context) float64 {
	if s.cluster == nil {
		return 0
	}
	return sum(ctx, s.cluster, "stint_wakes_total")
}

// cpu returns the processor time that the server's processes have used so far. A process that has ended is an
// error: whatever was measured since is worth nothing.
func (s *server) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, p := range s.procs {
		if !p.Running() {
			return 0, fmt.Errorf("%s has ended under load (%v); its log ends\n%s", p.Name, p.Err(), p.Tail(20))
		}
		d, err := p.CPU()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// rss returns the memory of the server's processes.
func (s *server) rss() (uint64, error) {
	var sum uint64
	for _, p := range s.procs {
		n, err := p.RSS()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func absolute(path string) (string, error) {
	a, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return a, nil
}
