package main

import (
	"bytes"
	"compress/lzw"
	bin "encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stint-limiter/stint/bench/proc"
)

// Hostile gossip, over UDP and TCP: what memberlist reads before it knows who sent it, and what it would read without a
// secret. The addresses in it are loopback's, as a node may be made to answer them.

// Types of memberlist's messages.
const (
	gossipPing = iota
	gossipIndirect
	gossipAck
	gossipSuspect
	gossipAlive
	gossipDead
	gossipPushPull
	gossipCompound
	gossipUser
	gossipCompress
	gossipEncrypt
	gossipNack
	gossipCRC
	gossipErr
	gossipLabel = 244
)

type gossipWeapon struct {
	*arena
	bomb []byte // 30 MiB of zeros, compressed

	// heavy is held for what makes a node without a secret take hundreds of MiB: memberlist's caps are that high, and the machine is shared.
	heavy sync.Mutex
}

func newGossipWeapon(a *arena) *gossipWeapon {
	var b bytes.Buffer
	z := lzw.NewWriter(&b, lzw.LSB, 8)
	zeros := make([]byte, 1<<20)
	zeros[0] = gossipUser
	for range 30 {
		z.Write(zeros)
	}
	z.Close()
	return &gossipWeapon{arena: a, bomb: b.Bytes()}
}

func message(kind byte, v any) []byte {
	b, err := msgpack.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append([]byte{kind}, b...)
}

type fields = map[string]any

// packet is one of memberlist's messages, or what looks like it. None of them is a membership that a node would take.
func (w *gossipWeapon) packet(r *rand.Rand, depth int) (what string, b []byte) {
	short := random(r, r.IntN(24))
	name := pick(r, "mallory", "", strings.Repeat("n", 300), string(short))
	switch r.IntN(14) {
	case 0:
		return "random bytes", random(r, r.IntN(1400))
	case 1:
		return "a type and random bytes", append([]byte{byte(r.IntN(16))}, random(r, r.IntN(300))...)
	case 2:
		return "ping", message(gossipPing, fields{"SeqNo": r.Uint32(), "Node": name})
	case 3:
		// The target is asked on behalf of the sender; addresses of other lengths than 4 and 16 are what lies here.
		return "indirect ping", message(gossipIndirect, fields{"SeqNo": r.Uint32(), "Target": pick(r, []byte{127, 0, 0, 1}, nil, []byte{127}, make([]byte, 17)), "Port": 9, "Node": name, "Nack": r.IntN(2) == 0})
	case 4:
		return "answers nobody asked for", message(pick[byte](r, gossipAck, gossipNack), fields{"SeqNo": r.Uint32(), "Payload": short})
	case 5:
		return "suspect or dead", message(pick[byte](r, gossipSuspect, gossipDead), fields{"Incarnation": r.Uint32(), "Node": "mallory" + string(short), "From": name})
	case 6:
		return "alive", message(gossipAlive, fields{"Incarnation": r.Uint32(), "Node": name, "Addr": pick(r, []byte{127, 0, 0, 1}, nil, []byte{1}, make([]byte, 99)), "Port": 9,
			"Meta": random(r, r.IntN(600)), "Vsn": random(r, r.IntN(8))})
	case 7:
		return "user message", append([]byte{gossipUser}, pick(r, short, []byte{1}, append([]byte{1}, bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 1, 1, 'm'}, 200)...))...)
	case 8:
		inner := random(r, 100)
		if depth < 3 {
			_, inner = w.packet(r, depth+1)
		}
		sum := crc32.ChecksumIEEE(inner)
		if r.IntN(2) == 0 {
			sum++
		}
		return "checksum", append(bin.BigEndian.AppendUint32([]byte{gossipCRC}, sum), inner...)
	case 9:
		c := []byte{gossipCompound, byte(r.IntN(256))}
		for range r.IntN(40) {
			c = bin.BigEndian.AppendUint16(c, pick[uint16](r, 0, 1, 9, 65535))
		}
		return "compound with lying lengths", append(c, random(r, r.IntN(500))...)
	case 10:
		// One in the other, as deep as a packet holds.
		c := []byte{gossipPing}
		for len(c) < 60_000 {
			n := len(c)
			if n > 65535 {
				break
			}
			c = append([]byte{gossipCompound, 1, byte(n >> 8), byte(n)}, c...)
			if depth > 0 || len(c) > 4000 && r.IntN(2) == 0 {
				break
			}
		}
		return "compound in compound", c
	case 11:
		return "compressed bomb", message(gossipCompress, fields{"Algo": 0, "Buf": w.bomb})
	case 12:
		return "compressed garbage", message(gossipCompress, fields{"Algo": pick(r, 0, 0, 1, 255), "Buf": pick(r, short, []byte{}, w.bomb[:r.IntN(len(w.bomb))])})
	default:
		b := message(byte(r.IntN(14)), pick[any](r, []any{1, "x"}, fields{}, fields{"Node": fields{"Node": 1}}, nil, 1, strings.Repeat("s", 1000), fields{"Buf": 1, "SeqNo": "x", "Node": []int{1}}))
		return "fields of other types", b[:1+r.IntN(len(b))]
	}
}

// dress puts a packet into the label and the look of encryption, or of neither.
func dress(r *rand.Rand, b []byte) []byte {
	switch r.IntN(8) {
	case 0:
		return b
	case 1:
		return append([]byte{gossipLabel, byte(r.IntN(256))}, b...)
	case 2:
		return append([]byte{gossipLabel, 5, 's', 't', 'i'}, b[:min(len(b), r.IntN(3))]...)
	case 3:
		return append([]byte("\xf4\x05stint\xf4\x05stint"), b...)
	case 4:
		// Encryption's version, a nonce, and what should be a tag.
		return append([]byte("\xf4\x05stint"), append([]byte{pick[byte](r, 0, 1, 2, 255)}, random(r, r.IntN(64))...)...)
	default:
		return append([]byte("\xf4\x05stint"), b...)
	}
}

func (w *gossipWeapon) fire(r *rand.Rand, at *proc.Node) {
	if r.IntN(3) > 0 {
		what, b := w.packet(r, 0)
		b = dress(r, b)
		if w.secret == "" && strings.Contains(what, "compress") {
			w.heavy.Lock()
			defer w.heavy.Unlock()
		}
		w.udp(at, "packet: "+what, b)
		return
	}
	s := w.stream(r)
	if w.secret == "" {
		w.heavy.Lock()
		defer w.heavy.Unlock()
	}
	w.send("gossip", at.Gossip(), s)
}

func (w *gossipWeapon) udp(at *proc.Node, what string, b []byte) {
	w.count("gossip", "shot "+what, 1)
	c, err := net.Dial("udp", at.Gossip())
	if err != nil {
		w.count("gossip", "could not connect", 1)
		return
	}
	defer c.Close()
	// A packet is gone when it is sent. Faster than it can be read the kernel would drop most of them.
	c.Write(b[:min(len(b), 65_000)])
	time.Sleep(time.Millisecond)
}

// stream is what comes over TCP.
func (w *gossipWeapon) stream(r *rand.Rand) shot {
	label := []byte("\xf4\x05stint")
	s := shot{hold: r.IntN(3) == 0}
	switch r.IntN(7) {
	case 0:
		what, b := w.packet(r, 0)
		s.what, s.pieces = "stream: "+what, [][]byte{dress(r, b)}
	case 1:
		n := pick[uint32](r, 1<<32-1, 20<<20+1, 20<<20, 1<<31, 0, 1, 12, 28)
		s.what = "stream: encrypted, with a length that lies"
		s.pieces = [][]byte{label, bin.BigEndian.AppendUint32([]byte{gossipEncrypt}, n), random(r, r.IntN(2000))}
	case 2:
		// What memberlist takes in before it can tell that it is from a stranger.
		n := pick(r, 1<<20, 20<<20)
		s.what, s.hold = "stream: encrypted, and as long as it says", false
		s.pieces = [][]byte{label, bin.BigEndian.AppendUint32([]byte{gossipEncrypt}, uint32(n)), bytes.Repeat(random(r, 1<<10), n>>10)}
	case 3:
		s.what = "stream: state with counts that lie"
		s.pieces = [][]byte{label, message(gossipPushPull, fields{"Nodes": pick(r, 1<<20, 1<<31, -1, 1<<62, 5), "UserStateLen": pick(r, 0, 20<<20, -1, 1<<40), "Join": true}), random(r, 200)}
	case 4:
		s.what = "stream: user message with a length that lies"
		s.pieces = [][]byte{label, message(gossipUser, fields{"UserMsgLen": pick(r, 20<<20, 1<<40, -1, 100)}), random(r, 90)}
	case 5:
		s.what, s.pieces = "stream: compressed bomb", [][]byte{label, message(gossipCompress, fields{"Algo": 0, "Buf": w.bomb})}
	default:
		s.what, s.pieces = "stream: random bytes", [][]byte{random(r, r.IntN(5000))}
	}
	return s
}
