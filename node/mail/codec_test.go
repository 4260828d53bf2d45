package mail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
	"github.com/stint-limiter/stint/transport/peer"
)

func TestEveryMessageArrivesAsItWasSent(t *testing.T) {
	for kind := Kind(1); kind < Kinds; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			r := newRandom(uint64(kind))
			for range 2000 {
				m := r.message(kind)
				if KindOf(m) != kind {
					t.Fatalf("%T is of kind %v", m, KindOf(m))
				}
				packet := packetOf(m)
				if most := 1 + sizeOf(m, linesOf(m)); len(packet) > most {
					t.Fatalf("%d bytes, believed to be at most %d: %+v", len(packet), most, m)
				}
				got, err := read(packet)
				if err != nil || !reflect.DeepEqual(got, []hold.Message{m}) {
					t.Fatalf("got  %+v, %v\nsent %+v", got, err, m)
				}
			}
		})
	}
}

func TestAPacketOfManyMessagesArrivesInOrder(t *testing.T) {
	// One writer and one reader for all: what they keep from one packet must not show in the next.
	var w writer
	var rd reader
	for seed := range uint64(200) {
		r := newRandom(seed)
		var sent, got []hold.Message
		for range r.IntN(1000) {
			sent = append(sent, r.message(1+Kind(r.IntN(int(Kinds)-1))))
		}
		w.begin(nil)
		for _, m := range sent {
			w.message(m, linesOf(m))
		}
		packet := w.end()
		err := rd.packet(packet, partitions, func(m hold.Message, lines *bucket.Lines) error {
			if linesOf(m) != lines {
				t.Fatalf("%T has other lines than came with it", m)
			}
			got = append(got, m)
			return nil
		})
		clear(packet) // nothing may point into it
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// A packet ends with its last message: one byte less or more is an error that says where.
func TestAPacketThatIsCutIsRefused(t *testing.T) {
	r := newRandom(5)
	for kind := Kind(1); kind < Kinds; kind++ {
		for range 20 {
			m := r.message(kind)
			packet := packetOf(&hold.Release{Part: 1, Epoch: 2}, m)
			begin := len(packetOf(&hold.Release{Part: 1, Epoch: 2}))
			for n := begin + 1; n < len(packet); n++ {
				_, err := read(packet[:n])
				if !errors.Is(err, ErrBad) || !strings.Contains(err.Error(), fmt.Sprintf("message %v at byte %d of %d", kind, begin, n)) {
					t.Fatalf("%v cut to %d of %d bytes: %v", kind, n, len(packet), err)
				}
			}
			if _, err := read(append(packet, 0)); !errors.Is(err, errKind) {
				t.Fatalf("%v with a byte behind it: %v", kind, err)
			}
		}
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	part := []byte{1, 0}
	h := append([]byte{3}, make([]byte, 9)...) // epoch 3, start 0, no name
	v := make([]byte, 10)
	u := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	join := func(kind Kind, fields ...[]byte) []byte {
		return append([]byte{version, byte(kind)}, bytes.Join(fields, nil)...)
	}
	long := strings.Repeat("x", peer.MaxName+1)
	tests := []struct {
		name   string
		packet []byte
		want   error
	}{
		{"nothing", nil, errVersion},
		{"another version", []byte{version + 1}, errVersion},
		{"kind 0", join(0), errKind},
		{"the first kind that there is not", join(Kinds), errKind},
		{"a partition too high", join(Release, []byte{partitions & 255, partitions >> 8}, u(1)), errPartition},
		{"a number of 11 bytes", join(Release, part, bytes.Repeat([]byte{0x80}, 10), u(1)), errNumber},
		{"a name that was not defined", join(Holds, part, h[:9], []byte{1}, []byte{0}), errName},
		{"a name without bytes", join(Holds, part, h[:9], []byte{newName, 0}, []byte{0}), errName},
		{"a name too long", join(Holds, part, h[:9], []byte{newName, byte(len(long))}, []byte(long), []byte{0}), errName},
		{"a name that ends outside", join(Holds, part, h[:9], []byte{newName, 60}, []byte("ab")), errShort},
		{"forgetting nobody", join(Forgets, []byte{0}, v[:8]), errName},
		{"a flag that is no 1", join(Returned, part, v[:8], []byte{2}, h), errFlag},
		{"flags of a backup", join(Backup, part, h, v, u(1), u(1), []byte{2}), errFlag},
		{"flags of a flip", join(Flip, part, h, h, v[:9], v, u(1), u(1), []byte{4}), errFlag},
		{"a doubt before the world began", join(Flip, part, h, h, v[:9], v, u(1), u(1<<63), []byte{0}), errNumber},
		{"no verdict", join(Answer, part, v[:8], []byte{0}, h, u(1), v, []byte{0, 0}), errCode},
		{"verdict 6", join(Answer, part, v[:8], []byte{6}, h, u(1), v, []byte{0, 0}), errCode},
		{"no code", join(Refused, part, h, h, u(1), []byte{0}), errCode},
		{"refused, and stored", join(Refused, part, h, h, u(1), []byte{byte(hold.Stored)}), errCode},
		{"no acknowledgements", join(Acks, u(0)), errAcks},
		{"too many acknowledgements", join(Acks, u(MaxAcks+1), make([]byte, 3*(MaxAcks+1))), errAcks},
		{"more acknowledgements than bytes", join(Acks, u(9), make([]byte, 26)), errAcks},
		{"an acknowledgement of a partition too high", join(Acks, u(2), part, u(1), []byte{partitions & 255, partitions >> 8}, u(1)), errPartition},
		{"code 6", join(Flipped, part, h, []byte{0, 6}, h, u(1)), errCode},
		{"too many names", join(Nominate, part, h, u(1), u(1), u(1), u(maxOlds+1), make([]byte, maxOlds+1)), errOlds},
		{"more names than bytes", join(Nominate, part, h, u(1), u(1), u(1), u(9), make([]byte, 8)), errOlds},
	}
	for _, test := range tests {
		got, err := read(test.packet)
		if !errors.Is(err, ErrBad) || !errors.Is(err, test.want) || len(got) != 0 {
			t.Errorf("%s: got %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

// The longest lists and names that are sent can be read.
func TestTheLimitsThemselvesAreGood(t *testing.T) {
	name := strings.Repeat("x", peer.MaxName)
	m := &hold.Nominate{Target: hold.Hold{Epoch: 1, Name: name}, Olds: make([]string, maxOlds)}
	for i := range m.Olds {
		m.Olds[i] = fmt.Sprintf("%064d", i)
	}
	if got, err := read(packetOf(m)); err != nil || !reflect.DeepEqual(got[0], m) {
		t.Fatal(got, err)
	}
	cut := *m
	cut.Olds = append(m.Olds, "one more")
	if got, err := read(packetOf(&cut)); err != nil || !reflect.DeepEqual(got[0], m) {
		t.Fatal("what is too much is left out", got, err)
	}
}

func TestHoldsOfAllPartitionsAreSmall(t *testing.T) {
	if n := len(packetOf(allHolds()...)); n > 100_000 {
		t.Fatalf("%d bytes", n)
	}
}

// allHolds are those of one member that holds everything.
func allHolds() []hold.Message {
	var all []hold.Message
	for p := range partitions {
		all = append(all, &hold.Holds{Part: hold.Part(p), Hold: hold.Hold{Epoch: uint64(100 + p%200), Start: 1763780000123456789, Name: "node-1"}, Keeper: fmt.Sprint("node-", p%5)})
	}
	return all
}

// A partition's lines fit into one packet, whatever else there is to say.
func TestALongestBackupFitsAPacket(t *testing.T) {
	m := &hold.Backup{Hold: hold.Hold{Epoch: 1<<64 - 1, Name: strings.Repeat("x", peer.MaxName)}}
	lines := &bucket.Lines{}
	for range 4 {
		lines.Histories = append(lines.Histories, bucket.Copy{Records: make([]bucket.Record, bucket.MaxPartitionLines/4)})
	}
	m.Lines = lines
	if n := len(packetOf(m)); n > peer.MaxMail {
		t.Fatalf("%d bytes", n)
	}
}

func TestPointersToMessagesHaveKinds(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a message by value was taken")
		}
	}()
	KindOf(hold.Who{})
}

func FuzzRead(f *testing.F) {
	r := newRandom(1)
	for kind := Kind(1); kind < Kinds; kind++ {
		f.Add(packetOf(r.message(kind), r.message(kind)))
	}
	f.Add(packetOf(allHolds()[:5]...))
	f.Fuzz(func(t *testing.T, packet []byte) {
		got, err := read(packet)
		if err != nil {
			if !errors.Is(err, ErrBad) {
				t.Fatal(err)
			}
			return
		}
		for _, m := range got {
			if p := m.Of(); p < 0 || p >= partitions {
				t.Fatalf("%T of partition %d", m, p)
			}
		}
		again, err := read(packetOf(got...))
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%v\ngot   %+v\nagain %+v", err, got, again)
		}
	})
}
