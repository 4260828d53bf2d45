package hold_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/node/hold"
)

// The machine under test is b's, with a before and c behind it in the alphabet. Partition 0 is the one.
type bench struct {
	t       *testing.T
	m       *hold.Machine
	now     time.Duration
	home    string
	members []hold.Peer
	gone    map[string]uint64
	sent    []hold.Send // since the last look
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: time.Hour, home: "a", gone: map[string]uint64{}, members: []hold.Peer{{Name: "a", Start: 1, Serving: true}, {Name: "c", Start: 3, Serving: true}}}
	b.m = hold.New(hold.Config{Name: "b", Start: 2, Partitions: 1, Timers: hold.Patience(1)})
	b.do(hold.Tick{})
	b.view()
	return b
}

// do steps the machine, and returns what it said, in short.
func (b *bench) do(e hold.Event) []string {
	var out []string
	for _, x := range b.m.Step(b.now, e) {
		if s, ok := x.(*hold.Send); ok {
			b.sent = append(b.sent, *s)
			switch m := s.Message.(type) {
			case *hold.Backup:
				m.Seq, m.Lines = 5, "lines"
			case *hold.Flip:
				m.Seq, m.Lines = 7, "lines"
			}
		}
		if s := short(x); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (b *bench) view() []string {
	return b.do(hold.ViewChanged{
		Home: func(int) string { return b.home },
		Backup: func(_ int, holder string) string {
			if holder != b.home {
				return b.home
			}
			return "b"
		},
		Members: b.members, Gone: b.gone, May: true,
	})
}

// from is a message from a member.
func (b *bench) from(name string, m hold.Message) []string {
	return b.do(hold.Received{From: name, Start: startOf(name), Message: m, Fits: true})
}

func startOf(name string) uint64 { return uint64(name[0]-'a') + 1 }

// wait lets time pass, in ticks.
func (b *bench) wait(d time.Duration) []string {
	var out []string
	for end := b.now + d; b.now < end; {
		b.now += min(20*ms, end-b.now)
		out = append(out, b.do(hold.Tick{})...)
	}
	return out
}

func by(name string, epoch uint64) hold.Hold {
	return hold.Hold{Epoch: epoch, Start: startOf(name), Name: name}
}

// asked returns the last message of its kind that was sent to a member.
func asked[M hold.Message](b *bench, to string) M {
	b.t.Helper()
	for _, s := range slices.Backward(b.sent) {
		if m, ok := s.Message.(M); ok && s.To == to {
			return m
		}
	}
	var none M
	b.t.Fatalf("nothing like %T was sent to %s", none, to)
	return none
}

// in brings the machine into a state: what it holds, it holds as 1; of others it has heard that a holds as 1.
func (b *bench) in(state string) {
	b.t.Helper()
	switch state {
	case "none":
		b.from("a", &hold.Holds{Hold: by("a", 1)})
	case "copy":
		b.from("a", &hold.Backup{Hold: by("a", 1), Seq: 5, Round: 9})
	case "held", "unsure", "frozen", "returning":
		b.home = "b"
		b.view()
		for _, name := range []string{"a", "c"} {
			b.from(name, &hold.Answer{Round: asked[*hold.Ask](b, name).Round, Verdict: hold.PROMISE})
		}
	}
	switch state {
	case "unsure":
		b.now += 100 * ms
		b.do(hold.Tick{})
	case "frozen":
		b.home = "c"
		b.view()
		b.do(hold.BackupDue{Seq: func(int) uint64 { return 5 }})
		k := asked[*hold.Backup](b, "c")
		b.from("c", &hold.Acks{List: []hold.Ack{{Round: k.Round}}})
	case "returning":
		b.from("c", &hold.Holds{Hold: by("c", 3)})
	}
	want := state
	if state == "unsure" {
		want = "held"
	}
	if _, s := b.m.Hold(0); s.String() != want {
		b.t.Fatalf("the machine is %v, not %s", s, want)
	}
	b.sent = b.sent[:len(b.sent):len(b.sent)]
}

// short writes an effect in few words; "" for those that go without saying.
func short(x hold.Effect) string {
	switch x := x.(type) {
	case hold.Rerouted:
		return ""
	case *hold.Send:
		if s := shortMessage(x.Message); s != "" {
			return x.To + ": " + s
		}
		return ""
	case hold.Own:
		return fmt.Sprintf("own %v, %v", x.Hold, x.Why)
	case hold.Shut:
		if x.Gave {
			return fmt.Sprintf("shut, gave to %v", x.To)
		}
		return fmt.Sprintf("shut for %v", x.To)
	case hold.Woke:
		return "woke"
	}
	return strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", x), "*"), "hold."))
}

func shortMessage(m hold.Message) string {
	switch m := m.(type) {
	case *hold.Who, *hold.Release:
		return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*hold."))
	case *hold.Ask:
		s := fmt.Sprintf("ask %d against %v", m.Epoch, m.Target)
		if m.InFlight {
			s += " in flight"
		}
		return s
	case *hold.Answer:
		s := m.Verdict.String()
		if m.Verdict == hold.BUSY {
			s += " with " + m.By
		}
		if m.Copy != (hold.Version{}) {
			s += ", copy"
		}
		return s
	case *hold.Nominate:
		return fmt.Sprintf("nominate %d", m.Epoch)
	case *hold.Probe:
		return fmt.Sprintf("probe %v", m.Target)
	case *hold.Probed:
		return fmt.Sprintf("probed %v", m.Yes)
	case *hold.Holds:
		return fmt.Sprintf("holds %v", m.Hold)
	case *hold.Backup:
		if m.Whole() {
			return "backup, whole"
		}
		return "backup"
	case *hold.Acks:
		return "stored"
	case *hold.Refused:
		return "does not store: " + codes[m.Code]
	case *hold.Drop:
		return "drop"
	case *hold.Flip:
		return fmt.Sprintf("flip %v", m.Hold)
	case *hold.Flipped:
		if m.OK {
			return "flipped"
		}
		return "refused " + codes[m.Code]
	case *hold.Return:
		return fmt.Sprintf("return to %v", m.Hold)
	case *hold.Returned:
		return fmt.Sprintf("returned %v", m.OK)
	}
	return fmt.Sprintf("%T", m)
}

var codes = map[hold.StoreCode]string{hold.Stored: "stored", hold.Lower: "lower", hold.NotBase: "not base", hold.NoRoom: "no room", hold.NotReady: "not ready"}

// A row is one cell of the table of states and events: what the machine does, and what it is then.
type row struct {
	event string
	state string
	do    func(b *bench) []string
	want  string // effects, separated by "; "
	then  string // the state, and the route of checks
}

func TestTable(t *testing.T) {
	for _, r := range slices.Concat(hearsay, copies, handoffs, rounds) {
		t.Run(r.event+"/"+r.state, func(t *testing.T) {
			b := newBench(t)
			b.in(r.state)
			got := strings.Join(r.do(b), "; ")
			_, s := b.m.Hold(0)
			route := b.m.Route(0)
			then := strings.TrimSpace(fmt.Sprintf("%v, %v %s", s, route.Way, route.To))
			if got != r.want || then != r.then {
				t.Errorf("\n got %q, then %q\nwant %q, then %q", got, then, r.want, r.then)
			}
		})
	}
}

// name is b's own history under a hold.
func name(h hold.Hold) bucket.Name { return bucket.Name{Epoch: h.Epoch, Start: h.Start} }
