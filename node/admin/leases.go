package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stint-limiter/stint/node"
)

// Metrics of loans and of remembered denials.
var (
	descWishes       = desc("loans_asked_total", "Checks sent to their holder with a wish to borrow.")
	descLoans        = desc("loans_total", "Loans that this node was granted (in), or granted as a holder (out).", "direction")
	descLent         = desc("loan_hits_total", "Hits of loans, by what became of them: granted to this node; of these spent (handed out here), returned (given back) and lost (could not be given back, and stay spent); lent by this node as a holder, and of these took_back.", "what")
	descDenials      = desc("denials_remembered_total", "Denials by other holders that this node has remembered. How many checks they answered is in checks_total by via.")
	descPurse        = desc("purse_entries", "Shapes of checks that this node has a loan, a denial or a count of.")
	descPurseLoans   = desc("purse_loans", "Loans that this node has now.")
	descPurseEvicted = desc("purse_evicted_total", "Loans and denials that made room for others. Loans are given back then.")
)

func collectLeases(s *node.Stats, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	p := &s.Purse
	counter(descWishes, p.Asked)
	counter(descLoans, p.Loans, "in")
	counter(descLoans, s.Loans, "out")
	for what, n := range map[string]uint64{"granted": p.Granted, "spent": p.Spent, "returned": p.Returned, "lost": p.Lost, "lent": s.Lent, "took_back": s.TookBack} {
		counter(descLent, n, what)
	}
	counter(descDenials, p.Denials)
	gauge(descPurse, float64(p.Entries))
	gauge(descPurseLoans, float64(p.Live))
	counter(descPurseEvicted, p.Evicted)
}
