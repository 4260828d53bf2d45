package policy

import (
	"net/netip"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A Policy is one policy file, checked and compiled. It is made by Parse and never changed after, so any number of
// goroutines may use it.
type Policy struct {
	Name string // part of every line's identity
	File string // where it was read, for messages
	Line int    // of `name`

	clientIP    clientIP
	attributes  []attribute // in file order; `ip` is not among them
	rules       []*rule     // in file order
	headers     []header    // on every answer of a request that some rule matched
	denied      denied
	countDenied bool
	ignoreCase  bool
	// mode and onSplit are those of rules that name none; the rules have them already.
	mode    transport.Mode
	onSplit transport.OnSplit

	run compiled // what it is turned into when it is first used
}

type clientIP struct {
	trusted    []netip.Prefix
	headers    []string // canonical names, as the file has them; default X-Forwarded-For
	ipv6Prefix int      // 0–128; default 64
}

// An attribute is what a request says about its caller: the first source that is present.
type attribute struct {
	name    string
	sources []source
}

type sourceKind uint8

const (
	fromHeader sourceKind = iota
	fromBearer
	fromQuery
	fromCookie
	fromPath
	fromJSON
	fromForm
)

type source struct {
	kind   sourceKind
	name   string
	secret bool // always so for fromBearer and fromCookie
	lower  bool
}

// A key is attribute indexes joined by +; ipAttribute stands for the client's address.
type key []int

const ipAttribute = -1

type rule struct {
	name      string
	line      int // where it is in the file
	patterns  []pattern
	otherwise bool // `match: otherwise`: the requests that no other rule matches
	when      []condition
	keys      []key
	limits    []transport.Limit // scope, shadow and count_denied set
	overrides []override
	shadow    bool
	mode      transport.Mode
	onSplit   transport.OnSplit
	denied    *denied // already laid over the policy's; nil: the policy's
	tally     tally
}

// A condition holds if the attribute has one of the values; a final * matches any rest.
type condition struct {
	attribute int
	values    []string
}

// An override replaces a rule's limits for one caller.
type override struct {
	match     []overrideMatch
	limits    []transport.Limit
	unlimited bool
	until     time.Time // zero: for good
}

type overrideMatch struct {
	attribute int
	value     string // for a secret attribute `sha256:` and 16 hex digits
}

// A header is one header of an answer; a removed one (`~`) takes away what an outer level has set.
type header struct {
	name    string
	value   template
	removed bool
}

type denied struct {
	status      int
	headers     []header
	body        template
	contentType string // by the body, unless headers name one; problem+json for the default body
	problem     bool   // the default body: application/problem+json
}

// A fault is what is wrong inside one scalar: bytes at..at+n of it, what it is, and the repair.
type fault struct {
	at, n     int
	msg, hint string
}

func fromLimitError(e *bucket.ParseError) *fault { return &fault{e.At, e.Len, e.Msg, e.Hint} }

// Peeks returns a peek at each limit of all rules, in file order, with what its rule says of splits and without a key. Limits of overrides are
// not there: a line does not depend on its COUNT.
func (p *Policy) Peeks() []transport.Check {
	var all []transport.Check
	for _, r := range p.rules {
		for i := range r.limits {
			all = append(all, transport.Check{Limits: r.limits[i : i+1], OnSplit: r.onSplit})
		}
	}
	return all
}
