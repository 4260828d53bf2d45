package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/stint-limiter/stint/bench/proc"
)

// clusterWord starts a cluster and keeps it until Ctrl-C, or until one of its nodes ends.
func clusterWord(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("cluster", flag.ContinueOnError)
	port := f.Int("port", 0, "the first node's `port`; the others are 10 higher each (0: free ones)")
	binary := f.String("stint", "", "the stint `binary` (default: build ./cmd/stint)")
	policy := f.String("policy", "", "a policy `file` for all nodes")
	processors := f.Int("processors", 0, "GOMAXPROCS of each node, for several that share a machine (0: as many as it has)")
	nodes := 3
	if len(args) > 0 {
		if n, err := strconv.Atoi(args[0]); err == nil {
			nodes, args = n, args[1:]
		}
	}
	if err := parse(f, args, 0); err != nil {
		return err
	}
	g, err := proc.NewGroup()
	if err != nil {
		return err
	}
	defer closeGroup(g, &err)

	if *binary, err = stintBinary(ctx, g, *binary); err != nil {
		return err
	}
	if *processors < 0 {
		return fmt.Errorf("--processors %d: at least 0; %w", *processors, errUsage)
	}
	config := proc.ClusterConfig{Binary: *binary, Nodes: nodes, Port: *port, Env: runsOn(*processors)}
	if *policy != "" {
		config.Args = []string{"--policy", *policy}
	}
	cl, err := g.StartCluster(ctx, config)
	if err != nil {
		return err
	}
	fmt.Printf("%d nodes, logs in %s\n", nodes, g.Dir)
	for _, n := range cl.Nodes {
		fmt.Printf("  %s  pid %d  checks %s  admin http://%s\n", n.Name, n.PID(), n.Checks(), n.Admin())
	}
	fmt.Printf("ask one of them:\n  curl http://%s/v1/check -d '{\"checks\":[{\"key\":\"account:42\",\"limits\":[\"5/1m\"]}]}'\nCtrl-C ends them.\n", cl.Nodes[0].Checks())
	return keep(ctx, cl)
}

// keep waits for ctx to end, or for a node to, which is an error.
func keep(ctx context.Context, cl *proc.Cluster) error {
	ended := make(chan *proc.Node, len(cl.Nodes))
	for _, n := range cl.Nodes {
		go func() {
			<-n.Done()
			ended <- n
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case n := <-ended:
		return fmt.Errorf("%s has ended: %v; its log ends\n%s", n.Name, n.Err(), n.Tail(20))
	}
}

// stintBinary returns the binary to start: the one that was named, else one built into the group's directory.
func stintBinary(ctx context.Context, g *proc.Group, named string) (string, error) {
	if named == "" {
		return proc.BuildStint(ctx, g.Dir)
	}
	if _, err := os.Stat(named); err != nil {
		return "", fmt.Errorf("start stint: %w", err)
	}
	return absolute(named)
}

// closeGroup ends a group by defer, on the way out of a panic too. Its error is the word's where there is no other.
func closeGroup(g *proc.Group, err *error) {
	if e := g.Close(); e != nil && *err == nil {
		*err = e
	}
}
