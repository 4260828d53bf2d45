// Package lease is what a node may answer without asking the holder: hits that the holder has spent for it beforehand, and
// denials that cannot have changed. It does no I/O and has no clock: `now` is an argument.
//
// Start with [Purse], which the asker has, and [Slice], which is the holder's.
//
// # Loans
//
// A key that is asked for often at one node would go to its holder each time. Instead a check that is on its way there anyway
// brings a wish to borrow, the holder spends a slice of the limit besides, and the node hands that out for a moment:
//
//	purse                              node                         holder
//	Want: this shape is hot ─────────▶ ask, with Borrow ──────────▶ Take, then Slice, then Partition.Lend: spent first,
//	Lent: so many, until then ◀─────── answer, with Loan ◀───────── granted then
//	Answer, Answer, Answer …
//	rest ────────────────────────────▶ ask with Return ───────────▶ Give, under the same epoch
//
// Why no mix of these lets one hit too many through:
//
//   - What is handed out was spent before it was granted, in every limit of the check, so the bucket counts it whoever asks.
//   - A loan is counted from the instant before its ask was sent. The holder charged it later than that, to a slot or window that lasts for the
//     whole term. So it ends here before its slot ends there, and each of its hits is counted for at least a window.
//   - It is for one exact shape of a check: the same lines, limits and flags in the same order. Whoever asks otherwise asks the holder.
//   - The rest is given back once, and is not in the purse any more when that is sent. It is sent again only where the holder has surely not
//     taken it; where that is not known, it stays spent.
//
// And why not much less than the limit is let through: slices are what is spent here in one term, at most a quarter of what is left for all members together, and
// there are none once less than a twentieth is left: near the limit every hit goes to the holder.
//
// # Loans and holds that move
//
// A loan was paid for in the bucket, and what is in the bucket moves with the partition. So it is good to its end, whoever holds the partition by
// then. Its rest goes back only to the very hold that granted it, by name and epoch: a later one may not have it on its books, and giving back what
// was not spent would let too much through. So a holder that is to hand a partition over, or leaves, lends nothing from it any more, and hands it
// over once all that it had lent must be back: the term, and some time for the way (package hold, loans.go). After the crash of a holder, what it
// had lent since its last acknowledged copy is part of what that crash may cost. After the crash of a borrower, what it had not handed out stays
// spent: a slice. A node that was stopped drops its purse, and so does one that misses members: neither knows what became of things.
//
// # Denials
//
// The holder's "no" to h hits is "no" to h hits until some of what is spent leaves, whoever asks meanwhile. It is counted from when it was asked for,
// and the wait that it tells from when it was heard, so that no caller is told to come back too early. After a second at most the holder is asked again, so a
// refund, or a holder that was reset, shows everywhere within that time. A raised limit is another shape, and shows at once. A refund that passes
// through this node drops the denials of its key.
//
// # Memory
//
// A purse has a fixed number of entries, in sets by key. Which shapes are asked for often is found by counters that shapes share, so that a
// flood of different keys costs four bytes of reading and writing each, and no entry. An entry that makes room for another gives the
// rest of its loan back.
//
// # What it does not do
//
// It sends nothing. It does not know who holds a partition, whether members are missing, or whether this node was stopped: node asks it only where its answers are good.
// What a member was lent is in the holder's bucket and nowhere else.
//
// # Odd things, and why
//
//   - A denial of h hits answers h hits and not more, although more would be denied too: their wait is longer, and telling a wait that is too
//     short sends callers back in vain.
//   - `remaining` of what a loan answers is what the holder had before it lent, less what was handed out here: it counts down, and may be too high or low by what
//     other nodes do meanwhile. Where COUNT is below 1000 nothing is lent, so there it is exact.
//   - A loan that is about to end is renewed ahead by one check that goes to the holder, while the others still live on the old one. If the holder
//     denies that check, it is answered from the old one as well.
//   - The whole rest of a loan is given back, also of a token bucket, which has got some of it back by itself: how much that is the bucket
//     knows, by the receipt.
package lease
