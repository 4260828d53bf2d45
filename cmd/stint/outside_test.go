package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// The tests of outside_*, exact_*, seeds_* and hostile_* start the real binary as real processes on loopback and look at it
// from outside, as a caller does.

// binary is built once for all tests.
var binary string

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "stint-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if binary, err = proc.BuildStint(ctx, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}()
	os.Exit(code)
}

// group returns a group of processes that ends with the test.
func group(t *testing.T) *proc.Group {
	t.Helper()
	g, err := proc.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// cluster starts n nodes that end with the test, and waits until they agree.
func cluster(t *testing.T, n int, args ...string) *proc.Cluster {
	t.Helper()
	if n > 1 {
		// A machine that runs tests may stall a node for longer than 80 ms, and then a hit may count twice: what is tested is what is promised
		// where nodes do not stall. What stalls cost is bench faults' to tell.
		args = append([]string{"--patience", "5"}, args...)
	}
	c, err := group(t).StartCluster(context.Background(), proc.ClusterConfig{Binary: binary, Nodes: n, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Tails(20))
		}
	})
	return c
}

// file writes a file that goes with the test, and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
