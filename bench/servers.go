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
	"time"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/proc"
)

// A server is one of those that are measured in turn.
type server struct {
	name   string
	nodes  int
	target load.Target
	procs  []*proc.Process // whose processor time counts
	counts bool            // it counts, so admitted and due can be compared
	close  func()
}

// errAbsent is why a server is skipped, which is no failure.
type errAbsent struct{ reason string }

func (e errAbsent) Error() string { return e.reason }

// start starts the named server in the group.
func start(ctx context.Context, g *proc.Group, name string, o *options) (*server, error) {
	switch name {
	case "echo":
		return startEcho(ctx, g)
	case "redis":
		return startRedis(ctx, g, o.callers)
	case "stint":
		return startStint(ctx, g, o)
	}
	return nil, fmt.Errorf("no server is called %q: there are echo, redis, stint; %w", name, errUsage)
}

// startEcho starts this program again, as the echo.
func startEcho(ctx context.Context, g *proc.Group) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the echo: %w", err)
	}
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p, err := g.Start(proc.Spec{Name: "echo", Path: self, Args: []string{"echo", "--addr", addr}})
	if err != nil {
		return nil, err
	}
	if err := p.Listening(ctx, addr); err != nil {
		return nil, err
	}
	return &server{name: "echo", nodes: 1, target: load.HTTP{Addrs: []string{addr}}, procs: []*proc.Process{p}, close: func() {}}, nil
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
	return &server{name: "redis", nodes: 1, target: t, procs: []*proc.Process{p}, counts: true, close: func() { t.Client.Close() }}, nil
}

func startStint(ctx context.Context, g *proc.Group, o *options) (*server, error) {
	binary, err := stintBinary(ctx, g, o.stint)
	if err != nil {
		return nil, err
	}
	cl, err := g.StartCluster(ctx, proc.ClusterConfig{Binary: binary, Nodes: o.nodes, Port: o.port})
	if err != nil {
		return nil, err
	}
	s := &server{name: "stint", nodes: o.nodes, target: load.HTTP{Addrs: cl.Checks()}, counts: true, close: func() {}}
	for _, n := range cl.Nodes {
		s.procs = append(s.procs, n.Process)
	}
	return s, nil
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

func absolute(path string) (string, error) {
	a, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return a, nil
}
