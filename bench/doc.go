// Bench measures Stint, beside others, on the machine it runs on: `go run ./bench WORD`.
//
//	run       start the echo, rivals and a cluster, load them in turn, print the table (this is `make bench`)
//	memory    fill a node with keys, print bytes a line and how long it stood still
//	compare   what has changed between the figures of two runs
//	show      print the tables of an earlier run again
//	faults    kill, stop, cut off and restart nodes under load, print what it has cost
//	handoff   fill a cluster with lines, have a node join and leave, print how long that took and froze
//	load      load servers that already run
//	cluster   start a cluster of stint processes and keep it until Ctrl-C
//	demo      start three nodes, show that they count together, keep them (this is `make run`)
//	echo      be the echo: a server that decodes a check and always says yes
//	help      flags and workloads
//
// One file a word. The parts are packages: proc starts and ends processes, load asks and keeps account, report
// shows, fault does to a cluster what can happen to one.
//
// How it measures, and why so:
//
//   - Servers are processes of their own, and so is the generator, this one. What a check costs is the processor time of
//     the servers, from the kernel's account of each process, summed over all nodes and divided by the checks answered:
//     on a small machine the rate alone says as much about the generator as about the server.
//   - Servers take turns within a round, and rounds repeat: echo, Redis, Stint, echo, Redis, Stint. A machine that others
//     use has loud and quiet minutes; a ratio is made of two stretches that lie seconds apart.
//   - The echo is the floor: the same HTTP server, the same request, decoded the usual way, and a fixed answer. What
//     Stint costs beyond it is what Stint does.
//   - Clusters of several kinds (nodes, backups, leases) are measured one after another, each in turn with an echo: idle clusters would take
//     processor time from the one that is measured. Their ratios to the echo compare, their figures do not.
//   - Admitted hits are compared with those due in every workload, both ways. A wrong count is FAILED and exit status 1:
//     a fast wrong answer is no answer.
//
// What it does not do: load over a network, more machines than one, judging whether a figure is good.
package main
