package hold_test

import (
	"fmt"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// judge runs a planned world to its end and says what was not as promised.
func judge(c class, w *world) (bad []string) {
	for end := time.Duration(-1); end < w.last; {
		end = w.last
		w.run(end)
	}
	settle := 15 * time.Second
	if c.name == "calm" || c.name == "delay" {
		settle = 4 * time.Second
	}
	w.run(w.now + settle)
	if c.name == "delay" {
		w.net.spike, w.net.dup = 0, 0
	}
	since := w.now - 4*time.Second
	w.quiet = true
	answers := w.everywhere()
	w.run(w.now + 2*time.Second)

	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for _, s := range w.wrong {
		say("WRONG %s", s)
	}
	if answers[unanswered] > 0 {
		say("UNANSWERED %d of the last", answers[unanswered])
	}
	late := 0
	for _, f := range w.failed {
		if f.since > since {
			late++
		}
	}
	if late > 0 {
		say("LATE %d checks failed long after the last fault", late)
	}
	for p := range w.parts {
		var held []*node
		for _, n := range w.alive() {
			if n.holds(p) {
				held = append(held, n)
			}
			if _, s := n.m.Hold(p); s == hold.Returning || s == hold.Frozen {
				say("PENDING %s is %v", n.name, s)
			}
		}
		if len(held) != 1 {
			say("HOLDERS partition %d has %d", p, len(held))
			continue
		}
		h := held[0]
		if home := h.home(p); home != h.name {
			say("AWAY %s holds what is home at %s", h.name, home)
		}
		if len(w.alive()) > 1 && h.m.Explain(p).Pending {
			say("BACKUP of %s is not whole", h.name)
		}
		for key := range w.keys {
			count, best := h.parts[p].lines.total(key), 0
			for _, o := range w.alive() {
				if o != h {
					best = max(best, h.parts[p].lines.common(o.parts[p].lines, key))
				}
			}
			if best < count && len(w.alive()) > 1 {
				say("COPY of partition %d key %d has %d of %d", p, key, best, count)
			}
			spent, admitted, most := w.spent[p][key], w.admitted[p][key], w.limit[key]*w.forks+w.allow[p][key]
			// What is left at the end would still be admitted.
			if left := max(0, w.limit[key]-count); admitted > most || w.forks == 1 && admitted+left > most {
				say("OVER %d admitted and %d left, limit %d, excused %d", admitted, left, w.limit[key]*w.forks, w.allow[p][key])
			}
			if spent-count > w.lost[p][key] {
				say("LOST %d of %d spent, excused %d", spent-count, spent, w.lost[p][key])
			}
			if count > spent {
				say("DOUBLE %d counted, %d spent", count, spent)
			}
		}
	}
	if c.strict && len(w.stale) > 0 {
		say("STALE %d decisions: %s", len(w.stale), w.stale[0])
	}
	if c.calm && w.failures > 0 {
		say("FAILED %d checks", w.failures)
	}
	if inOrder[c.name] && len(w.rests) > 0 {
		say("RESTS %d of %d loans came back in vain", len(w.rests), w.loans)
	}
	if c.slow > 0 && w.longest > c.slow {
		say("SLOW %v", w.longest)
	}
	return bad
}

// everywhere puts checks of all partitions to all nodes, for a while, and counts the verdicts.
func (w *world) everywhere() map[verdict]int {
	answers := map[verdict]int{}
	for range 10 {
		for _, n := range w.callable() {
			for p := range w.parts {
				for key := range w.keys {
					w.ask(n, p, key, func(v verdict) { answers[v]++ })
				}
			}
		}
		w.run(w.now + 50*ms)
	}
	return answers
}
