package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

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
			time.Sleep(time.Nanosecond)
			oneIs(t, "silence", x.out.failures(), context.DeadlineExceeded)
		}
		x.mem.Heal()
		time.Sleep(time.Second)

		// The circuit of the asks holds nothing back.
		x.pipe.trip(errors.New("for a test"))
		say(MailUrgent)
		if got := x.in.got(); !x.pipe.Healthy() || len(got) == 0 {
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
