package report

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func rounds(f func(x *Round, v float64), values ...float64) []Round {
	r := make([]Round, len(values))
	for i, v := range values {
		f(&r[i], v)
	}
	return r
}

func TestCompare(t *testing.T) {
	cpu := func(x *Round, v float64) { x.CPUOf = v }
	row := func(server string, r []Round) *Row {
		return &Row{Workload: "uniform", Keys: 100_000, Batch: 1, Server: server, Nodes: 3, Rounds: r}
	}
	open := func(rate, share float64, p99 float64) *Row {
		x := row("stint", []Round{{P99Of: p99}})
		x.Open, x.Share = rate, share
		return x
	}
	for _, c := range []struct {
		name     string
		old, now []*Row
		by       float64 // of the only change; NaN: there is none
		beyond   bool
		alone    int
	}{
		{"more than the spread", []*Row{row("stint", rounds(cpu, 2, 2.1, 1.9))}, []*Row{row("stint", rounds(cpu, 1.5, 1.4, 1.6))}, -0.25, true, 0},
		{"less than the spread", []*Row{row("stint", rounds(cpu, 2, 2.5, 1.9))}, []*Row{row("stint", rounds(cpu, 1.8, 1.7, 1.8))}, -0.1, false, 0},
		{"one round each", []*Row{row("stint", rounds(cpu, 2))}, []*Row{row("stint", rounds(cpu, 1))}, -0.5, false, 0},
		{"the echo is what is compared with", []*Row{row("echo", rounds(cpu, 1))}, []*Row{row("echo", rounds(cpu, 1))}, math.NaN(), false, 0},
		{"one has it not measured", []*Row{row("stint", rounds(cpu, 0))}, []*Row{row("stint", rounds(cpu, 1))}, math.NaN(), false, 0},
		{"another share", []*Row{open(1000, 50, 2)}, []*Row{open(1000, 80, 2)}, math.NaN(), false, 2},
		{"the same share, another rate", []*Row{open(1000, 50, 2)}, []*Row{open(1700, 50, 3)}, 0.5, false, 0},
		{"the same rate", []*Row{open(1000, 0, 2)}, []*Row{open(1000, 0, 1)}, -0.5, false, 0},
		{"another rate", []*Row{open(1000, 0, 2)}, []*Row{open(1001, 0, 1)}, math.NaN(), false, 2},
	} {
		old, now := &Report{Rows: c.old}, &Report{Rows: c.now}
		changes, alone := Compare(old, now)
		if len(alone) != c.alone {
			t.Errorf("%s: alone are %v", c.name, alone)
		}
		switch {
		case math.IsNaN(c.by) && len(changes) > 0, !math.IsNaN(c.by) && len(changes) != 1:
			t.Errorf("%s: got %+v", c.name, changes)
		case len(changes) == 1 && (math.Abs(changes[0].By()-c.by) > 1e-9 || changes[0].Beyond() != c.beyond):
			t.Errorf("%s: by %v, beyond %v: %+v", c.name, changes[0].By(), changes[0].Beyond(), changes[0])
		}
	}
}

func TestPrintCompare(t *testing.T) {
	old, now := example(), example()
	now.Rows[2].Rounds[0].CPUOf, now.Rows[2].Rounds[1].CPUOf = 0.74, 0.76
	now.Memory[0].BytesPerLine = 129
	now.Machine.Cores = 64
	var b bytes.Buffer
	if err := PrintCompare(&b, old, now); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{"CPU, of echo 1.50 0.75 -50.0 0.0 2.7 beyond the spread", "bytes a line 86.0 129 +50.0", "different machines"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
