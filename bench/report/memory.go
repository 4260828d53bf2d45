package report

import (
	"fmt"
	"strings"
)

// A Memory is what a node's lines have cost, and how long it stood still meanwhile.
type Memory struct {
	Keys    int     `json:"keys"`
	Limit   string  `json:"limit"`
	Nodes   int     `json:"nodes"`
	Variant string  `json:"variant,omitempty"`
	Seconds float64 `json:"fill_seconds"` // to ask for each key once
	// Steps are in their order: before, filled, at rest, under load.
	Steps []MemoryStep `json:"steps"`
	// BytesPerLine is the growth of RSS from before until at rest, over the lines that have come.
	BytesPerLine float64 `json:"bytes_per_line"`
	Bad          string  `json:"bad,omitempty"`
}

// A MemoryStep is one step of it. The stalls are latencies of single checks, one due each millisecond, at the node and at an echo beside it, in µs:
// where the echo's are as long, it was the machine and not the node that stood still.
type MemoryStep struct {
	Name  string  `json:"name"`
	Lines float64 `json:"lines"`     // as the node counts them, of all nodes
	RSS   uint64  `json:"rss_bytes"` // of all nodes
	Rate  float64 `json:"checks_per_second,omitempty"`
	Node  Latency `json:"latency_us"`
	Echo  Latency `json:"echo_latency_us"`
	// GC is the longest pause of the nodes' garbage collectors so far, in µs; they stop all goroutines.
	GC float64 `json:"longest_gc_us"`
}

var memoryColumns = []column{
	{"", ""}, {"", ""}, {"lines", ""}, {"RSS", "MiB"}, {"checks/s", ""},
	{"probe p50", "ms"}, {"p99", "ms"}, {"p99.9", "ms"}, {"longest", "ms"}, {"echo p50", "ms"}, {"p99", "ms"}, {"p99.9", "ms"}, {"longest", "ms"}, {"longest GC", "ms"},
}

// Sum fills in BytesPerLine.
func (m *Memory) Sum() {
	if len(m.Steps) < 3 {
		return
	}
	before, after := m.Steps[0], m.Steps[2]
	if lines := after.Lines - before.Lines; lines > 0 && after.RSS > before.RSS {
		m.BytesPerLine = float64(after.RSS-before.RSS) / lines
	}
}

func (m *Memory) print(b *strings.Builder) {
	nodes := "1 node"
	if m.Nodes > 1 {
		nodes = fmt.Sprintf("%d nodes", m.Nodes)
	}
	if m.Variant != "" {
		nodes += ", " + m.Variant
	}
	fmt.Fprintf(b, "\nMemory: %s, %s keys under %s, each asked for once in %.1f s: %s bytes of RSS a line\n",
		nodes, thousands(uint64(m.Keys)), m.Limit, m.Seconds, number(m.BytesPerLine))
	lines := [][]string{nil, nil}
	for _, c := range memoryColumns {
		lines[0], lines[1] = append(lines[0], c.name), append(lines[1], c.unit)
	}
	for _, s := range m.Steps {
		l := []string{s.Name, "", thousands(uint64(s.Lines)), number(float64(s.RSS) / (1 << 20)), "–"}
		if s.Rate > 0 {
			l[4] = thousands(uint64(s.Rate))
		}
		for _, p := range []Latency{s.Node, s.Echo} {
			l = append(l, ms(p.P50), ms(p.P99), ms(p.P999), ms(p.Max))
		}
		lines = append(lines, append(l, ms(s.GC)))
	}
	align(b, lines, len(memoryColumns))
	if m.Bad != "" {
		fmt.Fprintf(b, "FAILED: %s\n", m.Bad)
	}
}
