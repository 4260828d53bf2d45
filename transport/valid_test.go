package transport

import (
	"strings"
	"testing"

	"github.com/stint-limiter/stint/bucket"
)

func limit(t testing.TB, text string) Limit {
	t.Helper()
	l, err := bucket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return NewLimit("", Inline, l)
}

func TestCheckValid(t *testing.T) {
	one := []Limit{limit(t, "10/1m")}
	many := make([]Limit, bucket.MaxWants+1)
	for i := range many {
		many[i] = limit(t, "10/1m")
		many[i].Window += bucket.Window(i)
	}
	for _, c := range []struct {
		name  string
		check Check
		want  string // part of the error; "" is valid
	}{
		{"plain", Check{Key: []byte("k"), Limits: one, Hits: 1}, ""},
		{"peek", Check{Key: []byte("k"), Limits: one}, ""},
		{"longest key", Check{Key: []byte(strings.Repeat("k", MaxKey)), Limits: one, Hits: 1}, ""},
		{"most hits", Check{Key: []byte("k"), Limits: one, Hits: MaxHits}, ""},
		{"most given back", Check{Key: []byte("k"), Limits: one, Hits: -MaxHits}, ""},
		{"most limits", Check{Key: []byte("k"), Limits: many[:bucket.MaxWants], Hits: 1}, ""},
		{"no key", Check{Limits: one, Hits: 1}, "key is empty"},
		{"long key", Check{Key: []byte(strings.Repeat("k", MaxKey+1)), Limits: one, Hits: 1}, "key is 513 bytes"},
		{"not UTF-8", Check{Key: []byte("\xff"), Limits: one, Hits: 1}, "not UTF-8"},
		{"hits", Check{Key: []byte("k"), Limits: one, Hits: MaxHits + 1}, "hits is 4294967296"},
		{"hits back", Check{Key: []byte("k"), Limits: one, Hits: -MaxHits - 1}, "hits is -4294967296"},
		{"no limits", Check{Key: []byte("k"), Hits: 1}, "there is none"},
		{"many limits", Check{Key: []byte("k"), Limits: many, Hits: 1}, "65 of them"},
		{"one line twice", Check{Key: []byte("k"), Limits: []Limit{limit(t, "10/1m"), limit(t, "20/1m")}, Hits: 1}, "10/1m and 20/1m share one bucket"},
	} {
		err := c.check.Valid()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: refused: %v", c.name, err)
		case c.want != "" && err == nil:
			t.Errorf("%s: accepted", c.name)
		case c.want != "" && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %q does not say %q", c.name, err, c.want)
		}
	}
}

func TestValidKeyKeepsSecrets(t *testing.T) {
	secret := strings.Repeat("secret", 100)
	if err := ValidKey([]byte(secret)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error repeats the key: %v", err)
	}
}

func TestCheckValidAllocatesNothing(t *testing.T) {
	c := Check{Key: []byte("account:42"), Limits: []Limit{limit(t, "10/1m"), limit(t, "100/1h")}, Hits: 1}
	if n := testing.AllocsPerRun(100, func() {
		if err := c.Valid(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestModes(t *testing.T) {
	for _, m := range []Mode{Allow, Deny} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%q reads as %v, %v", m, got, err)
		}
	}
	for _, o := range []OnSplit{SplitFull, SplitShare, SplitDeny} {
		if got, err := ParseOnSplit(o.String()); err != nil || got != o {
			t.Errorf("%q reads as %v, %v", o, got, err)
		}
	}
	for _, s := range []string{"", "Allow", "open"} {
		if _, err := ParseMode(s); err == nil {
			t.Errorf("mode %q accepted", s)
		}
		if _, err := ParseOnSplit(s); err == nil {
			t.Errorf("on_split %q accepted", s)
		}
	}
	if !ByDefault.Allows() || !Allow.Allows() || Deny.Allows() {
		t.Error("only deny denies")
	}
}
