// Package socket reads and writes TCP connections at the price of the system call alone.
//
// # The idea
//
// A system call of Go's is announced to the scheduler, because it may block: the thread gives its processor up if the call takes longer than some
// 20 µs. But a read or write of a net.Conn never blocks, for its socket is non-blocking: when it cannot go on it says so, and
// the goroutine waits for the poller. What takes long in it is work of the kernel's: on loopback, or where softirqs run late, a
// write carries the packet up to the receiver's socket, 10 to 30 µs. Meanwhile the runtime's monitor takes the processor away and starts another
// thread for it, the writer comes back to find none, and queues; and the monitor, which sleeps longer and longer only while it finds nothing to do, goes on
// waking every 20 µs. With three nodes on two cores the monitor alone took 14 % of all processor time at one check a request, and starting and
// stopping threads as much again. A process whose processors are never idle, such as a benchmark of two ends in one process, shows no difference.
//
// [Quick] wraps a connection so that its reads and writes are made without that. Waiting, deadlines and Close are the net package's
// as before (syscall.RawConn).
//
// Who has just answered, or asked, and reads on finds nothing: the other end has yet to think. [ReadEach] and [Exchange] spare that read, which is
// one system call of three, and wait for the poller at once. They can, because all that they do lies within one wait of the poller's (RawConn.Read), which
// remembers what came since it began; a new Read begins by forgetting, and so has to look first.
//
// # What it does not do
//
// It is no event loop: each connection is served by a goroutine, as everywhere in Go. While a call runs, its thread cannot be stopped, also
// not for a garbage collection: those 30 µs are what a pause may get longer by. Other connections than TCP's, and other systems
// than Linux, are left as they are.
package socket
