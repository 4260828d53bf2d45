package load

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// Arrivals say when requests are due. They do not depend on the server.
type Arrivals struct {
	Rate    float64 // requests per second, > 0
	Poisson bool    // gaps as chance has them, with 1/Rate as their mean; else all are 1/Rate
	Seed    uint64

	// Sleep waits for about so long; nil is the most exact that the system has (see preciseSleep). A test in fake time passes time.Sleep.
	Sleep func(time.Duration)
}

// gaps returns a function that draws the times from one arrival to the next.
func (a Arrivals) gaps() func() time.Duration {
	mean := float64(time.Second) / a.Rate
	if !a.Poisson {
		// Summed as a float, so that a mean of 33333.3 ns is not 33333.
		var sum float64
		var last time.Duration
		return func() time.Duration {
			sum += mean
			gap := time.Duration(sum) - last
			last += gap
			return gap
		}
	}
	r := rand.New(rand.NewPCG(a.Seed, 2))
	return func() time.Duration { return time.Duration(r.ExpFloat64() * mean) }
}

// drain is how long after the last arrival callers may go on with what was due and not sent.
const drain = 5 * time.Second

// Open runs an open loop for d, or until ctx ends. Requests become due at the moments that arrivals say; the callers take
// them in that order, and each request's latency runs from the moment it was due. The callers bound how many are
// under way: if all of them wait for answers, what is due meanwhile is late, and its latency says so.
//
// The sequence: one goroutine, the clock, sleeps until the next arrival and puts its moment into a queue that
// has room for all of the stretch, so that it never waits for a caller; a caller takes a moment, sends, and enters the time from that moment
// to the answer. When the stretch is over the clock closes the queue, and the callers go on until it is empty, or until
// drain has passed; what is left then was never sent and is counted.
func (s *Session) Open(ctx context.Context, d time.Duration, a Arrivals) Stretch {
	s.reset()
	late := newLatency()
	// Poisson arrivals may be more than Rate × d: by six times the standard deviation practically never.
	mean := a.Rate * d.Seconds()
	queue := make(chan time.Time, int(mean+6*math.Sqrt(mean))+16)
	start := time.Now()

	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(queue)
		clock(ctx, start, start.Add(d), a, late, queue)
	})
	unsent := make([]uint64, len(s.callers))
	for i, c := range s.callers {
		wg.Go(func() {
			for due := range queue {
				if time.Since(start) > d+drain || ctx.Err() != nil {
					unsent[i]++
					record(c.latency, time.Since(due))
					continue
				}
				c.ask(s.Account)
				record(c.latency, time.Since(due))
			}
		})
	}
	wg.Wait()
	t := s.collect(time.Since(start))
	t.Late = late
	for _, n := range unsent {
		t.Unsent += n
		t.Checks += n * uint64(s.Workload.Batch)
		t.Failed += n * uint64(s.Workload.Batch)
	}
	return t
}

// clock puts the moments from start to end into the queue, each when it has come.
func clock(ctx context.Context, start, end time.Time, a Arrivals, late interface{ RecordValue(int64) error }, queue chan<- time.Time) {
	sleep, done := a.Sleep, func() {}
	if sleep == nil {
		sleep, done = preciseSleep()
	}
	defer done()
	gap := a.gaps()
	for due := start.Add(gap()); due.Before(end) && ctx.Err() == nil; due = due.Add(gap()) {
		wait := time.Until(due)
		for wait > 0 { // a sleep may end early
			sleep(wait)
			wait = time.Until(due)
		}
		late.RecordValue(int64(min(-wait, time.Minute)))
		select {
		case queue <- due:
		case <-ctx.Done():
		}
	}
}
