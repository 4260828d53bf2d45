package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/stint-limiter/stint/bench/proc"
)

// A Net is a number of hosts, each a network namespace with one address, on a switch, which is a namespace with a bridge
// in it. This process has an address there, too, and reaches all. Any way from a host to another can be cut.
//
// A way is cut by a wrong hardware address: every host knows the others' by heart, and while it has a wrong one for another,
// what it sends there arrives nowhere. It hears nothing of that, as with a switch that has failed; a route that refuses, or a rule
// that drops what is sent, would be an error in its face. And it takes nothing but `ip`.
//
// Names are of this process: stint-PID-…; those of a process that is gone are taken away by the next one's NewNet.
// It is for one goroutine.
type Net struct {
	Hosts []Host

	pid    int
	subnet string // 10.x.y
	cut    map[[2]int]bool
}

// A Host is one namespace.
type Host struct {
	Namespace string
	IP        string
	mac       string
}

// ErrNoNet says why there can be no namespaces here.
var ErrNoNet = errors.New("no network namespaces here")

// nowhere is a hardware address that nobody has. It is a local one, as are those of the hosts.
const nowhere = "02:53:00:00:00:00"

// hostPort is the first port of every node: it is alone.
const hostPort = 7070

// NewNet makes a switch and so many hosts. Its error wraps ErrNoNet where this machine, or this user, has no namespaces.
func NewNet(ctx context.Context, hosts int) (_ *Net, err error) {
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("%w: there is no `ip` (iproute2)", ErrNoNet)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: that takes root", ErrNoNet)
	}
	n := &Net{pid: os.Getpid(), cut: map[[2]int]bool{}}
	n.sweep(ctx)
	if n.subnet, err = freeSubnet(n.pid); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if err := n.addSwitch(ctx); err != nil {
		return nil, err
	}
	for i := range hosts {
		if err := n.addHost(ctx, i); err != nil {
			return nil, err
		}
	}
	for i := range n.Hosts {
		if err := n.teach(ctx, i); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Places are where nodes can be started; see proc.ClusterConfig.
func (n *Net) Places() (places []proc.Place) {
	for _, h := range n.Hosts {
		places = append(places, proc.Place{Host: h.IP, Port: hostPort, Prefix: []string{"ip", "netns", "exec", h.Namespace}})
	}
	return places
}

// Cut cuts the ways from each of the hosts to each of the others, both named by their numbers; not the ways back.
func (n *Net) Cut(ctx context.Context, from, to []int) error { return n.set(ctx, from, to, true) }

// CutBoth cuts all links between some hosts and others.
func (n *Net) CutBoth(ctx context.Context, some, others []int) error {
	return errors.Join(n.set(ctx, some, others, true), n.set(ctx, others, some, true))
}

// Heal makes every way whole.
func (n *Net) Heal(ctx context.Context) error {
	clear(n.cut)
	return n.teachAll(ctx)
}

func (n *Net) set(ctx context.Context, from, to []int, cut bool) error {
	for _, a := range from {
		for _, b := range to {
			n.cut[[2]int{a, b}] = cut
		}
	}
	return n.teachAll(ctx)
}

// teachAll does it to all hosts at the same time, so that a split is one moment, as near as can be.
func (n *Net) teachAll(ctx context.Context) error {
	errs := make([]error, len(n.Hosts))
	var wg sync.WaitGroup
	for i := range n.Hosts {
		wg.Go(func() { errs[i] = n.teach(ctx, i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// teach tells a host the others' hardware addresses, wrong ones where the way is cut.
func (n *Net) teach(ctx context.Context, i int) error {
	var b strings.Builder
	for j, h := range n.Hosts {
		if j == i {
			continue
		}
		mac := h.mac
		if n.cut[[2]int{i, j}] {
			mac = nowhere
		}
		fmt.Fprintf(&b, "neigh replace %s lladdr %s dev eth0 nud permanent\n", h.IP, mac)
	}
	return ip(ctx, b.String(), "-n", n.Hosts[i].Namespace, "-batch", "-")
}

// The switch is in a namespace of its own, where no firewall of this machine looks at what crosses a bridge.
func (n *Net) addSwitch(ctx context.Context) error {
	// What a machine may refuse comes first.
	if err := ip(ctx, "", "netns", "add", n.name("switch")); err != nil {
		return fmt.Errorf("%w: %w", ErrNoNet, err)
	}
	if err := ip(ctx, "link add br0 type bridge\nlink add "+n.uplink()+" type veth peer name root\n", "-n", n.name("switch"), "-batch", "-"); err != nil {
		return fmt.Errorf("%w: %w", ErrNoNet, err)
	}
	if err := ip(ctx, strings.Join([]string{
		"link set br0 up",
		"link set root master br0",
		"link set root up",
		"link set " + n.uplink() + " netns " + strconv.Itoa(n.pid),
	}, "\n"), "-n", n.name("switch"), "-batch", "-"); err != nil {
		return err
	}
	return ip(ctx, "address add "+n.subnet+".254/24 dev "+n.uplink()+"\nlink set "+n.uplink()+" up\n", "-batch", "-")
}

func (n *Net) addHost(ctx context.Context, i int) error {
	h := Host{Namespace: n.name(strconv.Itoa(i)), IP: fmt.Sprintf("%s.%d", n.subnet, i+1), mac: fmt.Sprintf("02:53:00:00:00:%02x", i+1)}
	if err := ip(ctx, "", "netns", "add", h.Namespace); err != nil {
		return err
	}
	n.Hosts = append(n.Hosts, h)
	port := "p" + strconv.Itoa(i)
	if err := ip(ctx, strings.Join([]string{
		"link add " + port + " type veth peer name eth0 address " + h.mac + " netns " + h.Namespace,
		"link set " + port + " master br0",
		"link set " + port + " up",
	}, "\n"), "-n", n.name("switch"), "-batch", "-"); err != nil {
		return err
	}
	return ip(ctx, "link set lo up\naddress add "+h.IP+"/24 dev eth0\nlink set eth0 up\n", "-n", h.Namespace, "-batch", "-")
}

// Close takes all of it away. Processes in it have to be gone; it may be called twice.
func (n *Net) Close() error {
	// Not with a context: this is what has to be done when it has ended.
	var errs []error
	for _, h := range n.Hosts {
		errs = append(errs, ip(context.Background(), "", "netns", "delete", h.Namespace))
	}
	n.Hosts = nil
	if n.exists("switch") {
		// Links go with the namespace that they end in, but some time after; the next Net wants the name at once. There
		// may be no such link yet.
		_ = ip(context.Background(), "", "link", "delete", n.uplink())
		errs = append(errs, ip(context.Background(), "", "netns", "delete", n.name("switch")))
	}
	return errors.Join(errs...)
}

// sweep takes away what processes that were killed have left behind.
func (n *Net) sweep(ctx context.Context) {
	entries, _ := os.ReadDir(netnsDir)
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "stint-%d-", &pid); err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		_ = ip(ctx, "", "netns", "delete", e.Name())
	}
}

const netnsDir = "/run/netns"

func (n *Net) name(what string) string { return fmt.Sprintf("stint-%d-%s", n.pid, what) }

// uplink is this process's end of its link to the switch. Names of links have at most 15 bytes.
func (n *Net) uplink() string { return fmt.Sprintf("st%d", n.pid) }

func (n *Net) exists(what string) bool {
	_, err := os.Stat(filepath.Join(netnsDir, n.name(what)))
	return err == nil
}

// freeSubnet returns a /24 below 10.200.0.0/13 in which this machine has no address.
func freeSubnet(pid int) (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("look at this machine's addresses: %w", err)
	}
	for i := range 2048 {
		k := (pid + i) % 2048
		at := net.IPv4(10, byte(200+k/256), byte(k%256), 1)
		taken := false
		for _, a := range addrs {
			if w, ok := a.(*net.IPNet); ok && w.Contains(at) {
				taken = true
			}
		}
		if !taken {
			return fmt.Sprintf("10.%d.%d", 200+k/256, k%256), nil
		}
	}
	return "", errors.New("find a subnet for the hosts: all of 10.200.0.0/13 is in use")
}

// ip runs the command, with lines for its -batch.
func ip(ctx context.Context, batch string, args ...string) error {
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(batch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
