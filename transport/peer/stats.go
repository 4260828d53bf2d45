package peer

import "sync/atomic"

// PipeStats counts what a pipe, or several that share it, did. All but InFlight only rise. Read it at any time.
type PipeStats struct {
	Batches   atomic.Uint64 // batches answered
	Asks      atomic.Uint64 // asks in batches that were sent, folded ones counted
	Folded    atomic.Uint64 // of those, asks that rode on the entry of another
	Retries   atomic.Uint64 // sendings of a batch after the first
	Shed      atomic.Uint64 // asks that found the queue full, or too long for their deadlines
	Expired   atomic.Uint64 // asks whose deadline passed before they were answered
	Failed    atomic.Uint64 // asks that failed, sent or not
	Invalid   atomic.Uint64 // asks that no server would accept: a mistake of the node
	Late      atomic.Uint64 // answers that came after the deadline
	Loans     atomic.Uint64 // loans that arrived
	LoansLost atomic.Uint64 // of those, loans for which nobody waited any more
	Downs     atomic.Uint64 // times a pipe went from healthy to down
	BytesOut  atomic.Uint64
	BytesIn   atomic.Uint64
	RTTMicros atomic.Uint64 // sum of round trips of the answered batches
	Controls  atomic.Uint64 // control messages answered
	InFlight  atomic.Int64  // batches in flight now

	Mail        atomic.Uint64 // packets of mail delivered
	MailBytes   atomic.Uint64 // of those
	Undelivered atomic.Uint64 // packets of mail that were lost, or may have been
}

// ServerStats counts what a server did. All but Conns and Remembered only rise.
type ServerStats struct {
	Batches         atomic.Uint64 // batches decided
	Entries         atomic.Uint64
	Asks            atomic.Uint64 // folded ones counted
	Repeats         atomic.Uint64 // batches answered from memory
	Refused         atomic.Uint64 // batches refused: stale, superseded, for an earlier start, of another cluster, no room
	Bad             atomic.Uint64 // requests and frames that could not be read
	Unauthenticated atomic.Uint64
	Controls        atomic.Uint64 // control messages answered
	BytesIn         atomic.Uint64
	BytesOut        atomic.Uint64
	Conns           atomic.Int64 // connections open now
	Remembered      atomic.Int64 // bytes of remembered answers now

	Mail        atomic.Uint64 // packets of mail taken
	MailBytes   atomic.Uint64 // of those
	MailRefused atomic.Uint64 // packets that the node did not take, or that came after later ones or of another start or cluster
	MailNoRoom  atomic.Uint64 // packets for which there was no memory
	MailRoom    atomic.Int64  // bytes of memory for large packets that are in use now
	Relayed     atomic.Uint64 // entries relayed for others
	Disconnects atomic.Uint64 // times that all connections were dropped
}
