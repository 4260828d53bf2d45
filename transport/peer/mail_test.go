package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
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

// stop ends n1's server at once.
func (x *mailPair) stop() {
	x.t.Helper()
	if err := x.server.Shutdown(x.t.Context()); err != nil {
		x.t.Error(err)
	}
	<-x.served
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
				case 1:
					x.pipe.Poke(lane)
				case 2:
					dst = append(dst, "x"...)
				}
				return dst
			}
		})
		x.pipe.Poke(MailUrgent)
		close(ready)
		if got := x.in.got(); len(got) != 1 || calls != 3 {
			t.Errorf("got %q, asked %d times", got, calls)
		}
		x.close()
	})
}

// Each way of not delivering, told apart.
func TestWhyMailIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		sc := x.server.cfg
		sc.Stats = nil
		say := func(lane MailLane) { x.out.put(x.pipe, lane, "x"); synctest.Wait() }

		say(MailUrgent)
		x.in.mu.Lock()
		x.in.refuse = errors.New("the inbox is full")
		x.in.mu.Unlock()
		say(MailBulk)
		f := x.out.failures()
		oneIs(t, "refused", f, ErrRefused)
		for _, word := range []string{"the inbox is full", "bulk", `"n1"`, "n1:1"} {
			if len(f) == 1 && !strings.Contains(f[0].Error(), word) {
				t.Errorf("%v does not say %s", f[0], word)
			}
		}
		x.in.mu.Lock()
		x.in.refuse = nil
		x.in.mu.Unlock()

		// A connection that was closed while nobody used it is no failure.
		x.mem.Crash("n1")
		<-x.served
		x.serve(sc)
		say(MailUrgent)
		if f := x.out.failures(); f != nil {
			t.Errorf("over a connection that was closed meanwhile: %v", f)
		}

		// Silence.
		x.in.got()
		x.mem.Cut("n0", "n1")
		for lane, after := range []time.Duration{MailAttempt, bulkAttempts * MailAttempt} {
			say(MailLane(lane))
			time.Sleep(after - 1)
			if f := x.out.failures(); f != nil {
				t.Errorf("lane %d: %v too early", lane, f)
			}
			time.Sleep(1)
			oneIs(t, "silence", x.out.failures(), context.DeadlineExceeded)
		}
		x.mem.Heal()
		time.Sleep(time.Second)

		// The circuit of the asks plays no part.
		x.pipe.trip(errors.New("for a test"))
		say(MailUrgent)
		if got := x.in.got(); x.pipe.Healthy() || len(got) == 0 {
			t.Errorf("healthy %v, got %q", x.pipe.Healthy(), got)
		}

		// Nobody listens: told at once.
		x.mem.Crash("n1")
		<-x.served
		heard := x.pipe.LastHeard()
		time.Sleep(time.Second)
		say(MailUrgent)
		f = x.out.failures()
		oneIs(t, "dead", f, ErrUnreachable)
		oneIs(t, "dead", f, syscall.ECONNREFUSED)
		if x.pipe.LastHeard() != heard {
			t.Error("the dead were heard")
		}

		// Another start: the pipe is of no more use, and says so without asking again.
		sc.Self.StartID++
		x.serve(sc)
		say(MailUrgent)
		oneIs(t, "restarted", x.out.failures(), ErrRestarted)
		x.mem.Cut("n0", "n1")
		say(MailBulk)
		oneIs(t, "restarted, again", x.out.failures(), ErrRestarted)
		if got := x.in.got(); got != nil || !x.pipe.Gone() {
			t.Errorf("gone %v, got %q", x.pipe.Gone(), got)
		}
		if n := x.pipe.Stats().Undelivered.Load(); n != 6 {
			t.Errorf("%d counted as undelivered", n)
		}
		x.mem.Heal()
		x.close()
	})
}

func TestMailOfAnotherClusterOrSecretIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(_ *PipeConfig, sc *ServerConfig) { sc.Hello.HashKey++ })
		x.out.put(x.pipe, MailUrgent, "x")
		oneIs(t, "another cluster", x.out.failures(), ErrDiffers)
		x.close()
	})
	for _, secrets := range [][2]string{{"a", "b"}, {"", "b"}, {"a", ""}} {
		synctest.Test(t, func(t *testing.T) {
			x := newMailPair(t, func(pc *PipeConfig, sc *ServerConfig) {
				pc.Auth, sc.Auth = NewAuth([]byte(secrets[0])), NewAuth([]byte(secrets[1]))
			})
			x.out.put(x.pipe, MailUrgent, "x")
			if f, got := x.out.failures(), x.in.got(); len(f) != 1 || got != nil {
				t.Errorf("secrets %q: %v, got %q", secrets, f, got)
			}
			x.close()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(_ *PipeConfig, sc *ServerConfig) { sc.Mail = nil })
		x.out.put(x.pipe, MailUrgent, "x")
		oneIs(t, "a node that takes none", x.out.failures(), ErrRefused)
		x.close()
	})
}

// A later start of a name ends what the earlier one says, in mail and in batches alike, whichever of the two said so first.
func TestMailSupersedesEarlierStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		cfg := x.pipe.cfg
		cfg.Self.StartID++
		cfg.Stats = nil
		later := new(outbox)
		cfg.Mail, cfg.Undelivered = later.next, later.undelivered
		next, err := NewPipe(cfg)
		if err != nil {
			t.Fatal(err)
		}
		later.put(next, MailUrgent, "later")
		synctest.Wait()
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || x.d.total(7) != 0 {
			t.Errorf("the earlier start's ask: code %d", a.Code)
		}
		x.out.put(x.pipe, MailUrgent, "earlier")
		oneIs(t, "the earlier start", x.out.failures(), ErrSuperseded)
		if got := x.in.got(); len(got) != 1 || got[0] != "later" || later.failures() != nil {
			t.Errorf("got %q", got)
		}
		next.Close()
		x.close()
	})
}

// A packet that its sender gave up, and that arrives after the next, is not taken; nor is a recorded one.
func TestStaleMailIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		defer x.close()
		send := func(lane uint8, sequence uint64) status {
			b := appendMailHeader(nil, &header{lane: lane, cluster: hello.sum(), start: 100, target: 200, sequence: sequence, name: []byte("n0")})
			c, err := x.mem.Dialer("n0")(t.Context(), "n1:1")
			if err != nil {
				t.Fatal(err)
			}
			k := newLink(c)
			defer k.close()
			body, _, _, err := k.exchange(post(MailPath, append(b, fmt.Sprint(sequence)...)), 100, time.Now().Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			var h answerHeader
			if _, err := readAnswerHeader(body, &h); err != nil {
				t.Fatal(err)
			}
			return h.status
		}
		for _, s := range []struct {
			lane     uint8
			sequence uint64
			want     status
		}{{0, 5, statusDone}, {0, 5, statusStale}, {0, 4, statusStale}, {1, 4, statusDone}, {0, 9, statusDone}, {1, 5, statusDone}, {0, 6, statusStale}} {
			if st := send(s.lane, s.sequence); st != s.want {
				t.Errorf("lane %d, sequence %d: status %d, not %d", s.lane, s.sequence, st, s.want)
			}
		}
		if got := strings.Join(x.in.got(), ","); got != "5,4,9,5" {
			t.Errorf("got %s", got)
		}
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

func TestCloseLeavesMailUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		hang := make(chan struct{})
		x.in.hang = hang
		x.out.put(x.pipe, MailUrgent, "x")
		synctest.Wait()
		x.out.put(x.pipe, MailUrgent, "never asked for")
		began := time.Now()
		x.pipe.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("closed after %v", took)
		}
		oneIs(t, "closed", x.out.failures(), ErrClosed)
		if len(x.out.texts[MailUrgent]) != 1 {
			t.Error("mail was asked for after Close")
		}
		close(hang)
		x.close()
	})
}

// Large packets arrive whole; a larger one is not sent, and what others send is refused before it is read.
func TestPacketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, func(pc *PipeConfig, sc *ServerConfig) {
			pc.Auth, sc.Auth = NewAuth([]byte("s")), NewAuth([]byte("s"))
		})
		r := rand.New(rand.NewPCG(1, 1))
		for _, n := range []int{1, smallMail - 200, smallMail, smallMail + 1, 1 << 20, MaxMail - 1, MaxMail} {
			text := make([]byte, n)
			for i := range text {
				text[i] = byte(r.Uint32())
			}
			x.out.put(x.pipe, MailBulk, string(text))
			if got := x.in.got(); len(got) != 1 || got[0] != string(text) {
				t.Errorf("%d bytes: got %d packets; %v", n, len(got), x.out.failures())
			}
		}
		x.out.put(x.pipe, MailBulk, strings.Repeat("x", MaxMail+1))
		if f := x.out.failures(); len(f) != 1 || !strings.Contains(f[0].Error(), "at most 8388608 fit") {
			t.Errorf("too large a packet: %v", f)
		}
		if room := x.server.Stats().MailRoom.Load(); room != 0 {
			t.Errorf("%d bytes are still taken", room)
		}
		x.close()
	})
}

// What is no mail is refused, and takes no memory for what it promises.
func TestWhatIsNoMailIsRefused(t *testing.T) {
	head := func(change func(b []byte) []byte) []byte {
		b := appendMailHeader(nil, &header{lane: 1, cluster: hello.sum(), start: 100, target: 200, sequence: 1, name: []byte("n0")})
		return change(append(b, "text"...))
	}
	at := func(i int, v byte) func([]byte) []byte { return func(b []byte) []byte { b[i] = v; return b } }
	as := func(b []byte) []byte { return b }
	for _, x := range []struct {
		what    string
		request []byte
		status  int
	}{
		{"good", post(MailPath, head(as)), 200},
		{"magic", post(MailPath, head(at(2, 'q'))), 400},
		{"lane", post(MailPath, head(at(4, byte(mailLanes)))), 400},
		{"zero", post(MailPath, head(at(6, 1))), 400},
		{"no name", post(MailPath, head(at(40, 0))), 400},
		{"long name", post(MailPath, head(at(40, MaxName+1))), 400},
		{"name cut off", post(MailPath, head(at(40, 20))), 400},
		{"cut off", post(MailPath, head(as)[:mailHead-1]), 400},
		{"nothing", post(MailPath, nil), 400},
		{"too long", post(MailPath, make([]byte, 9_999_999))[:20_000], 413},
		{"a length that lies", append([]byte("POST "+MailPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"), make([]byte, 9000)...), 413},
		{"nothing of what is promised", post(MailPath, make([]byte, 100))[:70], 400},
		{"good, as a form", []byte("POST " + MailPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 47\r\n\r\n" + string(head(as))), 200},
		{"a form", []byte("POST " + MailPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\n\r\n--b--"), 400},
		{"chunks", []byte("POST " + MailPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 411},
		{"a body that never comes", post(MailPath, make([]byte, MaxMail))[:5000], 400},
		{"a large body that never comes", post(MailPath, make([]byte, MaxMail))[:smallMail+1000], 400},
		{"another path", post(MailPath+"s", head(as)), 404},
		{"a batch after mail", append(post(MailPath, head(as)), post(BatchPath, nil)...), 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, newCounters(), func(_ *PipeConfig, sc *ServerConfig) { sc.Mail = new(inbox).mail })
			defer p.close()
			var status int
			n := spentBytes(func() { status, _, _ = raw(t, p.net, x.request) })
			if status != x.status {
				t.Errorf("%s: status %d, not %d", x.what, status, x.status)
			}
			if n > 1<<20 {
				t.Errorf("%s: %d bytes allocated", x.what, n)
			}
			st := p.server.Stats()
			if st.MailRoom.Load() != 0 || (st.Bad.Load() == 0) != (x.status == 200 && x.what == "good") && x.status != 200 {
				t.Errorf("%s: %d bytes taken, %d counted as bad", x.what, st.MailRoom.Load(), st.Bad.Load())
			}
		})
	}
}

// Connections that bring large packets share a bounded memory. Who finds none is told, and small packets need none.
func TestTheMemoryForMailIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newMailPair(t, nil)
		defer x.close()
		var slow []net.Conn
		body := appendMailHeader(nil, &header{lane: 1, cluster: hello.sum(), start: 100, target: 200, sequence: 1, name: []byte("other")})
		request := post(MailPath, append(body, make([]byte, MaxMail-len(body))...))
		for range maxMailRoom/MaxMail - 1 {
			c, err := x.mem.Dialer("other")(t.Context(), "n1:1")
			if err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
			if _, err := c.Write(request[:len(request)-1]); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if room := x.server.Stats().MailRoom.Load(); room != maxMailRoom-MaxMail {
			t.Errorf("%d bytes taken", room)
		}
		// The last of the room would do for the packet, but not for half of it beside, which is there when the buffer doubles.
		x.out.put(x.pipe, MailBulk, strings.Repeat("x", MaxMail))
		if f := x.out.failures(); len(f) != 1 || !strings.Contains(f[0].Error(), "503") || x.server.Stats().MailNoRoom.Load() != 1 {
			t.Errorf("no room: %v", f)
		}
		x.out.put(x.pipe, MailUrgent, "small")
		if got := x.in.got(); len(got) != 1 || got[0] != "small" {
			t.Errorf("got %d packets", len(got))
		}
		for _, c := range slow {
			c.Close()
		}
		synctest.Wait()
		x.out.put(x.pipe, MailBulk, strings.Repeat("x", MaxMail))
		if got := x.in.got(); len(got) != 1 || x.server.Stats().MailRoom.Load() != 0 {
			t.Errorf("got %d packets; %d bytes taken; %v", len(got), x.server.Stats().MailRoom.Load(), x.out.failures())
		}
	})
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
