// Package proc starts the programs that a measurement or a test from outside needs, and is sure to end them.
//
// A [Group] owns processes. Each is a child that is ended by its own pid, never by a name: by [Process.Stop] (SIGTERM,
// wait, then SIGKILL) or [Process.Kill], at the latest by [Group.Close], which also takes away the group's directory. On
// Linux a child dies with its parent too, so that a panic or a kill -9 of the harness leaves nothing behind. Children
// are in process groups of their own: Ctrl-C reaches the harness alone, and the harness decides who goes in which order.
//
// A [Cluster] is a number of stint nodes on loopback with port families that were free a moment ago. It is ready when
// every node says so and all of them show the same ring and the same members. [BuildStint] builds the binary once.
//
// With [ClusterConfig.Places] each node lives at an address of its own, such as in a network namespace.
//
// Nothing here knows of testing.T: the words of bench and the tests of cmd/stint use it alike. Output of a
// process goes to a file in the group's directory; an error about a process quotes the end of it.
//
// What it does not do: no restarts of its own, no supervision, no network faults.
package proc
