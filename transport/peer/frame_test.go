package peer

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

func goodBatch(n int) []byte {
	r := rand.New(rand.NewPCG(4, uint64(n)))
	b := appendHeader(nil, &header{lane: 1, count: n, cluster: 3, start: 100, target: 200, sequence: 5, name: []byte("n0")})
	c := GetCall(1)
	defer c.Put()
	for range n {
		a := randomAsk(c, 0, r)
		if a.Hits > 0 && r.IntN(3) == 0 {
			a.Borrow = uint32(1) << r.IntN(32)
		}
		a.Return = a.Receipt != 0 && r.IntN(2) == 0
		b = appendEntry(b, a, 77)
	}
	return b
}

func readBatch(b []byte) (header, []Entry, error) {
	var h header
	rest, err := readHeader(b, &h)
	if err != nil {
		return h, nil, err
	}
	var e Entry
	var wants [bucket.MaxWants]bucket.Want
	if _, err := validBatch(rest, &h, partitions, &e, &wants); err != nil {
		return h, nil, err
	}
	var all []Entry
	for range h.count {
		rest, err = readEntry(rest, &e, &wants)
		if err != nil {
			return h, nil, err
		}
		one := e
		one.Wants = append([]bucket.Want(nil), e.Wants...)
		all = append(all, one)
	}
	return h, all, nil
}

func TestAnAskArrivesAsItWasSent(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	c := GetCall(1)
	defer c.Put()
	for range 2000 {
		a := randomAsk(c, 0, r)
		a.Epoch, a.Receipt = r.Uint64(), 0
		a.Failed, a.OnSplit = r.IntN(2) == 0, transport.OnSplit(r.IntN(4))
		if a.Hits < 0 {
			a.Receipt = bucket.Receipt(r.Uint64() | 1)
			a.Return = r.IntN(2) == 0
		}
		if a.Hits > 0 {
			a.Borrow = uint32(1) << r.IntN(32) * uint32(r.IntN(2))
		}
		b := appendHeader(nil, &header{lane: 1, count: 1, cluster: 3, start: 100, target: 200, sequence: 5, name: []byte("n0")})
		h, got, err := readBatch(appendEntry(b, a, 1234))
		if err != nil {
			t.Fatal(err)
		}
		if h.lane != 1 || h.cluster != 3 || h.start != 100 || h.target != 200 || h.sequence != 5 || string(h.name) != "n0" {
			t.Fatalf("%+v", h)
		}
		want := Entry{Partition: a.Partition, Epoch: a.Epoch, Wants: a.Wants, Hits: a.Hits, Times: 1, Receipt: a.Receipt, Each: a.Each, Failed: a.Failed, OnSplit: a.OnSplit,
			Borrow: a.Borrow, Return: a.Return, Left: 1234 * time.Millisecond}
		if !reflect.DeepEqual(got[0], want) {
			t.Fatalf("got %+v\nwant %+v", got[0], want)
		}
	}
}

func TestAnAnswerArrivesAsItWasSent(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	state := func() bucket.State {
		return bucket.State{Limit: r.Uint32(), Remaining: r.Uint32(), Current: r.Uint64(), Reset: time.Duration(r.IntN(1e9)) * time.Microsecond, Retry: time.Duration(r.IntN(1e9)) * time.Microsecond}
	}
	for range 2000 {
		wants := 1 + r.IntN(64)
		e := Entry{Wants: make([]bucket.Want, wants), Times: 1 + uint32(r.IntN(3)), Each: r.IntN(2) == 0}
		if e.Each {
			e.Times = 1
		}
		e.Borrow = uint32(1) << r.IntN(32) * uint32(r.IntN(2))
		outcome := func(allowed bool) bucket.Outcome {
			o := bucket.Outcome{Allowed: allowed, Never: r.IntN(2) == 0, Full: r.IntN(2) == 0, By: r.IntN(wants+1) - 1, State: state(),
				Receipt: bucket.Receipt(r.Uint64()), Shadowed: r.Uint64() & wantMask(wants), Each: []bucket.State{}}
			if e.Each {
				for range wants {
					o.Each = append(o.Each, state())
				}
			}
			return o
		}
		a := Answer{Code: []Code{Decided, Decided, Moved, Wait, Failed, Unsent}[r.IntN(6)], Via: transport.Via(r.IntN(6)), HoldEpoch: r.Uint64(), Holder: []string{"", "n2"}[r.IntN(2)]}
		none := bucket.Outcome{Each: []bucket.State{}}
		a.Allowed, a.Denied = none, none
		if a.Code == Decided {
			a.Granted = uint32(r.IntN(int(e.Times) + 1))
			if a.Granted > 0 {
				a.Allowed = outcome(true)
			}
			if a.Granted < e.Times {
				a.Denied = outcome(false)
			}
			if e.Borrow > 0 && r.IntN(2) == 0 {
				a.Loan = Loan{1 + r.Uint32N(e.Borrow), time.Duration(1+r.IntN(1e6)) * time.Microsecond, bucket.Receipt(r.Uint64())}
			}
		}
		b := appendAnswer(nil, &e, &a)
		if most := longestAnswer(wants, e.Each); len(b) > most {
			t.Fatalf("%d bytes, at most %d", len(b), most)
		}
		var got Answer
		got.Allowed.Each, got.Denied.Each = make([]bucket.State, 0, 64), make([]bucket.State, 0, 64)
		got.Loan = Loan{5, 5, 5} // of the entry before
		rest, err := readAnswer(b, expected{wants, e.Times, e.Each, e.Borrow}, &got, func(b []byte) string { return string(b) })
		if err != nil || len(rest) != 0 {
			t.Fatalf("%v, %d bytes left of %+v", err, len(rest), a)
		}
		if !reflect.DeepEqual(got, a) {
			t.Fatalf("got %+v\nwant %+v", got, a)
		}
	}
}

// What a decider must not say does not reach the wire, where it would make the asker drop the whole answer.
func TestAStrayAnswerIsMadeHarmless(t *testing.T) {
	e := Entry{Wants: make([]bucket.Want, 1), Times: 1}
	for _, a := range []Answer{
		{},
		{Code: Shed},
		{Code: Moved, Holder: string(make([]byte, MaxName+1)), Granted: 1},
		{Code: Decided, Granted: 9, Allowed: bucket.Outcome{By: 5, Shadowed: 1 << 40, State: bucket.State{Reset: 1 << 62, Retry: -5}}},
		{Code: Decided, Denied: bucket.Outcome{By: -7, Each: make([]bucket.State, 3)}},
	} {
		var got Answer
		rest, err := readAnswer(appendAnswer(nil, &e, &a), expected{1, 1, false, 0}, &got, func(b []byte) string { return string(b) })
		if err != nil || len(rest) != 0 {
			t.Errorf("%+v: %v", a, err)
		}
	}
	if got := micros(1); got != 1 {
		t.Errorf("a nanosecond became %d µs: that is early", got)
	}
}

// TestEachRuleOfAFrame breaks a good frame at one place at a time.
func TestEachRuleOfAFrame(t *testing.T) {
	c := GetCall(1)
	defer c.Put()
	token := want(7, 10)
	token.Limit.Algorithm, token.Limit.Burst = bucket.TokenBucket, 20
	month := want(7, 10)
	month.ID.Line, month.Limit.Window, month.Limit.Algorithm = uint64(bucket.Month)<<28, bucket.Month, bucket.FixedWindow
	frame := func(change func(a *Ask)) []byte {
		a := fill(c, 0, 7, 1, want(7, 10))
		a.Receipt = 0
		change(a)
		return appendEntry(appendHeader(nil, &header{count: 1, start: 1, target: 2, sequence: 1, name: []byte("n")}), a, 1)
	}
	head := askHead + 1
	bytesAt := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	as := func(b []byte) []byte { return b }
	for _, x := range []struct {
		what string
		ask  func(a *Ask)
		wire func(b []byte) []byte
		err  error
	}{
		{"good", func(a *Ask) {}, as, nil},
		{"token bucket", func(a *Ask) { a.Wants[0] = token }, as, nil},
		{"month", func(a *Ask) { a.Wants[0] = month }, as, nil},
		{"folded", func(a *Ask) {}, bytesAt(head+4, 255), nil},
		{"magic", func(a *Ask) {}, bytesAt(0, 'G', 'E', 'T'), errMagic},
		{"an earlier version", func(a *Ask) {}, bytesAt(3, 1), errMagic},
		{"a later version", func(a *Ask) {}, bytesAt(3, 3), errMagic},
		{"flags of the batch", func(a *Ask) {}, bytesAt(4, 1), errFlags},
		{"lane", func(a *Ask) {}, bytesAt(5, MaxLanes), errLane},
		{"no entries", func(a *Ask) {}, bytesAt(6, 0), errEntries},
		{"too many entries", func(a *Ask) {}, bytesAt(6, 1, 16), errEntries},
		{"more entries than bytes", func(a *Ask) {}, bytesAt(6, 2), errShort},
		{"no name", func(a *Ask) {}, bytesAt(40, 0), errName},
		{"long name", func(a *Ask) {}, bytesAt(40, 65), errName},
		{"no wants", func(a *Ask) {}, bytesAt(head+2, 0), errWants},
		{"too many wants", func(a *Ask) {}, bytesAt(head+2, 65), errWants},
		{"more wants than bytes", func(a *Ask) {}, bytesAt(head+2, 2), errShort},
		{"flags of an entry", func(a *Ask) {}, bytesAt(head+3, 64), errFlags},
		{"to be relayed, in another lane", func(a *Ask) { a.Through = true }, as, errThrough},
		{"not to be relayed, in that lane", func(a *Ask) {}, bytesAt(5, throughLane), errThrough},
		{"to be relayed", func(a *Ask) { a.Through = true }, bytesAt(5, throughLane), nil},
		{"flags of a want", func(a *Ask) {}, bytesAt(head+entrySize+17, 4), errFlags},
		{"zero byte", func(a *Ask) {}, bytesAt(head+11, 1), errFlags},
		{"to borrow", func(a *Ask) { a.Borrow = 100 }, as, nil},
		{"to borrow most", func(a *Ask) { a.Borrow = 1<<32 - 1 }, as, nil},
		{"to borrow more", func(a *Ask) {}, bytesAt(head+entryBorrow, maxBorrowByte+1), errBorrow},
		{"to borrow for a peek", func(a *Ask) { a.Borrow, a.Hits = 1, 0 }, as, errBorrow},
		{"to borrow for giving back", func(a *Ask) { a.Borrow, a.Hits = 1, -1 }, as, errBorrow},
		{"to borrow through another", func(a *Ask) { a.Borrow, a.Through = 1, true }, bytesAt(5, throughLane), errBorrow},
		{"to return", func(a *Ask) { a.Hits, a.Receipt, a.Return = -1, 5, true }, as, nil},
		{"to return by spending", func(a *Ask) { a.Return = true }, as, errReturn},
		{"to return without a receipt", func(a *Ask) { a.Hits, a.Return = -1, true }, as, errReturn},
		{"to return through another", func(a *Ask) { a.Hits, a.Receipt, a.Return, a.Through = -1, 5, true, true }, bytesAt(5, throughLane), errReturn},
		{"trailing bytes", func(a *Ask) {}, func(b []byte) []byte { return append(b, 0) }, errTrail},
		{"cut off", func(a *Ask) {}, func(b []byte) []byte { return b[:len(b)-1] }, errShort},
		{"partition of another key", func(a *Ask) { a.Partition = 8 }, as, errPartition},
		{"partition out of range", func(a *Ask) { a.Partition = partitions }, as, errPartition},
		{"hits", func(a *Ask) { a.Hits = 1 << 32 }, as, errHits},
		{"negative hits", func(a *Ask) { a.Hits = -1 << 32 }, as, errHits},
		{"least hits", func(a *Ask) { a.Hits = -1 << 63 }, as, errHits},
		{"receipt", func(a *Ask) { a.Receipt = 1 }, as, errReceipt},
		{"no times", func(a *Ask) {}, bytesAt(head+4, 0), errTimes},
		{"too many times", func(a *Ask) {}, bytesAt(head+4, 1, 0, 1), errTimes},
		{"folded peek", func(a *Ask) { a.Hits = 0 }, bytesAt(head+4, 2), errTimes},
		{"folded states", func(a *Ask) { a.Each = true }, bytesAt(head+4, 2), errTimes},
		{"algorithm", func(a *Ask) { a.Wants[0].Limit.Algorithm = 3 }, as, errAlgorithm},
		{"count", func(a *Ask) { a.Wants[0].Limit.Count = 0 }, as, errCount},
		{"burst below count", func(a *Ask) { a.Wants[0] = token; a.Wants[0].Limit.Burst = 9 }, as, errBurst},
		{"burst of a window", func(a *Ask) { a.Wants[0].Limit.Burst = 9 }, as, errBurst},
		{"window too short", func(a *Ask) { a.Wants[0].ID.Line = 99 << 28 }, as, errWindow},
		{"window too long", func(a *Ask) { a.Wants[0].ID.Line = uint64(bucket.MaxWindow+1) << 28 }, as, errWindow},
		{"sliding month", func(a *Ask) { a.Wants[0] = month; a.Wants[0].Limit.Algorithm = bucket.SlidingWindow }, as, errWindow},
	} {
		if _, _, err := readBatch(x.wire(frame(x.ask))); err != x.err {
			t.Errorf("%s: %v, not %v", x.what, err, x.err)
		}
	}
}

// longestAnswer returns the most bytes that an entry's answer takes.
func longestAnswer(wants int, each bool) int {
	n := answerSize + MaxName + loanSize + 2*outcomeSize
	if each {
		n += wants * stateSize // such an entry does not fold, and has one outcome
	}
	return n
}

func TestNoAnswerIsTooLong(t *testing.T) {
	for wants := 1; wants <= bucket.MaxWants; wants++ {
		entries := min(MaxEntries, MaxBatch/(entrySize+wants*wantSize))
		if n := answerHead + entries*longestAnswer(wants, true); n > MaxAnswer {
			t.Errorf("%d entries of %d wants have an answer of %d bytes", entries, wants, n)
		}
	}
}

// TestEachRuleOfAnAnswer breaks a good answer at one place at a time.
func TestEachRuleOfAnAnswer(t *testing.T) {
	e := Entry{Wants: make([]bucket.Want, 2), Times: 1, Each: true, Borrow: 256}
	good := func() []byte {
		a := Answer{Code: Decided, Granted: 1, Holder: "n2", Loan: Loan{256, 100 * time.Microsecond, 9}, Allowed: bucket.Outcome{By: 1, Each: make([]bucket.State, 2)}}
		b := appendAnswerHeader(nil, &answerHeader{status: statusDone, count: 1, answerer: 1, start: 2, sequence: 3})
		return appendAnswer(b, &e, &a)
	}
	far := []byte{0, 0, 0, 0, 0, 0, 0, 1}
	entry, loan := answerHead, answerHead+answerSize+2
	outcome := loan + loanSize
	for _, x := range []struct {
		what string
		at   int
		b    []byte
		err  error
	}{
		{"good", 0, nil, nil},
		{"magic", 2, []byte{'q'}, errMagic},
		{"no status", 4, []byte{0}, errCode},
		{"unknown status", 4, []byte{byte(statusCount)}, errCode},
		{"more entries than bytes", 6, []byte{200}, errShort},
		{"too many entries", 6, []byte{255, 255}, errShort},
		{"pending", entry, []byte{0}, errCode},
		{"unknown code", entry, []byte{byte(Unsent) + 1}, errCode},
		{"shed", entry, []byte{byte(Shed)}, errCode},
		{"unknown via", entry + 1, []byte{6}, errCode},
		{"flags of an entry", entry + 2, []byte{3}, errFlags},
		{"no loan", entry + 2, []byte{0}, errTrail},
		{"a loan where moved", entry, []byte{byte(Moved), 0, 1, 2, 0}, errLoan},
		{"a loan of nothing", loan, []byte{0, 0}, errLoan},
		{"a loan of more than was asked for", loan, []byte{1, 1}, errLoan},
		{"a loan for no time", loan + 4, []byte{0, 0, 0, 0}, errLoan},
		{"a loan for too long", loan + 4, []byte{0x41, 0x42, 0x0f}, errLoan},
		{"a loan for the longest", loan + 4, []byte{0x40, 0x42, 0x0f}, nil},
		{"long holder", entry + 3, []byte{65}, errCode},
		{"more granted than asked", entry + 4, []byte{2}, errGranted},
		{"granted where moved", entry, []byte{byte(Moved)}, errGranted},
		{"flags", outcome, []byte{4}, errFlags},
		{"by", outcome + 1, []byte{2}, errBy},
		{"one state of two", outcome + 2, []byte{1}, errStates},
		{"shadowed", outcome + 44, []byte{4}, errBy},
		{"reset", outcome + 20, far, errSpan},
		{"retry", outcome + 28, far, errSpan},
		{"reset of a state", outcome + outcomeSize + 16, far, errSpan},
		{"retry of a state", outcome + outcomeSize + stateSize + 24, far, errSpan},
	} {
		b := good()
		copy(b[x.at:], x.b)
		for _, cut := range []int{0, 1} {
			var h answerHeader
			var got Answer
			got.Allowed.Each = make([]bucket.State, 0, 64)
			rest, err := readAnswerHeader(b[:len(b)-cut], &h)
			if err == nil {
				rest, err = readAnswer(rest, expected{2, 1, true, 256}, &got, func(b []byte) string { return string(b) })
				if err == nil && len(rest) != 0 {
					err = errTrail // as the lane says
				}
			}
			if cut == 0 && err != x.err || cut == 1 && err == nil {
				t.Errorf("%s, %d cut off: %v, not %v", x.what, cut, err, x.err)
			}
		}
	}
}

// spent returns how many bytes f allocates.
func spentBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// budget allows what other goroutines of the test allocate meanwhile, and a little for each byte that is there.
func budget(n int) uint64 { return 64<<10 + 64*uint64(n) }

func FuzzBatch(f *testing.F) {
	for _, n := range []int{1, 2, 30} {
		b := goodBatch(n)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{255}, 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h header
		var e Entry
		var wants [bucket.MaxWants]bucket.Want
		var err error
		if n := spentBytes(func() {
			var rest []byte
			if rest, err = readHeader(b, &h); err == nil {
				_, err = validBatch(rest, &h, partitions, &e, &wants)
			}
		}); n > budget(0) {
			t.Fatalf("%d bytes allocated", n)
		}
		if err != nil {
			return
		}
		// What was read is written again as the same bytes.
		_, entries, err := readBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		again := appendHeader(nil, &h)
		for i := range entries {
			x := &entries[i]
			at := len(again)
			again = appendEntry(again, &Ask{Partition: x.Partition, Epoch: x.Epoch, Wants: x.Wants, Hits: x.Hits, Receipt: x.Receipt, Each: x.Each, Failed: x.Failed, Through: x.Through, OnSplit: x.OnSplit, Borrow: x.Borrow, Return: x.Return}, uint16(x.Left/time.Millisecond))
			setTimes(again[at:], x.Times)
		}
		if !bytes.Equal(b, again) {
			t.Fatalf("read %x, wrote %x", b, again)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	e := Entry{Wants: make([]bucket.Want, 2), Times: 3}
	a := Answer{Code: Decided, Granted: 2, Holder: "n2", Allowed: bucket.Outcome{By: 1, Shadowed: 2}}
	body := appendAnswerHeader(nil, &answerHeader{status: statusDone, count: 1, answerer: 1, start: 2, sequence: 3})
	body = appendAnswer(body, &e, &a)
	f.Add(body, uint8(2), uint32(3), false, uint8(0))
	e.Borrow, a.Loan = 64, Loan{50, time.Second, 7}
	f.Add(appendAnswer(body[:answerHead:answerHead], &e, &a), uint8(2), uint32(3), false, borrowByte(64))
	e.Times, e.Each, a.Granted = 1, true, 0
	a.Denied.Each = make([]bucket.State, 2)
	f.Add(appendAnswer(body[:answerHead:answerHead], &e, &a), uint8(2), uint32(1), true, borrowByte(64))
	f.Add([]byte("Spa\x02"), uint8(1), uint32(1), true, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, wants uint8, times uint32, each bool, borrow uint8) {
		x := expected{1 + int(wants)%bucket.MaxWants, 1 + times%MaxTimes, each, borrowed(borrow % (maxBorrowByte + 1))}
		if each {
			x.times = 1
		}
		var room [2][bucket.MaxWants]bucket.State
		var ans Answer
		if n := spentBytes(func() {
			var h answerHeader
			rest, err := readAnswerHeader(b, &h)
			for i := 0; err == nil && i < h.count; i++ {
				ans.Allowed.Each, ans.Denied.Each = room[0][:0], room[1][:0]
				rest, err = readAnswer(rest, x, &ans, func([]byte) string { return "n" })
				if err == nil && (ans.Granted > x.times || ans.Allowed.By >= x.wants || ans.Denied.By >= x.wants || ans.Loan.Hits > x.borrow || ans.Loan.Term > MaxTerm) {
					t.Fatalf("%+v", ans)
				}
			}
		}); n > budget(0) {
			t.Fatalf("%d bytes allocated", n)
		}
	})
}
