package hold

// A Route says where a partition's checks go.
type Route struct {
	Way  Way
	Hold Hold   // the highest hold known
	To   string // Forward: the holder; Through: the member that reaches it; Failover: who is to claim, which may be this node
	// Doubt: claimed at this time, 0: not. For Here only.
	Claimed Age
}

// Way is what to do with a check.
type Way uint8

const (
	Wait     Way = iota // nobody decides at this moment; ask again in a moment
	Here                // decide
	Forward             // ask the holder
	Through             // ask the holder through another member
	Failover            // the holder is gone, or does not answer: tell who is to claim
)
