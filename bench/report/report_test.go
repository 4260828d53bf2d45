package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stint-limiter/stint/bench/load"
)

var update = flag.Bool("update", false, "write the golden files")

func example() *Report {
	r := &Report{
		Version: Version, Started: time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC), Command: "bench run --quick",
		Machine: Machine{Cores: 2, CPU: "An Ordinary Processor", Kernel: "6.1.0", OS: "linux/amd64", Go: "go1.26.8", Commit: "0123456789ab+", Load: "0.10"},
		Callers: 64, Skipped: map[string]string{"redis": "no redis-server on the PATH"},
	}
	rows := []*Row{
		{Workload: "uniform", Batch: 1, Server: "echo", Nodes: 1, Latency: Latency{700, 2500, 6000, 9000},
			Rounds: []Round{{Rate: 80_000, CPU: 11, OwnCPU: 13, P99: 2500}, {Rate: 40_000, CPU: 22, OwnCPU: 26, P99: 5000}}},
		{Workload: "uniform", Batch: 1, Server: "stint", Nodes: 3, Latency: Latency{900, 3500, 16_000, 20_000},
			Rounds:  []Round{{Rate: 48_000, CPU: 16.5, OwnCPU: 14, P99: 3500}, {Rate: 24_000, CPU: 33, OwnCPU: 28, P99: 7000}},
			Verdict: &load.Verdict{Asked: 1_300_000, Admitted: 1_001_234_567, Due: 1_001_234_567, Bulk: 1_000_000_000}},
		{Workload: "hot", Batch: 100, Server: "stint", Nodes: 3, Latency: Latency{9000, 35_000, 160_000, 200_000},
			Rounds:  []Round{{Rate: 1_048_000, CPU: 0.84, OwnCPU: 0.2, Failed: 3}},
			Verdict: &load.Verdict{Admitted: 1001, Due: 1000, Failed: 3, Over: 1, Bad: "key 0: 9000 asked, 3 failed, 1001 admitted of 1000 due"}, Error: "ask 127.0.0.1:1: EOF"},
		{Workload: "uniform", Batch: 1, Open: 24_000, Server: "redis", Nodes: 1, Latency: Latency{50, 90, 100, 200},
			Rounds: []Round{{Rate: 24_000, CPU: 229, OwnCPU: 30, Late: 12}}, Verdict: &load.Verdict{Admitted: 5, Due: 5, Refill: true}},
	}
	r.Rows = rows
	for _, x := range rows {
		x.Sum(r.Find(x.Workload, x.Batch, x.Open, "echo"))
	}
	return r
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := example().Print(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "table.golden")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// The machine has been half as fast in the second round, for both. The ratio does not care.
func TestRatiosAreMadeWithinARound(t *testing.T) {
	m := example().Rows[1].Median
	if m.Rate != 36_000 || math.Abs(m.RateOf-0.6) > 1e-9 || math.Abs(m.CPUOf-1.5) > 1e-9 || math.Abs(m.P99Of-1.4) > 1e-9 {
		t.Errorf("got %+v", m)
	}
	if math.Abs(m.Spread-24_000.0/36_000) > 1e-9 {
		t.Errorf("spread %v", m.Spread)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.v); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.v, got, c.want)
		}
	}
}

func TestNewRound(t *testing.T) {
	h := hdrhistogram.New(1000, int64(time.Minute), 3)
	h.RecordValue(int64(2 * time.Millisecond))
	r := NewRound(load.Stretch{
		Elapsed: 2 * time.Second, Requests: 11, Checks: 1100, Admitted: 600, Failed: 100, Latency: h, Via: load.Shares{0: 900, 5: 100},
	}, 20*time.Millisecond, 5*time.Millisecond)
	if r.Rate != 500 || r.CPU != 20 || r.OwnCPU != 5 || r.P99 < 1990 || r.P99 > 2010 {
		t.Errorf("got %+v: what failed is no work done", r)
	}
	if len(r.Via) != 2 || r.Via["holder"] != 900 || r.Via["unavailable"] != 100 {
		t.Errorf("via %v", r.Via)
	}
	if r := NewRound(load.Stretch{Latency: h}, time.Second, time.Second); r.Rate != 0 || r.CPU != 0 {
		t.Errorf("of nothing: %+v", r)
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "x.json")
	if err := example().WriteFile(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil || r.Version != Version || len(r.Rows) != 4 || r.Rows[2].Verdict.Over != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestProgress(t *testing.T) {
	var lines, terminal bytes.Buffer
	for _, c := range []struct {
		w    *bytes.Buffer
		term bool
	}{{&lines, false}, {&terminal, true}} {
		p := newProgress(c.w, c.term, 100*time.Second)
		p.Step(30*time.Second, "warming %s", "echo")
		p.Step(70*time.Second, "measuring")
		p.Close()
	}
	if got, want := lines.String(), "warming echo (1:40 left)\nmeasuring (1:10 left)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := terminal.String(); strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("on a terminal it is one line, empty in the end: %q", got)
	}
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine(t.Context())
	if m.Cores < 1 || !strings.HasPrefix(m.Go, "go") || strings.Contains(m.String(), "  ") {
		t.Errorf("got %s", m)
	}
}
