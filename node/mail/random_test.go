package mail

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

const partitions = 4093

// random makes messages.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 77))} }

func (r random) name() string {
	switch r.IntN(8) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("x", 1+r.IntN(peer.MaxName))
	}
	return fmt.Sprint("n", r.IntN(400))
}

// number is small, large, or the largest.
func (r random) number() uint64 {
	if r.IntN(20) == 0 {
		return math.MaxUint64
	}
	return r.Uint64() >> r.IntN(64)
}

func (r random) age() hold.Age { return hold.Age(r.number() >> 1) }

func (r random) bool() bool { return r.IntN(2) == 0 }

func (r random) hold() hold.Hold {
	return hold.Hold{Epoch: r.number(), Start: r.Uint64(), Name: r.name()}
}

func (r random) version() hold.Version {
	if r.bool() {
		return hold.Version{}
	}
	return hold.Version{Epoch: r.number(), Start: r.Uint64(), Seq: r.number()}
}

func (r random) code() hold.StoreCode { return hold.StoreCode(1 + r.IntN(int(hold.NotReady))) }

func (r random) lines() *bucket.Lines {
	if r.IntN(4) == 0 {
		return nil
	}
	l := &bucket.Lines{Seq: r.number(), Whole: r.bool()}
	for range r.IntN(3) {
		l.Past = append(l.Past, bucket.Past{Name: bucket.Name{Epoch: r.Uint64(), Start: r.Uint64()}, Seq: r.Uint64()})
	}
	for range 1 + r.IntN(3) {
		l.Histories = append(l.Histories, r.history(r.IntN(5)))
	}
	return l
}

func (r random) history(records int) bucket.Copy {
	c := bucket.Copy{Name: bucket.Name{Epoch: r.Uint64(), Start: r.Uint64()}, Seq: r.Uint64(), Records: make([]bucket.Record, records)}
	for i := range c.Records {
		c.Records[i] = bucket.Record{ID: bucket.ID{Key: r.Uint64(), Line: r.Uint64()}, Clock: r.Uint64(), Marks: [5]uint64{r.Uint64(), 2, r.Uint64(), 4, 5}}
	}
	return c
}

// message makes a message of a kind, complete with its lines.
func (r random) message(kind Kind) hold.Message {
	part := hold.Part(r.IntN(partitions))
	switch kind {
	case Ask:
		return &hold.Ask{Part: part, Round: r.Uint64(), Target: r.hold(), InFlight: r.bool(), Epoch: r.number()}
	case Answer:
		return &hold.Answer{Part: part, Round: r.Uint64(), Verdict: hold.Verdict(1 + r.IntN(int(hold.PROMISE))), Hold: r.hold(), Floor: r.number(),
			Copy: r.version(), By: r.name(), Keeper: r.name()}
	case Nominate:
		m := &hold.Nominate{Part: part, Target: r.hold(), Asked: r.number(), Epoch: r.number(), Took: r.age()}
		for range r.IntN(4) {
			m.Olds = append(m.Olds, r.name())
		}
		return m
	case Release:
		return &hold.Release{Part: part, Epoch: r.number()}
	case Probe:
		return &hold.Probe{Part: part, ID: r.Uint64(), Target: r.hold(), Epoch: r.number()}
	case Probed:
		return &hold.Probed{Part: part, ID: r.Uint64(), Yes: r.bool(), Busy: r.bool(), Hold: r.hold()}
	case Holds:
		return &hold.Holds{Part: part, Hold: r.hold(), Keeper: r.name()}
	case Who:
		return &hold.Who{}
	case Backup:
		m := &hold.Backup{Part: part, Hold: r.hold(), Base: r.version(), Seq: r.number(), Round: r.number()}
		if l := r.lines(); l != nil {
			m.Lines = l
		}
		return m
	case Acks:
		m := &hold.Acks{}
		for range 1 + r.IntN(5) {
			m.List = append(m.List, hold.Ack{Part: hold.Part(r.IntN(partitions)), Round: r.number()})
		}
		return m
	case Refused:
		return &hold.Refused{Part: part, Hold: r.hold(), Under: r.hold(), Round: r.number(), Code: hold.Lower + hold.StoreCode(r.IntN(4))}
	case Drop:
		return &hold.Drop{Part: part, Hold: r.hold(), Seq: r.number(), Round: r.number(), Keeper: r.name()}
	case Flip:
		m := &hold.Flip{Part: part, From: r.hold(), Hold: r.hold(), History: bucket.Name{Epoch: r.number(), Start: r.Uint64()}, Base: r.version(),
			Seq: r.number(), Leaving: r.bool(), Doubt: r.age()}
		if l := r.lines(); l != nil {
			m.Lines = l
		}
		return m
	case Flipped:
		m := &hold.Flipped{Part: part, Flip: r.hold(), OK: r.bool(), Hold: r.hold(), Floor: r.number()}
		if !m.OK {
			m.Code = r.code()
		}
		return m
	case Return:
		m := &hold.Return{Part: part, Hold: r.hold(), Round: r.Uint64()}
		if l := r.lines(); l != nil {
			m.Lines = l
		}
		return m
	case Returned:
		return &hold.Returned{Part: part, Round: r.Uint64(), OK: r.bool(), Hold: r.hold()}
	case Pings:
		return &Ping{}
	case Forgets:
		return &Forget{Name: "n" + fmt.Sprint(r.IntN(9)), Start: r.Uint64()}
	}
	panic("no such kind")
}

// packetOf writes one packet of messages.
func packetOf(messages ...hold.Message) []byte {
	var w writer
	w.begin(nil)
	for _, m := range messages {
		w.message(m, linesOf(m))
	}
	return w.end()
}

// read returns what is in a packet.
func read(packet []byte) ([]hold.Message, error) {
	var r reader
	var got []hold.Message
	err := r.packet(packet, partitions, func(m hold.Message, _ *bucket.Lines) error {
		got = append(got, m)
		return nil
	})
	return got, err
}
