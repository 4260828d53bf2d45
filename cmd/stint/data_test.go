package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// Nodes that keep snapshots (here all in one directory) go on counting after the whole cluster was stopped: when it was told
// to, to the last hit; when it was killed, up to the last snapshot.
func TestDataOutlivesTheCluster(t *testing.T) {
	dir := t.TempDir()
	c := cluster(t, 3, "--data", dir)
	const keys, limit = 100, "25/1h"
	var names []string
	for k := range keys {
		names = append(names, fmt.Sprint("key", k))
	}
	admitted := make([]int, keys)
	spend := func(times int) {
		t.Helper()
		for i := range times {
			a := newAsker(t, c.Nodes[i%3].Checks(), i%2 == 0)
			out, err := a.ask(names, limit)
			if err != nil {
				t.Fatal(err)
			}
			for k, d := range out.Decisions {
				if d.Allowed {
					admitted[k]++
				}
				if d.Via == "unavailable" {
					t.Errorf("key %d: nobody decides", k)
				}
			}
		}
	}
	again := func() {
		t.Helper()
		for _, n := range c.Nodes {
			if err := c.Restart(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Agree(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want int) {
		t.Helper()
		for k, n := range admitted {
			if n != want {
				t.Fatalf("%s: key %d was admitted %d times, want %d", when, k, n, want)
			}
		}
	}
	spend(10)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	again()
	spend(5)
	check("after a stop", 15)

	// Every node sees to its snapshot every ten seconds. Then the power goes.
	spent := time.Now()
	for _, n := range c.Nodes {
		ctx, cancel := context.WithTimeout(context.Background(), proc.StartTimeout)
		defer cancel()
		if err := proc.Until(ctx, func() error {
			if age := metric(t, n, "stint_snapshot_age_seconds"); age >= time.Since(spent).Seconds() {
				return fmt.Errorf("the snapshot of %s is %.1f s old", n.Name, age)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	c.Kill()
	for _, n := range c.Nodes {
		<-n.Done()
	}
	again()
	spend(30)
	check("in the end", 25)
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 3 {
		t.Errorf("in the directory: %v, %v", list, err)
	}
}

// metric returns a metric without labels; one that is not there is infinite.
func metric(t *testing.T, n *proc.Node, name string) float64 {
	t.Helper()
	b, err := proc.Get(context.Background(), "http://"+n.Admin()+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return math.Inf(1)
}

// A node that comes back to a cluster which went on without it brings nothing of before: neither once more, nor instead.
func TestDataOfBeforeCountsForNothing(t *testing.T) {
	dir := t.TempDir()
	c := cluster(t, 3, "--data", dir)
	var names []string
	for k := range 100 {
		names = append(names, fmt.Sprint("key", k))
	}
	remaining := func(i int, want int64) {
		t.Helper()
		out, err := newAsker(t, c.Nodes[i].Checks(), true).ask(names, "1000/1h")
		if err != nil {
			t.Fatal(err)
		}
		for k, d := range out.Decisions {
			if d.Remaining != want || d.Via == "unavailable" {
				t.Fatalf("key %d at n%d: %d remaining by %s, want %d", k, i, d.Remaining, d.Via, want)
			}
		}
	}
	remaining(0, 999)
	remaining(1, 998)
	remaining(2, 997)
	// It leaves a snapshot behind: of copies, for what it held was handed over.
	if err := c.Nodes[2].Stop(proc.StopTimeout); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "n2.snapshot")); err != nil {
		t.Fatal(err)
	}
	remaining(0, 996)
	remaining(1, 995)
	if err := c.Restart(c.Nodes[2]); err != nil {
		t.Fatal(err)
	}
	if err := c.Agree(context.Background()); err != nil {
		t.Fatal(err)
	}
	if metric(t, c.Nodes[2], "stint_snapshot_restored_partitions") == 0 {
		t.Error("nothing was restored, so nothing was tried")
	}
	remaining(2, 994)
	remaining(0, 993)
}
