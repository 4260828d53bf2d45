// Package hold says who holds which partition.
//
// The ring is an opinion about where a partition should live, and opinions differ for seconds. The hold is a fact: at most one member
// decides for a partition, and each change of hands raises the partition's epoch. A Machine keeps what one node knows of the holds of
// all partitions. It is a pure state machine: events and time go in, effects come out, and node carries them out under the partitions'
// locks. It has no clock, no goroutine and no I/O, so a test can run a whole cluster of machines from one seed.
//
// # How a partition changes hands
//
//		none ──Store──▶ copy ──Flip arrives──▶ held ──Flip sent──▶ frozen ──it was taken──▶ copy ──Drop──▶ none
//		                 │                      ▲ │                  │
//		                 └─────a round is won───┘ │◀──it was refused─┤
//		                                          │                  └─no answer: a round, with a new history
//		                                          └──another holds it by now──▶ returning ──it has our lines──▶ copy
//
//	  - Handed over (handoff.go): the receiver gets the whole copy first, as a backup does, and what was lent comes back (loans.go); then the partition is frozen, the last changes
//	    and the hold go in one message, and the freeze is one round trip. Only the receiver's answer, or its announcement, proves it.
//	  - Claimed (claim.go, vote.go): when a check finds the holder silent, who has the copy asks everybody who is there: who holds this, who
//	    reaches the holder, who else claims? To answer is to promise not to claim for a while. If nobody holds it and nobody reaches the
//	    holder, the newest copy claims, under the next epoch.
//	  - Woken (learn.go): a node that was stopped finds its last tick too old, before it handles anything, and asks as a claimer would, with
//	    its own hold as the target.
//	  - Returned (learn.go): who learns of a higher hold stops at once, and brings what it spent to the holder, by history, so that
//	    nothing is counted twice.
//	  - Backed up (backup.go): the holder sends what has changed to one other member and waits for its word; a new one gets everything
//	    first, and the old copy stays until then. Who has the whole copy, the keeper, is announced, and asked in rounds.
//
// The protocol was first run in a model with one key and a counter. Where it is different here:
//
//   - Lines do not travel in a round. A round must end in 130 ms whatever the partitions weigh. Answers say how new the member's copy is, and
//     a claimer that won but has an older one nominates who has the newest: that member claims under the same promises. An ordinary
//     handoff brings the partition home later.
//   - A copy with lines that were spent here (mine) is returned again when yet another member claims: the first claimer may have died
//     with them.
//   - A frozen sender that hears in its round that the receiver is reached and decides, under the very hold that was sent, takes this for the
//     receiver's answer. Claims take odd epochs and handoffs even ones, so that a claim of the receiver's is never taken for it.
//   - Rounds ask everybody whom gossip has or who was heard in the last two seconds, instead of following the views of those who answer.
//   - Who is to claim is who has the copy, as the holder announced it, and not who the ring says: rings differ, and have members that
//     start and may not claim yet.
//   - Backups are numbered, and so are the answers to them and Drops: a late one is of an earlier copy.
//   - A member that acknowledges nothing is left alone for longer each time: each try costs the time in which the other copy is not kept.
//   - A handoff that is refused for its epoch alone is sent again at once, above it. Rounds that come to nothing, once a second for a link
//     that is down, would outrun it else.
//   - A round that found the holder is remembered only if the holder itself answered, or somebody who reaches it. A relay ends when it does
//     not answer, or the holder does.
//   - The message by which a node learns that it was stopped is dropped, as all that waits behind it is.
//   - A node that says goodbye lets go first (Quit): the others claim at once.
//   - A partition that is to go elsewhere is lent from no more, and goes once what was lent of it must be back (loans.go). One that waits for that alone, or
//     for others to be handed over, goes with a Beat: it does not wait for House.
//
// # What it does not do
//
// It moves no lines: messages carry them opaquely, and node puts them in and takes them out. It knows no ring and no addresses. It
// does not decide when to begin (node's starting does), nor what a check is answered while nobody decides.
package hold
