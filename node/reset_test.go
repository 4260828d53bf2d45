package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/stint-limiter/stint/transport"
)

// The holder of a partition and its keeper die at once: nobody has a copy. Who is left claims it, with nothing: that is counted by its cause, logged,
// and answers say that the partition was claimed. What it has a copy of itself is not forgotten.
func TestResetWhereNobodyHasACopy(t *testing.T) {
	inSim(t, func(s *sim) {
		nodes := s.live()
		x := nodes[0]
		l := limit(t, "5/1h")
		var bare, kept []string // keys that x has nothing of, and those that it keeps the copy of
		for k := 0; len(bare) < 5 || len(kept) < 5; k++ {
			key := fmt.Sprint("key", k)
			switch x.Explain([]byte(key), nil).State {
			case "none":
				bare = append(bare, key)
			case "copy":
				kept = append(kept, key)
			default:
				continue
			}
			if d := s.request(x, check(key, 3, l))[0]; !d.Allowed || d.Via != transport.ViaHolder {
				t.Fatalf("%s: %+v", key, d)
			}
		}
		time.Sleep(time.Second) // long enough for every copy
		for _, other := range nodes[1:] {
			s.crash(other, true)
		}
		for _, key := range kept {
			if d := s.request(x, check(key, 0, l))[0]; d.Remaining != 2 || d.Via != transport.ViaClaimed {
				t.Errorf("%s, which was copied: %+v", key, d)
			}
		}
		if r := x.Stats().Resets; r["crash"]+r["unknown"] != 0 {
			t.Errorf("forgotten before anything had to be: %v", r)
		}
		for _, key := range bare {
			if d := s.request(x, check(key, 0, l))[0]; d.Remaining != 5 || d.Via != transport.ViaClaimed {
				t.Errorf("%s, which nobody had: %+v", key, d)
			}
		}
		stats := x.Stats()
		if stats.Resets["crash"] == 0 || stats.Resets["unknown"] != 0 || stats.Owned["reset"] != stats.Resets["crash"] {
			t.Errorf("resets %v, of %v", stats.Resets, stats.Owned)
		}
		time.Sleep(time.Second) // for the news
		if !s.logged(x.name, "claimed partitions that nobody had a copy of") {
			t.Error("it did not say so")
		}
	})
}
