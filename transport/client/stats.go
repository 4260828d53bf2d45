package client

import "sync/atomic"

// Stats are a client's counters; they only rise.
type Stats struct {
	Requests uint64 // requests sent
	Checks   uint64 // checks in them, each time that they were sent
	Again    uint64 // checks that were to be asked again, because a node that may have decided them failed

	Failed    uint64 // checks that no node has answered: the client's own failure mode did
	Undecided uint64 // checks that a node has answered by saying that nobody could decide
	Late      uint64 // checks whose answer came when the caller had left
	Denied    uint64 // checks that the client knew to be denied still

	Dials   uint64 // connections made
	Skipped uint64 // times that a node failed, or asked to be left
}

type counters struct {
	requests, checks, again         atomic.Uint64
	failed, undecided, late, denied atomic.Uint64
	dials, skipped                  atomic.Uint64
}

// Stats returns the client's counters.
func (c *Client) Stats() Stats {
	s := &c.stats
	return Stats{
		Requests: s.requests.Load(), Checks: s.checks.Load(), Again: s.again.Load(),
		Failed: s.failed.Load(), Undecided: s.undecided.Load(), Late: s.late.Load(), Denied: s.denied.Load(),
		Dials: s.dials.Load(), Skipped: s.skipped.Load(),
	}
}
