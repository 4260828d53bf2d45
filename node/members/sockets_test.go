package members

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// On real sockets: the same code with less of it replaced. Timers are short and nothing is timed.
func onLoopback(t *testing.T, name string, start uint64, change func(*Config), seeds ...*Members) *Members {
	t.Helper()
	cfg := Config{
		Name: name, StartID: start, BindAddr: "127.0.0.1", PeerPort: 1, DataPort: 2, Constants: testConstants, Secret: []byte("a secret"),
		Timing: Timing{
			ProbeInterval: 100 * time.Millisecond, ProbeTimeout: 50 * time.Millisecond, GossipInterval: 20 * time.Millisecond,
			FirstRejoin: 50 * time.Millisecond, Rejoin: 200 * time.Millisecond, Reclaim: 100 * time.Millisecond, Debounce: 5 * time.Millisecond,
		},
	}
	for _, s := range seeds {
		cfg.Seeds = append(cfg.Seeds, s.Addr().String())
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

const patience = 20 * time.Second // only a failure waits so long

func TestSockets(t *testing.T) {
	n0 := onLoopback(t, "n0", 1, nil)
	n1 := onLoopback(t, "n1", 2, nil, n0)
	n2 := onLoopback(t, "n2", 3, nil, n0)
	for _, m := range []*Members{n0, n1, n2} {
		await(t, m, patience, func(v *View) bool { return live(v) == 3 })
	}

	// A port that is taken.
	_, err := New(Config{Name: "n3", StartID: 9, BindAddr: "127.0.0.1", BindPort: n0.Addr().Port()})
	if err == nil || !strings.Contains(err.Error(), "another --port") {
		t.Errorf("a second node on one port: %v", err)
	}

	// A quick restart at the same port.
	port := n2.Addr().Port()
	n2.Close()
	n2 = onLoopback(t, "n2", 4, func(c *Config) { c.BindPort = port }, n0)
	await(t, n1, patience, func(v *View) bool { m, _ := v.Get("n2"); return m.StartID == 4 && m.State == Alive })

	// A crash.
	n2.Close()
	await(t, n0, patience, is("n2", Dead))
	await(t, n1, patience, is("n2", Dead))

	// Back elsewhere, by a host name; "localhost" also stands for the newcomer's own port, which it leaves out.
	n2 = onLoopback(t, "n2", 5, func(c *Config) {
		c.Seeds = []string{fmt.Sprint("localhost:", n0.Addr().Port()), "localhost"}
	})
	await(t, n1, patience, func(v *View) bool { m, _ := v.Get("n2"); return m.StartID == 5 && m.State == Alive })
	if n2.Alone() {
		t.Error("n2 has a seed and thinks it is alone")
	}

	// A goodbye.
	if err := n2.Leave(patience); err != nil {
		t.Error(err)
	}
	await(t, n0, patience, is("n2", Left))
	await(t, n1, patience, is("n2", Left))
}

// Closing must not wait for a seed that takes the call and says nothing, nor for one that does not take it.
func TestCloseDuringACall(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	called := make(chan struct{})
	go func() {
		conn, err := mute.Accept()
		if err != nil {
			return
		}
		io.ReadFull(conn, make([]byte, 1)) // so the call got through, and waits for an answer
		close(called)
		io.Copy(io.Discard, conn)
	}()
	for _, seed := range []string{mute.Addr().String(), "192.0.2.1:7072"} { // the second is nobody's address (RFC 5737)
		m := onLoopback(t, "n0", 1, func(c *Config) {
			c.Seeds = []string{seed}
			c.Timing.Dial = time.Hour
		})
		<-called
		m.Close()
	}
}

func TestAloneByName(t *testing.T) {
	m := onLoopback(t, "n0", 1, func(c *Config) { c.Seeds = []string{"localhost"} })
	deadline := time.After(patience)
	for !m.Alone() { // true once the name was looked up
		select {
		case <-m.Changed():
		case <-deadline:
			t.Fatal("a node whose only seed is its own name never finds that it is alone")
		}
	}
}
