package transport

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func bytesOf(texts ...string) [][]byte {
	var b [][]byte
	for _, s := range texts {
		b = append(b, []byte(s))
	}
	return b
}

func TestLimitCacheRemembers(t *testing.T) {
	c := NewLimitCache()
	in := bytesOf("100/1m", "1000/1h")
	first, err := c.Limits(in)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := c.Limits(bytesOf("100/1m", "1000/1h"))
	if &first[0] != &again[0] {
		t.Error("parsed twice")
	}
	// The texts were the caller's: the cache must not have kept them.
	copy(in[0], "999/9m")
	if again, _ = c.Limits(bytesOf("100/1m", "1000/1h")); &first[0] != &again[0] {
		t.Error("forgotten when the caller used its memory again")
	}
	if first[0].Rule != Inline || first[0].Policy != "" || first[0].Text != "100/1m" {
		t.Errorf("not an inline limit: %+v", first[0])
	}
}

func TestLimitCacheTellsListsApart(t *testing.T) {
	c := NewLimitCache()
	for _, texts := range [][]string{{"10/1m", "20/1h"}, {"20/1h", "10/1m"}, {"10/1m"}, {"20/1h"}} {
		got, err := c.Limits(bytesOf(texts...))
		if err != nil || len(got) != len(texts) || got[0].Text != texts[0] {
			t.Errorf("%q: %v, %v", texts, got, err)
		}
	}
	// The same bytes, cut elsewhere.
	for _, texts := range [][]string{{"10/1m20/1h"}, {"10/1m2", "0/1h"}} {
		if got, err := c.Limits(bytesOf(texts...)); err == nil {
			t.Errorf("%q: read as %v", texts, got)
		}
	}
	// One text that holds what would be two, with any byte between them, is not the two.
	for sep := range 256 {
		if got, err := c.Limits([][]byte{[]byte("10/1m" + string([]byte{byte(sep)}) + "20/1h")}); err == nil {
			t.Errorf("separator %#x: read as %v", sep, texts(got))
		}
	}
}

func TestLimitCacheErrors(t *testing.T) {
	c := NewLimitCache()
	for _, x := range []struct {
		texts []string
		want  string
	}{
		{nil, "0 of them"},
		{strings.Split(strings.Repeat("1/1s ", 16)+"1/1s", " "), "17 of them"},
		{[]string{"10/1m", "10/60"}, `limits[1]: limit "10/60"`},
		{[]string{"10/60"}, "10/60s is 60 seconds"}, // the hint
		{[]string{strings.Repeat("1", 129)}, "limits[0]: 129 bytes"},
	} {
		_, err := c.Limits(bytesOf(x.texts...))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v, want %q", x.texts, err, x.want)
		}
	}
}

func TestLimitCacheIsBounded(t *testing.T) {
	c := NewLimitCache()
	for i := range 3 * LimitCacheSize {
		text := fmt.Sprintf("%d/1m", i+1)
		got, err := c.Limits(bytesOf(text))
		if err != nil || got[0].Text != text {
			t.Fatalf("%s: %v, %v", text, got, err)
		}
	}
	n := 0
	for i := range c.slots {
		for j := range c.slots[i] {
			if c.slots[i][j].Load() != nil {
				n++
			}
		}
	}
	if n > LimitCacheSize || n < LimitCacheSize*9/10 {
		t.Errorf("%d entries of %d", n, LimitCacheSize)
	}
	// Lists too long to be worth remembering are read all the same.
	var many [][]byte
	for i := range MaxLimits {
		many = append(many, fmt.Appendf(nil, "%d/%dms token_bucket burst=%d", 4294960000+i, 31622400000-i, 4294967295))
	}
	if got, err := c.Limits(many); err != nil || len(got) != MaxLimits {
		t.Errorf("%d limits, %v", len(got), err)
	}
}

func TestLimitCacheHitAllocatesNothing(t *testing.T) {
	c := NewLimitCache()
	in := bytesOf("100/1m", "1000/1h")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Limits(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLimitCacheTogether(t *testing.T) {
	c := NewLimitCache()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				text := fmt.Sprintf("%d/1m", 1+(i*7+g)%50)
				if got, err := c.Limits(bytesOf(text)); err != nil || got[0].Text != text {
					t.Errorf("%s: %v, %v", text, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The law: what the cache answers, first and later, is what parsing answers.
func FuzzLimitCache(f *testing.F) {
	f.Add("100/1m", "1000/1h")
	f.Add("10/1m", "20/1m")
	f.Add("10/60", "")
	f.Add("5/1s token_bucket burst=9", "5/month fixed_window")
	c := NewLimitCache()
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, in := range [][][]byte{bytesOf(a), bytesOf(a, b), bytesOf(b, a, b)} {
			want, wantErr := parseLimits(in)
			for range 2 {
				got, err := c.Limits(in)
				if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
					t.Fatalf("%q: %v, parsed: %v", in, err, wantErr)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%q: %v, parsed: %v", in, got, want)
				}
			}
		}
	})
}

func BenchmarkLimitCache(b *testing.B) {
	c := NewLimitCache()
	in := bytesOf("100/1m", "1000/1h")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Limits(in)
	}
}
