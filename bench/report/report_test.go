package report

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
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
	echo := &Row{Workload: "uniform", Keys: 100_000, Batch: 1, Server: "echo", Nodes: 1, Latency: Latency{700, 900, 2500, 6000, 9000},
		Rounds: []Round{{Rate: 80_000, CPU: 11, OwnCPU: 13, P99: 2500}, {Rate: 40_000, CPU: 22, OwnCPU: 26, P99: 5000}}}
	redis := &Row{Workload: "uniform", Keys: 100_000, Batch: 1, Server: "redis", Nodes: 1, Latency: Latency{800, 900, 3000, 7000, 9500},
		Rounds: []Round{{Rate: 24_000, CPU: 12, OwnCPU: 25, P99: 2500}, {Rate: 16_000, CPU: 24, OwnCPU: 26, P99: 5000}}}
	stint := &Row{Workload: "uniform", Keys: 100_000, Batch: 1, Server: "stint", Nodes: 3, Procs: 1, Latency: Latency{900, 1500, 3500, 16_000, 20_000},
		Rounds: []Round{
			{Rate: 48_000, CPU: 16.5, OwnCPU: 14, P99: 3500, Allocs: 0.5, Via: map[string]uint64{"holder": 600, "lease": 397}},
			{Rate: 24_000, CPU: 33, OwnCPU: 28, P99: 7000, Allocs: 0.3, Via: map[string]uint64{"holder": 300, "lease": 697, "claimed": 6}}},
		Verdict: &load.Verdict{Asked: 1_300_000, Admitted: 1_001_234_567, Due: 1_001_234_567, Bulk: 1_000_000_000, Lent: 1234}}
	stint.Wakes = 2
	for _, x := range []*Row{echo, redis, stint} {
		x.Sum(echo, redis)
	}
	wrong := &Row{Workload: "hot:1m", Keys: 1_000_000, Batch: 100, Server: "stint", Nodes: 3, Latency: Latency{9000, 9500, 35_000, 160_000, 200_000},
		Rounds:  []Round{{Rate: 1_048_000, CPU: 0.84, OwnCPU: 0.2, Failed: 3}},
		Verdict: &load.Verdict{Admitted: 1001, Due: 1000, Failed: 3, Over: 1, Bad: "key 0: 9000 asked, 3 failed, 1001 admitted of 1000 due"}, Error: "ask 127.0.0.1:1: EOF"}
	open := &Row{Workload: "uniform", Keys: 100_000, Batch: 1, Open: 24_000, Share: 50, Server: "redis", Nodes: 1, Latency: Latency{50, 70, 90, 100, 200},
		Rounds: []Round{{Rate: 24_000, CPU: 229, OwnCPU: 30, Late: 12}}, Verdict: &load.Verdict{Admitted: 5, Due: 5, Refill: true}}
	alone := &Row{Group: "backups off", Workload: "uniform", Keys: 100_000, Batch: 1, Server: "stint", Nodes: 3, Variant: "backups off",
		Latency: Latency{900, 1500, 3500, 16_000, 20_000}, Rounds: []Round{{Rate: 50_000, CPU: 15, OwnCPU: 14, P99: 3400}}, Verdict: &load.Verdict{Admitted: 7, Due: 7}}
	for _, x := range []*Row{wrong, open, alone} {
		x.Sum(nil, nil)
	}
	r.Rows = []*Row{echo, redis, stint, wrong, open, alone}
	m := &Memory{Keys: 5_000_000, Limit: "1000/1h", Nodes: 1, Seconds: 9.5, Steps: []MemoryStep{
		{Name: "before", RSS: 20 << 20, Lines: 10, Node: Latency{100, 120, 150, 200, 400}, Echo: Latency{90, 110, 130, 190, 300}},
		{Name: "filled", RSS: 500 << 20, Lines: 5_000_010, Rate: 526_000, Node: Latency{100, 120, 150, 200, 7000}, Echo: Latency{90, 110, 130, 190, 6000}, GC: 150},
		{Name: "at rest", RSS: 20<<20 + 430_000_000, Lines: 5_000_010, Node: Latency{100, 120, 150, 200, 400}, Echo: Latency{90, 110, 130, 190, 300}, GC: 150},
	}}
	m.Sum()
	r.Memory = []*Memory{m}
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
	m := example().Rows[2].Median
	if m.Rate != 36_000 || math.Abs(m.RateOf-0.6) > 1e-9 || math.Abs(m.CPUOf-1.5) > 1e-9 || math.Abs(m.P99Of-1.4) > 1e-9 {
		t.Errorf("got %+v", m)
	}
	if math.Abs(m.Spread-24_000.0/36_000) > 1e-9 || math.Abs(m.RateRedis-1.75) > 1e-9 || math.Abs(m.Allocs-0.4) > 1e-9 {
		t.Errorf("got %+v", m)
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
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "x.json")
	want := example()
	if err := want.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, bad := range map[string]string{"version 1": `{"version":1}`, "end": `{"version":2`, "no such file": ""} {
		file := filepath.Join(dir, "bad.json")
		os.Remove(file)
		if bad != "" {
			os.WriteFile(file, []byte(bad), 0o644)
		}
		if _, err := ReadFile(file); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBytesPerLine(t *testing.T) {
	if m := example().Memory[0]; m.BytesPerLine != 86 {
		t.Errorf("%v bytes a line", m.BytesPerLine)
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
