// Package members knows who is in the cluster: names, addresses, start IDs, states. It wraps hashicorp/memberlist
// and lets nothing of it out. Gossip carries membership only, never counts and never who holds what.
//
// What it adds to memberlist, and why:
//
//   - Start IDs. A member is a name and a start ID. A node that is back within a second was never declared dead, so
//     gossip alone would not say that everything it held is gone; here a known name with a new start ID is a crash
//     and a join ([View.Since]).
//   - Views. Memberlist calls back under its own lock, where blocking stops failure detection and asking it anything
//     deadlocks. The callbacks write down what they were told and kick a goroutine, which a moment later swaps
//     an immutable [View] in. Nothing is ever read from memberlist's own structures, whose fields change without a lock.
//   - Rejoin. Memberlist forgets the dead after 30 s and never calls them again: a longer split would stay a
//     split. Every 5 s the seeds, and every member ever met that said no goodbye and is not alive, are called again.
//   - Goodbyes. Memberlist knows a leaver from a crash but does not tell; so a leaver tells every member before it
//     goes, and they tell each other.
//   - Forgetting. Who died and will not come back is called, and waited for, until an operator says so ([Members.Forget]).
//   - Suspects. Memberlist does not tell those either. A member is shown as suspect from when it left this node's own
//     direct probe unanswered until it answers one.
//   - Refusals. Peers with other ring constants or another hash key would disagree about every key: both
//     sides refuse, and say which constant differs. Two live members with one name: the newcomer is refused ([Members.Fatal]).
//
// What it does not do: it knows no partitions, decides nothing about holds, and reports failures of gossip only; that
// a peer does not answer calls is for the node to see, and sooner.
package members
