package node

import (
	"context"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

// readyMost is how long after it began a node is unready at most because others have yet to hand over to it.
const readyMost = 10 * time.Second

// startTick is how often a starting node looks whether it may begin.
const startTick = 100 * time.Millisecond

// afterTick is what the loop looks at in every tick while the node is on its way into the cluster or out of it.
func (n *Node) afterTick() {
	n.sweepPurse()
	switch n.Phase() {
	case Starting:
		if now := n.pulse.now(); now-n.looked >= startTick {
			n.looked = now
			n.update()
		}
	case Serving:
		if !n.complete.Load() && (time.Since(n.began) >= readyMost || n.machine.Counts().Away == 0) {
			n.complete.Store(true)
			n.log.Info("ready", "holds", n.stats.held.Load(), "after", time.Since(n.began).Round(time.Millisecond))
		}
	case Leaving:
		if !n.gone && n.machine.Left() {
			n.gone = true
			close(n.left)
		}
	}
}

// beginToLeave tells everybody that this node goes; the machine hands over what it holds. It goes on deciding what it still has.
func (n *Node) beginToLeave() {
	starting := n.Phase() == Starting
	n.phase.Store(int32(Leaving))
	if starting {
		n.gone = true
		close(n.left)
		n.update()
		return
	}
	n.log.Info("leaving: the others take over this node's partitions", "holds", n.stats.held.Load())
	n.step(hold.LeaveNow{})
	n.update()
}

// Leave gives back what this node was lent, hands over what it holds, and says goodbye. It returns when that is done, or when
// the context ends: what is still held then is lost but for its copies. Goodbye is said all the same, in a fifth of a second more if need be. Checks
// that still come in are answered as ever. Call Close after it.
func (n *Node) Leave(ctx context.Context) error {
	n.closePurse(ctx)
	n.leaveOne.Do(func() { close(n.leave) })
	handing, cancel := n.handingTime(ctx)
	defer cancel()
	select {
	case <-n.left:
	case <-n.stopped:
	case <-handing.Done():
		n.log.Warn("leaving before everything is handed over: what is left is lost but for its copies", "holds", n.stats.held.Load())
	}
	if n.keeper != nil {
		n.keeper.Last(ctx)
	}
	n.quit()
	goodbye := time.Second
	if d, ok := ctx.Deadline(); ok {
		goodbye = max(time.Until(d), 200*time.Millisecond)
	}
	return n.cfg.Gossip.Leave(goodbye)
}

// handingTime leaves a quarter of the time for the last snapshot, which matters most where not everything could be handed over.
func (n *Node) handingTime(ctx context.Context) (context.Context, context.CancelFunc) {
	d, ok := ctx.Deadline()
	if n.keeper == nil || !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, d.Add(-time.Until(d)/4))
}

// quit has the machine let go of what is left, before goodbye is said: others claim it as soon as they hear that, and two would decide.
func (n *Node) quit() {
	done := make(chan struct{})
	n.told.do(func() {
		n.step(hold.Quit{})
		close(done)
	})
	select {
	case <-done:
	case <-n.stopped:
	}
}
