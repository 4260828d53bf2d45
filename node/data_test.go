package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/members"
	"github.com/stint-limiter/stint/node/snapshot"
	"github.com/stint-limiter/stint/ring"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/peer"
)

// nobody is the gossip of a node that has nobody to call.
type nobody struct{ view members.View }

func (g *nobody) View() *members.View       { return &g.view }
func (g *nobody) Changed() <-chan struct{}  { return nil }
func (g *nobody) SetLocal(members.Local)    {}
func (g *nobody) Alone() bool               { return true }
func (g *nobody) Leave(time.Duration) error { return nil }
func (g *nobody) Close() error              { return nil }

// lone starts a node without others that keeps its snapshots in dir, and waits until it serves.
func lone(t *testing.T, dir string) *Node {
	t.Helper()
	start := lastStart.Add(1)
	n, err := New(Config{
		Name: "n0", StartID: start, Data: dir, Hasher: bucket.NewHasher(nil), MaxLines: 10_000, Timers: patient, Log: slog.New(slog.DiscardHandler),
		Gossip: &nobody{members.View{Seq: 1, Self: "n0", Members: []members.Member{{Name: "n0", StartID: start}}}},
		Pipe:   func(peer.PipeConfig) (*peer.Pipe, error) { panic("nobody to call") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	eventually(t, "ready", n.Ready)
	return n
}

func leaveNow(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if err := n.Leave(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("leaving nobody took %v", took)
	}
	n.Close()
}

func spentAt(n *Node, key string, hits int64, l transport.Limit) transport.Decision {
	return ask(&one{Node: n}, hits, key, l)
}

// What was spent is there after a stop of all nodes: of the only one, here. Several times over, so that what was restored is kept again.
func TestDataOutlivesAStop(t *testing.T) {
	dir := t.TempDir()
	l := limit(t, "5/1h")
	n := lone(t, dir)
	for k := range 300 {
		spentAt(n, fmt.Sprint("key", k), 3, l)
	}
	leaveNow(t, n)
	if d := spentAt(n, "key0", 1, l); d.Via != transport.ViaUnavailable {
		t.Errorf("decided after the last snapshot: %+v", d)
	}
	for run := range uint32(3) {
		n = lone(t, dir)
		for k := range 300 {
			want := uint32(2)
			if k == 7 {
				want -= min(run, 2)
			}
			if d := spentAt(n, fmt.Sprint("key", k), 0, l); d.Remaining != want {
				t.Fatalf("start %d, key %d: %+v, want %d remaining", run, k, d, want)
			}
		}
		if d := spentAt(n, "key7", 1, l); d.Allowed != (run < 2) {
			t.Errorf("start %d: %+v", run, d)
		}
		if s := n.Stats().Snapshot; s.Restored != ring.Partitions || s.Lost != 0 {
			t.Errorf("start %d: %+v", run, s)
		}
		leaveNow(t, n)
	}
	// Epochs go on: a receipt of before names nothing now.
	if e, _ := n.table.Partition(0).Epoch(); e < 4 {
		t.Errorf("epoch %d after four starts", e)
	}
}

// A snapshot that is of no use keeps nobody from starting.
func TestDataThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	l := limit(t, "5/1h")
	n := lone(t, dir)
	spentAt(n, "key", 3, l)
	leaveNow(t, n)
	path := snapshot.Path(dir, "n0")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	n = lone(t, dir)
	if s := n.Stats().Snapshot; s.Restored == 0 || s.Lost == 0 || s.Restored+s.Lost != ring.Partitions {
		t.Errorf("%+v", s)
	}
	if d := spentAt(n, "other", 5, l); !d.Allowed || d.Via == transport.ViaUnavailable {
		t.Errorf("%+v", d)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("set aside: %v", list)
	}
	leaveNow(t, n)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("no snapshot after the leave: %v", err)
	}
}

// A leave that runs out of time, here as all who could take over are dead, still writes the snapshot: in the last quarter of its time.
func TestDataOfALeaveWithoutTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSim(t, t.Name(), 1, true)
		s.data = t.TempDir()
		defer s.end()
		s.boot()
		x := s.live()[0]
		l := limit(t, "5/1h")
		for k := range 100 {
			s.request(x, check(fmt.Sprint("key", k), 1, l))
		}
		for _, other := range s.live()[1:] {
			s.crash(other, true)
		}
		const bound = 300 * time.Millisecond
		if took := s.leaveWithin(x, bound); took > bound+goodbyeLeast {
			t.Errorf("it took %v, of %v", took, bound)
		}
		if !s.logged(x.name, "leaving before everything is handed over") || !s.logged(x.name, "saved a snapshot") {
			t.Error("it handed everything over, or saved nothing")
		}
		if _, err := os.Stat(snapshot.Path(s.data, x.name)); err != nil {
			t.Error(err)
		}
	})
}
