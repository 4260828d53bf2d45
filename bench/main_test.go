package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/stint-limiter/stint/bench/load"
	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bench/report"
)

// run starts its own program as the echo; here that is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "echo" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestEcho(t *testing.T) {
	ask := func(body []byte) (int, []byte) {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetBody(body)
		echo(&ctx)
		return ctx.Response.StatusCode(), ctx.Response.Body()
	}
	for _, n := range []int{1, 100} {
		r := load.NewRequest("echo", "t/", "10/1h", n)
		_, body, _ := bytes.Cut(r.Set(make([]uint32, n)), []byte("\r\n\r\n"))
		status, answer := ask(body)
		replies := make([]load.Reply, n)
		var via load.Shares
		got, err := load.Scan(answer, replies, &via)
		if status != 200 || err != nil || got != n || replies[n-1] != load.Admitted || via[0] != uint64(n) {
			t.Errorf("%d checks: status %d, %d decisions, %v, via %v", n, status, got, err, via)
		}
	}
	for _, bad := range []string{"", "\x80", "{}", "\x81\xa6checks\xc3"} {
		if status, _ := ask([]byte(bad)); status != 400 {
			t.Errorf("%q: status %d", bad, status)
		}
	}
}

func TestPlan(t *testing.T) {
	plan, err := parsePlan(defaultPlan)
	if err != nil || len(plan) != 9 {
		t.Fatalf("%d items, %v", len(plan), err)
	}
	for _, text := range []string{fullPlan, variantPlan} {
		plan, err := parsePlan(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range plan {
			if _, err := load.NewWorkload(it.name, it.batch, 64, 1); err != nil {
				t.Error(err)
			}
		}
	}
	if got, want := plan[7], (item{text: "uniform@50%", name: "uniform", batch: 1, percent: 50}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if it, err := parseItem("hot/100@2000"); err != nil || it != (item{text: "hot/100@2000", name: "hot", batch: 100, rate: 2000}) {
		t.Errorf("got %+v, %v", it, err)
	}
	for bad, says := range map[string]string{
		"uniform/0": "1 to 1000", "uniform/1001": "1 to 1000", "uniform/x": "1 to 1000", "uniform@": "neither", "uniform@0": "neither",
		"uniform@-1": "neither", "uniform@NaN": "neither", "uniform@Inf": "more requests", "uniform@201%": "queue only grows",
		"hot,uniform@50%": "before it", "uniform/100,uniform@50%": "before it", "uniform@5,uniform@50%": "before it",
	} {
		if _, err := parsePlan(bad); err == nil || !strings.Contains(err.Error(), says) || !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want %q", bad, err, says)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{
		"", "fly", "run --callers 0", "run --duration 1ms", "run --arrivals never", "run --workloads unifrom", "run --workloads uniform:0", "run more",
		"run --nodes 0", "run --nodes 3,", "run --backups no", "run --leases on,on,of", "run --memory -1", "run --variant-workloads hot@50%", "run --servers ech0",
		"memory --keys 1", "memory --rate 0", "memory --keys 50000001", "memory --keys 50000000 --rate 1000", "memory --rest 1ms", "compare", "compare one", "compare one two three", "show", "show one two",
		"load --workload uniform@50%", "load --callers 0", "faults --runs 0", "faults --only clam", "faults --rate 0", "faults --callers 0", "echo --addr 0.0.0.0:7060", "cluster 3 4",
	} {
		if err := dispatch(t.Context(), strings.Fields(args)); !errors.Is(err, errUsage) {
			t.Errorf("bench %s: got %v", args, err)
		}
	}
	if err := dispatch(t.Context(), []string{"run", "-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	var b bytes.Buffer
	printHelp(&b)
	for _, w := range words() {
		if !strings.Contains(b.String(), "\n  "+w.name+" ") {
			t.Errorf("help has no %s", w.name)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, c := range []struct {
		flags string
		want  []string
	}{
		{"", []string{""}},
		{"--nodes 3,1,5", []string{"", "1 node", "5 nodes"}},
		{"--nodes 3,1 --backups on,off --leases off,on", []string{"", "leases on", "backups off", "1 node"}},
		{"--nodes 3,1 --backups on,off --cross", []string{"", "backups off", "1 node", "1 node, backups off"}},
		{"--nodes 3,3 --backups off,off", []string{""}},
	} {
		o := &options{}
		if err := o.flags().Parse(strings.Fields(c.flags)); err != nil {
			t.Fatal(err)
		}
		groups, err := o.groups()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, g := range groups {
			got = append(got, g.name)
			if (len(g.servers) == 3) != (i == 0) || (len(g.plan) == 9) != (i == 0) {
				t.Errorf("%s: group %d: %+v", c.flags, i, g)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.flags, got, c.want)
		}
	}
	if got := (variant{3, false, false}).args(); !slices.Equal(got, []string{"--backups=false", "--leases=false"}) {
		t.Errorf("got %v", got)
	}
}

func TestGubernatorIsMeasuredWhereItIsNamed(t *testing.T) {
	for flags, want := range map[string]string{
		"":                                "echo,redis,stint",
		"--gubernator h:1":                "echo,redis,gubernator,stint",
		"--all --gubernator h:1":          "echo,echoes,redis,ratelimit,gubernator,stint",
		"--gubernator h:1 --servers echo": "echo",
	} {
		o := &options{}
		f := o.flags()
		if err := f.Parse(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		if err := o.check(f); err != nil || o.servers != want {
			t.Errorf("%s: %s, %v, want %s", flags, o.servers, err, want)
		}
	}
}

func TestQuickIsForWhatWasNotSaid(t *testing.T) {
	o := &options{}
	f := o.flags()
	if err := f.Parse([]string{"--quick", "--rounds", "2"}); err != nil {
		t.Fatal(err)
	}
	if err := o.check(f); err != nil || o.rounds != 2 || o.duration != 500*time.Millisecond {
		t.Errorf("%+v, %v", o, err)
	}
}

// A whole run, with the echo alone: processes, stretches, table, file.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.json")
	bench(t, "run --servers echo --workloads uniform/10,uniform/10@50% --duration 100ms --rounds 2 --callers 4 --json "+file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 2 || rep.Rows[0].Open != 0 || rep.Rows[1].Open == 0 {
		t.Fatalf("got %s", b)
	}
	for _, r := range rep.Rows {
		if len(r.Rounds) != 2 || r.Median.Rate == 0 || r.Median.RateOf != 1 || r.Median.FailedN != 0 || r.Latency.P50 == 0 || r.Verdict != nil {
			t.Errorf("got %+v", r)
		}
	}
}

// The same with real nodes: counts, ways of answers, allocations, memory, plots, and a comparison of the run with itself.
func TestRunWithNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and starts nodes")
	}
	dir := t.TempDir()
	binary, err := proc.BuildStint(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	file, plots := filepath.Join(dir, "x.json"), filepath.Join(dir, "plots")
	// Patience: other tests run meanwhile, and a node that is starved counts some hits twice.
	bench(t, "run --stint-flags=--patience=20 --servers echo,stint --nodes 2,1 --workloads mixed,over/10 --variant-workloads mixed,zipf:1k/10 --duration 200ms --rounds 1 --callers 8 --json "+file+" --plots "+plots+" --stint "+binary)
	rep, err := report.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 8 || len(rep.Skipped) != 0 {
		t.Fatalf("%d rows, skipped: %v", len(rep.Rows), rep.Skipped)
	}
	for i, r := range rep.Rows {
		if (r.Group == "1 node") != (i >= 4) || r.Median.Rate == 0 {
			t.Errorf("row %d: %+v", i, r)
		}
		if r.Server != "stint" {
			continue
		}
		if v := r.Verdict; v == nil || !v.Exact() || v.Failed > 0 || v.Admitted == 0 || v.Asked <= v.Due {
			t.Errorf("%s%s: %+v", r.Workload, r.Group, v)
		}
		if r.Median.Allocs == 0 || len(r.Rounds[0].Via) == 0 {
			t.Errorf("%s%s: %+v", r.Workload, r.Group, r.Rounds)
		}
	}
	if svg, err := os.ReadFile(filepath.Join(plots, "throughput.svg")); err != nil || !bytes.Contains(svg, []byte("stint")) {
		t.Errorf("%v, %s", err, svg)
	}
	if out := bench(t, "compare "+file+" "+file); !strings.Contains(out, "CPU, of echo") || !strings.Contains(out, "+0.0") || strings.Contains(out, "only in") {
		t.Errorf("compared with itself:\n%s", out)
	}
	if out := bench(t, "show "+file); !strings.Contains(out, "– 1 node –") {
		t.Errorf("shown:\n%s", out)
	}

	bench(t, "memory --stint-flags=--patience=20 --keys 20000 --rest 100ms --load 100ms --json "+file+" --stint "+binary)
	if rep, err = report.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	m := rep.Memory[0]
	if len(m.Steps) != 4 || m.Bad != "" || m.Steps[1].Lines < 20_000 || m.Steps[2].Node.Max == 0 || m.Steps[2].Echo.Max == 0 || m.Steps[3].Rate == 0 {
		t.Errorf("%+v", m)
	}
}

// bench runs a word and returns what it has printed.
func bench(t *testing.T, line string) string {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	old := os.Stdout
	os.Stdout = out
	err = dispatch(t.Context(), strings.Fields(line))
	os.Stdout = old
	b, e := os.ReadFile(out.Name())
	if e != nil {
		t.Fatal(e)
	}
	if err != nil {
		t.Fatalf("bench %s: %v\n%s", line, err, b)
	}
	return string(b)
}

func TestRedisInPipelinesCountsAsOneByOne(t *testing.T) {
	g, err := proc.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s, err := startRedis(t.Context(), g, 4)
	var absent errAbsent
	if errors.As(err, &absent) {
		t.Skip(absent.reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, batch := range []int{30, 1} { // the first to come finds a server that does not know the script
		w, err := load.NewWorkload("over", batch, 4, 1)
		if err != nil {
			t.Fatal(err)
		}
		session, err := load.NewSession(s.target, w, strings.Repeat("b", batch), 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Warm(t.Context(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		v := session.Verdict()
		session.Close()
		if !v.Exact() || v.Failed != 0 || v.Asked < 800 || v.Admitted < 400 || v.Admitted > 410 {
			t.Errorf("batches of %d: %+v, want 4 keys of 100", batch, v)
		}
	}
}

// envoyproxy/ratelimit is not built for a test; where a run has built it, its counts must come out right.
func TestRatelimitCounts(t *testing.T) {
	if binary, err := ratelimitBinary(); err != nil {
		t.Skip(err)
	} else if _, err := os.Stat(binary); err != nil {
		t.Skip("it was not built yet: bench run --servers echo,redis,ratelimit")
	}
	g, err := proc.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	redis, err := startRedis(t.Context(), g, 4)
	var absent errAbsent
	if errors.As(err, &absent) {
		t.Skip(absent.reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer redis.close()
	s, err := startRatelimit(t.Context(), g, []*server{redis})
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range []int{1, 30} {
		w, err := load.NewWorkload("over", batch, 4, 1)
		if err != nil {
			t.Fatal(err)
		}
		session, err := load.NewSession(s.target, w, strings.Repeat("b", batch), 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Warm(t.Context(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		v := session.Verdict()
		session.Close()
		if !v.Exact() || v.Failed != 0 || v.Asked < 800 || v.Admitted != 400 {
			t.Errorf("batches of %d: %+v, want 4 keys of 100", batch, v)
		}
	}
}

func TestRivalsThatAreNotThereAreSkipped(t *testing.T) {
	var absent errAbsent
	if _, err := startRatelimit(t.Context(), nil, nil); !errors.As(err, &absent) {
		t.Errorf("ratelimit without Redis: %v", err)
	}
	for _, addr := range []string{"", "127.0.0.1:1"} {
		if _, err := findGubernator(t.Context(), addr); !errors.As(err, &absent) {
			t.Errorf("gubernator at %q: %v", addr, err)
		}
	}
}

func TestInterruptedRunEndsItsProcesses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	err := dispatch(ctx, strings.Fields("run --servers echo --workloads uniform --duration 1h --json "+filepath.Join(t.TempDir(), "x.json")))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
