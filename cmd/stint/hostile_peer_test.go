package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	bin "encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/zeebo/xxh3"

	"github.com/stint-limiter/stint/bench/proc"
	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// Hostile frames. They are made by hand after transport/peer/frame.go and control.go, and not with its writers: what
// must be refused is what its writers cannot write. A good batch among them shows that the others are bad for the reason
// that they mean to be. With a secret most carry a good MAC, for behind that the decoders begin.

type peersWeapon struct {
	*arena
	start    map[string]uint64 // of the members
	cluster  uint64
	sequence atomic.Uint64
	stranger string
}

func newPeersWeapon(a *arena) *peersWeapon {
	w := &peersWeapon{arena: a, start: a.members(), stranger: "mallory"}
	h := node.Hello(bucket.NewHasher(nil))
	b := bin.AppendUvarint(nil, uint64(h.Partitions))
	b = bin.AppendUvarint(b, h.HashKey)
	for _, c := range h.Constants {
		b = append(bin.AppendUvarint(b, uint64(len(c.Name))), c.Name...)
		b = append(bin.AppendUvarint(b, uint64(len(c.Value))), c.Value...)
	}
	w.cluster = xxh3.Hash(b)
	for _, n := range a.c.Nodes {
		w.goodBatch(n)
	}
	return w
}

// sign puts the MAC before a frame, where there is a secret.
func (w *peersWeapon) sign(path string, frame []byte) []byte {
	if w.secret == "" {
		return frame
	}
	key := hmac.New(sha256.New, []byte(w.secret))
	key.Write([]byte("stint peer v1\x00ask " + path))
	mac := hmac.New(sha256.New, key.Sum(nil))
	mac.Write(frame)
	return append(mac.Sum(nil)[:16], frame...)
}

// batch is the head of a batch from a stranger; what it says may lie.
type batch struct {
	magic, flags, lane byte
	count              uint16
	cluster            uint64
	start, target, seq uint64
	name               string
	nameLen            int // -1: the name's own
}

func (w *peersWeapon) good(at *proc.Node, count int) batch {
	return batch{magic: 'S', count: uint16(count), cluster: w.cluster, start: 7, target: w.start[at.Name], seq: w.sequence.Add(1), name: w.stranger, nameLen: -1}
}

func (h batch) bytes(entries []byte) []byte {
	b := []byte{h.magic, 'p', 'q', 2, h.flags, h.lane}
	b = bin.LittleEndian.AppendUint16(b, h.count)
	for _, v := range []uint64{h.cluster, h.start, h.target, h.seq} {
		b = bin.LittleEndian.AppendUint64(b, v)
	}
	n := h.nameLen
	if n < 0 {
		n = len(h.name)
	}
	return append(append(append(b, byte(n)), h.name...), entries...)
}

// entry is one hit on a key under 1000/1h.
func entry(key string) []byte {
	l, err := bucket.Parse("1000/1h")
	if err != nil {
		panic(err)
	}
	limit := transport.NewLimit("", transport.Inline, l)
	hash := bucket.NewHasher(nil).Key([]byte(key))
	id := hash.ID(limit.Window, limit.Scope)
	e := make([]byte, 44+18)
	bin.LittleEndian.PutUint16(e[0:], uint16(hash.Partition(ring.Partitions)))
	e[2] = 1                                // want
	bin.LittleEndian.PutUint32(e[4:], 1)    // times
	bin.LittleEndian.PutUint16(e[8:], 1000) // ms left
	bin.LittleEndian.PutUint64(e[12:], 1)   // hits
	bin.LittleEndian.PutUint64(e[36:], id.Key)
	bin.LittleEndian.PutUint64(e[44:], id.Line)
	bin.LittleEndian.PutUint32(e[52:], 1000)
	return e
}

// goodBatch spends one hit by hand, sends the same bytes again, and looks that one was spent.
func (w *peersWeapon) goodBatch(at *proc.Node) {
	key := w.keyOf(at, "by-hand")
	body := w.sign(peer.BatchPath, w.good(at, 1).bytes(entry(key)))
	for range 3 {
		replies := w.send("peers", at.Peers(), one("good batch", postBytes(peer.BatchPath, body)))
		if len(replies) != 1 || replies[0].status != 200 {
			w.fail("peers: a good batch made by hand: %+v: the test does not know the wire", replies)
			return
		}
	}
	if _, remaining := w.ask(at, key, 1000, 0); remaining != 999 {
		w.fail("peers: %d of 1000 remain after one batch that was sent three times, want 999", remaining)
		return
	}
	w.count("peers", "a good batch, by hand", 1)
}

func (w *peersWeapon) fire(r *rand.Rand, at *proc.Node) {
	var s shot
	switch r.IntN(6) {
	case 0, 1:
		s = w.badBatch(r, at)
	case 2:
		s = w.refusedBatch(r, at)
	case 3:
		s = w.control(r, at)
	case 4:
		s = badHTTP(r, peer.BatchPath, "x")
		s.want = 0
		for i, p := range s.pieces { // the same bytes are a frame as little as they are JSON
			s.pieces[i] = bytes.ReplaceAll(p, []byte("X-A"), []byte("X-B"))
		}
	default:
		h := w.good(at, 1)
		h.name = "trudy" // a mutated start ID may outdate all others of the name
		s = strangeHTTP(r, pick(r, peer.BatchPath, peer.ControlPath), string(mutate(r, w.sign(peer.BatchPath, h.bytes(entry(fodder(r)))))))
	}
	replies := w.send("peers", at.Peers(), s)
	for _, p := range replies {
		if p.status == 200 {
			w.status(s, p.body)
		}
	}
	w.judge("peers", s, replies, false)
}

// status counts what an answer of 200 says.
func (w *peersWeapon) status(s shot, body []byte) {
	if w.secret != "" {
		body = body[min(16, len(body)):]
	}
	if len(body) > 4 && bytes.HasPrefix(body, []byte("Spa\x02")) {
		w.count("peers", "status "+word(body[4], "?", "done", "restarted", "superseded", "stale", "differs", "busy"), 1)
		return
	}
	if len(body) > 2 && body[0] == 0x93 {
		w.count("peers", "verdict "+word(body[2], "done", "refused", "restarted", "superseded", "differs"), 1)
	}
}

func word(i byte, words ...string) string {
	if int(i) < len(words) {
		return words[i]
	}
	return fmt.Sprint(i)
}

// badBatch is a frame that no decoder may take: its first entry asks for a hit of a sentinel held there, or not.
func (w *peersWeapon) badBatch(r *rand.Rand, at *proc.Node) shot {
	good := entry(w.sentinel(r))
	h := w.good(at, 1)
	body := func(what string, frame []byte) shot {
		s := one(what, postBytes(peer.BatchPath, w.sign(peer.BatchPath, frame)))
		s.bad = true
		return s
	}
	second := func(change func(e []byte)) []byte {
		e := bytes.Clone(good)
		change(e)
		h.count = 2
		return h.bytes(append(bytes.Clone(good), e...))
	}
	switch r.IntN(7) {
	case 0:
		f := h.bytes(good)
		return body("truncated frame", f[:r.IntN(len(f))])
	case 1:
		h.count = pick[uint16](r, 0, 2, 3, 4096, 4097, 65535)
		return body("count that lies", h.bytes(good))
	case 2:
		return body("bytes after the frame", append(h.bytes(good), random(r, 1+r.IntN(200))...))
	case 3:
		switch r.IntN(5) {
		case 0:
			h.nameLen = pick(r, 0, 65, 255)
		case 1:
			h.magic = 'T'
		case 2:
			h.flags = 1 << r.IntN(8)
		case 3:
			h.lane = pick[byte](r, 8, 9, 255)
		case 4:
			h.name, h.nameLen = "", 0
		}
		return body("head that lies", h.bytes(good))
	case 4:
		return body("a bad entry behind a good one", second(func(e []byte) {
			switch r.IntN(9) {
			case 0:
				e[2] = pick[byte](r, 0, 2, 64, 65, 255)
			case 1:
				bin.LittleEndian.PutUint16(e, pick[uint16](r, 4093, 65535))
			case 2:
				e[3] = 0xfe
			case 3:
				bin.LittleEndian.PutUint32(e[4:], pick[uint32](r, 0, 65537, 1<<32-1))
			case 4:
				bin.LittleEndian.PutUint64(e[12:], pick[uint64](r, 1<<32, 1<<63, 1<<63-1))
			case 5:
				bin.LittleEndian.PutUint64(e[28:], 7) // a receipt, and hits that spend
			case 6:
				bin.LittleEndian.PutUint64(e[44:], pick[uint64](r, 0, 1<<28, 1<<64-1)) // the window
			case 7:
				bin.LittleEndian.PutUint32(e[52:], 0)
			case 8:
				e[60], e[61] = byte(3+r.IntN(250)), 0xfc
			}
		}))
	case 5:
		many := bytes.Repeat(good, 4300)
		h.count = 4096
		return body("too large", h.bytes(many)[:256<<10+1+r.IntN(1000)])
	default:
		s := one("wrong MAC", postBytes(peer.BatchPath, append(random(r, 16), h.bytes(good)...)))
		s.bad = true
		if w.secret != "" {
			s.want = 403
		}
		return s
	}
}

// refusedBatch is a good frame that is not for this node, now: it is answered, and nothing is decided.
func (w *peersWeapon) refusedBatch(r *rand.Rand, at *proc.Node) shot {
	h := w.good(at, 1)
	what := "for another start"
	switch r.IntN(4) {
	case 0:
		h.target += pick[uint64](r, 1, 1<<63, 1<<64-1)
	case 1:
		what, h.cluster = "of another cluster", h.cluster+1
	case 2:
		what, h.seq = "older than the last", 0
	case 3:
		what, h.start = "from an earlier start", 6
	}
	return one(what, postBytes(peer.BatchPath, w.sign(peer.BatchPath, h.bytes(entry(w.sentinel(r))))))
}

// control is a control message.
func (w *peersWeapon) control(r *rand.Rand, at *proc.Node) shot {
	pack := func(v ...any) []byte {
		var b bytes.Buffer
		enc := msgpack.NewEncoder(&b)
		enc.UseCompactInts(true)
		for _, x := range v {
			if err := enc.Encode(x); err != nil {
				panic(err)
			}
		}
		return b.Bytes()
	}
	signed := func(what string, b []byte) shot {
		return one(what, postBytes(peer.ControlPath, w.sign(peer.ControlPath, b)))
	}
	name := pick(r, "mallory", "n\x00\x1b[31m", string(random(r, 64)), fmt.Sprint("m", r.Uint32()))
	target := w.start[at.Name]
	good := pack([]any{1, 1, name, 7, target}, []any{4093, 1, []any{"factor", "100"}})
	switch r.IntN(7) {
	case 0:
		return signed("hello of another cluster", good)
	case 1:
		return signed("hello with other constants", pack([]any{1, 1, name, 7, target}, []any{r.IntN(4000), r.Uint64(), []any{string(random(r, 10)), fmt.Sprint(r.Uint32())}}))
	case 2:
		s := signed("truncated control message", good[:r.IntN(len(good))])
		s.bad = true
		return s
	case 3:
		s := signed("control message with lying lengths", append(pick(r, []byte{0xdd}, pack([]any{1, 1, name, 7, target}, 0)[:0:0], []byte{0x95, 1, 1, 0xdb}, []byte{0x95, 1, 1, 0xc6},
			append(pack([]any{1, 1, name, 7, target}), 0x93, 1, 1, 0xdd), append(pack([]any{1, 1, name, 7, target}), 0x93, 1, 1, 0x92, 0xdb)), 0xff, 0xff, 0xff, 0xff))
		s.bad = true
		return s
	case 4:
		return signed("control message of an unknown kind", pack([]any{1, 2 + r.IntN(250), name, 7, target}, []any{}))
	case 5:
		s := signed("control message too large", append(bytes.Clone(good), make([]byte, 1<<20)...))
		s.bad, s.want = true, 413
		return s
	default:
		return signed("mutated control message", mutate(r, good))
	}
}
