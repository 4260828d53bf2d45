package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// StartTimeout is how long a process has to become ready, a cluster to agree.
const StartTimeout = 20 * time.Second

// poll is how often a process is asked whether it is ready. There is no signal to wait for: it is another program.
const poll = 20 * time.Millisecond

// A View is what a node's /v1/members says.
type View struct {
	Ring    string `json:"ring"`
	Members []struct {
		Name  string `json:"name"`
		State string `json:"state"`
	} `json:"members"`
}

// Alive returns the names of the members in state alive.
func (v View) Alive() []string {
	var names []string
	for _, m := range v.Members {
		if m.State == "alive" {
			names = append(names, m.Name)
		}
	}
	return names
}

// View asks the node for its view of the cluster.
func (n *Node) View(ctx context.Context) (View, error) {
	var v View
	b, err := Get(ctx, "http://"+n.Admin()+"/v1/members")
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("read the members of %s: %w", n.Name, err)
	}
	return v, nil
}

// Ready asks the node once whether it is ready; nil is yes.
func (n *Node) Ready(ctx context.Context) error {
	_, err := Get(ctx, "http://"+n.Admin()+"/readyz")
	return err
}

// Agree waits, at most StartTimeout, until every node that runs is ready, and all show the same ring and exactly
// themselves alive. A node that ends meanwhile is an error at once.
func (cl *Cluster) Agree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	nodes := cl.Running()
	return Until(ctx, func() error {
		ring := ""
		for _, n := range nodes {
			if !n.Running() {
				return fatal{fmt.Errorf("%s has ended (%v)", n.Name, n.Err())}
			}
			if err := n.Ready(ctx); err != nil {
				return fmt.Errorf("%s is not ready: %w", n.Name, err)
			}
			v, err := n.View(ctx)
			if err != nil {
				return err
			}
			if alive := v.Alive(); len(alive) != len(nodes) {
				return fmt.Errorf("%s sees %v alive, not %d members", n.Name, alive, len(nodes))
			}
			if ring != "" && v.Ring != ring {
				return fmt.Errorf("rings differ: %s has %s, %s has %s", nodes[0].Name, ring, n.Name, v.Ring)
			}
			ring = v.Ring
		}
		return nil
	})
}

// Listening waits, at most StartTimeout, until something accepts connections at addr and the process still runs.
func (p *Process) Listening(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	err := Until(ctx, func() error {
		if !p.Running() {
			return fatal{fmt.Errorf("it has ended (%v)", p.Err())}
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return fmt.Errorf("wait for %s at %s: %w; its log ends\n%s", p.Name, addr, err, p.Tail(10))
	}
	return nil
}

// fatal is an error that waiting does not mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// Until calls f every 20 ms until it succeeds, fails for good, or ctx ends; then it returns the last thing f said.
func Until(ctx context.Context, f func() error) error {
	t := time.NewTicker(poll)
	defer t.Stop()
	var last error
	for {
		err := f()
		if err == nil {
			return nil
		}
		var fe fatal
		if errors.As(err, &fe) {
			return fe.error
		}
		if last == nil || ctx.Err() == nil {
			last = err // not the one that ctx itself has caused
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (waited for it: %w)", last, ctx.Err())
		case <-t.C:
		}
	}
}

// Get fetches a page of the admin port, in 2 s and at most 1 MiB of it; a status other than 200 is an error that quotes the answer.
func Get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := adminClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	const most = 1 << 20 // 1000 members and their states
	b, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s: %.200s", url, resp.Status, b)
	}
	return b, nil
}

// adminClient keeps no connection: a node that is stopped must not wait for one, nor a leak test see one.
var adminClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
