// Package mail is how the machines of package hold write to each other: an [Outbox] for each other member, and one [Inbox].
//
// # One way
//
// A message is one-way. There are no calls: an answer is just another message, and who needs one asks again when it does not come. So
// nobody ever waits for mail, and mail may be lost, late, twice or out of order: the machine is made for that. What gathers
// while a packet is under way goes together in the next, so a crowd of small messages (4093 holds, announced every second) costs a few
// packets. Acknowledgements of copies, tens of thousands a second, even become one message while they wait, and are one event to the machine.
//
// # Two lanes
//
// Short messages go in the urgent lane, copies of partitions in the bulk lane, each with its own connection. So an Ask does not
// stand behind a hundred megabytes of lines, and the two lanes are in no order to each other: a Flip may overtake the Backup that it builds on,
// and is then refused, and sent again. The inbox keeps the two apart too.
//
// # Bounds
//
// What waits is bounded in bytes, for each member on the way out, for all together on the way in, and by lane. Beyond it mail is
// refused and counted, never kept. A packet is checked before anything in it is kept: counts against the bytes that are left,
// partitions, codes, flags and names against what there can be; what is read is charged as it is read. A packet that
// cannot be read is refused as a whole.
//
// # What it does not do
//
// It sends nothing and has no goroutine: transport/peer carries packets, says whose they are and checks them against the
// cluster's secret. It does not know what messages mean, drops none that is old, and repeats none. [Ping] and [Forget] are the
// node's own, and not for the machine.
package mail
