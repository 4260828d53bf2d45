package hold

// A copy is sent, taken in and acknowledged for each partition that changed, every 50 ms: tens of thousands of messages and effects a second. They
// are the only ones that are so many, and are made here without garbage.

// An arena has room for effects that come in crowds. They are good until the next Step, which uses their memory again.
type arena[T any] struct {
	rooms [][]T // pointers into them are given out, so they do not grow
	n     int   // in use
}

const (
	arenaRoom = 64
	// keepRooms bounds what is kept after a crowd: two effects for each partition.
	keepRooms = 128
)

func (a *arena[T]) put(t T) *T {
	if a.n == len(a.rooms)*arenaRoom {
		a.rooms = append(a.rooms, make([]T, arenaRoom))
	}
	p := &a.rooms[a.n/arenaRoom][a.n%arenaRoom]
	*p = t
	a.n++
	return p
}

func (a *arena[T]) reset() {
	if a.n = 0; len(a.rooms) > keepRooms {
		a.rooms = nil
	}
}

// A Slab gives out messages that were allocated together. Messages may be kept by whoever they are sent to, so their memory is not used
// again; they all stay in memory until the last is let go of, so it is few.
type Slab[T any] []T

const slabSize = 32

// New returns the next one, which is zero.
func (s *Slab[T]) New() *T {
	if len(*s) == 0 {
		*s = make([]T, slabSize)
	}
	t := &(*s)[0]
	*s = (*s)[1:]
	return t
}

// A copy touches a partition's part of the machine and what is kept of its copy, a few places in memory that nobody has looked at for 50 ms. Expect reads
// them for some partitions together, so that the processor waits for all of them at once, and not for one after the other when their turn
// comes.
func (m *Machine) Expect(parts []int) {
	n := Age(0)
	for _, i := range parts {
		p := &m.parts[i]
		n += Age(p.state) + Age(len(p.keeper)) // two lines of the processor's
	}
	for _, i := range parts {
		if k := m.parts[i].keeping; k != nil {
			n += k.sentAt + Age(k.turn)
		}
	}
	m.expected = n // or the compiler would leave the reads out
}
