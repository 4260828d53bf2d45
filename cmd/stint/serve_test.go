package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// stint runs the binary with a deadline and returns what it printed and its exit status.
func stint(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	if err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatalf("stint %v: %v", args, err)
		}
	}
	code := 0
	if err != nil {
		code = err.(*exec.ExitError).ExitCode()
	}
	return string(out), code
}

func port(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }

// The first minutes of a newcomer: a cluster of one, a check from the shell, a second node, the same count on both.
func TestNewcomer(t *testing.T) {
	c := cluster(t, 1)
	n0 := c.Nodes[0]
	for i, want := range []int{exitOK, exitOK, exitDenied} {
		out, code := stint(t, "check", "--addr", n0.Checks(), "account:42", "2/1h")
		if code != want {
			t.Errorf("check %d: status %d, want %d: %s", i, code, want, out)
		}
	}
	if out, code := stint(t, "check", "--addr", n0.Checks(), "account:42", "2/1h", "--hits", "3"); code != exitDenied || !strings.Contains(out, "never") {
		t.Errorf("three hits of two: %d: %s", code, out)
	}
	if out, code := stint(t, "check", "--addr", n0.Checks(), "account:42", "2/fortnight"); code != exitUse || !strings.Contains(out, "2/fortnight") {
		t.Errorf("a limit that is none: %d: %s", code, out)
	}
	if out, code := stint(t, "members", "--admin", n0.Admin()); code != exitOK || !strings.Contains(out, "n0    alive  4093") {
		t.Errorf("members: %d: %s", code, out)
	}
}

// A name that is taken refuses the newcomer, with what to do.
func TestNameIsTaken(t *testing.T) {
	c := cluster(t, 1)
	ports, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	out, code := stint(t, "serve", "--name", "n0", "--port", strconv.Itoa(ports[0]), "--join", c.Nodes[0].Gossip())
	if code == exitOK || !strings.Contains(out, `"n0"`) && !strings.Contains(out, `\"n0\"`) || !strings.Contains(out, "--name") {
		t.Errorf("status %d: %s", code, out)
	}
}

// A policy with a mistake refuses the start, before anything listens.
func TestPolicyRefusesTheStart(t *testing.T) {
	path := file(t, "p.yaml", "name: p\nkey: [ip]\nrules:\n  all: { limits: 10/1x }\n")
	out, code := stint(t, "serve", "--policy", path, "--port", "9999")
	if code != 1 || !strings.Contains(out, `p.yaml:4:`) || !strings.Contains(out, `unknown unit "x"`) {
		t.Errorf("status %d: %s", code, out)
	}
}

func TestPortIsTaken(t *testing.T) {
	c := cluster(t, 1)
	out, code := stint(t, "serve", "--name", "other", "--port", port(c.Nodes[0].Checks()))
	if code != 1 || !strings.Contains(out, "listen for checks") || !strings.Contains(out, "--port") {
		t.Errorf("status %d: %s", code, out)
	}
}

// SIGTERM under load: whatever was asked is answered, the node exits 0, says goodbye, and the rest goes on.
func TestLeaveUnderLoad(t *testing.T) {
	c := cluster(t, 3)
	leaver := c.Nodes[1]
	stop := make(chan struct{})
	done := make(chan error, 2)
	for i, addr := range []string{c.Nodes[0].Checks(), c.Nodes[2].Checks()} {
		a := newAsker(t, addr, i == 1)
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := a.ask([]string{"k" + strconv.Itoa(n%500)}, "1000000/1h"); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	if err := leaver.Stop(15 * time.Second); err != nil {
		t.Errorf("the leaver: %v\n%s", err, leaver.Tail(20))
	}
	if err := c.Agree(context.Background()); err != nil {
		t.Error(err)
	}
	close(stop)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, n := range c.Running() {
		v, err := n.View(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range v.Members {
			if m.Name == leaver.Name && m.State != "left" {
				t.Errorf("%s sees the leaver as %s, want left", n.Name, m.State)
			}
		}
	}
}

// SIGHUP puts a changed policy in force; one with a mistake is refused, shown, and changes nothing.
func TestReload(t *testing.T) {
	policy := func(limit string) string {
		return "name: p\nclient_ip: { trusted_proxies: [private] }\nkey: [ip]\nrules:\n  all: { limits: " + limit + " }\n"
	}
	path := file(t, "p.yaml", policy("1/1h"))
	c := cluster(t, 1, "--policy", path)
	n := c.Nodes[0]
	auth := func() int {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+n.Checks()+"/v1/auth", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-Method", "GET")
		req.Header.Set("X-Forwarded-Uri", "/")
		req.Header.Set("X-Forwarded-For", "203.0.113.9")
		return status(t, req)
	}
	metric := func(want string) func() bool {
		return func() bool {
			b, err := get("http://" + n.Admin() + "/metrics")
			return err == nil && strings.Contains(string(b), want)
		}
	}
	if a, b := auth(), auth(); a != 200 || b != 429 {
		t.Fatalf("under 1/1h: %d, then %d", a, b)
	}
	rewrite(t, path, policy("1/1x"))
	hangUp(t, n)
	waitFor(t, "the refusal", metric("stint_policy_reload_failed 1"))
	if s := auth(); s != 429 {
		t.Errorf("with a bad file the old policy stays: %d", s)
	}
	rewrite(t, path, policy("3/1h"))
	hangUp(t, n)
	waitFor(t, "the reload", metric("stint_policy_reload_failed 0"))
	// A raised limit works on the live line: one of three is spent.
	if a, b, c := auth(), auth(), auth(); a != 200 || b != 200 || c != 429 {
		t.Errorf("under 3/1h with one spent: %d, %d, %d", a, b, c)
	}
}

func status(t *testing.T, req *http.Request) int {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hangUp(t *testing.T, n *proc.Node) {
	t.Helper()
	if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// waitFor polls another program, which has no signal to wait for.
func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
