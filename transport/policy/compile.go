package policy

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// Running a policy wants it in another shape than reading it: names looked up, header lists laid over one another, keys
// numbered. That shape, a runner, is made once, when the policy is first used.
type compiled struct {
	mu      sync.Mutex // protects the making
	hashKey []byte
	runner  atomic.Pointer[runner]
}

// A runner is a policy ready to run. But for its combinations it is never changed.
type runner struct {
	policy     *Policy
	hash       secretHash
	attributes []runAttribute // by index + 1; the first is `ip`
	rules      []runRule
	byName     map[string]*runRule
	alts       int  // how many key lists there are, each counted once
	each       bool // some template uses a value that needs the state of every limit
	headers    []header

	combinations combinations
}

type runAttribute struct {
	name    string
	sources []runSource
	ofPath  bool // has a source that depends on which pattern matched
	secret  bool // any of its sources is: for values given by name, and what these are compared with
	lower   bool
}

type runSource struct {
	source
	header string // canonical: of fromHeader, fromBearer, and Cookie
	field  []byte // of fromJSON
}

type runRule struct {
	*rule
	index     int
	keys      []alternative
	when      []runCondition
	overrides []runOverride
	denied    runDenied
	whole     *combination // of its limits alone, without an override
}

// An alternative is one entry of a rule's key list. Those alike in two rules have one number, so that what
// a request has there is worked out once.
type alternative struct {
	parts  key
	number int  // -1: depends on the pattern that matched, worked out anew for each rule
	madeUp bool // some part is what callers can make up
}

type runCondition struct {
	attribute int
	matchers  []matcher
}

type runOverride struct {
	*override
	matches []runCondition // one matcher each
	until   bucket.Instant
	whole   *combination
}

// A matcher is one value of a condition or an override.
type matcher struct {
	text   string
	prefix bool         // text is how it begins
	net    netip.Prefix // for ip: also what lies in here
}

// runDenied is a denial with all that surrounds it laid over: what the answer sends, in order.
type runDenied struct {
	*denied
	headers     []header
	contentType string // "" where headers names one, or there is no body
}

// SetHashKey says what secrets are hashed with: the cluster's hash key (`--hash-key-file`). It is called before the policy
// is first used; every node of a cluster must have the same one. Without it secrets are hashed plainly.
func (p *Policy) SetHashKey(hashKey []byte) {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	p.run.hashKey = append([]byte(nil), hashKey...)
	p.run.runner.Store(nil)
}

func (p *Policy) ready() *runner {
	if r := p.run.runner.Load(); r != nil {
		return r
	}
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	r := p.run.runner.Load()
	if r == nil {
		r = p.compile(p.run.hashKey)
		p.run.runner.Store(r)
	}
	return r
}

func (p *Policy) compile(hashKey []byte) *runner {
	r := &runner{policy: p, hash: newSecretHash(hashKey), byName: map[string]*runRule{}}
	r.attributes = make([]runAttribute, len(p.attributes)+1)
	r.attributes[0].name = "ip"
	for i := range p.attributes {
		r.attributes[i+1] = compileAttribute(&p.attributes[i])
	}
	r.headers = lay(nil, p.headers)
	r.each = usesEach(r.headers)
	numbers := map[string]int{}
	r.rules = make([]runRule, len(p.rules))
	for i, rl := range p.rules {
		rr := &r.rules[i]
		*rr = runRule{rule: rl, index: i, denied: r.compileDenied(rl.denied)}
		for _, k := range rl.keys {
			rr.keys = append(rr.keys, alternative{parts: k, number: r.number(k, numbers), madeUp: slices.ContainsFunc(k, p.madeUp)})
		}
		for _, c := range rl.when {
			rc := runCondition{attribute: c.attribute}
			for _, v := range c.values {
				rc.matchers = append(rc.matchers, r.matcher(c.attribute, v, true))
			}
			rr.when = append(rr.when, rc)
		}
		rr.whole = newCombination([]contribution{{limits: rl.limits, rule: rr}})
		for j := range rl.overrides {
			o := &rl.overrides[j]
			ro := runOverride{override: o, until: math.MaxInt64, whole: newCombination([]contribution{{limits: o.limits, rule: rr}})}
			if !o.until.IsZero() {
				ro.until = bucket.Instant(o.until.UnixMicro())
			}
			for _, m := range o.match {
				ro.matches = append(ro.matches, runCondition{m.attribute, []matcher{r.matcher(m.attribute, m.value, false)}})
			}
			rr.overrides = append(rr.overrides, ro)
		}
		r.byName[rl.name] = rr
		r.each = r.each || usesEach(rr.denied.headers) || usesEachValue(&rr.denied.body)
	}
	r.alts = len(numbers)
	return r
}

func compileAttribute(a *attribute) runAttribute {
	ra := runAttribute{name: a.name}
	for _, s := range a.sources {
		s.secret = s.secret || s.kind == fromBearer || s.kind == fromCookie
		rs := runSource{source: s, field: []byte(s.name)}
		switch s.kind {
		case fromHeader, fromBearer:
			rs.header = canonicalHeader(s.name)
		case fromCookie:
			rs.header = "Cookie"
		case fromPath:
			ra.ofPath = true
		}
		ra.sources = append(ra.sources, rs)
		ra.secret = ra.secret || s.secret
		ra.lower = ra.lower || s.lower
	}
	return ra
}

// number gives equal key lists one number, in the order in which they come.
func (r *runner) number(k key, numbers map[string]int) int {
	var id strings.Builder
	for _, a := range k {
		if r.attributes[a+1].ofPath {
			return -1
		}
		id.WriteString(r.attributes[a+1].name)
		id.WriteByte('+')
	}
	n, ok := numbers[id.String()]
	if !ok {
		n = len(numbers)
		numbers[id.String()] = n
	}
	return n
}

// matcher reads a value that an attribute is compared with. Parse has brought it into the attribute's form: in lower case,
// and of a secret one the hash.
func (r *runner) matcher(attribute int, v string, star bool) matcher {
	m := matcher{text: v}
	if star && strings.HasSuffix(v, "*") {
		return matcher{text: strings.TrimSuffix(v, "*"), prefix: true}
	}
	if attribute != ipAttribute {
		return m
	}
	if p, err := netip.ParsePrefix(v); err == nil {
		bits := p.Bits()
		if p.Addr().Is6() {
			bits = min(bits, max(r.policy.clientIP.ipv6Prefix, 0))
		}
		m.net, _ = p.Addr().Prefix(bits)
	} else if ip := parseAddr(v); ip.IsValid() {
		m.net = r.policy.clientIP.network(ip)
	}
	return m
}

// compileDenied lays a rule's denial, or the policy's, over the headers of every answer.
func (r *runner) compileDenied(d *denied) runDenied {
	if d == nil {
		d = &r.policy.denied
	}
	rd := runDenied{denied: d, headers: lay(r.headers, d.headers)}
	named := false
	for _, h := range slices.Concat(rd.headers, d.headers) { // named or taken away: either way the author's word
		named = named || canonicalHeader(h.name) == "Content-Type"
	}
	switch {
	case named:
	case d.problem:
		rd.contentType = transport.ProblemType
	default:
		rd.contentType = d.contentType
	}
	return rd
}

// lay lays headers over others: one of the same name takes the other's place, a removed one takes it away.
func lay(under, over []header) []header {
	laid := append([]header(nil), under...)
	for _, h := range over {
		at := -1
		for i := range laid {
			if canonicalHeader(laid[i].name) == canonicalHeader(h.name) {
				at = i
			}
		}
		switch {
		case h.removed && at >= 0:
			laid = append(laid[:at], laid[at+1:]...)
		case h.removed:
		case at >= 0:
			laid[at] = h
		default:
			laid = append(laid, h)
		}
	}
	return laid
}

func usesEach(headers []header) bool {
	for i := range headers {
		if usesEachValue(&headers[i].value) {
			return true
		}
	}
	return false
}

func usesEachValue(t *template) bool { return t.uses(valueRateLimit) || t.uses(valueRateLimitPolicy) }
