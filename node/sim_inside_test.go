package node

import (
	"fmt"
	"strings"
	"time"
)

// What a sim looks at, and does, inside of nodes.

// holds says whether a node decides for a partition.
func (x *simNode) holds(p int) bool { return x.routes[p].Load().here() }

// pending is how many partitions of those it holds have no whole copy elsewhere.
func (x *simNode) pending() int {
	c := make(chan int, 1)
	x.told.do(func() { c <- x.machine.Counts().Pending })
	select {
	case n := <-c:
		return n
	case <-x.stopped:
		return 0
	}
}

// stall keeps the loop from everything for a while.
func (x *simNode) stall(d time.Duration) { x.told.do(func() { time.Sleep(d) }) }

// tells says what a node's machine knows of a partition.
func (x *simNode) tells(p int) string {
	e, _ := x.explained(p)
	rt := x.routes[p].Load()
	return fmt.Sprintf("%+v, route %v %s epoch %d", e, rt.way, rt.name, rt.epoch)
}

// sees says what a node has heard of the others.
func (x *simNode) sees() string {
	var b strings.Builder
	for _, m := range x.members.View().Members {
		fmt.Fprintf(&b, "%s (start %d, %v, serving %v, leaving %v, ring %x) ", m.Name, m.StartID, m.State, m.Serving, m.Leaving, m.RingID)
	}
	return b.String()
}
