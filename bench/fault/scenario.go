package fault

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// A Scenario is one story of faults.
type Scenario struct {
	Name  string
	About string
	// Nodes are there at the beginning, More are added during the story.
	Nodes, More int
	// Cuts says that links are cut, which takes network namespaces.
	Cuts bool
	// Flags of `stint serve`, for every node. DIR in them is a directory of the node's own.
	Flags []string
	// Lasts is about how long the story takes, and its short form.
	Lasts, Quick time.Duration
	// Middle, where it is set, says after how much time under load the keys that reach their limit during the story do.
	// It is half of the story otherwise.
	Middle func(quick bool) time.Duration
	// loses says that a node dies, stands still or is cut off, so that what is on loan then may be lost.
	loses bool
	// story is what happens. It returns an error where it could not be told to the end, and notes down what it finds.
	story func(s *Stage) error
}

// Scenarios returns all of them, in the order in which they are run.
func Scenarios() []Scenario {
	all := memberScenarios()
	for _, some := range [][]Scenario{crashScenarios(), linkScenarios(), pauseScenarios(), splitScenarios()} {
		for _, c := range some {
			c.loses = true
			all = append(all, c)
		}
	}
	return all
}

// Options are of all scenarios of a run.
type Options struct {
	Binary  string // stint's
	Keys    int
	Callers int
	Rate    int64    // checks a second, but where a scenario asks as fast as it can
	Flags   []string // further flags of `stint serve`
	Quick   bool     // shorter pauses and splits
	Keep    bool     // the logs of a row that has failed
	Run     int      // which run this is, from 0: another node is hit in each
	// Step is told what is happening now. It may be nil.
	Step func(what string)
}

// Duration is about how long a scenario takes.
func (o Options) Duration(c Scenario) time.Duration {
	if o.Quick {
		return c.Quick
	}
	return c.Lasts
}

// Run tells the story with a cluster of its own and returns what it has shown. Its error is ctx's; what goes wrong
// otherwise is in the row.
func Run(ctx context.Context, c Scenario, o Options) (*Row, error) {
	row := &Row{Scenario: c.Name, Run: o.Run + 1, Nodes: c.Nodes, Bounds: c.bounds()}
	s, err := newStage(ctx, c, o, row)
	if err == nil {
		err = s.tell(c)
		s.close(ctx.Err() == nil)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, ErrNoNet):
		row.Skipped = err.Error()
	case err != nil:
		row.fail("%v", err)
	}
	return row, nil
}

// bounds are those that the scenario begins with.
func (c *Scenario) bounds() Bounds {
	b := Bounds{Under: 1}
	if c.loses {
		b.Lent = onLoan
	}
	return b
}

// newStage starts all that the story begins with.
func newStage(ctx context.Context, c Scenario, o Options, row *Row) (_ *Stage, err error) {
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if err := hasFlags(ctx, o.Binary, c.Flags); err != nil {
		return nil, err
	}
	s := &Stage{ctx: ctx, Options: o, row: row}
	defer func() {
		if err != nil {
			s.close(false)
		}
	}()
	if s.group, err = proc.NewGroup(); err != nil {
		return nil, err
	}
	config := proc.ClusterConfig{Binary: o.Binary, Nodes: c.Nodes, ArgsOf: func(name string) []string {
		var flags []string
		for _, f := range slices.Concat(c.Flags, o.Flags) {
			flags = append(flags, strings.ReplaceAll(f, "DIR", s.group.Dir+"/"+name+"-data"))
		}
		return flags
	}}
	if c.Cuts {
		o.Step("namespaces")
		if s.Net, err = NewNet(ctx, c.Nodes+c.More); err != nil {
			return nil, err
		}
		config.Places = s.Net.Places()
	}
	o.Step(fmt.Sprintf("starting %d nodes", c.Nodes))
	if s.cluster, err = s.group.StartCluster(ctx, config); err != nil {
		return nil, err
	}
	s.Load = NewLoad(o.Callers, o.Rate)
	for _, n := range s.cluster.Nodes {
		s.Load.Up(n.Name, n.Checks())
	}
	middle := o.Duration(c) / 2
	if c.Middle != nil {
		middle = c.Middle(o.Quick)
	}
	s.mid = uint32(middle.Seconds() * float64(o.Rate) / float64(o.Keys))
	s.Keys = s.Load.NewKeys(fmt.Sprintf("%s/%d/", c.Name, o.Run), o.Keys, s.mid)
	return s, nil
}

// tell tells the story and adds it up.
func (s *Stage) tell(c Scenario) error {
	s.Load.Use(s.Keys)
	s.Load.Resume()
	story := c.story(s)
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	// What was counted before it went wrong is shown all the same.
	s.Step("the last hits")
	if err := s.finish(); err != nil && story == nil {
		story = err
	}
	s.row.Counters = s.counters()
	r := s.Load.Records()
	s.row.Account = r.Account(s.Keys)
	for _, f := range s.after {
		f(r)
	}
	s.row.judge()
	return story
}

// hasFlags returns an error that names the flags that this stint does not have.
func hasFlags(ctx context.Context, binary string, flags []string) error {
	if len(flags) == 0 {
		return nil
	}
	help, err := exec.CommandContext(ctx, binary, "serve", "--help").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s serve --help: %w: %.200s", binary, err, help)
	}
	var absent []string
	for _, f := range flags {
		if strings.HasPrefix(f, "--") && !strings.Contains(string(help), " "+f+" ") {
			absent = append(absent, f)
		}
	}
	if absent != nil {
		return fmt.Errorf("stint serve has no %s", strings.Join(absent, ", "))
	}
	return nil
}

// A Stage is what a story is told with. It is for one goroutine.
type Stage struct {
	Options
	Net  *Net
	Load *Load
	Keys []*Key // that the row is about

	ctx     context.Context
	group   *proc.Group
	cluster *proc.Cluster
	row     *Row
	mid     uint32 // the COUNT that keys reach during the scenario
	// after is done when all was recorded and the load's account is in the row.
	after []func(r *Records)
}

// close ends all that was started. Nobody waits for nodes to leave: what they had to show they have shown.
func (s *Stage) close(keep bool) {
	var wg sync.WaitGroup
	if s.Load != nil {
		wg.Go(s.Load.Close)
	}
	if s.cluster != nil {
		s.cluster.Kill()
	}
	wg.Wait()
	if s.group != nil {
		if s.Keep && keep && s.row.Wrong() {
			s.group.Keep = true
			s.row.Logs = s.group.Dir
		}
		if err := s.group.Close(); err != nil {
			s.row.fail("%v", err)
		}
	}
	if s.Net != nil {
		if err := s.Net.Close(); err != nil {
			s.row.fail("%v", err)
		}
	}
}
