package peer

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// Members that start again, and pipes and servers that end.

func TestARestartedMemberFailsThePipeForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, func(_ *PipeConfig, sc *ServerConfig) { sc.Self.StartID++ })
		defer x.close()
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent {
			t.Errorf("code %d", a.Code)
		}
		time.Sleep(time.Hour)
		if !x.pipe.Gone() || x.pipe.Healthy() {
			t.Error("the pipe still believes in the old start")
		}
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || d.total(7) != 0 {
			t.Errorf("code %d, %d spent", a.Code, d.total(7))
		}
	})
}

// A batch that may have arrived, and is refused when it comes again, is in doubt: the refusal says nothing of the first time.
func TestARefusalOfARepeatLeavesTheFirstInDoubt(t *testing.T) {
	for _, first := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			d := newCounters()
			x := newPair(t, d, nil)
			defer x.close()
			ask(t, x.pipe, 7, 5, 10)
			heard := x.pipe.LastHeard()
			if heard.IsZero() {
				t.Error("an answer is not heard")
			}
			if first {
				x.server.cfg.Self.StartID++ // it has started again before it was asked
			} else {
				d.after = func(*Entry) { x.server.cfg.Self.StartID++; x.pipe.lanes[0].hangUpForTest() }
			}
			want := map[bool]Code{true: Unsent, false: Failed}[first]
			left := map[bool]int64{true: 5, false: 2}[first]
			if a := ask(t, x.pipe, 7, -3, 10); a.Code != want || d.total(7) != left {
				t.Errorf("refused at first: %v; code %d, %d spent", first, a.Code, d.total(7))
			}
			if x.pipe.LastHeard() != heard {
				t.Error("a refusal counts as heard")
			}
		})
	}
}

// An old start of a name must not be heard after the new one: its asks are of a node that is no more.
func TestASenderIsSupersededByItsNewStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		ask(t, x.pipe, 7, 1, 10)
		cfg := x.pipe.cfg
		cfg.Self.StartID++
		cfg.Stats = nil
		next, err := NewPipe(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		ask(t, next, 7, 1, 10)
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || d.total(7) != 2 {
			t.Errorf("code %d, %d spent", a.Code, d.total(7))
		}
		if a := ask(t, next, 7, 1, 10); a.Code != Decided {
			t.Errorf("code %d", a.Code)
		}
	})
}

func TestCloseFailsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		c := GetCall(2)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		synctest.Wait()
		x.pipe.Send(fill(c, 1, 8, 1, want(8, 10)))
		go x.pipe.Close()
		c.Wait()
		if c.Asks[0].Code != Failed || c.Asks[1].Code != Unsent {
			t.Errorf("codes %d and %d", c.Asks[0].Code, c.Asks[1].Code)
		}
		x.pipe.Send(&c.Asks[0])
		if c.Asks[0].Code != Unsent {
			t.Errorf("code %d after Close", c.Asks[0].Code)
		}
		c.Put()
		close(hang)
		x.close()
	})
}

// A request that has begun to arrive when the server shuts down is waited for, though not for ever.
func TestShutdownWaitsForARequestThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		c := GetCall(2)
		defer c.Put()
		one := post(BatchPath, batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10))))
		two := post(BatchPath, batchTo(n1, 2, fill(c, 1, 7, 1, want(7, 10))))
		conn, err := x.net.Dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		br := bufio.NewReader(conn)
		go conn.Write(append(one, two[:60]...))
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		synctest.Wait()
		down := make(chan error)
		go func() { down <- x.server.Shutdown(t.Context()) }()
		time.Sleep(time.Second)
		go conn.Write(two[60:])
		if resp, err = http.ReadResponse(br, nil); err != nil || resp.StatusCode != 503 {
			t.Fatal(resp, err)
		}
		if err := <-down; err != nil || d.total(7) != 1 {
			t.Errorf("%v, %d spent", err, d.total(7))
		}
		x.close()
	})
}

// A shutdown answers what has begun and takes nothing more.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		begun, hang := make(chan struct{}, 1), make(chan struct{})
		x := newPair(t, d, func(pc *PipeConfig, _ *ServerConfig) { pc.Attempt, pc.Total = time.Minute, time.Minute })
		ask(t, x.pipe, 7, 0, 10) // the connection has been idle before
		d.before = func(*Entry) { begun <- struct{}{}; <-hang }
		c := GetCall(1)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		<-begun
		down := make(chan error)
		go func() { down <- x.server.Shutdown(context.Background()) }()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		select {
		case err := <-down:
			t.Fatalf("shut down with a batch in flight: %v", err)
		default:
		}
		close(hang)
		c.Wait()
		if c.Asks[0].Code != Decided || d.total(7) != 1 {
			t.Errorf("code %d, %d spent", c.Asks[0].Code, d.total(7))
		}
		c.Put()
		if err := <-down; err != nil {
			t.Error(err)
		}
		if a := ask(t, x.pipe, 7, 1, 10); a.Code != Unsent || d.total(7) != 1 {
			t.Errorf("code %d, %d spent after shutdown", a.Code, d.total(7))
		}
		x.close()
	})
}

func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		hang := make(chan struct{})
		d.before = func(*Entry) { <-hang }
		x := newPair(t, d, nil)
		c := GetCall(1)
		x.pipe.Send(fill(c, 0, 7, 1, want(7, 10)))
		c.Post()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := x.server.Shutdown(ctx); err == nil {
			t.Error("no error")
		}
		close(hang)
		c.Wait()
		c.Put()
		x.close()
	})
}
