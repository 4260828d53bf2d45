// Package peer is how members of a cluster ask each other: a [Pipe] to every other member, and a [Server] that
// answers theirs. What is decided, and who should be asked, is the node's. Beside asks, a pipe carries mail: packets of bytes
// that mean nothing here.
//
// # The way of an ask
//
// A caller takes a [Call] from the pool, fills in its asks, sends each through the pipe of the member that is believed
// to hold its partition, and waits once for all of them. A pipe has a few lanes; a lane has a queue, one connection
// and one batch in flight. What arrives while a batch is in flight gathers, and goes when the answer is there. There
// is no timer to wait for more: an idle lane sends at once, a busy one is as slow as the member it talks to, so batches
// grow exactly as far as they need to. Between two batches a lane lets those run that are ready to, for they may ask.
//
// Asks alike fold into one entry with a number of times, which the holder decides in one go (fold.go). The order of
// the asks on one key stays as they were sent, for all asks of one call: a call stays in one lane, a lane has one batch
// in flight, and an ask folds only with the latest entry of its key.
//
// # Exactly once
//
// A batch is named by (name and start ID of the sender, lane, sequence) and by the start ID of the member that it is
// meant for. A connection that breaks, or an attempt without an answer, is tried again with the same bytes. The
// server remembers for each lane its latest sequence and the answer to it: the same sequence is answered again
// without deciding, also while the first is still being decided; a lower one is refused. One remembered answer a lane
// is enough because a lane never has two batches in flight; that is why lanes are part of the protocol, and not only
// of the client. A refused batch and one for another start ID are failures, and so is one that ran out of time: a
// batch is never sent to anybody else, and what a caller makes of the failure is its own business. The caller is told
// whether the batch may have been decided (Failed) or surely was not (Unsent): what gives back may only be asked
// again after the latter.
//
// # Relays
//
// An ask with Through goes to a member that reaches the holder, and waits there until the holder has answered (relay.go). Such asks have a
// lane of their own, so that they hold up nothing that the member decides itself, and that lane is the only one where a server may wait.
// What a relay sends is plain asks in other lanes, so two members that relay through each other do not wait for each other.
//
// # Mail
//
// How members' state machines talk (mail.go, mailroom.go). One way, no answer but that the packet arrived, and never sent again: each
// packet arrives once or not at all, those of one lane in order, and its sender is told of those that did not, or
// perhaps not. A lane asks for its next packet when the one before has arrived, so that a busy member gets fewer and larger packets.
// Two lanes: what somebody waits for does not stand behind lines. A refused connection is told at once as ErrUnreachable, because it
// is the one way to know that a member is dead and not only silent; a packet for an earlier start of the member as
// ErrRestarted.
//
// # Being stopped
//
// A node that was stopped for a while hangs up on everybody, both ways (Pipe.Disconnect, Server.Disconnect): what waits in its
// connections was said to a node that it may no longer be. Its peers connect again when they have something to say.
//
// Its own batches that had gone out go again, as they were (lane.anew), and an answer that is not there in time is looked for once more
// (link.lastLook): the member may have decided them, and only the same batch is answered from memory. Were their checks sent anew, as they once were,
// hits would count twice wherever a node is starved for a moment.
//
// # Deadlines
//
// Every ask is answered by its deadline and a few milliseconds (sweepGap), whatever the network does: a sweep of the
// lane marks the late ones Expired. An answer that arrives later finds the ask's ticket gone and is dropped.
//
// # Overload
//
// Queues are bounded (PipeConfig.MaxQueue), and batches have no more entries than the member answers in good time, at its best. An ask that would be
// answered after its deadline, by what the last batches took, is answered with Shed when it is sent, and the others in time (pace.go).
//
// # The wire
//
// HTTP/1.1 POST, /peer/v1/batch with raw little-endian records (frame.go, answer.go), and on a second
// connection /peer/v1/control with one small msgpack message each way (control.go), and /peer/v1/mail on two more. HTTP, because its framing, limits
// and tools are known; the client side writes the head by hand and each batch with one write, because a
// general client hides when it sends a request twice, and that is exactly what must be known here. The server knows that head by its bytes, and
// leaves all other requests to fasthttp (http.go, batches.go).
//
// With a cluster secret, bodies both ways carry a truncated HMAC (auth.go), checked before anything in them is read.
// There is no encryption: a frame holds hashes of keys, counts and limits. A recorded batch that is replayed is the
// same start ID and sequence again: it is answered from memory or refused, and decides nothing. So is recorded mail.
//
// # What it does not do
//
// It does not follow Moved, wait out Wait, choose another holder or apply failure_mode; it does not know who is a
// member. Both ends believe in start IDs that rise with every start of one name.
package peer
