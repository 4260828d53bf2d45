package native

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door/doortest"
)

// walked hides from the walk that a msgpackSource is one, so that it reads each value for itself.
type walked struct{ *msgpackSource }

// whole is all that reading a request leads to.
type whole struct {
	err     string
	at      int
	timeout time.Duration
	items   []item
	checks  []transport.Check
}

func readWhole(d *Door, body []byte, quick bool) whole {
	c := d.acquire(time.Now())
	defer c.release()
	c.policies = d.policies()
	c.mp.reset(bytes.Clone(body))
	var s source = &c.mp
	if !quick {
		s = walked{&c.mp}
	}
	err := c.read(s)
	w := whole{err: fmt.Sprint(err), at: c.at, timeout: c.timeout}
	if err == nil {
		for _, it := range c.items {
			it.plan = nil
			w.items = append(w.items, it)
		}
		for _, k := range c.checks {
			k.Key = bytes.Clone(k.Key)
			w.checks = append(w.checks, k)
		}
	}
	return w
}

// The law of the quick way: whatever comes, it is read as the walk reads it, or refused with the same words about the same check.
func FuzzQuick(f *testing.F) {
	for _, s := range jsonSeeds[:5] {
		f.Add([]byte(toMsgpack(f, s)))
	}
	for _, s := range quickSeeds {
		f.Add([]byte("\x81\xa6checks\x93" + s.body + s.body + s.body))
		f.Add([]byte("\x82\xaatimeout_ms\x05\xa6checks\x92" + s.body + plainQuick))
	}
	doors := []*Door{New(Config{Checker: doortest.New()}), New(Config{Checker: doortest.New(), Policies: set(parse(f, shop))})}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > transport.MaxRequest {
			return
		}
		for _, d := range doors {
			if got, want := readWhole(d, body, true), readWhole(d, body, false); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q:\nread quickly %+v\nwalked       %+v", body, got, want)
			}
		}
	})
}

const plainQuick = "\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\x01"

// quickSeeds are checks and whether they are read quickly.
var quickSeeds = []struct {
	body  string
	quick bool
}{
	{plainQuick, true},
	{"\x82\xa3key\xa1k\xa6limits\x91\xa42/1m", true},
	{"\x82\xa6limits\x91\xa42/1m\xa3key\xa1k", true},
	{"\x83\xa4hits\x01\xa6limits\x92\xa42/1m\xa43/1h\xa3key\xa1k", true},
	{"\x83\xa3key\xa1k\xa6limits\x92\xa42/1m\xa43/1m\xa4hits\x00", true},
	{"\x83\xa3key\xa1k\xa6limits\x91\xd9\x042/1m\xa4hits\xcd\x01\x00", true},
	{"\x83\xa3key\xd9\x02\xc3\xa9\xa6limits\x91\xa42/1m\xa4hits\xd3\xff\xff\xff\xff\x00\x00\x00\x01", true},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xff", true},
	{"\x83\xa3key\xa1k\xa6limits\x91\xbb5/1s token_bucket burst=100\xa4hits\x01", true},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xd3\xff\xff\xff\xff\x00\x00\x00\x00", false},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xce\xff\xff\xff", false},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\xc0", false},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits", false},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hist\x01", false},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa3key\xa1k", false},
	{"\x83\xa3key\xa1k\xa6limits\x91\xa42/1m\xa6limits\x91\xa42/1m", false},
	{"\x83\xa4hits\x01\xa4hits\x01\xa3key\xa1k", false},
	{"\x82\xa3key\xa1k\xa4hits\x01", false},
	{"\x82\xa6limits\x91\xa42/1m\xa4hits\x01", false},
	{"\x82\xa3key\xa0\xa6limits\x91\xa42/1m", false},
	{"\x82\xa3key\xa1\xff\xa6limits\x91\xa42/1m", false},
	{"\x82\xa3key\xda\x00\x01k\xa6limits\x91\xa42/1m", false},
	{"\x82\xa3key\xc4\x01k\xa6limits\x91\xa42/1m", false},
	{"\x82\xa3key\xa1k\xa6limits\x90", false},
	{"\x82\xa3key\xa1k\xa6limits\xdc\x00\x01\xa42/1m", false},
	{"\x82\xa3key\xa1k\xa6limits\x91\xa42/1x", false},
	{"\x82\xa3key\xa1k\xa6limits\x91\xa0", false},
	{"\x82\xa3key\xa1k\xa6limits\x91\xa52/1m", false},
	{"\x82\xa3key\xa1k\xa6limits\x91", false},
	{"\x82\xa3key\xa1k\xa6limits", false},
	{"\x82\xa3key", false},
	{"\x82", false},
	{"", false},
	{"\x81\xa3key\xa1k", false},
	{"\x84\xa3key\xa1k\xa6limits\x91\xa42/1m\xa4hits\x01\xa7receipt\xc3", false},
	{"\x82\xaaattributes\x80\xa4hits\x01", false},
}

// What is read quickly is read so, or the law above would hold for nothing; and what is not is left where it was.
func TestQuickCheck(t *testing.T) {
	d := New(Config{Checker: doortest.New()})
	for _, x := range quickSeeds {
		for _, remembered := range []string{"", plainQuick} {
			c := d.acquire(time.Now())
			c.memo = c.memo[:0]
			if remembered != "" && !c.quickCheck(&msgpackSource{b: []byte(remembered)}) {
				t.Fatalf("%q: not read quickly", remembered)
			}
			before := len(c.checks)
			s := msgpackSource{b: []byte(x.body)}
			if x.quick {
				s.b = append(s.b, "rest"...)
			}
			whole := len(s.b)
			if got := c.quickCheck(&s); got != x.quick {
				t.Errorf("%q: read quickly %v, want %v", x.body, got, x.quick)
			}
			switch read := len(c.checks) - before; {
			case x.quick && (string(s.b) != "rest" || read != 1 || len(c.items) != len(c.checks)):
				t.Errorf("%q: %q is left, %d checks read", x.body, s.b, read)
			case !x.quick && (len(s.b) != whole || read != 0 || len(c.items) != len(c.checks)):
				t.Errorf("%q: refused, and %q is left, %d checks read", x.body, s.b, read)
			}
			c.release()
		}
	}
}

// The limits that a call remembers are those of their bytes, whoever sent them, and nobody's memory.
func TestRememberedLimits(t *testing.T) {
	c := New(Config{Checker: doortest.New()}).acquire(time.Now())
	defer c.release()
	var buffer [512]byte
	read := func(body string) string {
		t.Helper()
		b := buffer[:copy(buffer[:], body)] // as a connection's: the next request is where this one was
		limits, rest := c.quickLimits(b)
		if limits == nil || len(rest) != 0 {
			t.Fatalf("%q: not read", body)
		}
		var s string
		for i := range limits {
			s += limits[i].Text + ";"
		}
		return s
	}
	many := "\x9f" + strings.Repeat("\xaf4294967295/366d", 15)
	for _, x := range [][2]string{
		{"\x91\xa42/1m", "2/1m;"}, {"\x91\xa42/1m", "2/1m;"}, {"\x91\xa42/1h", "2/1h;"}, {"\x91\xa42/1m", "2/1m;"}, {"\x92\xa42/1m\xa42/1h", "2/1m;2/1h;"},
		{"\x91\xa532/1m", "32/1m;"}, {"\x92\xa42/1h\xa42/1m", "2/1h;2/1m;"}, {many, "4294967295/366d;"}, {"\x91\xa42/1m", "2/1m;"},
	} {
		if got := read(x[0]); got != x[1] {
			t.Errorf("%q is %s, want %s", x[0], got, x[1])
		}
		if len(c.memo) > maxMemo {
			t.Errorf("remembers %d bytes", len(c.memo))
		}
	}
}

// What is written quickly is what is written.
func TestQuickAnswer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	c := new(call)
	quick := 0
	for range 100_000 {
		l := transport.Limit{Text: strings.Repeat("x", r.IntN(300))}
		k := transport.Check{Limits: []transport.Limit{l}}
		d := transport.Decision{Via: transport.Via(r.IntN(transport.Vias + 1)), Outcome: bucket.Outcome{
			Allowed: r.IntN(2) == 0, Never: r.IntN(8) == 0, By: r.IntN(3) - 1, State: bucket.State{
				Limit: uint32(number()), Remaining: uint32(number()), Reset: time.Duration(number() >> 1), Retry: time.Duration(number() >> 1)}}}
		c.checks, c.decisions = append(c.checks[:0], k), append(c.decisions[:0], d)
		var v view
		c.viewPlain(&item{n: 1}, &v)
		want := appendMsgpack([]byte("before"), &v)
		got, written := quickAnswer([]byte("before"), &d, limitOf(&d, &k))
		switch {
		case !written && string(got) != "before":
			t.Fatalf("%+v: not written, and %q is", d, got)
		case written && !bytes.Equal(got, want):
			t.Fatalf("%+v:\nquickly %q\nslowly  %q", d, got, want)
		case written:
			quick++
		}
	}
	if quick < 1000 {
		t.Errorf("%d of them written quickly", quick)
	}
}
