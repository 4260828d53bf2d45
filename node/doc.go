// Package node is one member of the cluster: its life, and the way of a check.
//
// A check comes in through a door (transport/…) as a transport.Check. Its key is hashed to a partition. Held here: the
// partition's lines are spent from under the partition's lock, and that is all. Held elsewhere: the check goes as an ask through the
// holder's pipe (transport/peer), together with whatever else is on its way there. The holder is asked, never a copy:
//
//	door → policy → Node.Check → held here? → bucket.Partition.Take → Decision → door
//	                            ├ in the purse? a loan, or a denial ──────┤
//	                            └ else peer.Pipe → the holder's Node.Decide → Take ┘
//
// What is in the purse was spent by the holder beforehand, or cannot have changed (package lease, and leases.go for how it comes and goes): so there
// as well the holder's books are the only truth. Such answers are not ordered with those of the holder: `remaining` may go back and forth between
// them, and a refund made elsewhere may show up to a second later. Below COUNT 1000 nothing is lent, and what is allowed there has one order
// for all nodes.
//
// # The loop
//
// Who holds what is package hold's: a pure machine. One goroutine (loop.go) owns it. Whatever happens is told to it as an event, one at a time:
// mail of other members (receive.go), a new view of who is there (update.go), a check that failed (told.go), time. What the machine wants done is
// carried out before the next event (carry.go): gates, histories and lines of partitions, routes, mail. Lines are made ready before the machine
// decides what becomes of them, so that nothing can fail once it has decided; whole partitions are exported between events
// (lines.go).
//
// Checks never wait for the loop. They read a route by an atomic pointer (routes.go), and the partition's gate, under the lock
// that spends, has the last word. A gate is shut before the route leads elsewhere, and open before it leads here.
//
// # When something is wrong
//
// A node that is asked for a partition that it does not hold answers `moved`, and the asker sends again; one that is not
// sure answers `wait`. Passing on instead could deadlock in a triangle of pipes, each waiting for the next. Where a holder does not answer,
// the check goes at once to who would claim its partitions, with the word that the holder failed (forward.go, decide.go). That member's machine asks
// everybody; it claims, or finds that the holder can be reached, and then relays. Where nobody
// can decide before the deadline, the check's failure_mode answers, and is counted.
//
// A node that was stopped must not decide by what it knew before: the last tick of the loop says how old that is, to the loop and to
// every check (pulse.go). A node that misses members knows how many (split.go), for on_split.
//
// # What it does not do
//
// It never sees YAML, headers or sockets of callers, and it does not know what a policy is. Why holds change, and what is safe, is in
// package hold; how mail travels in node/mail; gossip carries membership only, never counts (node/members).
//
// # Loans and holds that move
//
// A loan was spent in the holder's bucket before it was granted, and moves with the partition as all that was spent does. It is good to its end,
// whoever holds by then. Its rest is given back only to the hold that granted it (name and epoch, decide.go), once. A node that leaves gives all back first;
// one that was stopped, or that misses members, drops its purse. After the crash of a holder, what it has lent since its last
// acknowledged copy is part of what the crash may cost: a member may hand it out up to a term (200 ms) later.
//
// # Odd things, and why
//
//   - A ring is built aside, for with many members it takes longer than a tick, and a late tick is a stop.
//   - The pipes of the dead who said no goodbye stay: they may have been cut off only, and the first word when they are back is who holds what.
//   - Checks on one key in one request take effect in order, also while its partition moves: a later one waits until the earlier is decided.
//   - A stop is also noticed by a wall clock that leaps ahead of the monotonic one, which stands still in a suspended machine.
package node
