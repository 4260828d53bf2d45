package hold_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stint-limiter/stint/node/hold"
)

var scenarioTrace = flag.Bool("scenario.trace", false, "write down what happens in scenarios")

// TestScenarios plays the timelines in testdata/scenarios; README.txt there says how they are written. A timeline that shows what
// a rule is for is played without the rule, too, and must come out wrong then.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		if filepath.Base(file) == "README.txt" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := readScenario(t, string(text))
			for _, wrong := range s.play(0) {
				t.Error(wrong)
			}
			for _, name := range s.shows {
				if wrong := s.play(ruleNamed(t, name)); len(wrong) == 0 {
					t.Errorf("it comes out right without the rule %q, too", name)
				} else {
					t.Logf("without the rule %q: %s", name, wrong[0])
				}
			}
		})
	}
}

func ruleNamed(t *testing.T, name string) hold.Rules {
	for _, r := range ruleNames {
		if r.name == name {
			return r.rule
		}
	}
	t.Fatalf("no rule %q", name)
	return 0
}

// A scenario is one timeline.
type scenario struct {
	base, later []string
	ring        []string
	limit       int
	shows       []string // rules
	steps       []scenarioStep
}

type scenarioStep struct {
	at   time.Duration
	line int
	do   func(p *play)
}

// play is a scenario under way.
type play struct {
	*world
	line  int
	wrong []string
}

func (p *play) failf(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf("line %d, at %v: ", p.line, p.now)+fmt.Sprintf(format, args...))
}

// play plays it with some rules left out, and returns what was not as expected.
func (s *scenario) play(off hold.Rules) []string {
	w := newWorld(1, "scenario", off, s.base, s.later, 1)
	w.plain, w.limit = true, [2]int{s.limit, s.limit}
	w.net.least, w.net.most, w.net.slow, w.net.dropped = ms, ms, map[link]time.Duration{}, map[link]map[string]bool{}
	ring := slices.Concat(s.base, s.later)
	if s.ring != nil {
		ring = s.ring
	}
	for i, name := range ring {
		w.rank[0][name] = float64(i)
	}
	var log bytes.Buffer
	if *scenarioTrace {
		w.trace = &log
	}
	p := &play{world: w}
	w.begin()
	for _, step := range s.steps {
		w.at(step.at, func() { p.line = step.line; step.do(p) })
	}
	w.run(s.steps[len(s.steps)-1].at)
	os.Stdout.Write(log.Bytes())
	return append(p.wrong, w.wrong...)
}

// readScenario reads a timeline, and fails the test where it does not understand it.
func readScenario(t *testing.T, text string) *scenario {
	s := &scenario{limit: 100}
	for i, l := range strings.Split(text, "\n") {
		l, _, _ = strings.Cut(l, "#")
		words := strings.Fields(l)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "nodes":
			s.base = words[1:]
		case "later":
			s.later = words[1:]
		case "ring":
			s.ring = words[1:]
		case "limit":
			s.limit = number(t, i, words[1])
		case "shows":
			s.shows = append(s.shows, strings.Join(words[1:], " "))
		case "at":
			do := scenarioCommand(t, i, words[2:])
			s.steps = append(s.steps, scenarioStep{time.Duration(number(t, i, words[1])) * ms, i + 1, do})
		default:
			t.Fatalf("line %d: %q is no word of this language", i+1, words[0])
		}
	}
	if !slices.IsSortedFunc(s.steps, func(a, b scenarioStep) int { return int(a.at - b.at) }) || len(s.steps) == 0 {
		t.Fatal("the times must rise")
	}
	return s
}

func number(t *testing.T, line int, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("line %d: %v", line+1, err)
	}
	return n
}

// scenarioCommand reads what is to happen at a time.
func scenarioCommand(t *testing.T, line int, words []string) func(p *play) {
	arg := func(i int) string {
		if i >= len(words) {
			t.Fatalf("line %d: %v wants more words", line+1, words)
		}
		return words[i]
	}
	num := func(i int) int { return number(t, line, arg(i)) }
	a, b := "", ""
	if len(words) > 1 {
		a = words[1]
	}
	if len(words) > 2 {
		b = words[2]
	}
	switch words[0] {
	case "crash":
		back := time.Duration(0)
		silent := slices.Contains(words, "silently")
		if i := slices.Index(words, "back"); i > 0 {
			back = time.Duration(num(i+1)) * ms
		}
		return func(p *play) {
			p.rst, p.told = !silent, !silent
			p.crash(a, back)
		}
	case "start":
		return func(p *play) { p.start(a) }
	case "leave":
		return func(p *play) { p.leave(a) }
	case "pause":
		d := time.Duration(num(2)) * ms
		return func(p *play) { p.pause(a, d) }
	case "cut":
		if arg(2) == ">" {
			to := arg(3)
			return func(p *play) { p.cut(a, to, false) }
		}
		return func(p *play) { p.cut(a, b, true) }
	case "split":
		return func(p *play) { p.split(words[1:]) }
	case "heal":
		return func(p *play) { p.heal() }
	case "slow":
		d := time.Duration(num(3)) * ms
		return func(p *play) { p.net.slow[link{a, b}] = d }
	case "drop": // messages of this kind on the way from one to another
		kind := arg(3)
		return func(p *play) {
			l := link{a, b}
			if p.net.dropped[l] == nil {
				p.net.dropped[l] = map[string]bool{}
			}
			p.net.dropped[l][kind] = true
		}
	case "keep": // nothing is dropped any more
		return func(p *play) { clear(p.net.dropped) }
	case "ring": // one node's alone
		return func(p *play) {
			n := p.nodes[a]
			n.rank = map[string]float64{}
			for i, name := range words[2:] {
				n.rank[name] = float64(i)
			}
			n.viewChanged()
		}
	case "see", "miss":
		return func(p *play) { p.gossips(a, words[2:], words[0] == "see") }
	case "spend":
		n, at := num(1), arg(3)
		return func(p *play) {
			for range n {
				p.ask(p.nodes[at], 0, 0, func(verdict) {})
			}
		}
	case "every":
		every, at := time.Duration(num(1))*ms, words[3:]
		return func(p *play) { p.callers(every, at) }
	case "stop":
		return func(p *play) { p.quiet = true }
	case "reboot":
		return func(p *play) { p.reboot() }
	case "outage":
		return func(p *play) {
			for _, n := range p.alive() {
				p.crash(n.name, 100*ms)
			}
		}
	case "expect":
		return scenarioExpect(t, line, words[1:], num)
	}
	t.Fatalf("line %d: %q is nothing that can happen", line+1, words[0])
	return nil
}

// gossips has gossip tell a node of the run of others that there is now, or that they are dead.
func (p *play) gossips(of string, others []string, there bool) {
	n := p.nodes[of]
	for _, name := range others {
		if y := p.nodes[name]; there && y != nil {
			n.view[name] = &seen{y.start, !y.starting, y.leaving}
			n.meet(name, y.start)
		} else {
			delete(n.view, name)
		}
	}
	n.do("", n.viewChanged)
}

// callers puts a check to each of these nodes at equal times.
func (p *play) callers(every time.Duration, at []string) {
	if p.quiet {
		return
	}
	for _, name := range at {
		if n := p.nodes[name]; n != nil && n.alive && !n.gone {
			p.ask(n, 0, 0, func(verdict) {})
		}
	}
	p.after(every, func() { p.callers(every, at) })
}
