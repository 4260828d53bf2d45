package node

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
)

// A ledger has what callers of a sim asked and were told, key by key, and the faults beside it: all that somebody outside can know. It
// says how much the promises excuse.
type ledger struct {
	mu     sync.Mutex // protects following
	keys   []*simKey
	faults []simFault
	// sides is into how many parts, one more for each, splits ever cut the cluster.
	sides int64
	// checks, failed and longest are for the sum of many runs.
	checks, failed, unreturned int
	longest                    time.Duration
	longestKey                 string
}

// A simKey is one key under one limit.
type simKey struct {
	name      string
	limit     transport.Limit
	partition int
	entries   []simEntry
}

// A simEntry is one check of a key.
type simEntry struct {
	from, to time.Duration // since the sim began
	asked    string        // which node
	holder   string
	epoch    uint64
	hits     int64
	how      simAnswer
	via      transport.Via
	since    time.Duration // of a give-back: when that was spent, at the earliest
	unheard  bool          // the node that was asked died, or was stopped, meanwhile: how long it took says nothing
}

// simAnswer says what a caller knows of its check.
type simAnswer uint8

const (
	simAllowed simAnswer = iota
	simDenied
	simUnknown // no answer, or that nobody could decide: it may have been spent
)

func (a simAnswer) String() string { return [...]string{"allowed", "denied", "unknown"}[a] }

// A simFault is something that happened to the cluster.
type simFault struct {
	at   time.Duration
	what string
	name string // of the member that is gone; "" for links
	// whole: it came before the cluster had got over the one before, and may cost what a key has spent so far.
	whole bool
	// back: it comes back with all it had, so that it may be over for that, but nothing is lost.
	back bool
}

// lossWindow is how long before a crash what a holder admitted may be forgotten: 50 ms until the next backup, and three times a
// round trip and the wait for one that was lost.
const lossWindow = 150 * time.Millisecond

// shadow is how long after a fault a hit may have been sent to two holders, or given back in vain.
const shadow = 1500 * time.Millisecond

// maxApart is how many parts leave so many histories that the oldest are folded into one, and what comes of them later is not counted:
// four, and those before the split.
const maxApart = 4

// simLimits are those of the keys of a sim, and simHotLimits those of one with hot keys: most of these are lent from.
var (
	simLimits = []string{"5/1h", "10/1h", "40/1h", "200/1h fixed_window", "30/1h fixed_window", "25/1h token_bucket", "20/1h token_bucket burst=60",
		"300/1h", "3000/1h", "20000/1h fixed_window"}
	simHotLimits = []string{"3000/1h", "9000/1h fixed_window", "4000/7d token_bucket burst=9000", "70000/1h", "1000/1h"}
)

func newLedger(hasher bucket.Hasher, keys int, texts []string) *ledger {
	l := &ledger{sides: 1}
	for i := range keys {
		k := &simKey{name: fmt.Sprint("key", i)}
		b, err := bucket.Parse(texts[i%len(texts)])
		if err != nil {
			panic(err)
		}
		k.limit = transport.NewLimit("", transport.Inline, b)
		k.partition = hasher.Key([]byte(k.name)).Partition(ring.Partitions)
		l.keys = append(l.keys, k)
	}
	return l
}

func (l *ledger) add(k *simKey, e simEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.entries = append(k.entries, e)
	if e.unheard {
		return
	}
	l.checks++
	switch {
	case e.how != simUnknown:
	case e.hits < 0:
		l.unreturned++ // it is not sent again where the first time may have arrived
	default:
		l.failed++
	}
	if took := e.to - e.from; took > l.longest {
		l.longest, l.longestKey = took, fmt.Sprintf("%s asked at %s, %v to %v", k.name, e.asked, e.from, e.to)
	}
}

// failures is how many checks nobody decided.
func (l *ledger) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// split notes that the cluster has come apart into so many more parts.
func (l *ledger) split(more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sides += int64(more)
}

func (l *ledger) fault(f simFault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, f)
}

// disturbed says whether a check was under way at a fault, or began in its shadow.
func (l *ledger) disturbed(e *simEntry) bool {
	for _, f := range l.faults {
		if e.to >= f.at && e.from <= f.at+shadow {
			return true
		}
	}
	return false
}

// A balance is what a ledger says of a key.
type balance struct {
	most     int64 // what the limit allows
	admitted int64 // hits that callers were allowed, less what they gave back
	// forgotten is how much of that the crashes may have cost for good, and excused that and what others could not know of in a pause: with
	// splits, admitted is at most most × sides + excused.
	forgotten, excused int64
	// extra is how much more may be counted than was admitted: answers that were never heard, and hits that were told to two holders.
	extra int64
	// refilled is how much a token bucket may have got back meanwhile.
	refilled int64
}

// balance adds a key up. late is the moment of it. unreturned is how many hits of loans were neither handed out nor taken back.
func (l *ledger) balance(k *simKey, late time.Duration, unreturned int64) balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := balance{most: int64(k.limit.Most())}
	if k.limit.Count >= lease.MinCount {
		s.extra = unreturned
		for _, f := range l.faults {
			if f.name != "" {
				s.extra += s.most / 4 // what its copy did not hear was given back: as much as is lent at once
			}
		}
	}
	if k.limit.Algorithm == bucket.TokenBucket {
		s.refilled = 1 + int64(time.Duration(k.limit.Count)*late/time.Hour)
	}
	kept := 0.0
	for i := range k.entries {
		e := &k.entries[i]
		if e.how == simDenied || e.hits == 0 {
			continue
		}
		hits, given := max(e.hits, 0), max(-e.hits, 0)
		if given > 0 {
			// What a bucket may have got back of itself meanwhile is not given back a second time.
			kept += min(float64(given), float64(e.to-e.since)*float64(k.limit.Count)/float64(k.limit.Window.Longest()))
		}
		// A give-back that may have come to nothing is one that counts no less; one that may have been counted is subtracted
		// all the same, so that what is over shows.
		doubtful := e.how == simUnknown || l.disturbed(e)
		s.admitted -= given
		if doubtful {
			s.extra += given + hits
		} else if given > 0 && len(l.faults) > 0 {
			s.extra += given // it may have been for hits that another history has
		}
		if e.how == simAllowed {
			s.admitted += hits
		}
		for _, f := range l.faults {
			late := f.at // when what f.name has spent was handed out at the latest
			if e.via == transport.ViaLease {
				late += lease.Term
			}
			if f.name != "" && f.name == e.holder && e.from <= late && e.to >= f.at-lossWindow && e.how == simAllowed {
				s.excuse(f, hits)
				s.extra += given
			}
		}
	}
	if k.limit.Algorithm == bucket.TokenBucket {
		s.extra += 2 + int64(kept) // and of loans
	}
	for _, f := range l.faults {
		if f.whole {
			s.excuse(f, s.most)
		}
	}
	if l.sides >= maxApart {
		s.excuse(simFault{}, s.most)
	}
	return s
}

func (s *balance) excuse(f simFault, hits int64) {
	s.excused += hits
	if !f.back {
		s.forgotten += hits
	}
}

// stale returns an answer of a holder after another one of a later epoch had answered already: two have decided at a time.
func (k *simKey) stale() (was, is simEntry, found bool) {
	decided := slices.DeleteFunc(slices.Clone(k.entries), func(e simEntry) bool {
		return e.how == simUnknown || e.via == transport.ViaLease || e.via == transport.ViaDeniedCache // these name who granted it, before
	})
	byEnd := slices.Clone(decided)
	slices.SortFunc(byEnd, func(a, b simEntry) int { return cmp.Compare(a.to, b.to) })
	slices.SortFunc(decided, func(a, b simEntry) int { return cmp.Compare(a.from, b.from) })
	for _, e := range decided {
		for len(byEnd) > 0 && byEnd[0].to < e.from {
			if byEnd[0].epoch > was.epoch {
				was = byEnd[0]
			}
			byEnd = byEnd[1:]
		}
		if e.epoch < was.epoch {
			return was, e, true
		}
	}
	return was, is, false
}

// judge says what is wrong with a key, given how many hits its holder counts in the end.
func (s *balance) judge(counted, sides int64) (wrong []string) {
	complain := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	complain(s.admitted > s.most*sides+s.excused+s.refilled, "OVER: %d admitted", s.admitted)
	complain(counted >= 0 && counted < s.admitted-s.forgotten-s.refilled, "LOST: %d counted, %d admitted", counted, s.admitted)
	complain(counted > s.admitted+s.extra, "TWICE: %d counted, %d admitted", counted, s.admitted)
	return wrong
}
