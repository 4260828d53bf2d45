package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// demoWord is `make run`: three nodes, a key that is spent on one and denied on another, and lines to paste.
func demoWord(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	port := f.Int("port", 0, "the first node's `port` (0: 7070 if it is free, else any)")
	binary := f.String("stint", "", "the stint `binary` (default: build ./cmd/stint)")
	once := f.Bool("once", false, "end after the demonstration")
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
	const nodes, usual = 3, 7070
	if *port == 0 && proc.PortsFree(usual, nodes) {
		*port = usual
	}
	cl, err := g.StartCluster(ctx, proc.ClusterConfig{Binary: *binary, Nodes: nodes, Port: *port})
	if err != nil {
		return err
	}
	fmt.Printf("three nodes, one limiter; logs in %s\n\n", g.Dir)
	if err := demonstrate(ctx, os.Stdout, cl.Checks()); err != nil {
		return fmt.Errorf("%w\n%s", err, cl.Tails(10))
	}
	if *once {
		return nil
	}
	n := cl.Nodes
	fmt.Printf(`
Try it yourself:
  curl %s/v1/check -d '{"checks":[{"key":"account:42","limits":["5/1m"]}]}'
  %s check --addr %s account:42 5/1m
  curl %s/v1/members
  curl '%s/v1/explain?key=account:42'

They run until Ctrl-C.
`, n[0].Checks(), shown(*binary), n[1].Checks(), n[2].Admin(), n[0].Admin())
	return keep(ctx, cl)
}

// shown is how the binary is written in a line to paste: one in the group's directory is gone when the demo ends, so the
// line builds its own.
func shown(binary string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, ok := bytes.CutPrefix([]byte(binary), []byte(wd+string(os.PathSeparator))); ok {
			return string(rel)
		}
	}
	return "go run ./cmd/stint"
}

// demonstrate spends a key's five hits on the first node and asks for it on the others.
func demonstrate(ctx context.Context, w io.Writer, nodes []string) error {
	// A key of its own each time, so that a second demonstration within the minute shows the same.
	key := fmt.Sprintf("demo:%d", time.Now().UnixNano()%1e9)
	const count = 5
	fmt.Fprintf(w, "the key %q may be used %d times a minute:\n", key, count)
	for i := range count + len(nodes) - 1 {
		node := max(0, i-count+1) // the first five on the first node, then the others in turn
		d, err := ask(ctx, nodes[node], key, fmt.Sprintf("%d/1m", count))
		if err != nil {
			return err
		}
		verdict := fmt.Sprintf("allowed, %d left", d.Remaining)
		if !d.Allowed {
			verdict = fmt.Sprintf("denied, try again in %.1f s", float64(d.RetryMS)/1000)
		}
		fmt.Fprintf(w, "  asked at n%d (%s): %s\n", node, nodes[node], verdict)
		if d.Allowed != (i < count) {
			return fmt.Errorf("check %d of %d under %d/1m was answered %q, which is wrong", i+1, count+len(nodes)-1, count, verdict)
		}
	}
	return nil
}

// A demoDecision is what the demonstration reads of a decision.
type demoDecision struct {
	Allowed   bool   `json:"allowed"`
	Remaining uint64 `json:"remaining"`
	RetryMS   uint64 `json:"retry_ms"`
}

func ask(ctx context.Context, addr, key, limit string) (d demoDecision, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	type check struct {
		Key    string   `json:"key"`
		Limits []string `json:"limits"`
	}
	body, err := json.Marshal(map[string][]check{"checks": {{key, []string{limit}}}})
	if err != nil {
		return d, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/check", bytes.NewReader(body))
	if err != nil {
		return d, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true // three requests need no pool that outlives them
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return d, fmt.Errorf("ask %s: %w", addr, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return d, fmt.Errorf("ask %s: %w", addr, err)
	}
	var a struct {
		Decisions []demoDecision `json:"decisions"`
	}
	if resp.StatusCode != http.StatusOK {
		return d, fmt.Errorf("ask %s: %s: %.200s", addr, resp.Status, answer)
	}
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Decisions) != 1 {
		return d, fmt.Errorf("ask %s: the answer %.200q is not one decision", addr, answer)
	}
	return a.Decisions[0], nil
}
