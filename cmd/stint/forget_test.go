package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// An operator gives up a member that crashed, through any node; one that is there, or that nobody knows, is not given up.
func TestForget(t *testing.T) {
	c := cluster(t, 3)
	forget := func(name string) (string, int) { return stint(t, "forget", name, "--admin", c.Nodes[0].Admin()) }
	for name, why := range map[string]string{"n2": "alive", "n0": "alive", "n9": "no such member"} {
		if out, code := forget(name); code != exitUse || !strings.Contains(out, why) {
			t.Errorf("forget %s: %d: %s", name, code, out)
		}
	}
	c.Nodes[2].Kill()
	state := func(i int) string {
		out, code := stint(t, "members", "--admin", c.Nodes[i].Admin())
		if code != exitOK {
			t.Fatal(out)
		}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); f[0] == "n2" {
				return f[1]
			}
		}
		return "unknown"
	}
	within := func(limit time.Duration, i int, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		for state(i) != want {
			select {
			case <-ctx.Done():
				t.Fatalf("n%d has n2 as %s, want %s", i, state(i), want)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	within(time.Minute, 0, "dead")
	within(time.Minute, 1, "dead")
	if out, code := forget("n2"); code != exitOK || !strings.Contains(out, "n2 is forgotten") {
		t.Fatalf("%d: %s", code, out)
	}
	within(10*time.Second, 0, "forgotten")
	within(10*time.Second, 1, "forgotten")
	if out, code := forget("n2"); code != exitOK {
		t.Errorf("again: %d: %s", code, out)
	}
}
