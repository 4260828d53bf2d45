package members

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testConstants = "partitions=4093 factor=100 load=1.1 hash=xxh3 library=consistent-1.0.0"

// A world is a cluster in one synctest bubble: the real memberlist with its real timers, in fake time, over MemNet.
type world struct {
	*testing.T
	net   MemNet
	runs  uint64
	stops []func()
	log   logBuffer
}

func inWorld(t *testing.T, f func(w *world)) {
	// With the race detector two processors can crash go1.26.8 in a bubble full of tickers: see inBubble in package node.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t}
		defer func() {
			for _, stop := range w.stops {
				stop()
			}
			time.Sleep(time.Minute) // for memberlist's last probes; time stands still once this function is done
		}()
		f(w)
		if t.Failed() && testing.Verbose() {
			t.Log(w.log.String())
		}
	})
}

// logBuffer takes the logs of several nodes.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// at is the address of host i.
func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7072)
}

// start starts a node on host i that calls the other hosts given.
func (w *world) start(name string, i int, change func(*Config), seeds ...int) *Members {
	w.Helper()
	m, err := w.tryStart(name, i, change, seeds...)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func (w *world) tryStart(name string, i int, change func(*Config), seeds ...int) (*Members, error) {
	t, err := w.net.Listen(at(i))
	if err != nil {
		return nil, err
	}
	w.runs++
	cfg := Config{
		Name: name, StartID: w.runs, PeerPort: 7071, DataPort: 7070,
		Constants: testConstants, HashKey: 42, Version: "test", Transport: t,
		Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	for _, s := range seeds {
		cfg.Seeds = append(cfg.Seeds, at(s).String())
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err == nil {
		w.stops = append(w.stops, func() { m.Close() })
	}
	return m, err
}

// cluster starts n nodes n0, n1… on hosts of the same numbers and waits until they see each other.
func (w *world) cluster(n int) []*Members {
	w.Helper()
	var all []*Members
	for i := range n {
		all = append(all, w.start(fmt.Sprint("n", i), i, nil, 0, 1))
	}
	for _, m := range all {
		await(w, m, 20*time.Second, func(v *View) bool { return live(v) == n })
	}
	return all
}

// await waits for a view.
func await(t testing.TB, m *Members, limit time.Duration, ok func(*View) bool) *View {
	t.Helper()
	late := time.After(limit)
	for {
		v := m.View()
		if ok(v) {
			return v
		}
		select {
		case <-m.Changed():
		case <-late:
			t.Fatalf("%s still sees %v after %v", v.Self, v.Members, limit)
		}
	}
}

func live(v *View) int {
	n := 0
	for _, m := range v.Members {
		if m.Live() {
			n++
		}
	}
	return n
}

func is(name string, s State) func(*View) bool {
	return func(v *View) bool { m, ok := v.Get(name); return ok && m.State == s }
}

func TestJoin(t *testing.T) {
	inWorld(t, func(w *world) {
		first := w.start("n0", 0, nil, 0)
		if first.Seeded() || !first.Alone() {
			t.Errorf("a node whose only seed is itself: seeded %v, alone %v", first.Seeded(), first.Alone())
		}
		second := w.start("n1", 1, nil, 0)
		if second.Alone() {
			t.Error("a node with a seed thinks it is alone")
		}
		for _, m := range []*Members{first, second} {
			v := await(t, m, 3*time.Second, func(v *View) bool { return live(v) == 2 })
			want := []Member{
				{Name: "n0", StartID: 1, Addr: "10.0.0.0:7072", PeerAddr: "10.0.0.0:7071", DataAddr: "10.0.0.0:7070", Version: "test"},
				{Name: "n1", StartID: 2, Addr: "10.0.0.1:7072", PeerAddr: "10.0.0.1:7071", DataAddr: "10.0.0.1:7070", Version: "test"},
			}
			if !slices.Equal(v.Members, want) {
				t.Errorf("%s sees %v, want %v", v.Self, v.Members, want)
			}
			if !m.Seeded() {
				t.Errorf("%s heard another member and is not seeded", v.Self)
			}
		}
	})
}

// A node that starts before its seed joins soon after the seed is there.
func TestSeedComesLater(t *testing.T) {
	inWorld(t, func(w *world) {
		m := w.start("n1", 1, nil, 0)
		time.Sleep(time.Minute)
		if m.Seeded() {
			t.Error("seeded by nobody")
		}
		if !strings.Contains(w.log.String(), "a seed does not answer") {
			t.Error("a minute without the seed, and no word about it")
		}
		w.start("n0", 0, nil)
		await(t, m, 2*time.Second, is("n0", Alive))
	})
}

func TestCrash(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		before := all[0].View()
		all[2].Close()
		await(t, all[0], 10*time.Second, is("n2", Suspect))
		if live(all[0].View()) != 3 {
			t.Error("a suspect does not count as there")
		}
		for _, m := range all[:2] {
			await(t, m, 20*time.Second, is("n2", Dead))
		}
		if got := kinds(all[0].View().Since(before)); got != "died n2" {
			t.Errorf("n0 sees %q, want n2's death", got)
		}
	})
}

// A suspect that answers again is cleared.
func TestSuspectRecovers(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(2)
		w.net.Link(func(from, to netip.AddrPort) bool { return false })
		await(t, all[0], 5*time.Second, is("n1", Suspect))
		w.net.Link(nil)
		await(t, all[0], 5*time.Second, is("n1", Alive))
	})
}

// Back within 200 ms, the node was never missed; its new start ID is all that tells.
func TestQuickRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		before := all[0].View()
		old, _ := before.Get("n2")
		all[2].Close()
		time.Sleep(150 * time.Millisecond)
		again := w.start("n2", 2, nil, 0, 1)
		for _, m := range all[:2] {
			v := await(t, m, 3*time.Second, func(v *View) bool { n, _ := v.Get("n2"); return n.StartID != old.StartID })
			if n, _ := v.Get("n2"); n.State != Alive || n.StartID != w.runs {
				t.Errorf("%s sees %v after the restart", v.Self, n)
			}
		}
		if got := kinds(all[0].View().Since(before)); got != "died n2, joined n2" {
			t.Errorf("n0 sees %q, want a death and a join", got)
		}
		await(t, again, 3*time.Second, func(v *View) bool { return live(v) == 3 })
		select {
		case err := <-again.Fatal():
			t.Errorf("its own ghost drove the restarted node away: %v", err)
		default:
		}
	})
}

// A crashed node may come back at another address as soon as the others gave it up.
func TestRestartElsewhere(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		all[2].Close()
		again := w.start("n2", 9, nil, 0, 1)
		for _, m := range all[:2] {
			await(t, m, 30*time.Second, func(v *View) bool {
				n, _ := v.Get("n2")
				return n.State == Alive && n.StartID == w.runs && n.Addr == at(9).String()
			})
		}
		await(t, again, 30*time.Second, func(v *View) bool { return live(v) == 3 })
		select {
		case err := <-again.Fatal():
			t.Errorf("its own ghost drove the node away: %v", err)
		default:
		}
	})
}

// A pause or cut of a minute: both sides gave each other up, and memberlist has forgotten. The calls heal it.
func TestHealAfterSplit(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(4)
		side := func(a netip.AddrPort) bool { return a == at(0) || a == at(1) }
		w.net.Link(func(from, to netip.AddrPort) bool { return side(from) == side(to) })
		for i, m := range all {
			await(t, m, time.Minute, func(v *View) bool { return live(v) == 2 && is(fmt.Sprint("n", (i+2)%4), Dead)(v) })
		}
		time.Sleep(2 * time.Minute)
		w.net.Link(nil)
		for _, m := range all {
			await(t, m, 15*time.Second, func(v *View) bool { return live(v) == 4 })
		}
	})
}

// The same where the nodes that parted have no seed in common with those on the other side.
func TestHealWithoutSeeds(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start("a", 0, nil)
		b := w.start("b", 1, nil, 0)
		await(t, a, 5*time.Second, is("b", Alive))
		c := w.start("c", 2, nil, 1)
		await(t, c, 5*time.Second, is("a", Alive))
		b.Leave(time.Second) // a and c never had each other for a seed
		w.net.Link(func(from, to netip.AddrPort) bool { return false })
		await(t, a, time.Minute, is("c", Dead))
		await(t, c, time.Minute, is("a", Dead))
		time.Sleep(5 * time.Minute)
		w.net.Link(nil)
		await(t, a, 15*time.Second, is("c", Alive))
		await(t, c, 15*time.Second, is("a", Alive))
	})
}

func TestSetLocal(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		all[0].SetLocal(Local{Serving: true, RingID: 1})
		all[0].SetLocal(Local{Serving: true, RingID: 77})
		for _, m := range all {
			await(t, m, 3*time.Second, func(v *View) bool { n, _ := v.Get("n0"); return n.Serving && n.RingID == 77 && !n.Leaving })
		}
		before := all[1].View()
		all[0].SetLocal(Local{Serving: true, Leaving: true, RingID: 78})
		await(t, all[1], 3*time.Second, func(v *View) bool { n, _ := v.Get("n0"); return n.Leaving && n.RingID == 78 })
		if got := kinds(all[1].View().Since(before)); got != "updated n0" {
			t.Errorf("n1 sees %q, want an update", got)
		}
	})
}

// What a node says of itself gets through also while it is being accused, and refuting takes incarnations away.
func TestSetLocalWhileAccused(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		cut := func(from, to netip.AddrPort) bool { return from != at(0) }
		for i := range uint64(20) {
			w.net.Link(cut)
			time.Sleep(1700 * time.Millisecond)
			w.net.Link(nil)
			all[0].SetLocal(Local{Serving: true, RingID: i + 1})
			time.Sleep(1300 * time.Millisecond)
		}
		for _, m := range all {
			await(t, m, 10*time.Second, func(v *View) bool { n, _ := v.Get("n0"); return n.State == Alive && n.RingID == 20 })
		}
	})
}

// Where nothing changes nothing is gossiped: there are the probes, and an exchange now and then.
func TestQuiet(t *testing.T) {
	inWorld(t, func(w *world) {
		all := w.cluster(3)
		all[0].SetLocal(Local{Serving: true, RingID: 1})
		time.Sleep(30 * time.Second)
		var sent atomic.Int64
		w.net.Link(func(from, to netip.AddrPort) bool { sent.Add(1); return true })
		seq := all[1].View().Seq
		time.Sleep(time.Minute)
		// Each of 3 nodes probes another once a second and is answered: 360 packets.
		if n := sent.Load(); n > 400 {
			t.Errorf("%d packets in a minute in which nothing changed", n)
		}
		if all[1].View().Seq != seq {
			t.Error("a new view without a change")
		}
	})
}

func kinds(changes []Change) string {
	var s []string
	for _, c := range changes {
		s = append(s, c.Kind.String()+" "+c.Member.Name)
	}
	return strings.Join(s, ", ")
}
