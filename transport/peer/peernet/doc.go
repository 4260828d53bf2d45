// Package peernet is a network in memory for tests of whole clusters: listeners, connections, and faults that come and go.
//
// It has no sockets and no goroutines, and whoever waits in it waits on a sync.Cond, a channel or a timer, so it works under
// testing/synctest, with fake time. Seeded by the rand that it is given; which goroutine draws first is the scheduler's choice, so a
// seed replays the faults and the kind of delays, and not each interleaving.
//
// # What is like TCP
//
//   - Writes do not wait for reads, until Buffer bytes are on the way. The bytes of one connection stay in order.
//   - What is closed is read to its end, and then io.EOF, or ECONNRESET if the other side had not read everything.
//   - A host that is up refuses a connection to a port that nobody listens on (ECONNREFUSED); one that is gone does not answer at all.
//   - What is sent over a cut link is kept by the sender. After the link heals it is sent again, and arrives late; or the
//     connection is dead by then, and stays silent until somebody gives it up. Which of the two is drawn for each connection.
//
// # What is not
//
// There is no keep-alive, no window but Buffer, no half-close, and a dead connection is dead for good.
package peernet
