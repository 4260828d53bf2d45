package peer

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/transport/peer/peernet"
)

// An outbox is what a node would send: texts that gather, joined by commas when they are asked for.
type outbox struct {
	mu     sync.Mutex
	texts  [mailLanes][]string
	asked  int
	failed []error
	lanes  []MailLane
}

func (o *outbox) put(p *Pipe, lane MailLane, text string) {
	o.mu.Lock()
	o.texts[lane] = append(o.texts[lane], text)
	o.mu.Unlock()
	p.Poke(lane)
}

func (o *outbox) next(lane MailLane, dst []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	dst = append(dst, strings.Join(o.texts[lane], ",")...)
	o.texts[lane] = nil
	return dst
}

func (o *outbox) undelivered(lane MailLane, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed, o.lanes = append(o.failed, err), append(o.lanes, lane)
}

// failures returns what was undelivered since it was last asked.
func (o *outbox) failures() []error {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.failed
	o.failed, o.lanes = nil, nil
	return f
}

// An inbox is what a node gets.
type inbox struct {
	mu      sync.Mutex
	packets []string
	from    []Member
	refuse  error
	hang    chan struct{} // not nil: hold up each packet until something comes
}

func (b *inbox) mail(from Member, packet []byte) error {
	b.mu.Lock()
	hang := b.hang
	b.mu.Unlock()
	if hang != nil {
		<-hang
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	b.packets, b.from = append(b.packets, string(packet)), append(b.from, from)
	return nil
}

func (b *inbox) got() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.packets
	b.packets = nil
	return got
}

// A mailPair is a pipe from n0 to n1's server on a network with faults.
type mailPair struct {
	*pair
	mem *peernet.Net
	out *outbox
	in  *inbox
	d   *counters
}

func newMailPair(t *testing.T, change func(*PipeConfig, *ServerConfig)) *mailPair {
	t.Helper()
	x := &mailPair{mem: peernet.New(rand.New(rand.NewPCG(1, 1))), out: new(outbox), in: new(inbox), d: newCounters()}
	sc := ServerConfig{Self: n1, Decider: x.d, Hello: hello, Mail: x.in.mail}
	pc := PipeConfig{Self: n0, Peer: n1, Addr: "n1:1", Hello: hello, Dial: x.mem.Dialer("n0"), Mail: x.out.next, Undelivered: x.out.undelivered}
	if change != nil {
		change(&pc, &sc)
	}
	p, err := NewPipe(pc)
	if err != nil {
		t.Fatal(err)
	}
	x.pair = &pair{t: t, pipe: p}
	x.serve(sc)
	return x
}

// serve starts n1's server, again if the one before has ended.
func (x *mailPair) serve(sc ServerConfig) {
	x.t.Helper()
	ln, err := x.mem.Listen("n1:1")
	if err != nil {
		x.t.Fatal(err)
	}
	if x.server, err = NewServer(sc); err != nil {
		x.t.Fatal(err)
	}
	s, served := x.server, make(chan error, 1)
	x.served = served
	go func() { served <- s.Serve(ln) }()
}

// oneIs checks that there is one failure, of a kind.
func oneIs(t *testing.T, what string, failures []error, kind error) {
	t.Helper()
	if len(failures) != 1 || !errors.Is(failures[0], kind) {
		t.Errorf("%s: undelivered with %v, not %v", what, failures, kind)
	}
}

func TestMailArrivesOnceAndSaysFromWhom(t *testing.T) {
	for _, secret := range []string{"", "secret"} {
		synctest.Test(t, func(t *testing.T) {
			x := newMailPair(t, func(pc *PipeConfig, sc *ServerConfig) {
				pc.Auth, sc.Auth = NewAuth([]byte(secret)), NewAuth([]byte(secret))
			})
			x.mem.SetDelay(time.Millisecond, time.Millisecond)
			if !x.pipe.LastHeard().IsZero() {
				t.Error("heard before anything was said")
			}
			x.out.put(x.pipe, MailUrgent, "one")
			time.Sleep(time.Second)
			if got := x.in.got(); len(got) != 1 || got[0] != "one" || x.in.from[0] != n0 {
				t.Errorf("got %q from %v", got, x.in.from)
			}
			if ago := time.Since(x.pipe.LastHeard()); ago != time.Second-4*time.Millisecond {
				t.Errorf("heard %v ago", ago)
			}
			x.out.put(x.pipe, MailBulk, "two")
			time.Sleep(time.Second)
			if got := x.in.got(); len(got) != 1 || got[0] != "two" {
				t.Errorf("got %q", got)
			}
			if f := x.out.failures(); f != nil {
				t.Error(f)
			}
			st, sst := x.pipe.Stats(), x.server.Stats()
			if st.Mail.Load() != 2 || st.MailBytes.Load() != 6 || st.Undelivered.Load() != 0 || sst.Mail.Load() != 2 || sst.MailBytes.Load() != 6 {
				t.Errorf("counted %d packets of %d bytes out, %d in", st.Mail.Load(), st.MailBytes.Load(), sst.Mail.Load())
			}
			x.close()
		})
	}
}

// What comes while a packet is in flight goes together, in the next; the lanes do not wait for each other; asking for nothing is done
// once and not again and again.
func TestMailGathersWhileAPacketIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		defer x.close()
		x.mem.SetDelay(10*time.Millisecond, 10*time.Millisecond)
		x.out.put(x.pipe, MailUrgent, "a")
		synctest.Wait()
		for i := range 100 {
			x.out.put(x.pipe, MailUrgent, fmt.Sprint(i%10))
		}
		x.out.put(x.pipe, MailBulk, "lines")
		time.Sleep(45 * time.Millisecond)
		if got := strings.Join(x.in.got(), ","); got != "a,lines" && got != "lines,a" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Second)
		if got := x.in.got(); len(got) != 1 || len(got[0]) != 199 {
			t.Errorf("got %q", got)
		}
		x.out.mu.Lock()
		if x.out.asked > 10 {
			t.Errorf("asked %d times", x.out.asked)
		}
		x.out.mu.Unlock()
	})
}

func TestAPokeIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		var wg sync.WaitGroup
		for caller := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(caller)))
				for range 500 {
					x.out.put(x.pipe, MailLane(r.IntN(2)), "x")
					if r.IntN(4) == 0 {
						time.Sleep(time.Duration(r.IntN(1000)))
					}
				}
			})
		}
		wg.Wait()
		n := 0
		for _, p := range x.in.got() {
			n += (len(p) + 1) / 2
		}
		if n != 4000 {
			t.Errorf("%d of 4000 messages arrived, none waits", n)
		}
		x.pipe.Poke(mailLanes) // of no lane: nothing happens
		x.close()
	})
}

// A message that comes when the lane has just been told that there is none: the lane must ask again.
func TestAPokeCountsWhileMailIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x *mailPair
		ready := make(chan struct{})
		calls := 0
		x = newMailPair(t, func(pc *PipeConfig, _ *ServerConfig) {
			pc.Mail = func(lane MailLane, dst []byte) []byte {
				<-ready
				if lane != MailUrgent {
					return dst
				}
				switch calls++; calls {
				case 2: // 1 was before any poke
					x.pipe.Poke(lane)
				case 3:
					dst = append(dst, "x"...)
				}
				return dst
			}
		})
		close(ready)
		synctest.Wait()
		x.pipe.Poke(MailUrgent)
		if got := x.in.got(); len(got) != 1 || calls != 4 {
			t.Errorf("got %q, asked %d times", got, calls)
		}
		x.close()
	})
}

// A pipe that replaces another to the same start is heard: its sequences are above those of the first.
func TestMailOfALaterPipeIsNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		for range 3 {
			x.out.put(x.pipe, MailUrgent, "x")
			synctest.Wait()
		}
		x.pipe.Close()
		next, err := NewPipe(x.pipe.cfg)
		if err != nil {
			t.Fatal(err)
		}
		x.pipe = next
		x.out.put(next, MailUrgent, "y")
		if got := strings.Join(x.in.got(), ","); got != "x,x,x,y" || x.out.failures() != nil {
			t.Errorf("got %s", got)
		}
		x.close()
	})
}

// Over sockets: the kernel tells a dead process from a silent one.
func TestMailOverSockets(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken, failed := make(chan string), make(chan error, 1)
	s, err := NewServer(ServerConfig{Self: n1, Decider: newCounters(), Hello: hello, Mail: func(_ Member, packet []byte) error {
		taken <- string(packet)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	out := new(outbox)
	p, err := NewPipe(PipeConfig{Self: n0, Peer: n1, Addr: ln.Addr().String(), Hello: hello, MailAttempt: time.Minute,
		Mail: out.next, Undelivered: func(_ MailLane, err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range []MailLane{MailUrgent, MailBulk} {
		text := strings.Repeat("x", 1+int(lane)*MaxMail/2)
		out.put(p, lane, text)
		if got := <-taken; got != text {
			t.Errorf("%d bytes of %d", len(got), len(text))
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	out.put(p, MailUrgent, "x")
	if err := <-failed; !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	p.Close()
}

func FuzzMail(f *testing.F) {
	good := append(appendMailHeader(nil, &header{lane: 1, cluster: 3, start: 100, target: 200, sequence: 5, name: []byte("n0")}), "packet"...)
	f.Add(good)
	f.Add(good[:mailHead])
	f.Add(bytes.Repeat([]byte{255}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h header
		packet, err := readMailHeader(b, &h)
		if err != nil {
			return
		}
		if again := append(appendMailHeader(nil, &h), packet...); !bytes.Equal(b, again) {
			t.Fatalf("read %x, wrote %x", b, again)
		}
	})
}
