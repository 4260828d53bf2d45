package load

import (
	"math"
	"slices"
	"testing"
)

// shares draws the whole sequence as so many callers would and returns how often each key came.
func drawAll(t *testing.T, name string) (w *Workload, counts []int, total int) {
	t.Helper()
	w, err := NewWorkload(name, 1, 8, 42)
	if err != nil {
		t.Fatal(err)
	}
	counts = make([]int, w.Keys)
	for i := range 8 {
		c := w.cursor(i, 8)
		keys := make([]uint32, 64)
		for range seqLen / 8 / 64 {
			c.next(keys)
			for _, k := range keys {
				counts[k]++
				total++
			}
		}
	}
	return w, counts, total
}

func TestUniform(t *testing.T) {
	_, counts, total := drawAll(t, "uniform")
	// The sum of squared deviations over the expected count is chi-squared with keys−1 degrees of freedom: its mean is
	// that number, its standard deviation √(2 × it).
	want := float64(total) / float64(len(counts))
	var chi float64
	for _, n := range counts {
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	free := float64(len(counts) - 1)
	if math.Abs(chi-free) > 5*math.Sqrt(2*free) {
		t.Errorf("chi-squared is %.0f, want about %.0f", chi, free)
	}
}

func TestZipf(t *testing.T) {
	_, counts, _ := drawAll(t, "zipf")
	for _, k := range []int{1, 9, 99} {
		got, want := float64(counts[0])/float64(counts[k]), math.Pow(float64(k+1), 1.1)
		if math.Abs(got/want-1) > 0.15 {
			t.Errorf("key 0 comes %.1f times as often as key %d, want %.1f", got, k, want)
		}
	}
}

func TestHotShare(t *testing.T) {
	_, counts, total := drawAll(t, "hot")
	if share := float64(counts[0]) / float64(total); math.Abs(share-0.9) > 0.005 {
		t.Errorf("the hot key has %.3f of the checks, want 0.9", share)
	}
}

func TestOverHasAKeyForEachCaller(t *testing.T) {
	w, err := NewWorkload("over", 3, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{}
	for i := range 5 {
		c := w.cursor(i, 5)
		keys := make([]uint32, 3)
		c.next(keys)
		if keys[0] != keys[1] || keys[1] != keys[2] || seen[keys[0]] {
			t.Errorf("caller %d asks for %v, others for %v", i, keys, seen)
		}
		seen[keys[0]] = true
	}
}

func TestSameSeedSameKeys(t *testing.T) {
	a, _ := NewWorkload("zipf", 1, 2, 3)
	b, _ := NewWorkload("zipf", 1, 2, 3)
	c, _ := NewWorkload("zipf", 1, 2, 4)
	if !slices.Equal(a.seq, b.seq) || slices.Equal(a.seq, c.seq) {
		t.Error("a seed must give its own keys, and always the same")
	}
}

func TestBadWorkloads(t *testing.T) {
	for _, c := range []struct {
		name           string
		batch, callers int
	}{
		{"unifrom", 1, 1}, {"uniform", 0, 1}, {"uniform", 1001, 1}, {"uniform", 1, 0},
		{"uniform:", 1, 1}, {"uniform:0", 1, 1}, {"uniform:1g", 1, 1}, {"uniform:101m", 1, 1}, {"uniform:99999999999m", 1, 1}, {"over:10", 1, 1},
	} {
		if _, err := NewWorkload(c.name, c.batch, c.callers, 1); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestSample(t *testing.T) {
	for _, keys := range []int{1, 19, 20, 21, 64, 100, 101, 150, Keys} {
		s := (&Workload{Keys: keys}).sample()
		if want := min(keys, 100); len(s) != want {
			t.Errorf("of %d keys: %d, want %d", keys, len(s), want)
		}
		if d := slices.Compact(slices.Sorted(slices.Values(s))); len(d) != len(s) {
			t.Errorf("of %d keys: some twice in %v", keys, s)
		}
		if slices.Max(s) >= uint32(keys) || s[0] != 0 {
			t.Errorf("of %d keys: %v", keys, s)
		}
	}
}

func TestNumberOfKeys(t *testing.T) {
	for name, want := range map[string]int{"uniform:10": 10, "hot:20k": 20_000, "uniform:1m": 1_000_000, "uniform": Keys} {
		w, err := NewWorkload(name, 1, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if w.Keys != want || w.Fill != (name != "uniform") || len(w.seq) < w.Keys {
			t.Errorf("%s: %d keys, %d drawn, fill %v", name, w.Keys, len(w.seq), w.Fill)
		}
		for _, k := range w.seq {
			if int(k) >= w.Keys {
				t.Fatalf("%s asks for key %d", name, k)
			}
		}
	}
}

// Finish can show that limits beside the first have counted right only if they have room for what the first admits.
func TestTermsBesideNeverDeny(t *testing.T) {
	for _, w := range workloads {
		for _, terms := range w.Terms {
			if len(terms.Beside) != len(terms.Limits)-1 {
				t.Errorf("%s: of %v, %v are beside", w.Name, terms.Limits, terms.Beside)
			}
			for _, b := range terms.Beside {
				if b.Count <= terms.Count || !slices.Contains(terms.Limits, b.Limit) {
					t.Errorf("%s: %v beside %v", w.Name, b, terms.Limits)
				}
			}
		}
	}
}
