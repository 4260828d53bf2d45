package peer

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

func TestHowAWishToBorrowTravels(t *testing.T) {
	for _, x := range []struct{ wish, asked uint32 }{
		{0, 0}, {1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1000, 1024}, {1 << 20, 1 << 20}, {1<<20 + 1, 1 << 21},
		{MaxBorrow - 1, MaxBorrow}, {MaxBorrow, MaxBorrow}, {MaxBorrow + 1, MaxBorrow}, {1<<32 - 1, MaxBorrow},
	} {
		if got := borrowed(borrowByte(x.wish)); got != x.asked {
			t.Errorf("a wish for %d became one for %d, not %d", x.wish, got, x.asked)
		}
	}
}

// What a decider must not lend does not reach the wire, where the asker would drop the whole answer for it.
func TestAStrayLoanIsMadeHarmless(t *testing.T) {
	second := Loan{8, MaxTerm, 5}
	for _, x := range []struct {
		what    string
		code    Code
		borrow  uint32
		lent    Loan
		arrives Loan
	}{
		{"as asked", Decided, 8, Loan{8, 150 * time.Millisecond, 5}, Loan{8, 150 * time.Millisecond, 5}},
		{"less than asked", Decided, 8, Loan{1, time.Microsecond, 0}, Loan{1, time.Microsecond, 0}},
		{"not asked for", Decided, 0, second, Loan{}},
		{"not decided", Wait, 8, second, Loan{}},
		{"more than asked", Decided, 8, Loan{9, MaxTerm, 5}, second},
		{"for too long", Decided, 8, Loan{8, time.Hour, 5}, second},
		{"for no time", Decided, 8, Loan{8, 0, 5}, Loan{}},
		{"for less than none", Decided, 8, Loan{8, -time.Hour, 5}, Loan{}},
		{"for less than the wire can say", Decided, 8, Loan{8, 999, 5}, Loan{}},
		{"rounded down", Decided, 8, Loan{8, 1999, 5}, Loan{8, time.Microsecond, 5}},
		{"no hits", Decided, 8, Loan{0, MaxTerm, 5}, Loan{}},
	} {
		e := Entry{Wants: make([]bucket.Want, 1), Times: 1, Borrow: x.borrow}
		got := Answer{Loan: Loan{7, 7, 7}}
		b := appendAnswer(nil, &e, &Answer{Code: x.code, Loan: x.lent})
		rest, err := readAnswer(b, expected{1, 1, false, x.borrow}, &got, func(b []byte) string { return string(b) })
		if err != nil || len(rest) != 0 || got.Loan != x.arrives {
			t.Errorf("%s: %v, %+v", x.what, err, got.Loan)
		}
	}
}

// Asks fold whether they borrow or not: the wish is the largest.
func TestFoldsBorrowTheMostOfAll(t *testing.T) {
	c := GetCall(4)
	defer c.Put()
	borrow := func(i int, n uint32) *Ask {
		a := fill(c, i, 7, 1, want(7, 10))
		a.Borrow = n
		return a
	}
	for _, x := range []struct {
		wishes [4]uint32
		asked  uint32
	}{
		{[4]uint32{}, 0},
		{[4]uint32{0, 0, 0, 5}, 8},
		{[4]uint32{5, 0, 0, 0}, 8},
		{[4]uint32{1, 100, 3, 0}, 128},
	} {
		got := entriesOf(t, borrow(0, x.wishes[0]), borrow(1, x.wishes[1]), borrow(2, x.wishes[2]), borrow(3, x.wishes[3]))
		if len(got) != 1 || got[0].Times != 4 || got[0].Borrow != x.asked {
			t.Errorf("wishes %v: %+v", x.wishes, got)
		}
	}
	// What returns a loan is not the same as what gives back.
	back, plain := fill(c, 0, 7, -1, want(7, 10)), fill(c, 1, 7, -1, want(7, 10))
	back.Receipt, plain.Receipt, back.Return = 5, 5, true
	if got := entriesOf(t, back, plain); len(got) != 2 || !got[0].Return || got[1].Return {
		t.Errorf("%+v", got)
	}
}

// A lender lends as much as is asked for, once an entry.
type lender struct {
	*counters
	loans    int
	returned int64
}

func (l *lender) Decide(now bucket.Instant, e *Entry, a *Answer) {
	l.counters.Decide(now, e, a)
	if e.Borrow > 0 {
		l.loans++
		a.Loan = Loan{e.Borrow, 100 * time.Millisecond, bucket.Receipt(l.loans)}
	}
	if e.Return {
		l.returned -= e.Hits
	}
}

func TestALoanGoesToOneOfThoseThatFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lender{counters: newCounters()}
		x := newPair(t, l, nil)
		defer x.close()
		synctest.Wait() // the lane is idle, and takes all of them together
		c := GetCall(7)
		for i := range c.Asks {
			key := uint64(7 + i/5)
			a := fill(c, i, key, 1, want(key, 100))
			if i != 0 && i < 6 { // nobody borrows for the last
				a.Borrow = uint32(i)
			}
			x.pipe.Send(a)
		}
		c.Wait()
		for i := range c.Asks {
			var expect Loan
			switch i {
			case 1: // the first one that asked for it
				expect = Loan{4, 100 * time.Millisecond, 1}
			case 5:
				expect = Loan{8, 100 * time.Millisecond, 2}
			}
			if a := &c.Asks[i]; a.Code != Decided || a.Loan != expect {
				t.Errorf("ask %d: code %d, %+v", i, a.Code, a.Loan)
			}
		}
		// An ask that is used again has no loan of before, also if it is not answered.
		again := &c.Asks[0]
		again.Loan = Loan{1, 1, 1}
		x.pipe.Send(again)
		c.Wait()
		if again.Loan != (Loan{}) {
			t.Errorf("%+v", again.Loan)
		}
		again.Loan = Loan{1, 1, 1}
		again.Through, again.Borrow = true, 1 // a mistake of the node
		x.pipe.Send(again)
		if again.Code != Failed || again.Loan != (Loan{}) || x.pipe.Stats().Invalid.Load() != 1 {
			t.Errorf("to borrow through another: code %d, %+v", again.Code, again.Loan)
		}
		c.Put()
		if s := x.pipe.Stats(); s.Loans.Load() != 2 || s.LoansLost.Load() != 0 {
			t.Errorf("%d loans, %d lost", s.Loans.Load(), s.LoansLost.Load())
		}
	})
}

// Those that wait no longer when the answer comes get nothing; the first that does gets the loan. Where nobody does, it is lost.
func TestALoanGoesToOneThatStillWaits(t *testing.T) {
	for _, late := range []int{0, 1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			l := &lender{counters: newCounters()}
			hang := make(chan struct{})
			l.before = func(*Entry) { <-hang }
			x := newPair(t, l, nil)
			defer x.close()
			synctest.Wait()
			c := GetCall(3)
			for i := range c.Asks {
				a := fill(c, i, 7, 1, want(7, 100))
				a.Borrow = 16
				if i < late {
					a.Deadline = time.Now().Add(10 * time.Millisecond)
				}
				x.pipe.Send(a)
			}
			c.Post()
			time.Sleep(Attempt / 2)
			close(hang)
			c.Wait()
			for i := range c.Asks {
				a := &c.Asks[i]
				if has := a.Loan.Hits == 16; has != (i == late) || !has && a.Loan != (Loan{}) || (a.Code == Decided) != (i >= late) {
					t.Errorf("%d late, ask %d: code %d, %+v", late, i, a.Code, a.Loan)
				}
			}
			c.Put()
			lost := uint64(0)
			if late == 3 {
				synctest.Wait() // nobody waited for that answer
				lost = 1
			}
			if s := x.pipe.Stats(); s.Loans.Load() != 1 || s.LoansLost.Load() != lost {
				t.Errorf("%d late: %d loans, %d lost", late, s.Loans.Load(), s.LoansLost.Load())
			}
		})
	}
}

// The answer that is remembered has the loan: who asks again gets it, once, and nothing is lent again.
func TestALoanWhoseAnswerIsLostArrivesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lender{counters: newCounters()}
		x := newPair(t, l, nil)
		defer x.close()
		x.net.setFault(func(dial int, c net.Conn) (net.Conn, error) {
			if dial <= 2 {
				return cutAfter(c, -1, 40), nil // the answer breaks off
			}
			return c, nil
		})
		synctest.Wait()
		c := GetCall(2)
		for i := range c.Asks {
			a := fill(c, i, 7, 1, want(7, 100))
			a.Borrow = 64
			x.pipe.Send(a)
		}
		c.Wait()
		if c.Asks[0].Loan != (Loan{64, 100 * time.Millisecond, 1}) || c.Asks[1].Loan != (Loan{}) {
			t.Errorf("%+v and %+v", c.Asks[0].Loan, c.Asks[1].Loan)
		}
		if l.loans != 1 || x.server.Stats().Repeats.Load() != 2 || x.pipe.Stats().Loans.Load() != 1 {
			t.Errorf("lent %d times, %d repeats, %d loans arrived", l.loans, x.server.Stats().Repeats.Load(), x.pipe.Stats().Loans.Load())
		}
		// The rest goes back.
		back := &c.Asks[1]
		back.Hits, back.Receipt, back.Return, back.Borrow = -60, 1, true, 0
		x.pipe.Send(back)
		c.Wait()
		if back.Code != Decided || l.returned != 60 {
			t.Errorf("code %d, %d returned", back.Code, l.returned)
		}
		c.Put()
	})
}

// A member whose frames are of another version is refused before anything of them is read, and says so.
func TestAnotherVersionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newCounters()
		x := newPair(t, d, nil)
		defer x.close()
		c := GetCall(1)
		defer c.Put()
		frame := batchTo(n1, 1, fill(c, 0, 7, 1, want(7, 10)))
		frame[3]--
		if status, _, closed := raw(t, x.net, post(BatchPath, frame)); status != 400 || !closed || d.total(7) != 0 {
			t.Errorf("status %d, hung up: %v, %d spent", status, closed, d.total(7))
		}
		x.pipe.template[x.pipe.frameAt+3]--
		if a := ask(t, x.pipe, 7, 1, 10); a.Code == Decided || x.pipe.Healthy() || d.total(7) != 0 {
			t.Errorf("code %d, healthy %v", a.Code, x.pipe.Healthy())
		}
	})
}
