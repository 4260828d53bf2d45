// Package transport is how a check travels: the types that doors and checkers share.
//
// A door (native, forwardauth, …) reads one protocol's bytes into a [Request], hands it to a [Checker] and writes the
// [Decision]s in the protocol's own form. A Checker is a node, a client of one, or a fake: a door works the same over
// any of them, which is why these types know neither HTTP nor the cluster.
//
// The package also has what every door needs and none owns: the wire limits and the checks against them (valid.go),
// limits of one identity folded to the strictest (fold.go), limits that came as text, parsed once (limitcache.go),
// several keys taken all or nothing (together.go), and bad input as a [Problem].
//
// It does not decide, does no I/O and starts no goroutine. It imports bucket and nothing else of ours.
package transport
