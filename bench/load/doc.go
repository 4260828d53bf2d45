// Package load asks rate limiters many questions and keeps account of the answers.
//
// A [Workload] says which keys are asked for, under which limit, how many to a request. A [Session] is one workload
// against one server: its callers with their connections, and an [Account] of what was asked and admitted for every
// key, from the first check to the last. It is driven in stretches:
//
//   - closed loop ([Session.Closed]): every caller sends its next request when it has the answer to the last. It
//     finds the most that the server does, and is kind to a server that stalls: while it stalls nobody asks;
//   - open loop ([Session.Open]): requests are due at moments that do not depend on the server, and a request's latency
//     runs from the moment it was due, not from when a caller was free to send it. So a stall of a second is seen by all that were due in it, and
//     there is no coordinated omission.
//
// At the end [Session.Finish] brings some keys to their limit, so that every workload shows whether the limit
// holds, and [Account.Verdict] compares admitted with due, both ways: a limiter that admits too little fails too. All
// limits here are per hour and more, so nothing that was spent comes back during a run, and due is a plain minimum. Where a key has several
// limits, those that do not deny are looked at in the end: a denied check must have spent nothing in them.
//
// Servers differ in how they are asked: [HTTP] with Stint's [Dialect] or a rival's, [Redis] through a Go client.
//
// The generator must cost less than what it measures. Requests are encoded once and only the digits of
// their keys change; answers are scanned for two fields ([Scan]) and read in full only now and then, to be sure that
// the scan has not been fooled; a connection belongs to one caller, so there is no pool and no lock. What it costs all the same is
// measured and printed beside the server's.
//
// What it does not do: TLS, HTTP/2, other hosts' clocks. Load is for loopback and for networks that you own.
package load
