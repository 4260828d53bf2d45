package proc

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func fakeCluster(t *testing.T, nodes int, env ...string) (*Group, *Cluster, error) {
	t.Helper()
	g := group(t)
	cl, err := g.StartCluster(t.Context(), ClusterConfig{Binary: os.Args[0], Nodes: nodes, Env: env, Args: []string{"--leave-timeout", "1s"}})
	return g, cl, err
}

func TestClusterWaitsForItsNodesToAgree(t *testing.T) {
	_, cl, err := fakeCluster(t, 3, "WRONG_n1=slow", "WRONG_n2=ring")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(cl.Checks()); got != 3 {
		t.Errorf("%d addresses", got)
	}
	for i, n := range cl.Nodes {
		flags := n.Tail(1)
		first := strings.Contains(flags, "--first")
		if first != (i == 0) || !strings.Contains(flags, "--leave-timeout 1s") || strings.Contains(flags, n.Gossip()) {
			t.Errorf("%s was started with %s", n.Name, flags)
		}
		for _, o := range cl.Nodes {
			if o != n && !strings.Contains(flags, o.Gossip()) {
				t.Errorf("%s does not know %s: %s", n.Name, o.Name, flags)
			}
		}
	}
	if err := cl.Stop(); err != nil || len(cl.Running()) != 0 {
		t.Errorf("%v, %d still run", err, len(cl.Running()))
	}
}

func TestClusterStartsANodeAgain(t *testing.T) {
	_, cl, err := fakeCluster(t, 2)
	if err != nil {
		t.Fatal(err)
	}
	n := cl.Nodes[0]
	if err := cl.Restart(n); err == nil {
		t.Error("a node that runs was started again")
	}
	n.Kill()
	if got := len(cl.Checks()); got != 1 {
		t.Errorf("%d addresses with one of two dead", got)
	}
	if err := cl.Restart(n); err != nil {
		t.Fatal(err)
	}
	if err := cl.Agree(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(n.Tail(1), "--first") {
		t.Error("a node that comes back must not be first: the others are there")
	}
	if a, err := cl.Add(); err != nil || a.Name != "n2" || len(cl.Running()) != 3 {
		t.Errorf("added %v, %v", a, err)
	}
}

func TestClusterSaysWhatFailed(t *testing.T) {
	g, _, err := fakeCluster(t, 3, "WRONG_n1=exit")
	if err == nil || !strings.Contains(err.Error(), "n1 has ended (exit status 1)") || !strings.Contains(err.Error(), "n1: cannot bind") {
		t.Errorf("got %v", err)
	}
	for _, p := range g.procs {
		if p.Running() {
			t.Errorf("%s still runs", p.Name)
		}
	}
}

func TestClusterThatNeverAgrees(t *testing.T) {
	_, cl, err := fakeCluster(t, 2)
	if err != nil {
		t.Fatal(err)
	}
	// A third node that the other two never hear of: each sees two alive, and there are three.
	if _, err := cl.Add(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := cl.Agree(ctx); err == nil {
		t.Error("they agree, it says")
	}
}

func TestFixedPorts(t *testing.T) {
	p, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	got, err := portsFrom(p, 1)
	if err != nil || len(got) != 1 || got[0] != p {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := (&Group{}).StartCluster(t.Context(), ClusterConfig{}); err == nil {
		t.Error("a cluster of no nodes")
	}
}

func TestBuildReportsTheCompiler(t *testing.T) {
	if _, err := build(t.Context(), t.TempDir(), "x", "./no/such/package"); err == nil || !strings.Contains(err.Error(), "no/such/package") {
		t.Errorf("got %v", err)
	}
	root, err := ModuleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Error(err)
	}
}

func TestClusterInPlaces(t *testing.T) {
	ports, err := FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	g := group(t)
	cl, err := g.StartCluster(t.Context(), ClusterConfig{
		Binary: os.Args[0], Nodes: 2, ArgsOf: func(name string) []string { return []string{"--data", "/x/" + name} },
		Places: []Place{{Host: "127.0.0.1", Port: ports[0], Prefix: []string{"env", "PLACE=1"}}, {Host: "127.0.0.1", Port: ports[1]}, {Host: "127.0.0.1", Port: ports[2]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	flags := cl.Nodes[0].Tail(1)
	if n := cl.Nodes[0]; n.Port != ports[0] || !strings.Contains(flags, "--admin-bind 127.0.0.1") || !strings.Contains(flags, "--data /x/n0") {
		t.Errorf("%s at %s was started with %s", n.Name, n.Checks(), flags)
	}
	if n, err := cl.Add(); err != nil || n.Port != ports[2] {
		t.Errorf("the third place: %+v, %v", n, err)
	}
	if _, err := cl.Add(); err == nil || len(cl.Nodes) != 3 {
		t.Errorf("a fourth node at one of three places: %v", err)
	}
	cl.Kill()
	if len(cl.Running()) != 0 {
		t.Error("killed, some still run")
	}
}
