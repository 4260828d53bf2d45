package lease

// The holder's side. What a loan may be charged to, and for how long, is bucket.Partition.Lend's.

const (
	// A holder lends one member no more than a part in shareOfRest of what is left, divided by all members: all of them together leave three
	// quarters to whoever asks the holder.
	shareOfRest = 4
	// Below one part in nearLimit of the limit nothing is lent: every hit goes to the holder, so that none is denied while somebody else has it in a purse.
	nearLimit = 20
	// leastSlice is the least that is worth giving back, and leastChecks how many checks like the one that it is lent with it must do for: with
	// fewer, others would miss it sooner than it is of use.
	leastSlice  = 8
	leastChecks = 4
)

// Slice returns how many hits a holder should lend to a member that wishes for some, with a check of `hits` hits; 0 for none. limit and remaining are
// those of the check's deciding limit, the one with the least remaining, and members is how many there are, the holder included.
func Slice(limit, remaining, wish, hits uint32, members int) uint32 {
	if remaining < limit/nearLimit {
		return 0
	}
	most := uint32(uint64(remaining) / uint64(shareOfRest*max(members, 1)))
	n := min(wish, most)
	if most < leastSlice || uint64(n) < leastChecks*uint64(hits) {
		return 0
	}
	return n
}
