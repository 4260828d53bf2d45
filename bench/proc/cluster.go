package proc

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A ClusterConfig says what cluster to start.
type ClusterConfig struct {
	Binary string   // stint's; see BuildStint
	Nodes  int      // 1 and more
	Port   int      // the first node's family; the next ones are 10 higher each. 0: free ones
	Args   []string // further flags of `stint serve`, for every node
	Env    []string

	// ArgsOf returns further flags for one node. It may be nil.
	ArgsOf func(name string) []string
	// Places says where each node lives, in order, those that are added later too. Without it all are on loopback.
	Places []Place
}

// A Place is a host of its own for a node: an address that this process reaches, and the words before the command that
// bring it there, such as `ip netns exec NAME`.
type Place struct {
	Host   string
	Port   int // of checks; nobody else is there, so nobody looks whether it is free
	Prefix []string
}

// A Cluster is a number of stint nodes on loopback. It is for one goroutine; the processes in it are not.
type Cluster struct {
	Nodes []*Node

	group *Group
	c     ClusterConfig
}

// A Node is one `stint serve`.
type Node struct {
	*Process
	Name string
	Host string
	Port int // of checks; the family follows

	prefix []string // see Place
}

// Checks, Peers, Gossip and Admin return the node's addresses.
func (n *Node) Checks() string { return n.at(0) }
func (n *Node) Peers() string  { return n.at(1) }
func (n *Node) Gossip() string { return n.at(2) }
func (n *Node) Admin() string  { return n.at(3) }

func (n *Node) at(offset int) string { return net.JoinHostPort(n.Host, strconv.Itoa(n.Port+offset)) }

// StartCluster starts c.Nodes nodes called n0, n1 and so on, the first with --first, and waits until they are a
// cluster (see Agree). On an error what was started is ended again, and the ends of the logs are in the error.
func (g *Group) StartCluster(ctx context.Context, c ClusterConfig) (*Cluster, error) {
	if c.Nodes < 1 {
		return nil, fmt.Errorf("start a cluster of %d nodes: it takes at least one", c.Nodes)
	}
	cl := &Cluster{group: g, c: c}
	var bases []int
	if c.Places == nil {
		var err error
		if bases, err = portsFrom(c.Port, c.Nodes); err != nil {
			return nil, err
		}
	}
	for i := range c.Nodes {
		if _, err := cl.newNode(bases, i); err != nil {
			return nil, err
		}
	}
	for i, n := range cl.Nodes {
		if err := cl.start(n, i == 0); err != nil {
			cl.Stop()
			return nil, err
		}
	}
	if err := cl.Agree(ctx); err != nil {
		err = fmt.Errorf("start a cluster of %d: %w\n%s", c.Nodes, err, cl.Tails(12))
		cl.Stop()
		return nil, err
	}
	return cl, nil
}

// newNode appends a node that is not started yet: at its place, or on the i-th of the free families.
func (cl *Cluster) newNode(bases []int, i int) (*Node, error) {
	at := len(cl.Nodes)
	n := &Node{Name: "n" + strconv.Itoa(at), Host: "127.0.0.1"}
	switch {
	case cl.c.Places == nil:
		n.Port = bases[i]
	case at < len(cl.c.Places):
		p := cl.c.Places[at]
		n.Host, n.Port, n.prefix = p.Host, p.Port, p.Prefix
	default:
		return nil, fmt.Errorf("place %s: there are %d places", n.Name, len(cl.c.Places))
	}
	cl.Nodes = append(cl.Nodes, n)
	return n, nil
}

func portsFrom(first, n int) ([]int, error) {
	if first == 0 {
		return FreePorts(n)
	}
	var bases []int
	for i := range n {
		base := first + 10*i
		if !familyFree(base) {
			return nil, fmt.Errorf("start a node on port %d: somebody listens on one of %d to %d; choose another --port", base, base, base+family-1)
		}
		bases = append(bases, base)
	}
	return bases, nil
}

// Add starts one more node, which joins the others, without waiting for it (see Agree).
func (cl *Cluster) Add() (*Node, error) {
	var bases []int
	if cl.c.Places == nil {
		var err error
		if bases, err = FreePorts(1); err != nil {
			return nil, err
		}
	}
	n, err := cl.newNode(bases, 0)
	if err != nil {
		return nil, err
	}
	if err := cl.start(n, false); err != nil {
		cl.Nodes = cl.Nodes[:len(cl.Nodes)-1]
		return nil, err
	}
	return n, nil
}

// Restart starts a node that has ended again under its name and ports, without waiting for it. It never is
// --first: the others are there.
func (cl *Cluster) Restart(n *Node) error {
	if n.Running() {
		return fmt.Errorf("restart %s: it still runs", n.Name)
	}
	return cl.start(n, false)
}

func (cl *Cluster) start(n *Node, first bool) error {
	args := []string{"serve", "--name", n.Name, "--bind", n.Host, "--port", strconv.Itoa(n.Port)}
	if cl.c.Places != nil {
		args = append(args, "--admin-bind", n.Host) // whoever asks is elsewhere
	}
	if first {
		args = append(args, "--first")
	}
	var seeds []string
	for _, o := range cl.Nodes {
		if o != n {
			seeds = append(seeds, o.Gossip())
		}
	}
	if len(seeds) > 0 {
		args = append(args, "--join", strings.Join(seeds, ","))
	}
	args = append(args, cl.c.Args...)
	if cl.c.ArgsOf != nil {
		args = append(args, cl.c.ArgsOf(n.Name)...)
	}
	path := cl.c.Binary
	if len(n.prefix) > 0 {
		args = append(append(append([]string(nil), n.prefix[1:]...), path), args...)
		path = n.prefix[0]
	}
	p, err := cl.group.Start(Spec{Name: n.Name, Path: path, Args: args, Env: cl.c.Env})
	if err != nil {
		return err
	}
	n.Process = p
	return nil
}

// Checks returns the addresses of all nodes that run.
func (cl *Cluster) Checks() []string {
	var a []string
	for _, n := range cl.Running() {
		a = append(a, n.Checks())
	}
	return a
}

// Running returns the nodes that have not ended.
func (cl *Cluster) Running() []*Node {
	var r []*Node
	for _, n := range cl.Nodes {
		if n.Process != nil && n.Process.Running() {
			r = append(r, n)
		}
	}
	return r
}

// Tails returns the ends of all logs, n lines each.
func (cl *Cluster) Tails(n int) string {
	var b strings.Builder
	for _, node := range cl.Nodes {
		if node.Process != nil {
			b.WriteString(node.Tail(n))
		}
	}
	return b.String()
}

// Kill ends all nodes at once, by SIGKILL.
func (cl *Cluster) Kill() {
	for _, n := range cl.Running() {
		n.Process.Kill()
	}
}

// Stop ends all nodes, by SIGTERM first, and returns the first error.
func (cl *Cluster) Stop() error {
	for _, n := range cl.Running() {
		n.terminate()
	}
	var first error
	for _, n := range cl.Nodes {
		if n.Process == nil {
			continue
		}
		if err := n.Process.Stop(StopTimeout); err != nil && first == nil {
			first = err
		}
	}
	return first
}
