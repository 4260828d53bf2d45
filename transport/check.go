package transport

import (
	"time"

	"github.com/stint-limiter/stint/bucket"
)

// Wire limits. Each has its reason; each has a test.
const (
	MaxKey     = 512       // bytes of a key: longer ones are somebody's body
	MaxChecks  = 1000      // checks of a request: bounds what one request holds up
	MaxRequest = 1 << 20   // bytes of a request's body
	MaxLimits  = 16        // limits of one check that names its own
	MaxHits    = 1<<32 - 1 // hits of one check, given or taken back

	DefaultTimeout = time.Second      // where the request names none
	MinTimeout     = time.Millisecond // timeout_ms = 1
	MaxTimeout     = 10 * time.Second // timeout_ms = 10000
)

// A Mode says how to answer when nobody can decide.
type Mode uint8

const (
	ByDefault Mode = iota // whatever the node is set to (`--failure-mode`, `allow` unless told otherwise)
	Allow
	Deny
)

// OnSplit says what a rule's partitions may grant while the cluster is split.
type OnSplit uint8

const (
	SplitDefault OnSplit = iota
	SplitFull
	SplitShare
	SplitDeny
)

// A Limit is a bucket.Limit and where it comes from. It is made once (NewLimit), shared by all checks and never
// changed after.
type Limit struct {
	bucket.Limit
	Policy string // "" for a limit that came with the request
	Rule   string // "inline" for a limit that came with the request
	Text   string // as Limit.String() has it
	Scope  uint64 // bucket.Scope of all that

	Shadow      bool
	CountDenied bool
}

// Inline is the rule name of limits that come with a request.
const Inline = "inline"

// NewLimit returns the limit l of a policy's rule.
func NewLimit(policy, rule string, l bucket.Limit) Limit {
	return Limit{Limit: l, Policy: policy, Rule: rule, Text: l.String(), Scope: bucket.Scope(policy, rule, l.Window, l.Algorithm)}
}

// A Check asks for one key under one or more limits, all or nothing.
type Check struct {
	// Key is 1 to MaxKey bytes of UTF-8. The slice must stay as it is until Checker.Check returns.
	Key []byte
	// Limits are those that the key is counted under, 1 to bucket.MaxWants, no two with the same line (see Fold).
	Limits []Limit
	// Hits is how many to spend, −MaxHits to MaxHits; 0 peeks, negative gives back.
	Hits int64
	// Receipt names the slot that Hits < 0 go back to; 0 is the oldest.
	Receipt bucket.Receipt
	// Unavailable says how to answer when nobody can decide.
	Unavailable Mode
	OnSplit     OnSplit
	// Each asks for the state of every limit, not only of the deciding one.
	Each bool
}

// Via says where a decision came from.
type Via uint8

const (
	ViaHolder      Via = iota // the partition's holder
	ViaLease                  // budget that the holder had already paid for
	ViaDeniedCache            // a denial that cannot have changed
	ViaClaimed                // a holder that took over less than a window ago
	ViaFull                   // nobody's line: the table was full, on_full answered
	ViaUnavailable            // nobody could decide: failure_mode answered
	viaCount
)

// Vias is how many there are, for counters by Via.
const Vias = int(viaCount)

var viaNames = [viaCount]string{"holder", "lease", "denied-cache", "claimed", "full", "unavailable"}

// String returns the word that API, metrics and docs have for it.
func (v Via) String() string {
	if v < viaCount {
		return viaNames[v]
	}
	return "unknown"
}

// A Decision answers one check.
type Decision struct {
	// Outcome says what was decided; By is an index into the check's Limits. Where nobody could decide, or the
	// table was full, By is -1 and only Allowed means something.
	bucket.Outcome
	Via Via
	// Epoch and Holder say who decided, for explain and for giving back; Holder is "" where nobody did.
	Epoch  uint64
	Holder string
}

// A Request is a batch of checks with one deadline.
type Request struct {
	Checks []Check
	// Deadline is the wall-clock moment past which failure_mode answers.
	Deadline time.Time
	// Decisions has one entry per check once Check has returned. Its memory is used again if it is large enough.
	Decisions []Decision
}

// A Checker decides checks: a node, a client of one, or a fake in a test. A door works the same over any of them.
type Checker interface {
	// Check decides every check of the request, those on one key in the order they have there, and returns when all
	// of r.Decisions are set, at the latest a moment after r.Deadline. It does not fail: what nobody could decide is
	// answered by failure_mode with ViaUnavailable. The checks must be valid (Check.Valid). It may be called from
	// many goroutines, each with a request of its own.
	Check(r *Request)
}
