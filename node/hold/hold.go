package hold

import (
	"cmp"
	"fmt"
)

// A Hold says that a member holds a partition from an epoch on. It is a fact about the past once it is installed, and higher ones
// are newer.
type Hold struct {
	Epoch uint64
	Start uint64 // start ID of the holder
	Name  string // "": nobody is known to hold it
}

// Compare orders holds of one partition: the higher one is the newer.
func (h Hold) Compare(o Hold) int {
	return cmp.Or(cmp.Compare(h.Epoch, o.Epoch), cmp.Compare(h.Start, o.Start), cmp.Compare(h.Name, o.Name))
}

// Claims take odd epochs and handoffs even ones. So a member that hears who holds it by now knows whether that is the hold that it
// handed over. Else: a handoff is lost, its receiver claims from an older copy, and the sender, hearing of the very hold that it had sent,
// believes that its last changes arrived.

func claimEpoch(above uint64) uint64 { return (above + 1) | 1 }
func flipEpoch(above uint64) uint64  { return (above + 2) &^ 1 }

func (h Hold) less(o Hold) bool { return h.Compare(o) < 0 }

// Known reports whether it says anything: that somebody holds.
func (h Hold) Known() bool { return h.Epoch > 0 }

// String is for logs: "3 by n1".
func (h Hold) String() string {
	if !h.Known() {
		return "nobody"
	}
	return fmt.Sprintf("%d by %s", h.Epoch, h.Name)
}

// A Version orders copies of one partition: under a higher hold, or under one hold with more changes, is newer. Zero is no copy.
type Version struct {
	Epoch, Start uint64 // of the hold that the copy was made under
	Seq          uint64 // changes of the partition, counted by its holder and handed on with it
}

// Compare orders versions.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), cmp.Compare(v.Start, o.Start), cmp.Compare(v.Seq, o.Seq))
}

// A State is what a node has of a partition.
type State uint8

const (
	None      State = iota // nothing
	Held                   // this node decides, unless it is unsure
	Copy                   // lines for a crash of the holder
	Frozen                 // handing over: nobody decides
	Returning              // another holds it by now, and has yet to hear what was spent here
)

var stateNames = [...]string{"none", "held", "copy", "frozen", "returning"}

func (s State) String() string { return stateNames[s] }
