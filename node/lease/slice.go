package lease

// The holder's side. What a loan may be charged to, and for how long, is bucket.Partition.Lend's.

const (
	// A holder lends one member no more than a part in shareOfRest of what is left, divided by all members: all of them together leave three
	// quarters to whoever asks the holder.
	shareOfRest = 4
	// Below one part in nearLimit of the limit nothing is lent: every hit goes to the holder, so that none is denied while somebody else has it in a purse.
	nearLimit = 20
	// leastSlice is the least that is worth giving back.
	leastSlice = 8
)

// Slice returns how many hits a holder should lend to a member that wishes for some, 0 for none: limit and remaining are those of
// the check's deciding limit, the one with the least remaining, and members is how many there are, the holder included.
func Slice(limit, remaining, wish uint32, members int) uint32 {
	if remaining < limit/nearLimit {
		return 0
	}
	most := uint32(uint64(remaining) / uint64(shareOfRest*max(members, 1)))
	if most < leastSlice {
		return 0
	}
	return min(wish, most)
}
