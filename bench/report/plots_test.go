package report

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPlots(t *testing.T) {
	r := example()
	// One more batch size, number of keys and of nodes, so that there is something to draw a curve of.
	for _, x := range []Row{
		{Workload: "uniform", Keys: 100_000, Batch: 100, Server: "stint", Nodes: 3},
		{Workload: "uniform:1m", Keys: 1_000_000, Batch: 100, Server: "stint", Nodes: 3},
		{Group: "1 node", Workload: "uniform", Keys: 100_000, Batch: 1, Server: "stint", Nodes: 1},
	} {
		x.Rounds = []Round{{Rate: 1000, CPU: 2}}
		x.Sum(&Row{Rounds: []Round{{Rate: 2000, CPU: 1}}}, nil)
		r.Rows = append(r.Rows, &x)
	}
	dir := filepath.Join(t.TempDir(), "plots")
	names, err := r.WritePlots(dir)
	want := []string{"cost-batch.svg", "cost-keys.svg", "cost-nodes.svg", "cpu.svg", "latency-uniform-1-50.svg", "throughput.svg", "variants.svg"}
	if err != nil || !slices.Equal(names, want) {
		t.Fatalf("got %v, %v", names, err)
	}
	for name, says := range map[string]string{
		"throughput.svg": "36,000 (0.60 ×)", "cpu.svg": "24.8 (1.50 ×)", "cost-batch.svg": ">100</text>", "cost-keys.svg": ">1M</text>",
		"cost-nodes.svg": ">1</text>", "latency-uniform-1-50.svg": "(50 %)", "variants.svg": "3 nodes",
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(b, []byte(says)) {
			t.Errorf("%s has no %q: %v\n%s", name, says, err, b)
		}
	}
	if got := (&Report{}).Plots(); len(got) != 0 {
		t.Errorf("plots of nothing: %v", got)
	}
}
