package main

import (
	"context"
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

// ratelimitVersion of envoyproxy/ratelimit, which has made no releases since 2020: what @latest was in November 2026.
const ratelimitVersion = "v1.4.1-0.20260122083618-3fb702589d36"

// buildTimeout bounds `go install`, which fetches its modules the first time.
const buildTimeout = 5 * time.Minute

// startRatelimit starts envoyproxy/ratelimit over the Redis that runs already; the processor time of both counts. It is asked over its
// POST /json: gRPC, which Envoy speaks to it, would need another client here, with dependencies that nothing else has.
func startRatelimit(ctx context.Context, g *proc.Group, before []*server) (*server, error) {
	var redis *server
	for _, s := range before {
		if s.name == "redis" {
			redis = s
		}
	}
	if redis == nil {
		return nil, errAbsent{"it needs the redis of this run: --servers echo,redis,ratelimit,stint"}
	}
	binary, err := buildRatelimit(ctx)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(g.Dir, "ratelimit")
	if err := os.MkdirAll(filepath.Join(root, "config"), 0o755); err != nil {
		return nil, fmt.Errorf("start ratelimit: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "config", "bench.yaml"), load.RatelimitConfig(), 0o644); err != nil {
		return nil, fmt.Errorf("start ratelimit: %w", err)
	}
	base, err := proc.FreePort() // the first of a family
	if err != nil {
		return nil, err
	}
	p, err := g.Start(proc.Spec{Name: "ratelimit", Path: binary, Env: []string{
		"HOST=127.0.0.1", "GRPC_HOST=127.0.0.1", "DEBUG_HOST=127.0.0.1",
		"PORT=" + strconv.Itoa(base), "GRPC_PORT=" + strconv.Itoa(base+1), "DEBUG_PORT=" + strconv.Itoa(base+2),
		"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + redis.addr, "USE_STATSD=false", "LOG_LEVEL=error",
		"RUNTIME_ROOT=" + root, "RUNTIME_SUBDIRECTORY=", "RUNTIME_WATCH_ROOT=false",
	}})
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(base))
	if err := p.Listening(ctx, addr); err != nil {
		return nil, errAbsent{err.Error()}
	}
	return &server{
		name: "ratelimit", nodes: 1, target: load.HTTP{Addrs: []string{addr}, Speaks: load.Ratelimit},
		procs: append([]*proc.Process{p}, redis.procs...), counts: true, close: func() {},
	}, nil
}

// ratelimitBinary is where its binary is once it was built: in the user's cache directory.
func ratelimitBinary() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", errAbsent{fmt.Sprintf("nowhere to build it: %v", err)}
	}
	return filepath.Join(cache, "stint-bench", "ratelimit-"+ratelimitVersion, "service_cmd"), nil
}

// buildRatelimit returns its binary, which is built by module version, once.
func buildRatelimit(ctx context.Context) (string, error) {
	binary, err := ratelimitBinary()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(binary)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	fmt.Fprintln(os.Stderr, "building envoyproxy/ratelimit, once, into", dir)
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/envoyproxy/ratelimit/src/service_cmd@"+ratelimitVersion)
	cmd.Dir = os.TempDir() // in no module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return "", errAbsent{fmt.Sprintf("go install of version %s: %v: %s", ratelimitVersion, err, lines[len(lines)-1])}
	}
	return binary, nil
}

// findGubernator returns a gubernator that listens already: it is nobody's child, so its processor time is not known.
func findGubernator(ctx context.Context, addr string) (*server, error) {
	if addr == "" {
		return nil, errAbsent{"no --gubernator HOST:PORT was named"}
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, errAbsent{err.Error()}
	}
	c.Close()
	return &server{
		name: "gubernator", nodes: 1, target: load.HTTP{Addrs: []string{addr}, Speaks: load.Gubernator}, counts: true, close: func() {},
	}, nil
}
