package admin

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stint-limiter/stint/transport"
)

// DoorStats are the counters of one door.
type DoorStats struct {
	Door string // check, auth
	// Answers counts requests by what became of them, in a few fixed words: ok, denied, bad, too-large, unavailable.
	Answers map[string]uint64
	// Unplanned counts requests that a policy could not be applied to in full.
	Unplanned uint64
}

// RuleStats are the counters of one rule of a policy.
type RuleStats struct {
	Policy, Rule string
	// Requests by what became of them: allowed, denied, would-deny (by a shadow rule).
	Requests map[string]uint64
}

// metrics returns the /metrics page. Each page has a registry of its own, so that many nodes fit in one process.
func (a *admin) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{a})
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// collector reads the atomics of all rooms when a scrape comes.
type collector struct{ *admin }

// described is every metric there is.
var described []*prometheus.Desc

func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("stint_"+name, help, labels, nil)
	described = append(described, d)
	return d
}

var (
	descInfo      = desc("info", "Version and node name; always 1.", "version", "go", "node")
	descPhase     = desc("ready", "1 while the node serves.")
	descChecks    = desc("checks_total", "Checks that this node was asked, by where the decision came from and what it was.", "via", "allowed")
	descRetried   = desc("forward_retries_total", "Forwarded checks sent once more: moved, told to wait, or failed.")
	descMoved     = desc("forward_moved_total", "Answers `moved` from members that no longer held the partition.")
	descClock     = desc("clock_off_seconds", "How far the wall clock has gone from the one that windows are counted by.")
	descLines     = desc("lines", "Lines in memory.")
	descBytes     = desc("lines_bytes", "Memory of the lines, used or not.")
	descExpired   = desc("lines_expired_total", "Lines dropped because they were fresh again.")
	descEvicted   = desc("lines_evicted_total", "Lines dropped before they were fresh, for want of room.")
	descFull      = desc("checks_full_total", "Checks that found no room for their line.")
	descMembers   = desc("members", "Members as this node sees them.", "state")
	descRings     = desc("members_other_ring", "Present members whose last word names another ring than this node's.")
	descPatience  = desc("members_other_patience", "Present members that say they have another --patience than this node: their timers do not fit, and both may decide for one key.")
	descBatches   = desc("peer_batches_total", "Batches sent to a member.", "peer")
	descAsks      = desc("peer_asks_total", "Checks forwarded to a member.", "peer")
	descFolded    = desc("peer_asks_folded_total", "Forwarded checks that shared an entry with an equal one.", "peer")
	descPeerFails = desc("peer_asks_failed_total", "Forwarded checks without an answer, by cause.", "peer", "cause")
	descPeerTries = desc("peer_batch_retries_total", "Batches sent again because their connection failed.", "peer")
	descHealthy   = desc("peer_healthy", "1 while the pipe to the member works.", "peer")
	descRules     = desc("rule_requests_total", "Requests that a rule counted: allowed, denied by it, or, for a shadow rule, would-deny.", "policy", "rule", "result")
	descReload    = desc("policy_reload_failed", "1 while the policy files on disk were refused and older ones are in force.")
	descUnplanned = desc("http_unplanned_total", "Requests or checks that a policy could not be applied to in full: too many keys or limits met in one.", "door")
	descAnswers   = desc("http_answers_total", "Requests that a door has answered.", "door", "answer")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range described {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.Node.Stats()
	gauge(descInfo, 1, c.Version, runtime.Version(), c.Node.Name())
	gauge(descPhase, oneIf(c.Node.Ready()))
	for via, counts := range s.Decisions {
		counter(descChecks, counts[0], transport.Via(via).String(), "false")
		counter(descChecks, counts[1], transport.Via(via).String(), "true")
	}
	counter(descRetried, s.Retried)
	counter(descMoved, s.Moved)
	collectHolds(ch, &s, counter, gauge)
	collectLeases(&s, counter, gauge)
	gauge(descClock, c.Node.Clock().Off().Seconds())
	gauge(descLines, float64(s.Table.Lines))
	gauge(descBytes, float64(s.Table.Bytes))
	counter(descExpired, s.Table.Expired)
	counter(descEvicted, s.Table.Evicted)
	counter(descFull, s.Table.Full)
	if s.Snapshot != nil {
		collectSnapshot(s.Snapshot, counter, gauge)
	}
	c.collectMembers(gauge)
	for name, p := range s.Pipes {
		counter(descBatches, p.Batches.Load(), name)
		counter(descAsks, p.Asks.Load(), name)
		counter(descFolded, p.Folded.Load(), name)
		counter(descPeerFails, p.Expired.Load(), name, "expired")
		counter(descPeerFails, p.Shed.Load(), name, "shed")
		counter(descPeerFails, p.Failed.Load(), name, "failed")
		counter(descPeerTries, p.Retries.Load(), name)
		gauge(descHealthy, oneIf(p.Healthy), name)
	}
	if c.ReloadFailed != nil {
		gauge(descReload, oneIf(c.ReloadFailed()))
	}
	if c.Rules != nil {
		for _, r := range c.Rules() {
			for result, n := range r.Requests {
				counter(descRules, n, r.Policy, r.Rule, result)
			}
		}
	}
	if c.Doors != nil {
		for _, d := range c.Doors() {
			counter(descUnplanned, d.Unplanned, d.Door)
			for answer, n := range d.Answers {
				counter(descAnswers, n, d.Door, answer)
			}
		}
	}
}

// collectMembers counts the members by state. Names are no labels here: the dead are remembered for a while, and would pile up.
func (c collector) collectMembers(gauge func(*prometheus.Desc, float64, ...string)) {
	states := map[string]int{"alive": 0, "suspect": 0, "left": 0, "dead": 0, "forgotten": 0}
	other := 0
	ring := c.Node.Ring()
	for _, m := range c.Node.Gossip().View().Members {
		states[m.State.String()]++
		if ring != nil && m.Live() && m.RingID != uint64(ring.ID()) {
			other++
		}
	}
	for state, n := range states {
		gauge(descMembers, float64(n), state)
	}
	gauge(descRings, float64(other))
	gauge(descPatience, float64(len(c.Node.Gossip().View().OtherPatience())))
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
