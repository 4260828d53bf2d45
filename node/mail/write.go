package mail

import (
	"encoding/binary"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

// A packet on the wire: a version byte, then messages one after another to the end. A message is its kind, one byte, and its
// fields, with the partition as the first, two bytes. Start IDs and rounds are 8 bytes little-endian, epochs and counts
// varints, lines as package bucket has them. A name is one byte: 0 for none, the number of a name that this packet has
// defined, from 1 in the order in which they came, or 255, and then the name's length, one byte, and its bytes. That defines it.
// Packets have few names and many messages. After 254 names, further ones are written out each time.
const (
	version = 1

	newName  = 255
	maxNames = newName - 1

	flagLines   = 1
	flagLeaving = 2
)

// A writer writes a packet. It is for one goroutine.
type writer struct {
	b     []byte
	names [maxNames]string
	n     int
	index map[string]byte // of the names from few on
}

// few is how many names are faster searched than looked up.
const few = 8

// begin starts a packet that is appended to dst.
func (w *writer) begin(dst []byte) {
	w.b = append(dst, version)
	w.n = 0
	clear(w.index)
}

// end returns dst with the packet.
func (w *writer) end() []byte {
	b := w.b
	w.b = nil
	return b
}

// message writes one message.
func (w *writer) message(m hold.Message, lines *bucket.Lines) {
	kind := KindOf(m)
	w.b = append(w.b, byte(kind))
	if kind.parted() {
		w.b = binary.LittleEndian.AppendUint16(w.b, uint16(m.Of()))
	}
	switch m := m.(type) {
	case *hold.Ask:
		w.fixed(m.Round)
		w.hold(&m.Target)
		w.flag(m.InFlight)
		w.number(m.Epoch)
	case *hold.Answer:
		w.fixed(m.Round)
		w.b = append(w.b, byte(m.Verdict))
		w.hold(&m.Hold)
		w.number(m.Floor)
		w.version(&m.Copy)
		w.name(m.By)
		w.name(m.Keeper)
	case *hold.Nominate:
		w.hold(&m.Target)
		w.number(m.Asked)
		w.number(m.Epoch)
		w.age(m.Took)
		olds := m.Olds[:min(len(m.Olds), maxOlds)]
		w.number(uint64(len(olds)))
		for _, name := range olds {
			w.name(name)
		}
	case *hold.Release:
		w.number(m.Epoch)
	case *hold.Probe:
		w.fixed(m.ID)
		w.hold(&m.Target)
		w.number(m.Epoch)
	case *hold.Probed:
		w.fixed(m.ID)
		w.flag(m.Yes)
		w.flag(m.Busy)
		w.hold(&m.Hold)
	case *hold.Holds:
		w.hold(&m.Hold)
		w.name(m.Keeper)
	case *hold.Backup:
		w.hold(&m.Hold)
		w.version(&m.Base)
		w.number(m.Seq)
		w.number(m.Round)
		w.lines(0, lines)
	case *hold.Acks:
		acks := m.List[:min(len(m.List), MaxAcks)]
		w.number(uint64(len(acks)))
		for _, a := range acks {
			w.b = binary.LittleEndian.AppendUint16(w.b, uint16(a.Part))
			w.number(a.Round)
		}
	case *hold.Refused:
		w.hold(&m.Hold)
		w.hold(&m.Under)
		w.number(m.Round)
		w.b = append(w.b, byte(m.Code))
	case *hold.Drop:
		w.hold(&m.Hold)
		w.number(m.Seq)
		w.number(m.Round)
		w.name(m.Keeper)
	case *hold.Flip:
		w.hold(&m.From)
		w.hold(&m.Hold)
		w.number(m.History.Epoch)
		w.fixed(m.History.Start)
		w.version(&m.Base)
		w.number(m.Seq)
		w.age(m.Doubt)
		var flags byte
		if m.Leaving {
			flags = flagLeaving
		}
		w.lines(flags, lines)
	case *hold.Flipped:
		w.hold(&m.Flip)
		w.flag(m.OK)
		w.b = append(w.b, byte(m.Code))
		w.hold(&m.Hold)
		w.number(m.Floor)
	case *hold.Return:
		w.hold(&m.Hold)
		w.fixed(m.Round)
		w.lines(0, lines)
	case *hold.Returned:
		w.fixed(m.Round)
		w.flag(m.OK)
		w.hold(&m.Hold)
	case *Forget:
		w.name(m.Name)
		w.fixed(m.Start)
	}
}

// parted reports whether messages of the kind are of one partition.
func (k Kind) parted() bool { return k != Who && k != Pings && k != Forgets && k != Acks }

func (w *writer) fixed(v uint64)  { w.b = binary.LittleEndian.AppendUint64(w.b, v) }
func (w *writer) number(v uint64) { w.b = binary.AppendUvarint(w.b, v) }

// age writes a duration in ns; none is less than 0.
func (w *writer) age(v hold.Age) { w.number(uint64(max(v, 0))) }

func (w *writer) flag(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *writer) hold(h *hold.Hold) {
	w.number(h.Epoch)
	w.fixed(h.Start)
	w.name(h.Name)
}

func (w *writer) version(v *hold.Version) {
	w.number(v.Epoch)
	w.fixed(v.Start)
	w.number(v.Seq)
}

func (w *writer) lines(flags byte, lines *bucket.Lines) {
	if lines == nil {
		w.b = append(w.b, flags)
		return
	}
	w.b = append(w.b, flags|flagLines)
	w.b = bucket.AppendLines(w.b, lines)
}

// name writes a name of at most peer.MaxName bytes; package members lets no longer one in.
func (w *writer) name(s string) {
	if s == "" {
		w.b = append(w.b, 0)
		return
	}
	for i := range min(w.n, few) {
		if w.names[i] == s {
			w.b = append(w.b, byte(i+1))
			return
		}
	}
	if i, ok := w.index[s]; ok {
		w.b = append(w.b, i)
		return
	}
	if w.n < maxNames {
		w.names[w.n] = s
		w.n++
		if w.n > few {
			if w.index == nil {
				w.index = make(map[string]byte)
			}
			w.index[s] = byte(w.n)
		}
	}
	w.b = append(w.b, newName, byte(len(s)))
	w.b = append(w.b, s...)
}
