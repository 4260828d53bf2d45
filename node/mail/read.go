package mail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

// ErrBad is what the error of a packet that cannot be read wraps.
var ErrBad = errors.New("mail: cannot read packet")

var (
	errVersion   = errors.New("not a packet of this version")
	errKind      = errors.New("unknown kind of message")
	errShort     = errors.New("packet ends within the message")
	errNumber    = errors.New("number out of range")
	errFlag      = errors.New("unknown flags")
	errCode      = errors.New("unknown code")
	errPartition = errors.New("partition out of range")
	errName      = errors.New("name has no bytes or too many, or was not defined")
	errOlds      = errors.New("too many names")
	errAcks      = errors.New("no acknowledgements, or too many")
)

// A reader reads a packet. The first error stays, and all that is read after it is zero. A reader may be used again; it keeps the
// names of the last packet, which are most likely those of the next.
type reader struct {
	b     []byte
	at    int
	err   error
	names [maxNames]string
	n     int

	asks     hold.Slab[hold.Ask]
	answers  hold.Slab[hold.Answer]
	releases hold.Slab[hold.Release]
	probes   hold.Slab[hold.Probe]
	probeds  hold.Slab[hold.Probed]
	holds    hold.Slab[hold.Holds]
	backups  hold.Slab[hold.Backup]
	drops    hold.Slab[hold.Drop]
}

// packet reads a packet and calls take with each message, until one of them fails. What is taken is the caller's; none of it points into
// the packet. The partitions of messages are below that number.
func (r *reader) packet(b []byte, partitions int, take func(m hold.Message, lines *bucket.Lines) error) error {
	r.b, r.at, r.err, r.n = b, 0, nil, 0
	defer func() { r.b = nil }()
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("%w: %w: do the members run different versions?", ErrBad, errVersion)
	}
	r.at = 1
	for r.at < len(b) {
		from, kind := r.at, Kind(b[r.at])
		r.at++
		m, lines := r.message(kind, partitions)
		if r.err != nil {
			return fmt.Errorf("%w: message %v at byte %d of %d: %w", ErrBad, kind, from, len(b), r.err)
		}
		if err := take(m, lines); err != nil {
			return err
		}
	}
	return nil
}

// message reads what follows the kind.
func (r *reader) message(kind Kind, partitions int) (hold.Message, *bucket.Lines) {
	if kind == 0 || kind >= Kinds {
		r.fail(errKind)
		return nil, nil
	}
	var part hold.Part
	if kind.parted() {
		if part = r.part(); int(part) >= partitions {
			r.fail(errPartition)
		}
	}
	switch kind {
	case Ask:
		m := r.asks.New()
		*m = hold.Ask{Part: part, Round: r.fixed(), Target: r.hold(), InFlight: r.flags(1) != 0, Epoch: r.number()}
		return m, nil
	case Answer:
		m := r.answers.New()
		*m = hold.Answer{Part: part, Round: r.fixed(), Verdict: hold.Verdict(r.code(byte(hold.HOLD), byte(hold.PROMISE))), Hold: r.hold(),
			Floor: r.number(), Copy: r.version(), By: r.name(), Keeper: r.name()}
		return m, nil
	case Nominate:
		return &hold.Nominate{Part: part, Target: r.hold(), Asked: r.number(), Epoch: r.number(), Took: r.age(), Olds: r.olds()}, nil
	case Release:
		m := r.releases.New()
		*m = hold.Release{Part: part, Epoch: r.number()}
		return m, nil
	case Probe:
		m := r.probes.New()
		*m = hold.Probe{Part: part, ID: r.fixed(), Target: r.hold(), Epoch: r.number()}
		return m, nil
	case Probed:
		m := r.probeds.New()
		*m = hold.Probed{Part: part, ID: r.fixed(), Yes: r.flags(1) != 0, Busy: r.flags(1) != 0, Hold: r.hold()}
		return m, nil
	case Holds:
		m := r.holds.New()
		*m = hold.Holds{Part: part, Hold: r.hold(), Keeper: r.name()}
		return m, nil
	case Who:
		return &hold.Who{}, nil
	case Backup:
		m := r.backups.New()
		*m = hold.Backup{Part: part, Hold: r.hold(), Base: r.version(), Seq: r.number(), Round: r.number()}
		lines := r.lines(r.flags(flagLines))
		if lines != nil {
			m.Lines = lines
		}
		return m, lines
	case Acks:
		return &hold.Acks{List: r.acks(partitions)}, nil
	case Refused:
		return &hold.Refused{Part: part, Hold: r.hold(), Under: r.hold(), Round: r.number(), Code: hold.StoreCode(r.code(byte(hold.Lower), byte(hold.NotReady)))}, nil
	case Drop:
		m := r.drops.New()
		*m = hold.Drop{Part: part, Hold: r.hold(), Seq: r.number(), Round: r.number(), Keeper: r.name()}
		return m, nil
	case Flip:
		return r.flip(part)
	case Flipped:
		return &hold.Flipped{Part: part, Flip: r.hold(), OK: r.flags(1) != 0, Code: hold.StoreCode(r.code(0, byte(hold.NotReady))), Hold: r.hold(), Floor: r.number()}, nil
	case Return:
		m := &hold.Return{Part: part, Hold: r.hold(), Round: r.fixed()}
		lines := r.lines(r.flags(flagLines))
		if lines != nil {
			m.Lines = lines
		}
		return m, lines
	case Returned:
		return &hold.Returned{Part: part, Round: r.fixed(), OK: r.flags(1) != 0, Hold: r.hold()}, nil
	case Pings:
		return &Ping{}, nil
	default:
		m := &Forget{Name: r.name(), Start: r.fixed()}
		if m.Name == "" {
			r.fail(errName)
		}
		return m, nil
	}
}

func (r *reader) flip(part hold.Part) (hold.Message, *bucket.Lines) {
	m := &hold.Flip{Part: part, From: r.hold(), Hold: r.hold()}
	m.History.Epoch = r.number()
	m.History.Start = r.fixed()
	m.Base, m.Seq = r.version(), r.number()
	m.Doubt = r.age()
	flags := r.flags(flagLines | flagLeaving)
	m.Leaving = flags&flagLeaving != 0
	lines := r.lines(flags & flagLines)
	if lines != nil {
		m.Lines = lines
	}
	return m, lines
}

// fail ends the reading: nothing is left.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.b, r.at = nil, 0
	}
}

func (r *reader) part() hold.Part {
	if len(r.b)-r.at < 2 {
		r.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint16(r.b[r.at:])
	r.at += 2
	return hold.Part(v)
}

func (r *reader) fixed() uint64 {
	if len(r.b)-r.at < 8 {
		r.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b[r.at:])
	r.at += 8
	return v
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail(errShort)
		return 0
	}
	v := r.b[r.at]
	r.at++
	return v
}

func (r *reader) number() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	switch {
	case n > 0:
		r.at += n
	case n == 0:
		r.fail(errShort)
	default:
		r.fail(errNumber)
	}
	return v
}

func (r *reader) age() hold.Age {
	v := r.number()
	if v > math.MaxInt64 {
		r.fail(errNumber)
		return 0
	}
	return hold.Age(v)
}

// flags reads a byte in which no other bits than these are set.
func (r *reader) flags(known byte) byte {
	v := r.byte()
	if v&^known != 0 {
		r.fail(errFlag)
		return 0
	}
	return v
}

func (r *reader) code(least, most byte) byte {
	v := r.byte()
	if v < least || v > most {
		r.fail(errCode)
	}
	return v
}

func (r *reader) hold() hold.Hold {
	return hold.Hold{Epoch: r.number(), Start: r.fixed(), Name: r.name()}
}

func (r *reader) version() hold.Version {
	return hold.Version{Epoch: r.number(), Start: r.fixed(), Seq: r.number()}
}

func (r *reader) name() string {
	i := int(r.byte())
	switch {
	case i == 0:
		return ""
	case i <= r.n:
		return r.names[i-1]
	case i < newName:
		r.fail(errName)
		return ""
	}
	n := int(r.byte())
	if r.err != nil {
		return ""
	}
	if n == 0 || n > peer.MaxName {
		r.fail(errName)
		return ""
	}
	if n > len(r.b)-r.at {
		r.fail(errShort)
		return ""
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	if r.n == maxNames {
		return string(b)
	}
	if r.names[r.n] != string(b) {
		r.names[r.n] = string(b)
	}
	r.n++
	return r.names[r.n-1]
}

func (r *reader) olds() []string {
	n := r.number()
	if n == 0 || r.err != nil {
		return nil
	}
	if n > maxOlds || n > uint64(len(r.b)-r.at) {
		r.fail(errOlds)
		return nil
	}
	names := make([]string, n)
	for i := range names {
		names[i] = r.name()
	}
	return names
}

func (r *reader) acks(partitions int) []hold.Ack {
	n := r.number()
	if n == 0 || n > MaxAcks || n > uint64(len(r.b)-r.at)/3 {
		r.fail(errAcks)
		return nil
	}
	acks := make([]hold.Ack, n)
	for i := range acks {
		if acks[i] = (hold.Ack{Part: r.part(), Round: r.number()}); acks[i].Of() >= partitions {
			r.fail(errPartition)
		}
	}
	return acks
}

func (r *reader) lines(there byte) *bucket.Lines {
	if there == 0 || r.err != nil {
		return nil
	}
	lines, _ := spareLines.Get().(*bucket.Lines)
	if lines == nil {
		lines = new(bucket.Lines)
	}
	rest, err := bucket.ReadLinesIn(lines, r.b[r.at:])
	if err != nil {
		r.fail(err)
		return nil
	}
	r.at = len(r.b) - len(rest)
	return lines
}
