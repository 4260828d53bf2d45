// Package node is one member of the cluster: its life, and the way of a check.
//
// A check comes in through a door (transport/…) as a transport.Check. Its key is hashed to a partition. Held here: the
// partition's lines are spent from under the partition's lock, and that is all. Held elsewhere: the check goes as an ask through the
// holder's pipe (transport/peer), together with whatever else is on its way there. The holder is asked, never a copy:
//
//	door → policy → Node.Check → held here? → bucket.Partition.Take → Decision → door
//	                            └ else peer.Pipe → the holder's Node.Decide → Take ┘
//
// Who holds what is package hold's: a pure machine that this package steps with rings and whose effects (open, shut) it carries
// out. Who is there is package members': gossip carries membership only, never counts. One goroutine (loop.go) turns a new
// view into a ring, the ring into events, and the effects into gates and routes. Checks never wait for it: they read a
// route by an atomic pointer, and the partition's gate, under the lock that spends, has the last word.
//
// A node that is asked for a partition that it does not hold answers `moved`, and the asker sends again; one that is not
// sure yet answers `wait`. Passing on instead could deadlock in a triangle of pipes, each waiting for the next. Where nobody
// can decide before the deadline, the check's failure_mode answers, and is counted.
//
// What this package does not do: it never sees YAML, headers or sockets of callers, and it does not know what a policy is.
// A partition that changes hands starts afresh for now; each such reset is counted and logged (loop.go). Leases, cached
// denials, backups and claims have their place between "held here?" and "else".
package node
