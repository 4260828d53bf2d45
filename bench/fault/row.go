package fault

import (
	"fmt"
	"strings"
	"time"
)

// A Row is what one run of a scenario has shown.
type Row struct {
	Scenario string `json:"scenario"`
	Run      int    `json:"run"`
	Nodes    int    `json:"nodes"`
	Account
	Bounds Bounds `json:"bounds"`
	// Also is what else the scenario has looked at.
	Also []string `json:"also,omitempty"`
	// Why says what is wrong; a row without it has passed, or was skipped.
	Why     []string `json:"why,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
	// Counters are those of the nodes that ran at the end, added up.
	Counters map[string]float64 `json:"counters,omitempty"`
	Logs     string             `json:"logs,omitempty"`
}

// Bounds are the most that a row may have. A scenario begins with none of anything, but for a hit a key that was counted twice.
type Bounds struct {
	Over uint64 `json:"over"`
	// OverLimits, where it is not 0, is judged instead: the most over on each key, as so many times its COUNT.
	OverLimits uint64 `json:"over_limits,omitempty"`
	Failed     uint64 `json:"failed"`
	// Unjudged: failed checks are no fault of this scenario, nobody was there to answer.
	Unjudged bool `json:"failed_unjudged,omitempty"`
	// Under is the most hits that one key may miss. Across a change of holder a hit may count twice, never less.
	Under uint64 `json:"under_per_key"`
	// Lent is how many more may be missing on a key whose hits are lent, where a node dies, stands still or is cut off: a loan was out then, and only the
	// hold that granted it takes its rest back. Where members only come and go, it is none: a partition changes hands once its loans are back.
	Lent uint64 `json:"lent_per_key,omitempty"`
	// Slowest is 0 where the scenario says nothing about it.
	Slowest time.Duration `json:"slowest_ns,omitempty"`
}

// onLoan is what may be lost of the loans on one key: a slice is what a node hands out of it in 200 ms, 8 hits where little is asked, and 32
// at the rates here; up to four nodes have one, and a partition may change hands twice.
const onLoan = 64

// Wrong reports whether something was wrong.
func (r *Row) Wrong() bool { return len(r.Why) > 0 }

// fail notes something that is wrong.
func (r *Row) fail(format string, args ...any) { r.Why = append(r.Why, fmt.Sprintf(format, args...)) }

// note notes what was looked at, or, where it does not hold, what is wrong.
func (r *Row) note(holds bool, format string, args ...any) {
	if holds {
		r.Also = append(r.Also, fmt.Sprintf(format, args...))
	} else {
		r.fail(format, args...)
	}
}

// judge compares the account with the bounds.
func (r *Row) judge() {
	a, b := &r.Account, &r.Bounds
	if a.Asked == 0 {
		r.fail("nothing was asked")
	}
	switch {
	case b.OverLimits > 0 && a.MostOver > float64(b.OverLimits):
		r.fail("a key is over by %.2f times its limit", a.MostOver)
	case b.OverLimits == 0 && a.Over > b.Over:
		r.fail("%d over", a.Over)
	}
	if a.MostUnder > b.Under || a.MostUnderLent > b.Under+b.Lent {
		r.fail("%d under", a.Under)
	}
	if a.Failed > b.Failed && !b.Unjudged {
		r.fail("%d failed", a.Failed)
	}
	if b.Slowest > 0 && a.Slowest > b.Slowest {
		r.fail("slowest %v", a.Slowest.Round(time.Millisecond))
	}
}

// Verdict is ok, or what is wrong, or why there is none.
func (r *Row) Verdict() string {
	switch {
	case r.Wrong():
		return "FAILED: " + strings.ReplaceAll(strings.Join(r.Why, "; "), "\n", " ")
	case r.Skipped != "":
		return "skipped: " + r.Skipped
	}
	return "ok"
}
