package lease

import (
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
)

const (
	ms  = bucket.Instant(1000)
	sec = 1000 * ms
)

var hasher = bucket.NewHasher(nil)

// shape returns the wants of a check of a key.
func shape(t testing.TB, key string, limits ...string) []bucket.Want {
	t.Helper()
	var wants []bucket.Want
	for _, text := range limits {
		l, err := bucket.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		wants = append(wants, bucket.Want{ID: hasher.Key([]byte(key)).ID(l.Window, bucket.Scope("", "inline", l.Window, l.Algorithm)), Limit: l})
	}
	return wants
}

// said is what a holder would say: allowed, with so many left.
func said(remaining uint32) *bucket.Outcome {
	return &bucket.Outcome{Allowed: true, State: bucket.State{Limit: 10_000, Remaining: remaining, Current: 10_000 - uint64(remaining), Reset: time.Minute}, Receipt: 99}
}

func no(retry time.Duration) *bucket.Outcome {
	return &bucket.Outcome{State: bucket.State{Limit: 10_000, Reset: retry, Retry: retry}}
}

var holder = From{"h", 4}

// A book drives a purse in a test.
type book struct {
	testing.TB
	*Purse
	now   bucket.Instant
	wants []bucket.Want
}

func newBook(t testing.TB, limits ...string) *book {
	if limits == nil {
		limits = []string{"10000/1h"}
	}
	return &book{t, New(64), 1000 * sec, shape(t, "k", limits...)}
}

// lent puts a loan into the purse, as if it was sent for 1 ms ago.
func (b *book) lent(hits uint32, term time.Duration) {
	b.Helper()
	b.Lent(b.Sent(b.now-ms), b.now, b.wants, Grant{hits, term, 7, holder}, said(5000))
}

func (b *book) asks(hits uint32, want Answer) bucket.Outcome {
	b.Helper()
	var o bucket.Outcome
	var f From
	a, _ := b.Answer(b.now, b.wants, hits, &o, &f)
	if a != want {
		b.Fatalf("%d hits: answer %d, want %d (%+v)", hits, a, want, o)
	}
	if a != Nothing && f != holder || a == Lent != o.Allowed {
		b.Fatalf("%d hits: %+v by %+v", hits, o, f)
	}
	return o
}

func (b *book) rests(want ...uint32) []Rest {
	b.Helper()
	rests := b.Rests(nil)
	if len(rests) != len(want) {
		b.Fatalf("%d rests, want %v", len(rests), want)
	}
	for i, r := range rests {
		if r.Hits != want[i] || r.From != holder || r.Receipt != 7 || !same(r.Wants(), b.wants) {
			b.Fatalf("rest %+v, want %d hits of %+v", r, want[i], b.wants)
		}
	}
	return rests
}

func TestLoan(t *testing.T) {
	b := newBook(t)
	b.asks(1, Nothing)
	b.lent(100, 200*time.Millisecond)
	if o := b.asks(3, Lent); o.Remaining != 4997 || o.Current != 5003 || o.Receipt != 7 || o.By != 0 || o.Retry != 0 {
		t.Errorf("first: %+v", o)
	}
	b.now += 10 * ms
	if o := b.asks(7, Lent); o.Remaining != 4990 || o.Reset != time.Minute-10*time.Millisecond {
		t.Errorf("second: %+v", o)
	}
	b.asks(91, Nothing) // more than is left
	b.asks(0x7fffffff, Nothing)
	if b.Sweep(b.now) {
		t.Error("something to give back of a loan that has not ended")
	}
	b.now += 189*ms - 1 // sent 1 ms before it came: the last microsecond
	b.asks(50, Lent)
	b.now++
	b.asks(1, Nothing)
	if !b.Sweep(b.now) {
		t.Error("nothing to give back")
	}
	b.rests(40)
	if b.Sweep(b.now + sec) {
		t.Error("given back twice")
	}
	b.rests()
	if s := b.Stats(); s.Granted != 100 || s.Spent != 60 || s.Live != 0 {
		t.Errorf("%+v", s)
	}
}

// A rest that the holder could not take is given back later, but not for ever.
func TestRestAgain(t *testing.T) {
	b := newBook(t)
	b.lent(100, 200*time.Millisecond)
	b.now += 200 * ms
	for try := range mostTries {
		if !b.Sweep(b.now) {
			t.Fatalf("after %d tries there is nothing to give back", try)
		}
		b.Again(&b.rests(100)[0])
	}
	if b.rests(); b.Stats().Lost != 100 || b.Stats().Returned != 0 {
		t.Errorf("%+v", b.Stats())
	}
}

// An answer that took longer than the term brings nothing to hand out, and all to give back.
func TestLoanThatCameLate(t *testing.T) {
	b := newBook(t)
	b.Lent(b.Sent(b.now-100*ms), b.now, b.wants, Grant{50, 100 * time.Millisecond, 7, holder}, said(5000))
	b.asks(1, Nothing)
	b.rests(50)
}

// No holder's word makes a loan last longer than Term.
func TestLoanIsShort(t *testing.T) {
	b := newBook(t)
	b.lent(50, time.Hour)
	b.now += 199*ms - 1
	b.asks(1, Lent)
	b.now++
	b.asks(1, Nothing)
}

func TestNewLoanGivesTheOldOneBack(t *testing.T) {
	b := newBook(t)
	b.lent(50, Term)
	b.asks(20, Lent)
	b.lent(80, Term)
	b.rests(30)
	b.asks(60, Lent)
	b.now += sec
	b.Sweep(b.now)
	b.rests(20)
}

// Whatever differs in a check makes it another one.
func TestShapes(t *testing.T) {
	b := newBook(t, "10000/1h", "20000/1d")
	b.lent(100, Term)
	b.HeardDenied(b.Sent(b.now-ms), b.now, b.wants, 300, no(time.Minute), holder)
	other := func(what string, wants []bucket.Want) {
		t.Helper()
		for _, hits := range []uint32{1, 300} {
			var o bucket.Outcome
			var f From
			if a, _ := b.Answer(b.now, wants, hits, &o, &f); a != Nothing {
				t.Errorf("%s: %d hits: answer %d", what, hits, a)
			}
		}
	}
	other("a raised limit", shape(t, "k", "10001/1h", "20000/1d"))
	other("one limit less", b.wants[:1])
	other("the other order", []bucket.Want{b.wants[1], b.wants[0]})
	other("another key", shape(t, "k2", "10000/1h", "20000/1d"))
	other("another window", shape(t, "k", "10000/2h", "20000/1d"))
	other("another algorithm", shape(t, "k", "10000/1h", "20000/1d fixed_window"))
	other("another burst", shape(t, "k", "10000/1h", "20000/1d token_bucket"))
	for what, change := range map[string]func(*bucket.Want){
		"shadow":       func(w *bucket.Want) { w.Shadow = true },
		"count_denied": func(w *bucket.Want) { w.CountDenied = true },
		"another rule": func(w *bucket.Want) { w.ID.Line ^= 1 },
	} {
		wants := append([]bucket.Want(nil), b.wants...)
		change(&wants[1])
		other(what, wants)
	}
	b.asks(1, Lent)
	b.asks(300, Denied)
}

func TestDenial(t *testing.T) {
	b := newBook(t, "5/1h")
	b.HeardDenied(b.Sent(b.now-4*ms), b.now, b.wants, 2, no(300*time.Millisecond), holder)
	if o := b.asks(2, Denied); o.Retry != 300*time.Millisecond || o.Receipt != 0 {
		t.Errorf("%+v", o)
	}
	b.asks(1, Nothing)
	b.asks(3, Nothing) // it waits longer; how long is the holder's to say
	b.now += 296*ms - 1
	if o := b.asks(2, Denied); o.Retry != 4*time.Millisecond+time.Microsecond {
		t.Errorf("%+v", o)
	}
	b.now++ // 300 ms after it was sent, the holder may say otherwise
	b.asks(2, Nothing)
}

func TestHowLongADenialIsBelieved(t *testing.T) {
	each := no(time.Hour)
	each.Each = []bucket.State{{Reset: time.Minute}, {Reset: 70 * time.Millisecond}}
	never := &bucket.Outcome{Never: true}
	reset := no(time.Hour)
	reset.Reset = 40 * time.Millisecond
	full := no(time.Hour)
	full.Full = true
	for _, c := range []struct {
		what string
		o    *bucket.Outcome
		good time.Duration
	}{
		{"a second at most", no(time.Hour), time.Second},
		{"until it passes", no(20 * time.Millisecond), 20 * time.Millisecond},
		{"until remaining grows", reset, 40 * time.Millisecond},
		{"in any of the limits", each, 70 * time.Millisecond},
		{"never, with nothing spent", never, time.Second},
		{"without a wait", no(0), 0},
		{"a full table", full, 0},
		{"by nobody", &bucket.Outcome{By: -1, State: bucket.State{Retry: time.Hour}}, 0},
		{"it was allowed", said(3), 0},
	} {
		b := newBook(t, "5/1h", "7/1d")
		b.HeardDenied(b.Sent(b.now), b.now, b.wants, 1, c.o, holder)
		b.now += bucket.Instant(c.good/time.Microsecond) - 1
		if c.good > 0 {
			b.asks(1, Denied)
		}
		b.now++
		b.asks(1, Nothing)
		if t.Failed() {
			t.Fatal(c.what)
		}
	}
}

// Attempts that are counted must be; what is in the shadow never denies.
func TestNotDeniedHere(t *testing.T) {
	for what, change := range map[string]func(*bucket.Want){
		"shadow":       func(w *bucket.Want) { w.Shadow = true },
		"count_denied": func(w *bucket.Want) { w.CountDenied = true },
	} {
		b := newBook(t, "5/1h", "7/1d")
		change(&b.wants[1])
		b.HeardDenied(b.Sent(b.now), b.now, b.wants, 1, no(time.Hour), holder)
		b.asks(1, Nothing)
		for range 20 {
			if b.Want(b.now, b.wants, 1) != 0 {
				t.Errorf("%s: wishes to borrow", what)
			}
		}
	}
}

// Of several denials the one of the fewest hits stays; what is allowed or given back ends those it puts in doubt.
func TestDenialsReplaceEachOther(t *testing.T) {
	b := newBook(t)
	deny := func(hits uint32) { b.HeardDenied(b.Sent(b.now), b.now, b.wants, hits, no(time.Hour), holder) }
	deny(5)
	deny(3)
	b.asks(3, Denied)
	b.asks(5, Nothing)
	deny(5)
	b.asks(3, Denied)
	b.HeardAllowed(b.wants, 2)
	b.asks(3, Denied)
	b.HeardAllowed(b.wants, 3)
	b.asks(3, Nothing)
	deny(3)
	b.Refund(b.wants[0].ID.Key)
	b.asks(3, Nothing)
	deny(3)
	b.lent(50, Term)
	b.asks(3, Lent)
}

// What is in a loan is handed out although the holder has no more; that is not asked for another then.
func TestLoanBeforeDenial(t *testing.T) {
	b := newBook(t)
	for range 40 {
		b.Want(b.now, b.wants, 1)
	}
	b.lent(5, Term)
	b.now += 180 * ms // it would be renewed
	b.HeardDenied(b.Sent(b.now), b.now, b.wants, 1, no(time.Hour), holder)
	var o bucket.Outcome
	var f From
	if b.Purse.Denied(b.now, b.wants, 1, &o, &f) {
		t.Error("denied beside a loan")
	}
	b.asks(1, Lent)
	if !b.Use(b.now, b.wants, 3, &o, &f) || !o.Allowed || f != holder || b.Use(b.now, b.wants, 2, &o, &f) {
		t.Errorf("%+v", o)
	}
	b.asks(1, Lent)
	b.asks(1, Denied)
	if !b.Purse.Denied(b.now, b.wants, 1, &o, &f) || o.Allowed {
		t.Errorf("%+v", o)
	}
	b.Sweep(b.now + sec)
	b.rests()
}

// A refund keeps the loans of its key.
func TestRefundKeepsLoans(t *testing.T) {
	b := newBook(t)
	b.lent(50, Term)
	b.Refund(b.wants[0].ID.Key)
	b.asks(1, Lent)
}

func TestStatesOfAllLimits(t *testing.T) {
	b := newBook(t, "10000/1h", "20000/1d")
	ask := func() (Answer, []bucket.State) {
		o := bucket.Outcome{Each: make([]bucket.State, 2)}
		var f From
		a, _ := b.Answer(b.now, b.wants, 5, &o, &f)
		return a, o.Each
	}
	b.lent(100, Term)
	if a, _ := ask(); a != Nothing {
		t.Errorf("answered %d without knowing the states", a)
	}
	b.asks(5, Lent)
	o := said(5000)
	o.Each = []bucket.State{o.State, {Limit: 20_000, Remaining: 15_000, Current: 5000, Reset: time.Hour}}
	b.Lent(b.Sent(b.now), b.now, b.wants, Grant{100, Term, 7, holder}, o)
	b.now += 2 * ms
	if a, each := ask(); a != Lent || each[0].Remaining != 4995 || each[1].Remaining != 14_995 || each[1].Reset != time.Hour-2*time.Millisecond {
		t.Errorf("%d %+v", a, each)
	}
	o.Each[1].Remaining = 1 // the purse has its own
	if a, each := ask(); a != Lent || each[1].Remaining != 14_990 {
		t.Errorf("%d %+v", a, each)
	}
}

func TestClose(t *testing.T) {
	b := newBook(t)
	b.lent(50, Term)
	b.asks(10, Lent)
	b.Close()
	b.asks(1, Nothing)
	b.lent(30, Term)
	b.asks(1, Nothing)
	b.rests(40, 30)
	for range 20 {
		if b.Want(b.now, b.wants, 1) != 0 {
			t.Error("a closed purse wishes to borrow")
		}
	}
}

func TestDrop(t *testing.T) {
	b := newBook(t)
	b.lent(50, Term)
	b.HeardDenied(b.Sent(b.now), b.now, b.wants, 60, no(time.Hour), holder)
	b.asks(60, Denied)
	b.Drop()
	b.asks(1, Nothing)
	b.asks(60, Nothing)
	b.Sweep(b.now + sec)
	b.rests()
	if s := b.Stats(); s.Lost != 50 || s.Live != 0 {
		t.Errorf("%+v", s)
	}
	before := b.Sent(b.now)
	b.Drop()
	b.Lent(before, b.now, b.wants, Grant{50, Term, 7, holder}, said(5000))
	b.HeardDenied(before, b.now, b.wants, 60, no(time.Hour), holder)
	b.asks(1, Nothing) // what was asked before says nothing of now
	b.asks(60, Nothing)
	b.lent(50, Term)
	b.asks(1, Lent)
}

// A purse that is full makes room, and gives back what that costs: denials before loans, the oldest first.
func TestRoom(t *testing.T) {
	b := newBook(t)
	b.Purse = New(1) // one set
	shapes := make([][]bucket.Want, ways+2)
	for i := range shapes {
		shapes[i] = shape(t, string(rune('a'+i)), "10000/1h")
	}
	for i := range ways {
		b.wants = shapes[i]
		b.now++
		if i == 3 {
			b.HeardDenied(b.Sent(b.now), b.now, b.wants, 1, no(time.Hour), holder)
		} else {
			b.lent(uint32(10+i), Term)
		}
	}
	b.now++
	b.wants = shapes[ways]
	b.lent(100, Term) // in place of the denial
	b.wants = shapes[3]
	b.asks(1, Nothing)
	b.rests()
	b.wants = shapes[0]
	b.asks(1, Lent) // used just now
	b.wants = shapes[ways+1]
	b.lent(200, Term) // in place of the loan that was used longest ago
	b.wants = shapes[1]
	b.asks(1, Nothing)
	b.rests(11)
	for _, i := range []int{0, 2, 4, ways, ways + 1} {
		b.wants = shapes[i]
		b.asks(1, Lent)
	}
	if s := b.Stats(); s.Entries != ways || s.Evicted != 2 {
		t.Errorf("%+v", s)
	}
}

func TestExplain(t *testing.T) {
	b := newBook(t)
	key := b.wants[0].ID.Key
	if h := b.Explain(b.now, key); h != nil {
		t.Errorf("%+v", h)
	}
	b.lent(50, Term)
	b.asks(10, Lent)
	b.HeardDenied(b.Sent(b.now), b.now, b.wants, 60, no(time.Hour), holder)
	h := b.Explain(b.now, key)
	if len(h) != 1 || h[0].Left != 40 || h[0].Granted != 50 || h[0].Ends != Term-time.Millisecond || h[0].DeniedHits != 60 || h[0].DeniedFor != time.Second ||
		len(h[0].Limits) != 1 || h[0].Lender != holder || h[0].Denier != holder {
		t.Errorf("%+v", h)
	}
	if h := b.Explain(b.now+2*sec, key); h != nil {
		t.Errorf("%+v", h)
	}
}
