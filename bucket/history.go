package bucket

// A Name names a history: the epoch and start ID of whoever claimed the partition and began it. A history goes on under
// its name when the partition is handed over. The zero Name is that of a partition nobody has named.
type Name struct{ Epoch, Start uint64 }

// A history is what was spent in a partition since it was claimed.
type history struct {
	lines
	name Name
	seq  uint64 // rises with every change
}

// maxHistories is how many histories a partition may have: its own, and three that are not yet merged with it.
const maxHistories = 4
