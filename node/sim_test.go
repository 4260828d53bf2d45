package node

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-limiter/stint/node/lease"
	"github.com/stint-limiter/stint/transport"
)

var (
	simSeeds = flag.Int("sim.seeds", 1, "runs of each class of TestSim")
	simFirst = flag.Uint64("sim.first", 1, "the first seed of TestSim")
	simOnly  = flag.String("sim.class", simDefault, "only these classes of TestSim, separated by commas; \"\" for all")
	simLease = flag.Bool("sim.leases", true, "with leases and remembered denials")
	simShow  = flag.Bool("sim.trace", false, "print what happened, also in good runs")
)

// A simClass is a kind of schedule: plan adds its steps with sim.at, and draws what differs between runs from sim.rng.
type simClass struct {
	name string
	// calm: no check may fail, and nothing may be over, lost or twice.
	calm bool
	// quick is what no check may take longer than; 0: anything up to its deadline.
	quick time.Duration
	plan  func(s *sim)
}

// hot says whether a few keys are asked for all the time, most of which are lent from.
func (c simClass) hot() bool { return strings.HasPrefix(c.name, "hot") }

// TestSim runs each class with some seeds. Thousands:
//
//	go test ./node -run TestSim -sim.seeds 1000 -sim.class crash -sim.first 1 -timeout 0
func TestSim(t *testing.T) {
	for _, c := range simClasses {
		if *simOnly != "" && !slices.Contains(strings.Split(*simOnly, ","), c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var sum simSum
			for i := range *simSeeds {
				t.Run(fmt.Sprint(*simFirst+uint64(i)), func(t *testing.T) {
					began := time.Now()
					defer func() { sum.real += time.Since(began) }() // the bubble's clock is another
					inBubble(t, func(t *testing.T) { runSim(t, c, *simFirst+uint64(i), &sum) })
				})
			}
			t.Log(sum.String())
		})
	}
}

// simSum adds runs up.
type simSum struct {
	runs, bad, checks, failed int
	longest                   time.Duration
	real                      time.Duration
	simulated                 time.Duration
}

func (s *simSum) String() string {
	return fmt.Sprintf("%d runs, %d bad; %d checks, %d failed, longest %v; %v simulated each, %v real each",
		s.runs, s.bad, s.checks, s.failed, s.longest.Round(time.Millisecond), (s.simulated / time.Duration(max(s.runs, 1))).Round(time.Second),
		(s.real / time.Duration(max(s.runs, 1))).Round(time.Millisecond))
}

// inBubble runs f in fake time; on one processor with the race detector. With two, go1.26.8 has crashed there, in the detector itself. As we read the runtime (it was not shown by a smaller program): timers whose
// channels nobody waits for run where their channel is looked at, all of a bubble's under one race context (runtime.(*timer).unlockAndRun). When
// the clock has moved, two goroutines look at such timers of theirs at once, on two processors; both push to and pop from the one
// shadow stack, a push is lost, and some timers later its depth is -1 (SIGSEGV in StackDepotBase::Put). Which accesses race does not depend
// on processors.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if raceDetector {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, f)
}

// slowWithRace skips what takes the race detector half a minute, and shows it nothing that the others do not: `make test` runs it without.
func slowWithRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("takes long with the race detector; make test runs it without")
	}
}

func runSim(t *testing.T, c simClass, seed uint64, sum *simSum) {
	s := newSim(t, c.name, seed, c.hot())
	s.noLeases = !*simLease
	defer func() {
		sum.add(s)
		s.end()
	}()
	c.plan(s)
	s.boot()
	if s.bad() {
		return
	}
	stop := s.clients()
	s.play()
	// In half of the runs the callers go on until all is well. In the others they stop, and somebody is killed then: what a copy lacks shows only
	// if nobody makes up for it by spending more.
	coda := s.rng.IntN(2) == 0
	if coda {
		time.Sleep(s.span(0, 100*time.Millisecond))
		stop()
	}
	s.heal()
	s.settle(calmIn)
	time.Sleep(2 * time.Second) // the last checks of before are answered
	failed := s.book.failures()
	time.Sleep(2 * time.Second)
	if again := s.book.failures() - failed; again > 0 {
		s.wrong("UNANSWERED: %d checks failed after all was well again", again)
	}
	if failed := s.book.failed + s.book.unreturned; c.calm && failed > 0 {
		s.wrong("FAILED: %d of %d checks", failed, s.book.checks)
	}
	if c.quick > 0 && s.book.longest > c.quick {
		s.wrong("SLOW: %s", s.book.longestKey)
	}
	if c.hot() && *simLease {
		s.leased()
	}
	if !coda {
		stop()
	}
	if c.calm && c.hot() {
		s.returned()
	}
	if coda && !s.bad() {
		s.coda()
	}
	s.verdict()
}

// leased says that hot keys were answered from loans, else a hot run shows nothing.
func (s *sim) leased() {
	s.book.mu.Lock()
	lent, allowed := 0, 0
	for _, k := range s.book.keys {
		for i := range k.entries {
			if e := &k.entries[i]; e.how == simAllowed && e.hits > 0 {
				allowed++
				if e.via == transport.ViaLease {
					lent++
				}
			}
		}
	}
	s.book.mu.Unlock()
	s.logf("%d of %d from loans; %d hits of loans are not returned", lent, allowed, s.unreturned())
	if lent < allowed/20 { // in a split nothing is lent
		s.wrong("COLD: %d of %d from loans", lent, allowed)
	}
}

// returned says that all loans are back once nobody asks any more: none is lost where no node dies, stands still or is cut off.
func (s *sim) returned() {
	time.Sleep(2 * lease.Term)
	if lost := s.unreturned(); lost != 0 {
		s.wrong("LENT: %d hits of loans were neither handed out nor taken back", lost)
	}
}

// coda kills somebody, with callers only after that.
func (s *sim) coda() {
	s.logf("coda")
	s.peers.SetDelay(simDelay, 10*simDelay) // with more, answers come too late for a round
	silent := s.rng.IntN(2) == 0
	s.crashOne(silent, 0)
	stop := s.clients()
	s.settle(calmIn)
	stop()
}

// wrong takes down what must not be.
func (s *sim) wrong(format string, args ...any) {
	s.mu.Lock()
	s.faulty++
	n := s.faulty
	s.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	s.logf("WRONG: %s", line)
	if n <= 10 {
		s.t.Errorf("%s %d: %s", s.class, s.seed, line)
	}
}

func (s *sim) bad() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faulty > 0
}

// end stops everything, so that no goroutine is left in the bubble, and prints how to see a bad run again.
func (s *sim) end() {
	s.heal()
	for _, x := range s.live() {
		x.dead.Store(true)
		x.Close()
		s.later(x.shutdown)
	}
	s.beside.Wait()
	time.Sleep(time.Minute) // for memberlist's last probes; time stands still once the bubble's function is done
	if s.bad() {
		test, _, _ := strings.Cut(s.t.Name(), "/")
		s.t.Logf("again: go test ./node -run %s$ -sim.class %s -sim.first %d -sim.seeds 1 -sim.leases=%v -sim.trace", test, s.class, s.seed, !s.noLeases)
	}
	if *simShow || s.bad() {
		s.trace.mu.Lock()
		defer s.trace.mu.Unlock()
		s.t.Log("\n" + strings.Join(s.trace.lines, "\n"))
	}
}

func (sum *simSum) add(s *sim) {
	sum.runs++
	if s.bad() {
		sum.bad++
	}
	sum.checks += s.book.checks
	sum.failed += s.book.failed
	sum.longest = max(sum.longest, s.book.longest)
	sum.simulated += s.now()
}

// An act is one step of a schedule.
type act struct {
	at time.Duration // since the callers began
	do func()
}

// at adds a step.
func (s *sim) at(d time.Duration, do func()) { s.acts = append(s.acts, act{d, do}) }

// boot starts the first members, and waits until they are a cluster.
func (s *sim) boot() {
	for i, name := range s.names[:s.first] {
		s.start(name, i == 0)
	}
	s.settle(calmIn)
}

// play goes through the schedule.
func (s *sim) play() {
	begin := s.now()
	slices.SortStableFunc(s.acts, func(a, b act) int { return int(a.at - b.at) })
	for _, a := range s.acts {
		time.Sleep(begin + a.at - s.now())
		a.do()
	}
}

// span draws a duration.
func (s *sim) span(from, to time.Duration) time.Duration {
	return from + time.Duration(s.rng.Int64N(int64(to-from)))
}
