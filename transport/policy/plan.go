package policy

import (
	"bytes"
	"errors"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// MaxKeys is how many distinct keys one request may be counted under: each is a round trip of its own.
const MaxKeys = 4

var (
	// ErrKeys is what Plan answers where a request is to be counted under more than MaxKeys keys.
	ErrKeys = errors.New("policy: the request matches rules with more than 4 different keys; give rules that meet fewer kinds of keys")
	// ErrLimits is what Plan answers where one key is to be counted under more than bucket.MaxWants limits.
	ErrLimits = errors.New("policy: the request matches rules with more than 64 limits on one key; make fewer rules match it")
)

// A Plan is what a policy asks of a request: one check per distinct key, each under the limits of all rules that
// count by that key. A Plan may be used again for another request; the memory of its keys is its own. It is for one
// goroutine at a time. The zero Plan is ready to use.
type Plan struct {
	// Checks go to transport.Together. None: no rule matched, and the request is not limited. Their order is that of
	// the first rule of each key in the file. A door may change Hits, which is 1.
	Checks []transport.Check

	lookup  lookup
	applied []contribution // by the rules that match, in the file's order
	keys    []planned
	ofAlt   []int // by alternative: 0 not looked up, -1 absent, else 1 + its index in keys
	keyText []byte
	scratch []byte
}

// planned is one key of the request.
type planned struct {
	from, to int // in keyText
	rules    int // how many rules count by it; 0: none, or there is no room for it
	madeUp   bool
	last     int // the last of them, in applied
}

// Plan matches a request against the policy and fills in the plan. now decides which overrides have ended. In steady state
// it allocates nothing.
//
// A rule applies if one of its patterns matches and all of `when` holds; `otherwise` applies to what no other rule
// matches, whether or not that rule found its key. Of a path with several readings (path.go) all are looked at. Of a
// rule's keys the first counts whose parts are all present; if there is none the rule is skipped.
//
// An error means that the policy cannot be applied in full (ErrKeys, ErrLimits); failure_mode may answer then. The plan has
// what fits, so a door that goes on with it still limits what can be limited: keys that no caller can make up, then the
// others, by the file's order.
func (p *Policy) Plan(r *Request, now bucket.Instant, plan *Plan) error {
	run := p.ready()
	plan.begin(run, r)
	defer plan.lookup.end()
	l := &plan.lookup
	var matched uint // bit i: reading i of the path is matched by some rule
	otherwise := false
	for i := range run.rules {
		rule := &run.rules[i]
		if rule.otherwise {
			otherwise = true
			continue
		}
		m, by := plan.matchesAny(rule)
		if matched |= by; by != 0 {
			plan.apply(rule, m, now)
		}
	}
	// No reading must be a way out of `otherwise`: another one may be the router's.
	l.matched = &l.target
	if otherwise && matched != 1<<(l.more+1)-1 {
		for i := range run.rules {
			if rule := &run.rules[i]; rule.otherwise && plan.allHold(rule, nil) {
				plan.apply(rule, nil, now)
			}
		}
	}
	return plan.combine(run)
}

func (plan *Plan) begin(run *runner, r *Request) {
	plan.lookup.begin(run, r)
	plan.Checks, plan.applied, plan.keys, plan.keyText = plan.Checks[:0], plan.applied[:0], plan.keys[:0], plan.keyText[:0]
	if cap(plan.ofAlt) < run.alts {
		plan.ofAlt = make([]int, run.alts)
	}
	plan.ofAlt = plan.ofAlt[:run.alts]
	clear(plan.ofAlt)
}

// matchesAny is matches over all readings of the path: bit 0 of `by` is the first, and l.matched that which the pattern
// matched. The loose reading is preferred, for its values are shorter: /items/7;1 and /items/7;2 may both be 7.
func (plan *Plan) matchesAny(rule *runRule) (m *pattern, by uint) {
	l := &plan.lookup
	m, ok := plan.matches(rule, &l.target)
	if ok {
		by = 1
	}
	matched := &l.target
	for i := l.more - 1; i >= 0; i-- {
		if p, ok := plan.matches(rule, &l.others[i]); ok {
			by |= 2 << i
			m, matched = p, &l.others[i]
		}
	}
	l.matched = matched
	return m, by
}

// matches reports whether a rule that is not `otherwise` applies to a reading of the path, and by which of its patterns.
func (plan *Plan) matches(rule *runRule, t *target) (*pattern, bool) {
	l := &plan.lookup
	l.matched = t
	if len(rule.patterns) == 0 {
		return nil, plan.allHold(rule, nil)
	}
	for i := range rule.patterns {
		m := &rule.patterns[i]
		if m.match(l.r.Method, t, l.policy.ignoreCase) && plan.allHold(rule, m) {
			return m, true
		}
	}
	return nil, false
}

func (plan *Plan) allHold(rule *runRule, m *pattern) bool {
	for i := range rule.when {
		if !plan.lookup.holds(&rule.when[i], m) {
			return false
		}
	}
	return true
}

// apply adds what a rule asks for.
func (plan *Plan) apply(rule *runRule, m *pattern, now bucket.Instant) {
	for i := range rule.keys {
		a := &rule.keys[i]
		k := plan.key(a, m)
		if k < 0 {
			continue
		}
		c := contribution{rule: rule, override: -1, key: k, limits: rule.limits}
		for j := range rule.overrides {
			if o := &rule.overrides[j]; now < o.until && plan.overrides(o, a, m) {
				if o.unlimited {
					return
				}
				c.override, c.limits = j, o.limits
				break
			}
		}
		plan.keys[k].rules++
		plan.keys[k].last = len(plan.applied)
		plan.applied = append(plan.applied, c)
		return
	}
}

// overrides reports whether an override is for this caller: it names parts of the key that is counted by, and all of them
// are as it says.
func (plan *Plan) overrides(o *runOverride, a *alternative, m *pattern) bool {
	for i := range o.matches {
		part := false
		for _, attribute := range a.parts {
			part = part || attribute == o.matches[i].attribute
		}
		if !part || !plan.lookup.holds(&o.matches[i], m) {
			return false
		}
	}
	return len(o.matches) > 0
}

// key returns the index of an alternative's key in plan.keys, -1 where some part is absent.
func (plan *Plan) key(a *alternative, m *pattern) int {
	if a.number >= 0 && plan.ofAlt[a.number] != 0 {
		return max(plan.ofAlt[a.number]-1, -1)
	}
	from := len(plan.keyText)
	k, ok := -1, false
	if plan.keyText, ok = plan.lookup.appendKey(plan.keyText, a, m); ok {
		for i := range plan.keys {
			if bytes.Equal(plan.keyText[plan.keys[i].from:plan.keys[i].to], plan.keyText[from:]) {
				k = i
			}
		}
		if k < 0 {
			k = len(plan.keys)
			plan.keys = append(plan.keys, planned{from: from, to: len(plan.keyText), madeUp: a.madeUp})
		} else {
			plan.keyText = plan.keyText[:from]
		}
	}
	if a.number >= 0 {
		plan.ofAlt[a.number] = k + 1
		if k < 0 {
			plan.ofAlt[a.number] = -1
		}
	}
	return k
}

// fit drops keys that are too many. A caller who sends more tokens and cookies than there is room for must not get
// rid of a rule that way, so what it could have made up goes first, and of that the last.
func (plan *Plan) fit() (err error) {
	n := 0
	for i := range plan.keys {
		if plan.keys[i].rules > 0 {
			n++
		}
	}
	for _, madeUp := range [...]bool{true, false} {
		for k := len(plan.keys) - 1; k >= 0 && n > MaxKeys; k-- {
			if key := &plan.keys[k]; key.rules > 0 && key.madeUp == madeUp {
				key.rules, err = 0, ErrKeys
				n--
			}
		}
	}
	return err
}

// combine makes the checks.
func (plan *Plan) combine(run *runner) error {
	err := plan.fit()
	for k := range plan.keys {
		key := &plan.keys[k]
		if key.rules == 0 {
			continue // for this caller all its rules are unlimited, or it did not fit
		}
		var c *combination
		if last := &plan.applied[key.last]; key.rules > 1 {
			c, plan.scratch = run.combinations.get(plan.applied, k, plan.scratch)
		} else if last.override < 0 {
			c = last.rule.whole
		} else {
			c = last.rule.overrides[last.override].whole
		}
		if c.cut {
			err = ErrLimits
		}
		plan.Checks = append(plan.Checks, transport.Check{
			Key:         plan.keyText[key.from:key.to:key.to],
			Limits:      c.limits,
			Hits:        1,
			Unavailable: c.mode,
			OnSplit:     c.onSplit,
			Each:        run.each,
		})
	}
	return err
}
