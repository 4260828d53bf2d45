package peer

import "time"

// Wire limits. Both ends check them; each has a test.
const (
	// MaxEntries bounds the entries of a batch, and with it how long one batch keeps a lane busy.
	MaxEntries = 4096
	// MaxBatch bounds a batch's bytes: what a connection may make the server hold.
	MaxBatch = 256 << 10
	// MaxAnswer bounds an answer's bytes: no batch within the two bounds above can have a longer one.
	MaxAnswer = 1 << 20
	// MaxTimes bounds how many asks fold into one entry.
	MaxTimes = 1 << 16
	// MaxName bounds the bytes of a member's name.
	MaxName = 64
	// MaxLanes bounds the lanes of a pipe: the server remembers one answer for each. The last one is for asks that are
	// relayed.
	MaxLanes = 8
	// throughLane is where asks with Through go.
	throughLane = MaxLanes - 1
	// MaxMail bounds a packet of mail. What a partition of some 100,000 lines takes; there is nothing to be gained from larger
	// ones, a packet is in memory whole.
	MaxMail = 8 << 20
	// maxMailFrame bounds what the packet comes in.
	maxMailFrame = MaxMail + mailHead + MaxName + macSize
	// smallMail is what a connection may bring without asking for room.
	smallMail = 64 << 10
	// maxMailRoom bounds the memory of all larger packets that are being received: backups of several members at once, not all
	// that a large cluster could send.
	maxMailRoom = 64 << 20
	// MaxControl bounds a control message's bytes.
	MaxControl = 1 << 20
	// maxHead bounds the head of an HTTP request or answer; ours take about 100 bytes.
	maxHead = 4096
	// maxSpan bounds the durations of an answer: the longest window is 366 days.
	maxSpan = 367 * 24 * time.Hour
	// MaxBorrow is the most hits that an ask can borrow: what the largest power of two says that a limit's count has room for.
	MaxBorrow = 1 << (maxBorrowByte - 1)
	// MaxTerm is the longest term of a loan. Holders lend for some 100 ms; who believed in a longer one would hand out hits after
	// the slot that they were charged to.
	MaxTerm = time.Second
	// maxLeft is the longest time left that an entry can name, in milliseconds (about 65 s; callers wait at most 10).
	maxLeft = 1<<16 - 1
)

// Timers. They belong to the family of PROTOCOL.md section 6, where Attempt and Down have their inequalities.
const (
	// Attempt is how long one sending of a batch waits for its answer.
	Attempt = 100 * time.Millisecond
	// Total is how long a batch is tried before its asks fail.
	Total = 250 * time.Millisecond
	// lookTime is how long an answer is looked for that is not there in time: it may have come while this process did not run.
	lookTime = time.Millisecond
	// Down is how long a pipe that failed fails its asks at once.
	Down = 300 * time.Millisecond
	// MailAttempt is how long an urgent packet of mail waits for its answer; one with lines waits bulkAttempts times as long.
	MailAttempt  = 100 * time.Millisecond
	bulkAttempts = 20
	// sweepGap is the least time between two sweeps of a lane: how much later than its deadline an ask may be answered.
	sweepGap = 4 * time.Millisecond
	// maxTries bounds how often a batch is sent, so that a member that hangs up at once is not hammered.
	maxTries = 8
)

// Paths of the three kinds of request.
const (
	BatchPath   = "/peer/v1/batch"
	ControlPath = "/peer/v1/control"
	MailPath    = "/peer/v1/mail"
)
