package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// compose.yaml brings up three containers that answer alike: a key that is spent on one is denied on the others.
func TestCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no containers")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel) // after the containers are down
	if out, err := exec.CommandContext(ctx, "docker", "info").CombinedOutput(); err != nil {
		t.Skipf("docker cannot be used here: %v: %.200s", err, out)
	}
	compose := []string{"docker", "compose"}
	if exec.CommandContext(ctx, "docker", "compose", "version").Run() != nil {
		compose = []string{"docker-compose"}
		if _, err := exec.LookPath("docker-compose"); err != nil {
			t.Skip("there is neither `docker compose` nor docker-compose")
		}
	}
	ports, err := proc.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	var checks, admins []string
	env := []string{"STINT_IMAGE=stint:test"}
	for i, p := range ports {
		checks = append(checks, fmt.Sprint("127.0.0.1:", p))
		admins = append(admins, fmt.Sprint("127.0.0.1:", p+3))
		env = append(env, fmt.Sprintf("N%d_PORT=%d", i, p), fmt.Sprintf("N%d_ADMIN=%d", i, p+3))
	}
	root, err := proc.ModuleRoot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = root
		cmd.Env = append(append(os.Environ(), "DOCKER_BUILDKIT=0"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	// A build context of its own, so that the test writes nothing into the tree.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, "bin", "stint"), "./cmd/stint")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run("docker", "build", "-q", "-t", "stint:test", "-f", filepath.Join(root, "Dockerfile"), dir)
	project := fmt.Sprintf("stinttest%d", os.Getpid())
	words := append(compose[1:], "-p", project, "-f", filepath.Join(root, "compose.yaml"))
	up := func(args ...string) string { return run(compose[0], append(append([]string{}, words...), args...)...) }
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(up("logs", "--no-color", "--tail", "30"))
		}
		up("down", "-t", "10")
	})
	up("up", "-d")

	for _, admin := range admins {
		for {
			if v := membersAt(admin); v.ready && v.alive == 3 {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s never saw three members", admin)
			}
			time.Sleep(100 * time.Millisecond) // another program: there is no signal to wait for
		}
	}
	allowed := 0
	for i := range 9 {
		got, err := newAsker(t, checks[i%3], i%2 == 1).ask([]string{"account:42"}, "5/1h")
		if err != nil {
			t.Fatal(err)
		}
		if got.Decisions[0].Allowed {
			allowed++
		}
	}
	if allowed != 5 {
		t.Errorf("%d of 9 admitted under 5/1h from three containers in turn, want 5", allowed)
	}
	if out := up("ps"); strings.Contains(out, "Exit") {
		t.Error(out)
	}
}

// membersAt asks an admin port how many members it sees; what cannot be asked is not ready.
func membersAt(admin string) (v struct {
	ready bool
	alive int
}) {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	ready, err := client.Get("http://" + admin + "/readyz")
	if err != nil {
		return v
	}
	ready.Body.Close()
	v.ready = ready.StatusCode == http.StatusOK
	resp, err := client.Get("http://" + admin + "/v1/members")
	if err != nil {
		return v
	}
	defer resp.Body.Close()
	var page struct{ Members []struct{ State string } }
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if json.Unmarshal(b, &page) != nil {
		return v
	}
	for _, m := range page.Members {
		if m.State == "alive" {
			v.alive++
		}
	}
	return v
}
