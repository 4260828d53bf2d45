package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"
)

// A Hello is what all members of a cluster must agree on, and what they tell each other first: whoever differs would
// look for keys in other partitions, or find other lines for them. Each batch carries a hash of it.
type Hello struct {
	// Partitions is how many partitions the ring has.
	Partitions int
	// Constants are the others, in a fixed order: {"load", "1.1"}. At most 16, of at most 64 bytes each.
	Constants []Constant
	// HashKey is the fingerprint of the key that keys are hashed with (bucket.Hasher).
	HashKey uint64
}

// A Constant is one constant by name.
type Constant struct{ Name, Value string }

const (
	maxConstants = 16
	maxConstant  = 64
)

func (h *Hello) Kind() Kind { return KindHello }

func (h *Hello) Encode(w *Writer) {
	w.Array(3)
	w.Uint(uint64(h.Partitions))
	w.Uint(h.HashKey)
	w.Array(2 * len(h.Constants))
	for _, c := range h.Constants {
		w.String(c.Name)
		w.String(c.Value)
	}
}

func (h *Hello) Decode(r *Reader) error {
	r.Array(3)
	partitions := r.Uint()
	h.HashKey = r.Uint()
	n := r.ArrayMax(2*maxConstants, 1)
	if n%2 != 0 {
		return fmt.Errorf("a constant of a hello has no value")
	}
	h.Constants = make([]Constant, n/2)
	for i := range h.Constants {
		h.Constants[i] = Constant{r.String(maxConstant), r.String(maxConstant)}
	}
	if r.Err() != nil {
		return r.Err()
	}
	h.Partitions = int(min(partitions, 1<<16+1))
	return h.valid()
}

func (h *Hello) valid() error {
	if h.Partitions < 1 || h.Partitions > 1<<16 {
		return fmt.Errorf("%d partitions: a cluster has 1 to 65536", h.Partitions)
	}
	if len(h.Constants) > maxConstants {
		return fmt.Errorf("%d constants: a hello has at most %d", len(h.Constants), maxConstants)
	}
	for _, c := range h.Constants {
		if len(c.Name) > maxConstant || len(c.Value) > maxConstant {
			return fmt.Errorf("constant %q: name and value have at most %d bytes", c.Name, maxConstant)
		}
	}
	return nil
}

// Differs returns nil if both are of one cluster, else an error that wraps ErrDiffers and names the first thing that
// differs, with the value here (h) and there.
func (h *Hello) Differs(there *Hello) error {
	if h.Partitions != there.Partitions {
		return fmt.Errorf("%w: partitions is %d here and %d there", ErrDiffers, h.Partitions, there.Partitions)
	}
	for i := range max(len(h.Constants), len(there.Constants)) {
		var a, b Constant
		if i < len(h.Constants) {
			a = h.Constants[i]
		}
		if i < len(there.Constants) {
			b = there.Constants[i]
		}
		switch {
		case a == b:
		case a.Name == b.Name:
			return fmt.Errorf("%w: %s is %q here and %q there", ErrDiffers, a.Name, a.Value, b.Value)
		default:
			return fmt.Errorf("%w: constant %d is %q here and %q there", ErrDiffers, i, a.Name, b.Name)
		}
	}
	if h.HashKey != there.HashKey {
		return fmt.Errorf("%w: the hash keys differ (--hash-key-file); fingerprints %016x here and %016x there",
			ErrDiffers, h.HashKey, there.HashKey)
	}
	return nil
}

// sum is what batches carry of a hello.
func (h *Hello) sum() uint64 {
	var b []byte
	b = binary.AppendUvarint(b, uint64(h.Partitions))
	b = binary.AppendUvarint(b, h.HashKey)
	for _, c := range h.Constants {
		b = binary.AppendUvarint(b, uint64(len(c.Name)))
		b = append(b, c.Name...)
		b = binary.AppendUvarint(b, uint64(len(c.Value)))
		b = append(b, c.Value...)
	}
	return xxh3.Hash(b)
}

// Hello says hello to the member and returns its. The error wraps ErrDiffers where the clusters differ, ErrRestarted
// where the member has another start ID than the pipe believes.
func (p *Pipe) Hello(ctx context.Context) (*Hello, error) {
	var there Hello
	if err := p.Control(ctx, &p.cfg.Hello, &there); err != nil {
		return nil, err
	}
	if err := p.cfg.Hello.Differs(&there); err != nil {
		return nil, fmt.Errorf("hello to %q: %w", p.cfg.Peer.Name, err)
	}
	return &there, nil
}

// sayAgain is the least time between two log lines about nodes of other clusters: whoever reaches the port of a cluster
// without a secret could fill the disk with them.
const sayAgain = time.Minute

// foreigner logs that a node of another cluster said hello, or counts it for the next line.
func (s *Server) foreigner(from Member, err error, now time.Time) {
	s.mu.Lock()
	if s.foreigners++; now.Sub(s.foreignSaid) < sayAgain {
		s.mu.Unlock()
		return
	}
	times := s.foreigners
	s.foreigners, s.foreignSaid = 0, now
	s.mu.Unlock()
	s.log.Error("a node of another cluster said hello", "name", from.Name, "err", err, "hellos_since_last_said", times)
}

func (s *Server) registerHello() {
	Handle(s, func(from Member, there *Hello) (Message, error) {
		if err := s.cfg.Hello.Differs(there); err != nil {
			s.foreigner(from, err, time.Now())
			return nil, err
		}
		return &s.cfg.Hello, nil
	})
}
