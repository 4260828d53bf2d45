package hold

import (
	"fmt"
	"time"
)

// Timers are one family: they are scaled together, by Patience, and must keep Check's inequalities. PROTOCOL.md section 6 has the
// story of each.
type Timers struct {
	Tick     time.Duration // between two ticks
	Gap      time.Duration // oldest tick that still decides
	Attempt  time.Duration // a check waits so long for the holder
	Probe    time.Duration // a voter waits so long for a claim's target
	Round    time.Duration // a claimer waits so long for all answers
	ClaimMax time.Duration // asks older than that make no claim
	Promise  time.Duration // a voter does not claim for so long
	Flip     time.Duration // a handoff that is not answered for so long is claimed back
	Resend   time.Duration // between two sendings of a Flip
	Circuit  time.Duration // a member that failed is not asked for so long
	Good     time.Duration // no new round against a holder that one has just found
	Relay    time.Duration // checks go through another member for so long
	Refused  time.Duration // no handoff to a member that refused one
	Retry    time.Duration // at most this between two rounds of a claim that was busy
	House    time.Duration // between two looks at what should be handed over or claimed
	Backup   time.Duration // between two looks at what has changed
	Ack      time.Duration // a copy that is not acknowledged for so long is lost
	Holds    time.Duration // between two announcements of what is held
	Rests    time.Duration // the rest of a loan comes back within so long after its term
}

// Patience returns the timers scaled by a factor: 1 is for one data centre. More is for machines or networks that stall for longer than
// 80 ms, and makes every failover as many times slower.
func Patience(factor float64) Timers {
	ms := func(n float64) time.Duration { return time.Duration(n * factor * float64(time.Millisecond)) }
	return Timers{
		Tick: ms(20), Gap: ms(80), Attempt: ms(100), Probe: ms(100), Round: ms(130), ClaimMax: ms(200), Promise: ms(300),
		Flip: ms(130), Resend: ms(40), Circuit: ms(300), Good: ms(300), Relay: ms(1000), Refused: ms(1000), Retry: ms(60),
		House: ms(100), Backup: ms(50), Ack: ms(100), Holds: ms(1000), Rests: ms(125),
	}
}

// roundTrip is the part of an inequality that the network and the scheduler take, at patience 1.
const roundTrip = 15 * time.Millisecond

// Check returns an error that names the first inequality which the timers break. The network's part scales with them.
func (t Timers) Check() error {
	rt := time.Duration(float64(roundTrip) * float64(t.Round) / float64(130*time.Millisecond))
	for _, c := range []struct {
		less, more time.Duration
		what       string
	}{
		{1, t.Tick, "tick is positive"},
		{2 * t.Tick, t.Gap, "gap ≥ 2 ticks: a tick that comes once too late stops nothing"},
		{t.Gap + rt, t.Probe, "gap + round trip ≤ probe: a stopped holder knows that it was before its silence is believed"},
		{t.Probe + 2*rt, t.Round, "probe + 2 round trips ≤ round: a voter's probe ends within the round"},
		{t.Round, t.ClaimMax, "round ≤ claim-max: a round that took its time may still claim"},
		{t.ClaimMax + t.Gap + rt, t.Promise, "claim-max + gap + round trip ≤ promise: nobody claims beside a claimer"},
		{t.Round, t.Flip, "round ≤ flip: a sender gives up on its receiver no sooner than a claimer would"},
		{t.Round + t.Retry, t.Good, "round + retry ≤ good: the holder's own round fits between those of others"},
		{t.Attempt + t.Tick, t.Rests, "attempt + tick ≤ rests: a loan whose answer took all its time is back before its partition is handed over"},
		{t.Gap + rt, t.Rests, "gap + round trip ≤ rests: who is as late as may be gives back before that, too"},
		{t.Attempt + t.Round, t.Attempt * 5 / 2, "attempt + round ≤ 2.5 attempts: a failover is one round"},
	} {
		if c.less > c.more {
			return fmt.Errorf("hold: timers break %q: %v is more than %v; scale all of them together (--patience) instead of one", c.what, c.less, c.more)
		}
	}
	return nil
}
