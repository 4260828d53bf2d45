package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bench/report"
)

// fillBatch is how many keys one request of handoff's filling spends on.
const fillBatch = 1000

// handoffWord fills a cluster with lines, has a node join and leave, and prints what that took.
func handoffWord(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("handoff", flag.ContinueOnError)
	lines := f.Int("lines", 5_000_000, "how many `keys` to spend on first, each a line and its copy")
	nodes := f.Int("nodes", 3, "`nodes` that there are before another joins")
	binary := f.String("stint", "", "the stint `binary` (default: build ./cmd/stint)")
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
	cl, err := g.StartCluster(ctx, proc.ClusterConfig{Binary: *binary, Nodes: *nodes, Args: []string{"--max-lines", strconv.Itoa(3**lines + 1000)}})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := fill(ctx, cl.Checks(), *lines); err != nil {
		return err
	}
	filled := time.Since(began)
	began = time.Now()
	if err := whole(ctx, cl); err != nil {
		return err
	}
	copied := time.Since(began)

	fmt.Println(report.ThisMachine(ctx))
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "step\ttook\tpartitions handed over\tfrozen on average\tlongest freeze\tlines sent\n")
	fmt.Fprintf(t, "%d keys spent on, %d nodes\t%.1f s\t\t\t\t%.0f\n", *lines, *nodes, filled.Seconds(), sum(ctx, cl, "stint_lines_sent_total"))
	fmt.Fprintf(t, "until all is copied\t%.1f s\t\t\t\t\n", copied.Seconds())
	step := func(what string, do func() error) error {
		was := newTotals(ctx, cl)
		began := time.Now()
		if err := do(); err != nil {
			return err
		}
		took := time.Since(began)
		now := newTotals(ctx, cl)
		moved := now.handed - was.handed
		fmt.Fprintf(t, "%s\t%.1f s\t%.0f\t%.2f ms\t%.1f ms\t%.0f\n", what, took.Seconds(), moved, 1000*(now.frozen-was.frozen)/max(moved, 1), 1000*now.longest, now.lines-was.lines)
		return nil
	}
	var joined *proc.Node
	if err := step("a node joins, until it is ready", func() (err error) {
		if joined, err = cl.Add(); err == nil {
			err = proc.Until(ctx, func() error { return joined.Ready(ctx) })
		}
		return err
	}); err != nil {
		return err
	}
	if err := whole(ctx, cl); err != nil {
		return err
	}
	if err := step("it leaves (SIGTERM)", func() error { return joined.Stop(2 * time.Minute) }); err != nil {
		return err
	}
	return t.Flush()
}

// fill spends one hit on each of so many keys.
func fill(ctx context.Context, addrs []string, lines int) error {
	p := report.NewProgress(os.Stderr, time.Duration(lines)*4*time.Microsecond)
	defer p.Close()
	var next, done atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for w := range cap(errs) {
		wg.Go(func() {
			url := "http://" + addrs[w%len(addrs)] + "/v1/check"
			var body bytes.Buffer
			for ctx.Err() == nil {
				first := int(next.Add(fillBatch)) - fillBatch
				if first >= lines {
					return
				}
				body.Reset()
				body.WriteString(`{"timeout_ms":10000,"checks":[`)
				for k := first; k < min(first+fillBatch, lines); k++ {
					if k > first {
						body.WriteByte(',')
					}
					fmt.Fprintf(&body, `{"key":"h%d","limits":["1000/24h"]}`, k)
				}
				body.WriteString("]}")
				if err := post(ctx, url, &body); err != nil {
					errs <- err
					return
				}
				if n := done.Add(fillBatch); n%(100*fillBatch) == 0 {
					p.Say("%d of %d keys spent on", n, lines)
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return ctx.Err()
}

func post(ctx context.Context, url string, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("spend at %s: %w", url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("spend at %s: %w", url, err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("spend at %s: answered %s: %.200s", url, resp.Status, b)
	case bytes.Contains(b, []byte(`"unavailable"`)):
		return fmt.Errorf("spend at %s: checks were answered unavailable; is the machine busy?", url)
	}
	return nil
}

// whole waits until every partition has its copy.
func whole(ctx context.Context, cl *proc.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return proc.Until(ctx, func() error {
		if n := sum(ctx, cl, "stint_backup_pending"); n > 0 {
			return fmt.Errorf("%.0f partitions have no whole copy yet", n)
		}
		return nil
	})
}

type totals struct{ handed, frozen, longest, lines float64 }

func newTotals(ctx context.Context, cl *proc.Cluster) totals {
	t := totals{frozen: sum(ctx, cl, "stint_handoff_seconds_total"), lines: sum(ctx, cl, "stint_lines_sent_total"), handed: sum(ctx, cl, `stint_partitions_opened_total{why="handed"}`)}
	for _, n := range cl.Running() {
		t.longest = max(t.longest, metric(ctx, n, "stint_longest_freeze_seconds"))
	}
	return t
}

func sum(ctx context.Context, cl *proc.Cluster, name string) float64 {
	total := 0.0
	for _, n := range cl.Running() {
		total += metric(ctx, n, name)
	}
	return total
}

// metric reads one metric of a node, 0 if it is not there.
func metric(ctx context.Context, n *proc.Node, name string) float64 {
	page, err := proc.Get(ctx, "http://"+n.Admin()+"/metrics")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return 0
}
