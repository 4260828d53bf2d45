// Package bucket is what a limit is, and the table that holds what was spent. It does no I/O and has no clock: `now` is
// an argument.
//
// Start with [Parse] and [Limit] for what a limit is, [Partition.Take] for how a check is decided, and the comments at the top of
// slots.go, exact.go, fixed.go and token.go for how each algorithm counts.
//
// # The idea
//
// A key under a limit has a line: 64 bytes without pointers (line.go). A line says what was spent, never what is left: COUNT
// comes with each check, so a raised limit works on the live line, copies of one history replace each other, and
// histories that ran apart add up (history.go, sum.go). The lines of a partition are one small hash table (lines.go)
// under one mutex, which also guards the gate: who shuts it knows that nothing is spent after.
//
// To find a line in a large table takes three reads from memory, each of which waits for the one before, and the decision a tenth of the time. Who has a
// batch says so first ([Table.Expect]), and the reads of all of it are under way together.
//
// # How lines travel
//
//	holder                                 member with the copy, or the next holder
//	Whole    ──────── Lines ────────▶      Prepare, Replace
//	Changes  ──────── Lines ────────▶      Prepare, Apply        and so on; what is lost: Unacknowledged
//	freeze, Changes with short windows ─▶  Prepare, Apply, SetHistory, open: a handoff
//	                                       SetHistory to a new name, open: a claim
//	returns what it alone spent: Whole ─▶  Prepare, Absorb
//
// Lines hold durations and no instants, so clocks need not agree (record.go). What arrives is prepared first, with all that
// can be refused, and then taken in, which cannot fail (prepare.go). Laws:
//
//   - The copies of one history replace each other: one with a higher sequence than what is here takes its place, and any other
//     changes nothing. So absorbing is idempotent, and copies of one history may come in any order.
//   - Histories of different names add up, each name once, in any order. Their number is bounded: the oldest fold into one (fold.go).
//   - A whole copy and all changes since answer as the original does. Changes applied twice, or after newer ones, change nothing.
//   - Nothing that counted leaves sooner for having travelled ("never over"), and later by no more than the
//     rounding of a Record: 3/256 of a slot, or one unit of an exact layout.
//   - What is prepared has its room in the table: MaxLines holds while it waits, and afterwards.
//
// # What is promised
//
//   - Never over: not more than COUNT hits in any window (sliding), in an aligned window (fixed), not more than burst at once and
//     COUNT per window (token), net of what was given back.
//   - Not stricter than: sliding_window with COUNT ≤ 10, the rounding of its marks (1 µs up to windows of 35 minutes, 16 ms
//     at 366 days); above, one slot: 1/39 of the window up to COUNT 255, 1/19 up to 65535, 1/9 beyond. A caller that paces itself
//     at 90 % of its limit is therefore never denied. A line whose COUNT was raised past its layout while it was live keeps the
//     rounding of the finer one too, until it is fresh. fixed_window and token_bucket are exact.
//   - Hits that are lent ([Partition.Lend]) may be handed out at any moment of their term, and all of the above holds. What comes back of them
//     leaves exactly what was handed out; of a token bucket, at most what it refills within the term more.
//   - A wait that was told is right to the microsecond: at that moment the check passes, and not before, if nothing else
//     is spent meanwhile. For windows it is never longer than the window: while hits are lent it may be short by what is left of the term.
//   - A clock that jumps back behind what a line has seen grants nothing extra: the line stays where it was. Waits told then are
//     cut to the window. Receipts from before the jump should not be used after it: they name a time that is yet to come.
//   - A table never has more than MaxLines, and memory pressure never resets a line that is denying (evict.go).
//
// # What it does not do
//
// It does not know who holds a partition, or why (node/hold), nor which keys there are: it sees hashes. It does not decide what
// to answer when the table is full (on_full), nor fold checks; wants of one line should come folded to the strictest
// limit. A denied attempt is not spent; with CountDenied it is counted on a line of its own, which is not exported. It sends nothing, and
// keeps no account of what was acknowledged: who sent Lines and hears nothing says Unacknowledged.
//
// # Odd things, and why
//
//   - A peek tells whether one hit would be allowed and when, but its State is the one before that hit: `remaining` of
//     a peek is what is really left.
//   - A fixed window's end is in its marks, not in the clock word, because the line may have to be remembered longer
//     than its window: an end from a skewed clock decides where the next window may end (fixed.go).
//   - A token bucket's line is fresh at the COUNT it was last written under, and so are its waits at most, even if COUNT was
//     lowered since: what a line counts must not depend on whether it was expired.
//   - A receipt carries 12 bits of the epoch. Under another hold it names nothing, and the oldest hits leave instead,
//     which never lets one through.
//   - A token bucket gives back by a receipt what it misses because of those hits, and never more: what it would have got back of itself without
//     them is taken off. Where the line does not know how much that was it is taken for the most that it can be (tokengive.go); under COUNTs that
//     change, for what it is under the COUNT of who gives back.
//   - Giving back leaves what had left of itself in place: should the clock jump back, it counts again.
//   - A line that gave everything back, or is fresh before its copy has heard why, stays for up to 5 s: gone from here it could not be
//     told (changes.go). A partition that nobody copies keeps none.
//   - Windows below 5 s are no part of backups and of the count of changes, but of handoffs.
//   - A give-back without a receipt takes the oldest hits of any history; of a token bucket, those of the own history only: the others
//     are served before it, and what it says is what is spent on top of them.
//   - A key has at most 4096 lines. All of them share a home in the hash table, and whoever may name windows could else
//     make its neighbours slow.
package bucket
