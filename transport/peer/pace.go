package peer

import "math"

// A pace is what a lane knows of how fast its member answers: how large its batches should be, and whether an ask could still be
// answered in time. It is the lane's, under its lock.
//
// # How large
//
// A batch grows with what gathers while the one before is in flight, so that a member that falls behind gets larger ones. Where it is
// slow because it has too little CPU, that ends badly: a batch that takes longer than Attempt has failed, with all that is in it, and
// opens the circuit. So a batch has no more entries than can be answered in a quarter of that, by what an entry took in the best of the last
// batches. How long the way there and back takes is left out of it: the least that a batch ever took.
//
// The best, because on a machine with more to do than it can every batch waits for its turn, a small one as long as a large one. Sized by the last
// alone, batches became smaller and smaller there and were no sooner answered: 64,000 checks that are answered in 0.15 s looked like a second's work, and
// some were shed. For the same reason a handful says nothing, and slow batches alone never make the best look worse. A batch that had no answer in time is believed
// at once.
//
// # Who is shed
//
// The answer to an ask takes the rest of the batch in flight, the batches that those ahead of it fill, and its own. Each takes about
// as long as the shorter one of the last two did: one slow batch is an accident, two in a row are load. What was left of a queue that
// was cut into batches may be a single ask, and soon answered: only if it took long it says something of those that
// are full, or else each such rest would let in more than can be answered. Should the sum and a
// quarter pass its deadline, then it is not queued at all: its caller hears at once what it would hear later, and those
// that are queued are answered in time. When the lane has nothing to send, there is no load, and what it knew of it is forgotten; so an
// ask that finds the lane idle is always sent.
type pace struct {
	target int64 // nanoseconds that the entries of a batch should take at most; 0: unknown, batches are not bounded and nobody is shed
	most   int   // entries that a batch may have
	per    int   // asks that such a batch has: more than entries, where they fold
	least  int64 // that a batch ever took
	took   [2]int64
	began  int64 // when the batch in flight was made
	each   int64 // that an entry took in the best batch; 0: not known. With each that was quick what was before counts less, by a sixteenth
}

const (
	// firstBatch is how many entries the first batches may have, before it is known how long they take.
	firstBatch = 512
	// leastBatch is how many a batch may have at any rate: smaller ones cost the member more, not less.
	leastBatch = 64
	// timesTarget is how many times longer than it should a batch may take before it has failed.
	timesTarget = 4
)

func newPace(attempt int64) pace {
	return pace{target: attempt / timesTarget, most: firstBatch, per: firstBatch, least: math.MaxInt64}
}

// answered takes in how long a batch took. full: there was more to send. cut: what came before it went with another batch.
func (p *pace) answered(took int64, asks, entries int, full, cut bool) {
	if p.target == 0 || entries == 0 {
		return
	}
	if full || !cut || took >= p.took[0] {
		p.took[0], p.took[1] = max(took, 1), p.took[0]
	}
	p.least = min(p.least, took)
	work, byBytes := took-p.least, full && entries < p.most
	each := max(work, took/8) / int64(entries)
	switch {
	case took >= timesTarget*p.target:
		p.each = max(each, 1)
		p.most = max(int(p.target/p.each), leastBatch)
	case entries < leastBatch:
	case work > p.target:
		p.learn(each)
		p.most = max(min(p.most, int(p.target/p.each)), leastBatch)
	default:
		if p.each > 0 {
			p.each += p.each/16 + 1
		}
		if p.learn(each); full {
			p.most = min(max(p.most, int(p.target*int64(entries)/max(work, p.target/2))), MaxEntries)
		}
	}
	if p.per = asks; !byBytes {
		p.per = max(p.most*asks/entries, 1)
	}
}

// learn takes in what an entry took.
func (p *pace) learn(each int64) {
	if each = max(each, 1); p.each == 0 || each < p.each {
		p.each = each
	}
}

// idle says that the lane has nothing to send.
func (p *pace) idle() { p.took = [2]int64{} }

// late reports whether an ask with so many ahead of it, behind the batch in flight, would be answered too late.
func (p *pace) late(ahead int, deadline int64) bool {
	each := min(p.took[0], p.took[1])
	if each == 0 {
		return false
	}
	wait := each * int64(2+ahead/p.per)
	wait += wait / 4
	return wait > int64(sweepGap) && p.began+wait > deadline
}
