package hold_test

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// A world is a cluster of real Machines under one clock: what is around a machine in a node (lines, gates, ticks, pipes, the way of a
// check, gossip) is as dumb as it can be, and every fault comes from one seed. So a run can be replayed, step by step.
//
// It knows what no node knows, namely all that was spent and admitted, and judges by that: see verdict_test.go.
type world struct {
	seed   uint64
	class  string
	off    hold.Rules
	rng    *rand.Rand
	timers hold.Timers
	trace  io.Writer // nil: none

	now    time.Duration
	queue  queue
	n      uint64 // of things queued
	starts uint64 // start IDs given

	names   []string // of everybody who may ever be there, sorted
	base    []string // there from the beginning
	joiners []string
	nodes   map[string]*node // the latest run of each name
	rank    []map[string]float64
	salt    []int
	net     network

	parts, keys int
	limit       [2]int // of each key: one has room, one is soon denied
	rst         bool   // nobody listens where a node died, instead of silence
	told        bool   // a node that is back tells senders which meant its former run

	spent    tally // by key: taken from lines, by anybody
	admitted tally // of those, answered to a caller in time
	allow    tally // what crashes and pauses excuse to be admitted again
	lost     tally // what crashes excuse to be forgotten
	forks    int   // sides that a split has, at most
	faults   []time.Duration
	last     time.Duration // of the last fault

	quiet            bool    // no more callers
	full             float64 // so often lines find no room
	plain            bool    // the ring is the order of names, and gossip says only what it is told to
	agree            bool    // nodes that start together agree within a second
	withoutSeed      bool    // nodes do not wait for a seed before they hold
	asks             uint64
	checks, failures int
	failed           []failure
	longest          time.Duration
	highest          []hold.Hold // that decided, by partition
	stale            []string
	wrong            []string // what must never be seen, whatever the faults
	standing         int      // checks that failed at nodes that stood still
	loans            int
	rests            []hold.Hold // of loans that came back to a hold that was over
	histories        int
	claims           map[hold.Why]int
	frozen           time.Duration // the longest freeze
	mail             map[string]int
}

// A tally counts by partition and key.
type tally [][2]int

type failure struct {
	at, since time.Duration
	entry     string
	partition int
}

const ms = time.Millisecond

func newWorld(seed uint64, class string, off hold.Rules, names, joiners []string, partitions int) *world {
	h := fnv.New64a()
	io.WriteString(h, class)
	w := &world{
		seed: seed, class: class, off: off, rng: rand.New(rand.NewPCG(seed, h.Sum64())), timers: hold.Patience(1),
		base: names, joiners: joiners, names: slices.Sorted(slices.Values(slices.Concat(names, joiners))), nodes: map[string]*node{},
		parts: partitions, keys: 2, limit: [2]int{100, 10}, forks: 1, claims: map[hold.Why]int{}, mail: map[string]int{}, rst: true, told: true,
		spent: make(tally, partitions), admitted: make(tally, partitions), allow: make(tally, partitions), lost: make(tally, partitions), highest: make([]hold.Hold, partitions),
	}
	w.agree = w.chance(.5)
	w.net = network{w: w, cut: map[link]bool{}, least: 200 * time.Microsecond, most: 2 * ms}
	for range partitions {
		rank := map[string]float64{}
		for _, n := range w.names {
			rank[n] = w.rng.Float64()
		}
		w.rank, w.salt = append(w.rank, rank), append(w.salt, w.rng.IntN(1000))
	}
	return w
}

// begin starts the first nodes, which all know each other. Nobody holds anything.
func (w *world) begin() {
	for _, name := range w.base {
		w.nodes[name] = newNode(w, name)
	}
	for _, n := range w.all() {
		for _, o := range w.all() {
			if o != n {
				n.view[o.name] = &seen{start: o.start, serving: true}
				n.meet(o.name, o.start)
			}
		}
		n.starting = false
		n.joined = true
	}
	for _, n := range w.all() {
		n.viewChanged()
		n.loops()
	}
	w.gossip()
}

// all are the nodes that were started, dead ones too, by name.
func (w *world) all() []*node {
	var out []*node
	for _, name := range w.names {
		if n := w.nodes[name]; n != nil {
			out = append(out, n)
		}
	}
	return out
}

func (w *world) alive() []*node {
	return slices.DeleteFunc(w.all(), func(n *node) bool { return !n.alive })
}

// run goes on until that time.
func (w *world) run(until time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= until {
		x := heap.Pop(&w.queue).(queued)
		w.now = x.at
		x.do()
	}
	w.now = until
}

func (w *world) at(t time.Duration, do func()) {
	w.n++
	heap.Push(&w.queue, queued{max(t, w.now), w.n, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// between is a random time.
func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Float64()*float64(most-least))
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// order ranks members for a partition, as a consistent hash would: mostly by itself, sometimes disturbed by who else is there.
func (w *world) order(partition int, names []string, rank map[string]float64) []string {
	if rank == nil {
		rank = w.rank[partition]
	}
	out := slices.SortedFunc(slices.Values(names), func(a, b string) int {
		if rank[a] < rank[b] {
			return -1
		}
		return 1
	})
	if len(out) > 2 && !w.plain {
		h := fnv.New32a()
		fmt.Fprint(h, w.salt[partition], slices.Sorted(slices.Values(names)))
		if h.Sum32()%5 == 0 {
			out[0], out[1] = out[1], out[0]
		}
	}
	return out
}

func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%9.1f  %s\n", float64(w.now)/float64(ms), fmt.Sprintf(format, args...))
	}
}

func (w *world) wrongf(format string, args ...any) {
	s := fmt.Sprintf("%.1f ", float64(w.now)/float64(ms)) + fmt.Sprintf(format, args...)
	w.wrong = append(w.wrong, s)
	w.tracef("!! %s", s)
}

// queue is a heap of what is to happen, by time and then in the order of queueing.
type queue []queued

type queued struct {
	at time.Duration
	n  uint64
	do func()
}

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// brief writes a value of this package's types without its package name and zero fields.
func brief(v any) string {
	s := fmt.Sprintf("%T%+v", v, v)
	switch v := v.(type) {
	case hold.Received:
		s = fmt.Sprintf("from %s%d %T%+v", v.From, v.Start, v.Message, v.Message)
	case *hold.Send:
		s = fmt.Sprintf("to %s %T%+v", v.To, v.Message, v.Message)
	case *hold.Store, hold.Absorb, hold.BackupDue, hold.ViewChanged:
		s = fmt.Sprintf("%T", v)
	}
	return strings.NewReplacer("hold.", "", "*", "", "&", "").Replace(s)
}
