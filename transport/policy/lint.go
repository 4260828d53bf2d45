package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stint-limiter/stint/bucket"
)

// What is allowed but most likely not meant (warnings), and what is worth knowing (notes). Only a file without errors
// is looked at: of half a policy most of this would be wrong. Who can evade a limit is in lint_callers.go.

func (d *decoder) lint() {
	d.unused()
	d.withoutProxies()
	d.evasions()
	d.inClear()
	d.keysTogether()
	d.fromBody()
	d.idle()
	d.currentOnly()
	d.uncovered()
}

// unused warns of attributes that nothing asks for.
func (d *decoder) unused() {
	for i, n := range d.attributeAt {
		if !d.used[i] {
			d.at(Warning, n, "", "attribute %s is not used by any key", quote(n.Value))
		}
	}
}

// currentOnly notes a ${current} that can never say more than ${limit}.
func (d *decoder) currentOnly() {
	if !d.p.countDenied && d.current[1] > 0 {
		d.report(Note, d.current[0], d.current[1], "current never exceeds limit here", "count_denied: true")
	}
}

// uncovered notes that there may be requests that nothing limits.
func (d *decoder) uncovered() {
	for _, r := range d.p.rules {
		if len(r.when) == 0 && !r.shadow && (r.otherwise || coversAll(r)) {
			return
		}
	}
	d.at(Note, d.rulesAt, "", "requests that match no rule are not limited (add a rule with `match: otherwise`)")
}

// coversAll reports whether a rule's patterns take every request.
func coversAll(r *rule) bool {
	if len(r.patterns) == 0 {
		return !r.otherwise
	}
	for i := range r.patterns {
		if r.patterns[i].covers(&everyPath) {
			return true
		}
	}
	return false
}

var everyPath, _ = parsePattern("/")

// covers reports whether rule a applies to every request that rule b applies to. Where it is not sure it says no.
func covers(a, b *rule) bool {
	if a == b {
		return true
	}
	if a.otherwise || b.otherwise && len(a.patterns) > 0 {
		return a.otherwise && b.otherwise && len(a.when) == 0
	}
	for _, c := range a.when { // every condition of a is one of b's
		if !slices.ContainsFunc(b.when, func(e condition) bool {
			return e.attribute == c.attribute && slices.Equal(e.values, c.values)
		}) {
			return false
		}
	}
	if coversAll(a) {
		return true
	}
	for i := range b.patterns {
		found := false
		for j := range a.patterns {
			found = found || a.patterns[j].covers(&b.patterns[i])
		}
		if !found {
			return false
		}
	}
	return len(b.patterns) > 0
}

// sameKeys reports whether two rules count every request by the same key.
func sameKeys(a, b *rule) bool { return slices.EqualFunc(a.keys, b.keys, slices.Equal[key]) }

// idle notes limits that can never be the first to deny, because another one that counts the same hits and more
// has always denied by then.
func (d *decoder) idle() {
	for i, r := range d.ruleAt {
		if r.rule.shadow || len(r.rule.overrides) > 0 {
			continue
		}
		told := make([]bool, len(r.rule.limits))
		for j, l := range r.rule.limits {
			for k, by := range r.rule.limits {
				if k == j || told[j] {
					continue
				}
				if note := neverBefore(l.Limit, by.Limit); note != "" && (k < j || neverBefore(by.Limit, l.Limit) == "") {
					d.at(Note, r.limits.at[j], "", "%s never denies before %s%s", l.Text, by.Text, note[1:])
					told[j] = true
				}
			}
		}
		for o, other := range d.p.rules { // a thousand rules make a million pairs: what is cheap to see comes first
			if o != i && !other.shadow && len(other.overrides) == 0 && sameKeys(other, r.rule) && covers(other, r.rule) {
				d.idleBeside(r, other, o > i && covers(r.rule, other), told)
			}
		}
	}
}

// idleBeside notes the limits of r that are idle beside those of a rule that counts all its hits by the same key. Of
// two rules that are alike only the second is said to be idle.
func (d *decoder) idleBeside(r *ruleNodes, other *rule, alikeAndFirst bool, told []bool) {
	for j, l := range r.rule.limits {
		for _, by := range other.limits {
			if told[j] {
				break
			}
			note := neverBefore(l.Limit, by.Limit)
			if note == "" || alikeAndFirst && neverBefore(by.Limit, l.Limit) != "" {
				continue
			}
			d.at(Note, r.limits.at[j], "", "%s %s never denies: %s %s has the same key and every one of its hits%s",
				r.rule.name, l.Text, other.name, by.Text, note[1:])
			told[j] = true
		}
	}
}

// neverBefore reports whether limit l cannot be the first to deny where limit `by` counts all of l's hits. The answer
// is "" for no; else "=" and what to add to the note, mostly nothing.
func neverBefore(l, by bucket.Limit) string {
	if l.Algorithm == bucket.TokenBucket || by.Algorithm == bucket.TokenBucket {
		if l.Algorithm == by.Algorithm && l.Window == by.Window && l.Count >= by.Count && l.Burst >= by.Burst {
			return "="
		}
		return ""
	}
	if l.Algorithm == by.Algorithm && l.Window == by.Window && l.Count >= by.Count {
		return "="
	}
	if by.Algorithm != bucket.SlidingWindow || l.Window == bucket.Month || by.Window == bucket.Month {
		return ""
	}
	if by.Window >= l.Window { // any window of l lies in one of by's
		if l.Count >= by.Count {
			return "="
		}
		return ""
	}
	// As often as by's window fits into l's, that often its count. Slots make a sliding window a ninth longer at most.
	window := l.Window
	if l.Algorithm == bucket.SlidingWindow {
		window += l.Window / 9
	}
	times := func(w bucket.Window) uint64 { return uint64((w + by.Window - 1) / by.Window) }
	if times(window)*uint64(by.Count) > uint64(l.Count) {
		return ""
	}
	return fmt.Sprintf("=, which lets at most %d through in %s", times(l.Window)*uint64(by.Count), windowText(l))
}

func windowText(l bucket.Limit) string {
	_, window, _ := strings.Cut(l.String(), "/")
	window, _, _ = strings.Cut(window, " ")
	return window
}
