// Package fault does to a cluster of real stint processes what networks, machines and operators do, while it is under
// load, and counts what that has cost.
//
// A [Scenario] is one such story, written with the helpers of a [Stage]: a cluster, a [Load] on it, and, where links
// are to be cut, a [Net] of network namespaces. Running it gives a [Row]: hits admitted and due, over and under, checks
// that failed, the slowest, and what else the scenario asks about. A row has bounds; one that breaks them has failed.
//
// How it counts:
//
//   - The windows of all limits outlast every scenario, so what is due on a key is its COUNT. At the end every key is
//     asked for until all nodes deny it, twice ([Load.Finish]). So a hit that was lost shows as one admitted too many, and
//     a hit that was counted twice as one too few.
//   - Keys are of several kinds at once: ones that deny long before the fault (a line that denies never changes), ones
//     that reach their limit during it, ones that are spent from throughout; under all three algorithms.
//   - A check that was answered `unavailable`, or `full`, or not at all, has failed. It may have been spent unseen, so it
//     excuses one hit too few, never one too many.
//   - A check that was on its way to a node when that was killed or stopped cannot be answered by it. It is counted apart
//     (lost), and the load asks that node no more until it is back. A node that leaves by SIGTERM has no such excuse: it
//     answers what it was asked.
//
// What it does not do: faults of disks and clocks, more machines than one, deciding what is promised: docs/guarantees.md
// does, and the scenarios quote it.
package fault
