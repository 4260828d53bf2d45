package fault

import (
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

func TestNetCutsOneWay(t *testing.T) {
	n, err := NewNet(t.Context(), 3)
	if errors.Is(err, ErrNoNet) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if n.exists("0") || n.exists("switch") {
			t.Error("a namespace is left")
		}
	}()
	g, err := proc.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var addr []string
	for _, p := range n.Places() {
		a := p.Host + ":" + strconv.Itoa(p.Port)
		addr = append(addr, a)
		c, err := g.Start(proc.Spec{Name: p.Host, Path: p.Prefix[0], Args: append(p.Prefix[1:], os.Args[0], "host", a)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Listening(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	send := func(from, to int, what string) {
		if got := page(t, "http://"+addr[from]+"/send?to="+addr[to]+"&what="+what); got != "<nil>" {
			t.Errorf("%d sends to %d and is told %s", from, to, got) // no sender hears of a cut
		}
	}
	heard := func(at int, what string) bool {
		return page(t, "http://"+addr[at]+"/heard?what="+what) == "true"
	}
	// hears reports whether what one host sends arrives at another. That it does not can only be waited for; what a third
	// host has sent after it and has arrived is a sign.
	sent := 0
	hears := func(from, to int) bool {
		sent++
		what := strconv.Itoa(sent)
		send(from, to, what)
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
			sign := what + "-sign"
			send(3-from-to, to, sign)
			if heard(to, what) {
				return true
			}
			if heard(to, sign) {
				return heard(to, what)
			}
		}
		t.Fatalf("%d hears nobody", to)
		return false
	}
	expect := func(when string, from, to int, want bool) {
		t.Helper()
		if hears(from, to) != want {
			t.Errorf("%s: %d hears %d: %v", when, to, from, !want)
		}
	}
	expect("whole", 0, 1, true)
	expect("whole", 1, 0, true)
	if err := n.Cut(t.Context(), []int{0}, []int{1}); err != nil {
		t.Fatal(err)
	}
	expect("cut one way", 0, 1, false)
	expect("cut one way", 1, 0, true)
	if err := n.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("healed", 0, 1, true)
	if err := n.CutBoth(t.Context(), []int{0}, []int{2}); err != nil {
		t.Fatal(err)
	}
	expect("cut both ways", 0, 2, false)
	expect("cut both ways", 2, 0, false)
	expect("cut elsewhere", 1, 2, true)
	if err := n.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("healed again", 2, 0, true)
}

// The names of one are free for the next at once.
func TestNetAfterNet(t *testing.T) {
	for range 3 {
		n, err := NewNet(t.Context(), 1)
		if errors.Is(err, ErrNoNet) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
	}
}

func TestFreeSubnet(t *testing.T) {
	a, err := freeSubnet(7)
	if err != nil || a != "10.200.7" {
		t.Errorf("%s, %v", a, err) // unless this machine has an address there
	}
	if b, err := freeSubnet(7 + 2048 + 256); err != nil || b != "10.201.7" {
		t.Errorf("%s, %v", b, err)
	}
}
