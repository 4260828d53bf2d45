package hold_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

var (
	worldSeeds = flag.Int("world.seeds", 0, "seeds of each class (0: some, for the ordinary tests)")
	worldFirst = flag.Uint64("world.first", 0, "the first seed")
	worldClass = flag.String("world.class", "", "these classes only, separated by commas")
	worldTrace = flag.Bool("world.trace", false, "write down what happens")
)

// TestWorld runs seeds of all classes of fault schedules and holds what comes out against the promises.
func TestWorld(t *testing.T) {
	seeds := *worldSeeds
	if seeds == 0 {
		seeds = ordinarySeeds
	}
	for _, c := range classes {
		if *worldClass != "" && !slices.Contains(strings.Split(*worldClass, ","), c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) { sweep(t, c, seeds) })
	}
}

// sweep runs a class and prints its row.
func sweep(t *testing.T, c class, seeds int) {
	began := time.Now()
	bad, checks, failed, claims, histories := 0, 0, 0, 0, 0
	var longest, freeze time.Duration
	for seed := *worldFirst; seed < *worldFirst+uint64(seeds); seed++ {
		w := plan(c, seed, 0)
		if *worldTrace {
			w.trace = os.Stdout
		}
		wrong := judge(c, w)
		checks, failed = checks+w.checks, failed+w.failures
		longest, freeze, histories = max(longest, w.longest), max(freeze, w.frozen), max(histories, w.histories)
		claims += w.claims[hold.Copied] + w.claims[hold.Reset]
		if len(wrong) > 0 {
			bad++
			t.Errorf("seed %d: %s\n\tgo test ./node/hold -run 'TestWorld/%s$' -world.seeds 1 -world.first %d -world.trace -v",
				seed, strings.Join(wrong, "; "), c.name, seed)
		}
	}
	t.Logf("| %-10s | %5d | %4d | %8d | %5d | %6v | %5d | %6v | %d | %s", c.name, seeds, bad, checks, failed,
		longest.Round(ms), claims, freeze.Round(ms), histories, fmt.Sprint(time.Since(began).Round(ms)))
}
