package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stint-limiter/stint/bench/load"
)

// A Report is one run. Its JSON is what `--json` writes; Version rises when a field changes its meaning.
type Report struct {
	Version int       `json:"version"`
	Started time.Time `json:"started"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	Callers int       `json:"callers"`
	Seed    uint64    `json:"seed"`
	Rows    []*Row    `json:"rows"`
	// Skipped says why a server is not among the rows, by its name.
	Skipped map[string]string `json:"skipped,omitempty"`
}

// Version of the JSON.
const Version = 1

// A Row is one workload against one server.
type Row struct {
	Workload string  `json:"workload"`          // uniform
	Batch    int     `json:"checks_a_request"`  //
	Open     float64 `json:"offered,omitempty"` // open loop: requests due per second; 0 is a closed loop
	Server   string  `json:"server"`            // echo, redis, stint
	Nodes    int     `json:"nodes"`
	Rounds   []Round `json:"rounds"`
	// Latency is of all rounds, in µs.
	Latency Latency `json:"latency_us"`
	// Verdict is nil for a server that counts nothing.
	Verdict *load.Verdict `json:"verdict,omitempty"`
	Median  Median        `json:"median"`
	// Error is the first check that got no answer at all.
	Error string `json:"error,omitempty"`
}

// A Round is one measured stretch.
type Round struct {
	Seconds  float64           `json:"seconds"`
	Requests uint64            `json:"requests"`
	Checks   uint64            `json:"checks"`
	Admitted uint64            `json:"admitted"`
	Failed   uint64            `json:"failed"`
	Unsent   uint64            `json:"unsent,omitempty"`
	Rate     float64           `json:"checks_per_second"` // answered ones
	CPU      float64           `json:"server_us_per_check"`
	OwnCPU   float64           `json:"generator_us_per_check"`
	P99      float64           `json:"p99_us"`
	Late     float64           `json:"generator_late_p99_us,omitempty"`
	Via      map[string]uint64 `json:"via,omitempty"`
}

// Latency has percentiles in µs.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// A Median is the middle of a row's rounds. The ratios are 0 where no echo was measured beside it.
type Median struct {
	Rate    float64 `json:"checks_per_second"`
	CPU     float64 `json:"server_us_per_check"`
	OwnCPU  float64 `json:"generator_us_per_check"`
	RateOf  float64 `json:"rate_to_echo"`
	CPUOf   float64 `json:"server_cpu_to_echo"`
	P99Of   float64 `json:"p99_to_echo"`
	Spread  float64 `json:"rate_spread"` // (most − least) / median of the rate
	FailedN uint64  `json:"failed"`
}

// NewRound makes a round of a stretch and the processor time that the servers and the generator used in it.
func NewRound(s load.Stretch, servers, own time.Duration) Round {
	r := Round{
		Seconds: s.Elapsed.Seconds(), Requests: s.Requests, Checks: s.Checks, Admitted: s.Admitted,
		Failed: s.Failed, Unsent: s.Unsent, Rate: s.Rate(), P99: us(s.Latency.ValueAtQuantile(99)),
	}
	if n := s.Checks - s.Failed; n > 0 {
		r.CPU = us(servers.Nanoseconds()) / float64(n)
		r.OwnCPU = us(own.Nanoseconds()) / float64(n)
	}
	if s.Late != nil {
		r.Late = us(s.Late.ValueAtQuantile(99))
	}
	for v, n := range s.Via {
		if n > 0 {
			if r.Via == nil {
				r.Via = map[string]uint64{}
			}
			r.Via[load.Vias[v]] = n
		}
	}
	return r
}

func us(ns int64) float64 { return float64(ns) / 1e3 }

// Sum fills in Median of a row; echo is the same workload's echo row, or nil.
func (r *Row) Sum(echo *Row) {
	m := Median{
		Rate:   median(r.each(func(x Round) float64 { return x.Rate })),
		CPU:    median(r.each(func(x Round) float64 { return x.CPU })),
		OwnCPU: median(r.each(func(x Round) float64 { return x.OwnCPU })),
	}
	for _, x := range r.Rounds {
		m.FailedN += x.Failed
	}
	if rates := r.each(func(x Round) float64 { return x.Rate }); m.Rate > 0 {
		m.Spread = (slices.Max(rates) - slices.Min(rates)) / m.Rate
	}
	if echo != nil {
		m.RateOf = median(ratios(r, echo, func(x Round) float64 { return x.Rate }))
		m.CPUOf = median(ratios(r, echo, func(x Round) float64 { return x.CPU }))
		m.P99Of = median(ratios(r, echo, func(x Round) float64 { return x.P99 }))
	}
	r.Median = m
}

func (r *Row) each(f func(Round) float64) []float64 {
	var v []float64
	for _, x := range r.Rounds {
		v = append(v, f(x))
	}
	return v
}

// ratios divides round by round, leaving out those whose divisor is 0.
func ratios(r, by *Row, f func(Round) float64) []float64 {
	var v []float64
	for i := range min(len(r.Rounds), len(by.Rounds)) {
		if d := f(by.Rounds[i]); d > 0 {
			v = append(v, f(r.Rounds[i])/d)
		}
	}
	return v
}

// median returns the middle of v, the mean of the two middle ones where their number is even, 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// Find returns the row of a workload and server, nil where there is none. Open is 0 for a closed loop.
func (r *Report) Find(workload string, batch int, open float64, server string) *Row {
	for _, x := range r.Rows {
		if x.Workload == workload && x.Batch == batch && x.Open == open && x.Server == server {
			return x
		}
	}
	return nil
}

// WriteFile writes the report as JSON, making the directory where it is missing.
func (r *Report) WriteFile(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
