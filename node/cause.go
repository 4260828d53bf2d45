package node

import "github.com/stint-limiter/stint/node/members"

// A cause says why partitions changed hands, for logs and metrics.
type cause uint8

const (
	byStart cause = iota // this node began
	byCrash              // a member is gone without a goodbye, or was started anew
	byLeave              // a member leaves or has left, or this one does
	byJoin               // a member joined
	causes
)

func (c cause) String() string { return [...]string{"start", "crash", "leave", "join"}[c] }

// causeOf picks the worst of what has changed: a crash explains a loss better than the join beside it.
func causeOf(changes []members.Change, phase Phase) cause {
	switch phase {
	case Starting:
		return byStart
	case Leaving:
		return byLeave
	}
	worst := byJoin
	for _, c := range changes {
		switch {
		case c.Kind == members.Died:
			return byCrash
		case c.Kind == members.Departed, c.Kind == members.Updated && c.Member.Leaving:
			worst = byLeave
		}
	}
	return worst
}
