package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/transport"
)

// A counter is what a key under one sliding window of an hour must look like from outside, for a test much shorter than
// that: a number that only checks change, each at one moment between its call and its answer.
const counterLimit = 20

type counterIn struct {
	key  string
	hits int64 // 0 peeks, negative gives back
}

type counterOut struct {
	allowed   bool
	remaining uint32
}

// counterStep is the counter: from what is spent and a check to the answer, and what is spent then.
func counterStep(spent int64, in counterIn) (counterOut, int64) {
	switch {
	case in.hits < 0:
		spent = max(spent+in.hits, 0)
		return counterOut{true, uint32(counterLimit - spent)}, spent
	case spent+max(in.hits, 1) > counterLimit:
		return counterOut{false, uint32(counterLimit - spent)}, spent
	}
	spent += in.hits
	return counterOut{true, uint32(counterLimit - spent)}, spent
}

var counterModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(counterIn).key
			by[key] = append(by[key], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return int64(0) },
	Step: func(state, in, out any) (bool, any) {
		want, spent := counterStep(state.(int64), in.(counterIn))
		return want == out.(counterOut), spent
	},
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+d → %+v", in.(counterIn).hits, out.(counterOut))
	},
}

// While members stay, a cluster is one bucket on one machine: what callers of all nodes see, at the same time, has an order in which
// a single counter would have answered the same. Forwards fold, retries repeat, and none of it may show. Remembered denials stand
// outside of that order, for a second at most: each repeats what the holder told this node, and the rest has an order without them. (From COUNT 1000
// on, where hits are lent, what is told as left has none.)
func TestLinearizable(t *testing.T) {
	nodes := three(t)
	l := limit(t, fmt.Sprint(counterLimit, "/1h"))
	const callers, each, keys = 5, 40, 6
	var mu sync.Mutex
	var history []porcupine.Operation
	var repeated []repeat
	heard := map[denied][]time.Duration{} // denials by holders: when they were asked for
	begin := time.Now()
	var wg sync.WaitGroup
	for id := range callers * len(nodes) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(id)))
			for range each {
				in := counterIn{fmt.Sprint("key", r.IntN(keys)), int64(1 + r.IntN(3))}
				switch r.IntN(10) {
				case 0, 1:
					in.hits = 0
				case 2, 3, 4, 5: // as much as is taken, so that the limit is met again and again
					in.hits = -in.hits
				}
				call := time.Since(begin)
				d := ask(nodes[id%len(nodes)], in.hits, in.key, l)
				back := time.Since(begin)
				told := denied{id % len(nodes), in, d.Remaining}
				mu.Lock()
				switch {
				case d.Via == transport.ViaDeniedCache && !d.Allowed:
					repeated = append(repeated, repeat{told, call, back})
					mu.Unlock()
					continue
				case d.Via != transport.ViaHolder:
					t.Errorf("%v: via %v", in, d.Via)
				case !d.Allowed:
					heard[told] = append(heard[told], call)
				}
				history = append(history, porcupine.Operation{ClientId: id, Input: in, Call: int64(call),
					Output: counterOut{d.Allowed, d.Remaining}, Return: int64(back)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, x := range repeated {
		if !slices.ContainsFunc(heard[x.denied], func(at time.Duration) bool { return at <= x.back && at >= x.call-2*stall*lease.DenialTerm }) {
			t.Errorf("%+v was told by no holder", x)
		}
	}
	t.Logf("%d checks, and %d answered from denials", len(history), len(repeated))
	linearizable(t, history)
}

// A denied check as its caller sees it, and one that was answered from a remembered denial.
type denied struct {
	node      int
	in        counterIn
	remaining uint32
}

type repeat struct {
	denied
	call, back time.Duration
}

func linearizable(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(counterModel, history, time.Minute)
	if result == porcupine.Ok {
		return
	}
	for _, p := range info.PartialLinearizations() {
		longest := 0
		for _, l := range p {
			longest = max(longest, len(l))
		}
		t.Logf("a key: at most %d of its operations have an order", longest)
	}
	t.Errorf("%d checks: %s: no order of them fits one counter", len(history), result)
}

// The judge itself must know a wrong history from a right one.
func TestLinearizableJudge(t *testing.T) {
	op := func(client int, hits int64, from, to int64, allowed bool, remaining uint32) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: counterIn{"k", hits}, Call: from, Return: to, Output: counterOut{allowed, remaining}}
	}
	for _, c := range []struct {
		name    string
		want    porcupine.CheckResult
		history []porcupine.Operation
	}{
		{"one after the other", porcupine.Ok, []porcupine.Operation{op(0, 3, 1, 2, true, 17), op(1, 2, 3, 4, true, 15)}},
		{"at the same time, in either order", porcupine.Ok, []porcupine.Operation{op(0, 3, 1, 5, true, 15), op(1, 2, 2, 4, true, 18)}},
		{"one forgotten", porcupine.Illegal, []porcupine.Operation{op(0, 3, 1, 2, true, 17), op(1, 2, 3, 4, true, 18)}},
		{"one counted twice", porcupine.Illegal, []porcupine.Operation{op(0, 3, 1, 2, true, 14)}},
		{"over", porcupine.Illegal, []porcupine.Operation{op(0, 20, 1, 2, true, 0), op(1, 1, 3, 4, true, 0)}},
		{"given back twice", porcupine.Illegal, []porcupine.Operation{op(0, 5, 1, 2, true, 15), op(0, -2, 3, 4, true, 19)}},
		{"a stale peek", porcupine.Illegal, []porcupine.Operation{op(0, 5, 1, 2, true, 15), op(1, 0, 3, 4, true, 20)}},
	} {
		if got := porcupine.CheckOperations(counterModel, c.history); got != (c.want == porcupine.Ok) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
