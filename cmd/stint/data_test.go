package main

import (
	"context"
	"fmt"
	"math"
	"os"
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
