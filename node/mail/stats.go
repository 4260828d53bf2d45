package mail

import (
	"sync/atomic"

	"github.com/stint-limiter/stint/bucket"
)

// Stats counts mail of all members together. All of it only rises. Read it at any time.
type Stats struct {
	Out       [Kinds]atomic.Uint64 // messages put into packets
	In        [Kinds]atomic.Uint64 // messages delivered
	Full      [Kinds]atomic.Uint64 // messages refused because too many wait for the member
	Replaced  atomic.Uint64        // messages that a later one took the place of before they were sent
	LinesOut  atomic.Uint64        // lines put into packets
	LinesIn   atomic.Uint64        // lines delivered
	InboxFull atomic.Uint64        // packets refused because too much waits here
	Bad       atomic.Uint64        // packets that could not be read
}

// A tally counts messages and lines of one packet.
type tally struct {
	kinds [Kinds]uint64
	lines uint64
}

func (t *tally) add(k Kind, lines *bucket.Lines) {
	t.kinds[k]++
	if lines != nil {
		t.lines += uint64(lines.Len())
	}
}

func (t *tally) into(kinds *[Kinds]atomic.Uint64, lines *atomic.Uint64) {
	for k, n := range t.kinds {
		if n > 0 {
			kinds[k].Add(n)
		}
	}
	lines.Add(t.lines)
}
