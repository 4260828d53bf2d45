package main

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// defaultPlan is what `run` measures: every workload one check at a time, the two where batches matter, and an open loop at a half and at
	// four fifths of the first row's rate. At a half queues are short, and latency is the server's own.
	defaultPlan = "uniform,zipf,hot,over,mixed,uniform/100,hot/100,uniform@50%,uniform@80%"

	// fullPlan is that of `run --all`: besides, other batch sizes and numbers of keys, for the curves.
	fullPlan = defaultPlan + ",uniform/10,uniform/1000,over/100,mixed/100,hot@50%,uniform:1k/100,uniform:10k/100,uniform:1m/100"

	// variantPlan is what `run` measures of other clusters than the first.
	variantPlan = "uniform,hot,mixed,uniform/100,uniform@50%"
)

// An item is one workload of a plan, NAME[:KEYS][/CHECKS A REQUEST][@OPEN LOOP].
type item struct {
	text    string
	name    string // with the keys
	batch   int
	percent float64 // open loop at this share of the closed loop's rate, in %; 0: none
	rate    float64 // open loop at so many requests per second; 0: none
}

func (it item) open() bool { return it.percent > 0 || it.rate > 0 }

// A loadID is what the closed and the open loops of one workload have in common.
type loadID struct {
	name  string
	batch int
}

func (it item) id() loadID { return loadID{it.name, it.batch} }

// parsePlan reads a list of items. The names of workloads are looked at later, by load.NewWorkload. An item in open loop at a
// percentage needs the same workload in closed loop before it.
func parsePlan(text string) ([]item, error) {
	var plan []item
	for _, t := range strings.Split(text, ",") {
		it, err := parseItem(strings.TrimSpace(t))
		if err != nil {
			return nil, err
		}
		if it.percent > 0 && !closedBefore(plan, it) {
			closed, _, _ := strings.Cut(it.text, "@")
			return nil, fmt.Errorf("workload %q is at a share of the rate of %s, which has to come before it; %w", it.text, closed, errUsage)
		}
		plan = append(plan, it)
	}
	return plan, nil
}

func closedBefore(plan []item, it item) bool {
	for _, p := range plan {
		if p.id() == it.id() && !p.open() {
			return true
		}
	}
	return false
}

func parseItem(text string) (item, error) {
	it := item{text: text, batch: 1}
	rest, open, isOpen := strings.Cut(text, "@")
	name, batch, isBatch := strings.Cut(rest, "/")
	it.name = name
	bad := func(what, want string) (item, error) {
		return it, fmt.Errorf("workload %q: %q is %s; %w", text, what, want, errUsage)
	}
	if isBatch {
		n, err := strconv.Atoi(batch)
		if err != nil || n < 1 || n > 1000 {
			return bad(batch, "no number of checks from 1 to 1000")
		}
		it.batch = n
	}
	if !isOpen {
		return it, nil
	}
	number, isPercent := strings.CutSuffix(open, "%")
	v, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !(v > 0):
		return bad(open, "neither a share like 50% nor requests per second")
	case isPercent && v > 200:
		return bad(open, "more than 200%: the queue only grows")
	case isPercent:
		it.percent = v
	case v > 10_000_000:
		return bad(open, "more requests per second than any generator makes")
	default:
		it.rate = v
	}
	return it, nil
}
