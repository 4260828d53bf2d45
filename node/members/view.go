package members

import (
	"cmp"
	"slices"
)

// A State says what gossip knows of a member.
type State uint8

const (
	Alive     State = iota
	Suspect         // left this node's last direct probe unanswered; dead in some seconds unless it answers somebody
	Left            // said goodbye
	Dead            // stopped answering without a goodbye
	Forgotten       // dead, and an operator said that it will not come back: nobody waits for it or calls it
)

func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Left:
		return "left"
	case Forgotten:
		return "forgotten"
	}
	return "dead"
}

// A Member is one member as this node knows it. Members can be compared with ==.
type Member struct {
	Name    string
	StartID uint64 // tells one run of a node from the next
	// Where it listens for gossip, for peers and for checks, each as host:port with an IP address.
	Addr, PeerAddr, DataAddr string
	State                    State
	Serving                  bool // it may hold partitions; a node that is still starting does not
	Leaving                  bool // it is handing over and will say goodbye
	RingID                   uint64
	Version                  string
	Patience                 float64 // the factor of its timers, to a thousandth; 0: it does not say
}

// Live reports whether the member counts as there: alive, or suspected but not given up.
func (m Member) Live() bool { return m.State == Alive || m.State == Suspect }

// A Refusal is a peer that was kept out.
type Refusal struct {
	Name, Addr string
	Why        string
}

// A View is the membership at one moment: immutable, to be read from any goroutine without a lock.
type View struct {
	Seq     uint64 // grows by one with each view of this node
	Self    string
	Members []Member  // sorted by name, this node included, and the last 100 that left or died
	Refused []Refusal // the last 16 peers that were kept out, oldest first
}

// Get returns the member with a name.
func (v *View) Get(name string) (Member, bool) {
	i, ok := slices.BinarySearchFunc(v.Members, name, func(m Member, name string) int { return cmp.Compare(m.Name, name) })
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}

// OtherPatience returns the members present whose timers have another factor than this node's, as far as they say.
func (v *View) OtherPatience() []Member {
	self, _ := v.Get(v.Self)
	if self.Patience == 0 {
		return nil
	}
	var list []Member
	for _, m := range v.Members {
		if m.Live() && m.Patience != 0 && m.Patience != self.Patience {
			list = append(list, m)
		}
	}
	return list
}

// A ChangeKind says what became of a member between two views.
type ChangeKind uint8

const (
	Joined   ChangeKind = iota // it is there, and was not before under this start ID
	Departed                   // it said goodbye
	Died                       // it is gone without a goodbye
	Updated                    // it is still there; something else about it changed
	Forgot                     // it had died, and nobody waits for it any more
)

func (k ChangeKind) String() string {
	return [...]string{"joined", "departed", "died", "updated", "forgot"}[k]
}

// A Change is one step between two views. Member is as it is now; for Died, Departed and Forgot, as it was last while
// there, with its last state.
type Change struct {
	Kind   ChangeKind
	Member Member
}

// Since returns what changed from an older view to v, by name; old may be nil. A member that was restarted, even
// so fast that gossip never missed it, died under its old start ID and joined under its new one.
func (v *View) Since(old *View) []Change {
	if old == nil {
		old = &View{}
	}
	var changes []Change
	add := func(k ChangeKind, m Member) { changes = append(changes, Change{k, m}) }
	i, j := 0, 0
	for i < len(old.Members) || j < len(v.Members) {
		switch {
		case j == len(v.Members) || i < len(old.Members) && old.Members[i].Name < v.Members[j].Name:
			if was := old.Members[i]; was.Live() { // died and was forgotten between the two views
				was.State = Dead
				add(Died, was)
			}
			i++
		case i == len(old.Members) || v.Members[j].Name < old.Members[i].Name:
			if v.Members[j].Live() {
				add(Joined, v.Members[j])
			}
			j++
		default:
			between(old.Members[i], v.Members[j], add)
			i, j = i+1, j+1
		}
	}
	return changes
}

// between adds what happened to one name.
func between(was, is Member, add func(ChangeKind, Member)) {
	gone := func(m Member, s State) {
		m.State = s
		if s == Left {
			add(Departed, m)
		} else {
			add(Died, m)
		}
	}
	switch {
	case was.Live() && is.Live():
		if was.StartID != is.StartID {
			gone(was, Dead)
			add(Joined, is)
		} else if was != is {
			add(Updated, is)
		}
	case was.Live():
		if was.StartID != is.StartID { // it was back, and went again, in between
			gone(was, Dead)
		} else {
			gone(was, is.State)
		}
	case is.Live():
		add(Joined, is)
	case was.State != Left && is.State == Left && was.StartID == is.StartID:
		gone(is, Left) // its goodbye came after its death was noticed
	}
	if is.State == Forgotten && (was.State != Forgotten || was.StartID != is.StartID) {
		add(Forgot, is)
	}
}
