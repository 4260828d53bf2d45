package transport

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func texts(limits []Limit) []string {
	var s []string
	for _, l := range limits {
		s = append(s, l.Text)
	}
	return s
}

func TestFoldLimits(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"10/1m"}, []string{"10/1m"}},
		{[]string{"20/1m", "10/1m"}, []string{"10/1m"}},
		{[]string{"10/60s", "20/1m"}, []string{"10/1m"}},
		{[]string{"10/1m", "10/1h"}, []string{"10/1m", "10/1h"}},
		{[]string{"10/1m", "5/1m fixed_window"}, []string{"10/1m", "5/1m fixed_window"}},
		{[]string{"10/1s", "9/1h", "5/1s", "7/1h", "8/1d"}, []string{"5/1s", "7/1h", "8/1d"}},
		// The least of each, though no one of the limits has both.
		{[]string{"10/1s token_bucket burst=20", "5/1s token_bucket burst=50"}, []string{"5/1s token_bucket burst=20"}},
		{[]string{"10/1d fixed_window", "5/day fixed_window"}, []string{"5/1d fixed_window"}},
	} {
		var in []Limit
		for _, s := range c.in {
			in = append(in, limit(t, s))
		}
		if got := texts(FoldLimits(in)); !slices.Equal(got, c.want) {
			t.Errorf("%q folds to %q, want %q", c.in, got, c.want)
		}
	}
}

// A folded list has no two limits on one line, folds to itself, and is no less strict than any limit that went in.
func TestFoldLimitsLaws(t *testing.T) {
	pool := []string{"1/1s", "2/1s", "3/1s token_bucket", "4/1s token_bucket burst=9", "5/1m", "6/1m", "7/1m fixed_window", "8/1m fixed_window"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var in []Limit
		for range 1 + rnd.IntN(8) {
			in = append(in, limit(t, pool[rnd.IntN(len(pool))]))
		}
		out := FoldLimits(slices.Clone(in))
		for i := range out {
			for j := range i {
				if SameLine(&out[i], &out[j]) {
					t.Fatalf("%q folds to %q", texts(in), texts(out))
				}
			}
		}
		for i := range in {
			at := slices.IndexFunc(out, func(l Limit) bool { return SameLine(&l, &in[i]) })
			if at < 0 || out[at].Count > in[i].Count || out[at].Most() > in[i].Most() {
				t.Fatalf("%q folds to %q, which is looser than %q", texts(in), texts(out), in[i].Text)
			}
		}
		if again := FoldLimits(slices.Clone(out)); !slices.Equal(texts(again), texts(out)) {
			t.Fatalf("%q folds again to %q", texts(out), texts(again))
		}
	}
}
