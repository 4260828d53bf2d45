// Package hold says who holds which partition.
//
// The ring is an opinion about where a partition should live, and opinions differ for seconds. The hold is a fact: at most
// one member decides for a partition, and each change of hands raises the partition's epoch. A Machine keeps
// what one node knows of the holds of all partitions. It is a pure state machine: events and time go in, effects come out, and
// node carries them out under the partitions' locks. It has no clock, no goroutine and no I/O, so a test steps through it
// like a script.
//
// What it does so far: a node that is home to a partition takes it, one epoch above all it has heard of, and starts it
// afresh; a node that is no longer home lets go of it at once. Each such fresh start is an effect with its cause, so
// that node can count and log what it costs. Handoffs, claims, backups and returns (DESIGN.md section 6, PROTOCOL.md) will be
// further states and events of this machine.
package hold
