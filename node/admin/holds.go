package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stint-limiter/stint/node"
	"github.com/stint-limiter/stint/node/mail"
)

// Metrics of who holds what, of copies, and of what was forgotten.
var (
	descHeld      = desc("partitions_held", "Partitions that this node decides for.")
	descState     = desc("partitions", "Partitions by what this node has of them: held, copy, frozen (being handed over), returning (claimed by another, which has yet to hear what was spent here), unsure (held, but this node was stopped and is asking).", "state")
	descAway      = desc("partitions_away", "Partitions that this node is home to and does not hold yet.")
	descPending   = desc("backup_pending", "Partitions held here of which nobody else has the whole copy yet.")
	descLag       = desc("backup_lag_seconds", "Age of the oldest change that no copy is known to have.")
	descOpened    = desc("partitions_opened_total", "Partitions that this node began to hold, or held on to after a stop, by why.", "why")
	descResets    = desc("partition_resets_total", "Partitions that were claimed without a copy: what was spent in them is forgotten. By what is known of the holder before: crash (it did not answer), unknown.", "cause")
	descShut      = desc("partitions_shut_total", "Partitions that this node let go of: handed over in order, or claimed by another.", "how")
	descHanding   = desc("handoff_seconds_total", "How long partitions were frozen in all handoffs together.")
	descFreeze    = desc("longest_freeze_seconds", "How long a partition was frozen at most: by a handoff, or until this node had asked whether it still holds it.")
	descMerges    = desc("returns_merged_total", "Times that what another node spent in a partition that this one had claimed came back and was counted.")
	descLinesSent = desc("lines_sent_total", "Lines sent to other members: copies, handoffs and returns.")
	descWakes     = desc("wakes_total", "Times that this node found itself stopped for longer than its timers allow, and asked before it decided again.")
	descStopped   = desc("stopped_seconds_total", "How long it was stopped in all of those.")
	descRelays    = desc("relays_total", "Checks that went to their holder through another member (out), or were put to it for another (in).", "direction")
	descFolds     = desc("histories_folded_total", "Times that a fifth history of a partition made two older ones become one.")
	descSplit     = desc("split_members", "Members of the whole cluster, and of these the ones that can be heard; the same while nobody is missing.", "which")
	descMail      = desc("mail_total", "Messages between the members' machines.", "kind", "direction")
	descMailLost  = desc("mail_lost_total", "Mail that was dropped: for want of room on the way out (full), of room here (inbox), unreadable (bad), or not delivered (undelivered, in packets).", "cause")
)

func collectHolds(ch chan<- prometheus.Metric, s *node.Stats, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(descHeld, float64(s.Held))
	for state, n := range map[string]int{"held": s.Counts.Held, "copy": s.Counts.Copies, "frozen": s.Counts.Frozen, "returning": s.Counts.Returning, "unsure": s.Counts.Unsure} {
		gauge(descState, float64(n), state)
	}
	gauge(descAway, float64(s.Counts.Away))
	gauge(descPending, float64(s.Counts.Pending))
	gauge(descLag, s.BackupLag.Seconds())
	for why, n := range s.Owned {
		counter(descOpened, n, why)
	}
	for cause, n := range s.Resets {
		counter(descResets, n, cause)
	}
	counter(descShut, s.Gave, "handed")
	counter(descShut, s.Shut-s.Gave, "claimed")
	seconds := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	seconds(descHanding, s.Handing.Seconds())
	gauge(descFreeze, s.LongestFreeze.Seconds())
	counter(descMerges, s.Absorbed)
	counter(descLinesSent, s.LinesSent)
	counter(descWakes, s.Wakes)
	seconds(descStopped, s.Late.Seconds())
	counter(descRelays, s.Relayed, "out")
	counter(descRelays, s.Relays, "in")
	counter(descFolds, s.Table.Folded)
	gauge(descSplit, float64(s.Whole), "whole")
	gauge(descSplit, float64(s.Visible), "visible")
	collectMail(s, counter)
}

func collectMail(s *node.Stats, counter func(*prometheus.Desc, uint64, ...string)) {
	full, undelivered := uint64(0), uint64(0)
	for k := mail.Kind(1); k < mail.Kinds; k++ {
		counter(descMail, s.Mail.Out[k].Load(), k.String(), "out")
		counter(descMail, s.Mail.In[k].Load(), k.String(), "in")
		full += s.Mail.Full[k].Load()
	}
	for _, p := range s.Pipes {
		undelivered += p.Undelivered.Load()
	}
	counter(descMailLost, full, "full")
	counter(descMailLost, s.Mail.InboxFull.Load(), "inbox")
	counter(descMailLost, s.Mail.Bad.Load(), "bad")
	counter(descMailLost, undelivered, "undelivered")
}
