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
	Rows    []*Row    `json:"rows,omitempty"`
	Memory  []*Memory `json:"memory,omitempty"`
	// Skipped says why a server, or a row, is not there, by its name.
	Skipped map[string]string `json:"skipped,omitempty"`
}

// Version of the JSON. 2: rounds have their ratios, and rows a group.
const Version = 2

// A Row is one workload against one server.
type Row struct {
	// Group names what all rows measured in turn with this one have in common, "" for the run's first group. Each group has an echo of its own.
	Group    string  `json:"group,omitempty"`
	Workload string  `json:"workload"`          // uniform
	Keys     int     `json:"keys"`              //
	Batch    int     `json:"checks_a_request"`  //
	Open     float64 `json:"offered,omitempty"` // open loop: requests due per second; 0 is a closed loop
	Share    float64 `json:"share,omitempty"`   // open loop: what Open is of Stint's rate in closed loop, in %; 0: Open was asked for
	Server   string  `json:"server"`            // echo, redis, stint
	Nodes    int     `json:"nodes"`
	Procs    int     `json:"gomaxprocs,omitempty"` // of each process, where it was set
	Variant  string  `json:"variant,omitempty"`    // flags of a server that are not its defaults
	Rounds   []Round `json:"rounds"`
	// Latency is of all rounds, in µs.
	Latency Latency `json:"latency_us"`
	// Verdict is nil for a server that counts nothing.
	Verdict *load.Verdict `json:"verdict,omitempty"`
	Median  Median        `json:"median"`
	// Wakes is how often a node found that it had been stopped, or starved, for longer than its timers allow.
	Wakes uint64 `json:"wakes,omitempty"`
	// Error is the first check that got no answer at all.
	Error string `json:"error,omitempty"`
}

// A Round is one measured stretch.
type Round struct {
	Seconds  float64           `json:"seconds"`
	Requests uint64            `json:"requests"`
	Checks   uint64            `json:"checks"`
	Admitted uint64            `json:"admitted"` // checks
	Failed   uint64            `json:"failed"`
	Unsent   uint64            `json:"unsent,omitempty"`
	Rate     float64           `json:"checks_per_second"`             // answered ones
	CPU      float64           `json:"server_us_per_check,omitempty"` // 0: not known
	OwnCPU   float64           `json:"generator_us_per_check"`
	Allocs   float64           `json:"allocations_per_check,omitempty"` // of all nodes; 0: not known
	P99      float64           `json:"p99_us"`
	Late     float64           `json:"generator_late_p99_us,omitempty"`
	Via      map[string]uint64 `json:"via,omitempty"`

	// Ratios to what was measured seconds before or after in the same round; 0 where that was not.
	RateOf    float64 `json:"rate_to_echo,omitempty"`
	CPUOf     float64 `json:"server_cpu_to_echo,omitempty"`
	P99Of     float64 `json:"p99_to_echo,omitempty"`
	RateRedis float64 `json:"rate_to_redis,omitempty"`
}

// Latency has percentiles in µs.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// A Median is the middle of a row's rounds. The ratios are 0 where no echo, or no Redis, was measured beside it.
type Median struct {
	Rate      float64 `json:"checks_per_second"`
	CPU       float64 `json:"server_us_per_check"`
	OwnCPU    float64 `json:"generator_us_per_check"`
	Allocs    float64 `json:"allocations_per_check,omitempty"`
	RateOf    float64 `json:"rate_to_echo"`
	CPUOf     float64 `json:"server_cpu_to_echo"`
	P99Of     float64 `json:"p99_to_echo"`
	RateRedis float64 `json:"rate_to_redis,omitempty"`
	Spread    float64 `json:"rate_spread"` // (most − least) / median of the rate
	FailedN   uint64  `json:"failed"`
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

// Sum fills in Median of a row, and the ratios of its rounds; echo and redis are the rows of the same workload and group, or nil.
func (r *Row) Sum(echo, redis *Row) {
	for i := range r.Rounds {
		x := &r.Rounds[i]
		if e := echo.round(i); e != nil {
			x.RateOf, x.CPUOf, x.P99Of = over(x.Rate, e.Rate), over(x.CPU, e.CPU), over(x.P99, e.P99)
		}
		if e := redis.round(i); e != nil {
			x.RateRedis = over(x.Rate, e.Rate)
		}
	}
	m := Median{
		Rate:   median(r.each(func(x Round) float64 { return x.Rate })),
		CPU:    median(r.each(func(x Round) float64 { return x.CPU })),
		OwnCPU: median(r.each(func(x Round) float64 { return x.OwnCPU })),
		Allocs: median(r.each(func(x Round) float64 { return x.Allocs })),

		RateOf:    median(known(r.each(func(x Round) float64 { return x.RateOf }))),
		CPUOf:     median(known(r.each(func(x Round) float64 { return x.CPUOf }))),
		P99Of:     median(known(r.each(func(x Round) float64 { return x.P99Of }))),
		RateRedis: median(known(r.each(func(x Round) float64 { return x.RateRedis }))),
	}
	for _, x := range r.Rounds {
		m.FailedN += x.Failed
	}
	m.Spread = spread(r.each(func(x Round) float64 { return x.Rate }))
	r.Median = m
}

// round returns the i-th round, nil where there is no such row or round.
func (r *Row) round(i int) *Round {
	if r == nil || i >= len(r.Rounds) {
		return nil
	}
	return &r.Rounds[i]
}

func (r *Row) each(f func(Round) float64) []float64 {
	var v []float64
	for _, x := range r.Rounds {
		v = append(v, f(x))
	}
	return v
}

// over divides; the ratio to 0 is not known, which is 0.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// known leaves out what is 0.
func known(v []float64) []float64 {
	return slices.DeleteFunc(v, func(f float64) bool { return f == 0 })
}

// spread is (most − least) / median, 0 of none.
func spread(v []float64) float64 {
	m := median(v)
	if m == 0 {
		return 0
	}
	return (slices.Max(v) - slices.Min(v)) / m
}

// shares returns what part of all checks came from where, by its word.
func (r *Row) shares() map[string]float64 {
	n, sum := map[string]float64{}, 0.0
	for _, x := range r.Rounds {
		for via, k := range x.Via {
			n[via] += float64(k)
			sum += float64(k)
		}
	}
	for via := range n {
		n[via] /= sum
	}
	return n
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

// ReadFile reads what WriteFile has written. Files of another version are refused.
func ReadFile(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read a report: %s: %w", file, err)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("read a report: %s has version %d, this program knows %d: measure again", file, r.Version, Version)
	}
	return r, nil
}
