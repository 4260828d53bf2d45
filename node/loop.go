package node

import (
	"time"

	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/ring"
)

const (
	// beat is how often the machine is stepped while something in it waits for less than a tick.
	beat = 2 * time.Millisecond
	// sweepTick and sweepRound say how expired lines are dropped: a few partitions each tick, all of them once a round, so
	// that no tick takes long and a dead line costs memory for some seconds at most.
	sweepTick  = 100 * time.Millisecond
	sweepRound = 10 * time.Second
	// sweepAfter is how long a line has counted nothing when it is dropped. Checks under way have instants from before: one that
	// began just before a line was fresh and found it dropped would be allowed, at an instant at which it was not.
	sweepAfter = time.Second
	// newsTick is how often what happened is logged, and counted where that takes a look at all partitions.
	newsTick = time.Second
)

// loop is the one goroutine that owns the machine. All that the machine is told comes through here, one event at a time, and what it wants
// done is done before the next:
//
//	mail, views, failed checks, time ──► hold.Machine.Step ──► gates, lines, routes, mail
//
// It never waits for another member, nor for a check. What takes long, exporting whole partitions, is done in portions between
// events, so that ticks come in time.
func (n *Node) loop() {
	defer close(n.stopped)
	t := &n.cfg.Timers
	tick := time.NewTicker(t.Tick)
	defer tick.Stop()
	backup := time.NewTicker(t.Backup)
	defer backup.Stop()
	look := time.NewTicker(max(t.Attempt/2, time.Millisecond))
	defer look.Stop()
	sweep := time.NewTicker(sweepTick)
	defer sweep.Stop()
	news := time.NewTicker(newsTick)
	defer news.Stop()
	busy := time.NewTimer(time.Hour)
	defer busy.Stop()
	leave, looks, armed := n.leave, 0, false
	n.tick()
	n.update()
	for {
		var more <-chan struct{}
		if len(n.exports) > 0 {
			more = always
		}
		if !armed && (n.wholes || n.machine.Busy()) {
			armed = true
			busy.Reset(beat)
		}
		select {
		case <-n.stop:
			return
		case <-tick.C:
			n.tick()
		case <-n.inbox.C():
			n.receive()
		case <-n.told.kick:
			n.listen()
		case <-busy.C:
			armed = false
			n.step(hold.Beat{})
			n.backUpNext()
		case <-more:
			n.export()
		case <-backup.C:
			n.backUp()
		case <-n.cfg.Gossip.Changed():
			n.update()
		case r := <-n.built:
			n.ringBuilt(r)
		case <-look.C:
			if looks++; looks%pingsHalf == 0 {
				n.ping()
			}
			n.lookForSplit()
		case <-leave:
			leave = nil
			n.beginToLeave()
		case <-sweep.C:
			n.table.Expire(n.clock.Now().Add(-sweepAfter), ring.Partitions*int(sweepTick)/int(sweepRound)+1)
		case <-news.C:
			n.tellNews()
		}
	}
}

var always = make(chan struct{})

func init() { close(always) }

// tick steps the machine with a tick and publishes it, once all that it led to is done.
func (n *Node) tick() {
	at, wall := n.pulse.begin()
	n.ticked = n.pulse.now()
	n.carry(n.machine.Step(n.ticked, hold.Tick{}))
	n.pulse.publish(at, wall)
	n.afterTick()
}

// step tells the machine of one event, after a tick if one is due: a crowd of events must not look like a stop.
func (n *Node) step(e hold.Event) {
	now := n.pulse.now()
	if now-n.ticked >= n.cfg.Timers.Tick {
		n.tick()
		now = n.pulse.now()
	}
	n.carry(n.machine.Step(now, e))
}

func (n *Node) tickIfDue() {
	if n.pulse.now()-n.ticked >= n.cfg.Timers.Tick {
		n.tick()
	}
}

// listen tells the machine what other goroutines had to say.
func (n *Node) listen() {
	failed, gone, tasks := n.told.take()
	for p, epoch := range failed {
		n.step(hold.CheckFailed{Partition: p, Epoch: epoch})
	}
	n.told.consider(failed)
	for m := range gone {
		n.step(hold.Unreachable{Name: m.Name, Start: m.StartID})
	}
	for _, f := range tasks {
		f()
	}
}
