package hold_test

import (
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// term is how long hits are lent in a world: as long as in package lease.
const term = 200 * ms

// lend is what lending comes to for a machine: with an ask that was allowed, its asker got a loan, if the route says so. The rest comes after the term, which
// counts from when the ask was sent, with the asker's next tick; and only the hold that granted it is of use to it.
func (n *node) lend(a *ask, from string, start uint64, r hold.Route) {
	w := n.w
	if !r.Lends || a.through {
		return
	}
	w.loans++
	x := w.nodes[from]
	w.after(a.sent+term-w.now+w.between(0, w.timers.Tick+ms), func() {
		if !x.alive || x.gone || x.start != start {
			return // it has given back before it left; or it crashed
		}
		w.net.send(x, n.name, n.start, func(d *node) {
			if h, s := d.m.Hold(a.partition); h != r.Hold || s != hold.Held {
				w.rests = append(w.rests, h)
				w.tracef("!! the rest of a loan under %v comes to %s, which is %v under %v", r.Hold, d.name, s, h)
			}
		}, func() { w.rests = append(w.rests, r.Hold) })
	})
}

// inOrder are the classes in which no node dies, stands still or is cut off: no loan may be lost there.
var inOrder = map[string]bool{"calm": true, "delay": true, "join": true, "leave": true, "roll": true, "full": true}

// loansOf is how long a class's machines lend.
func loansOf(class string) time.Duration {
	if class == "scenario" {
		return 0 // timelines say when a partition is handed over
	}
	return term
}
