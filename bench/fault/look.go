package fault

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stint-limiter/stint/bench/proc"
)

// What nodes say of themselves, on their admin ports.

// An explanation is what is read of /v1/explain.
type explanation struct {
	Home   string `json:"home"`
	Holder string `json:"holder"`
	Epoch  uint64 `json:"epoch"`
	Backup string `json:"backup"`
}

// explain asks one node where all keys live, as it sees it.
func (s *Stage) explain(n *proc.Node) ([]explanation, error) {
	all := make([]explanation, len(s.Keys))
	for i, k := range s.Keys {
		b, err := proc.Get(s.ctx, "http://"+n.Admin()+"/v1/explain?key="+url.QueryEscape(k.Name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &all[i]); err != nil {
			return nil, fmt.Errorf("read where %s has %s: %w", n.Name, k.Name, err)
		}
	}
	return all, nil
}

// agreeOnHolders reports, as an error, a key that two nodes think is held by different members, or at different epochs
// where those are looked at.
func (s *Stage) agreeOnHolders(epochs bool) error {
	nodes := s.cluster.Running()
	views, errs := make([][]explanation, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { views[i], errs[i] = s.explain(n) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for k := range s.Keys {
		for i := range nodes {
			a, b := views[0][k], views[i][k]
			if a.Holder == "" || a.Holder != b.Holder || epochs && a.Epoch != b.Epoch {
				return fmt.Errorf("%s says that %q holds %s at epoch %d, %s that %q does at %d",
					nodes[0].Name, a.Holder, s.Keys[k].Name, a.Epoch, nodes[i].Name, b.Holder, b.Epoch)
			}
		}
	}
	return nil
}

// holders waits until there is one holder each, and notes how long that has taken since a moment of the load, and whether that was in time.
func (s *Stage) holders(since, within time.Duration) error {
	s.Step("until there is one holder each")
	err := s.within(within-(s.Load.Now()-since)+5*time.Second, func() error { return s.agreeOnHolders(true) })
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	took := s.Load.Now() - since
	if err != nil {
		s.row.note(false, "not one holder each after %s: %v", seconds(took), err)
		return nil
	}
	s.row.note(took <= within, "one holder each after %s", seconds(took))
	return nil
}

// held returns the places of the keys that a node holds, as another one says.
func (s *Stage) held(by, says *proc.Node) (map[int]bool, error) {
	all, err := s.explain(says)
	if err != nil {
		return nil, err
	}
	held := map[int]bool{}
	for i, e := range all {
		if e.Holder == by.Name {
			held[s.Keys[i].At] = true
		}
	}
	return held, nil
}

// settle waits until the cluster is calm: one holder for each key, and every copy whole. What it waits for is no part of the story, so
// that a story that begins unsettled is told, and says so.
func (s *Stage) settle() error {
	s.Step("until copies are whole")
	err := s.within(15*time.Second, func() error {
		if err := s.agreeOnHolders(false); err != nil {
			return err
		}
		for name, v := range s.counters() {
			if v > 0 && strings.Contains(name, "backup") && strings.Contains(name, "pending") {
				return fmt.Errorf("%s is %.0f", name, v)
			}
		}
		return nil
	})
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err != nil {
		s.row.note(false, "unsettled: %v", err)
	}
	return nil
}

// within calls f until it succeeds or the time is over, and returns the last thing it said.
func (s *Stage) within(d time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	return proc.Until(ctx, f)
}

// told are the counters that say what a story has cost, by words in their names: resets, wakes and the like. Claims are what was opened or shut
// for one reason among others.
var told = regexp.MustCompile(`^stint_(\w*(?:backup|freeze|handoff|merge|relay|reset|returns|split|wake)\w*|partitions_(?:opened|shut)_total)(?:\{([^}]*)\})? (\S+)$`)

var why = regexp.MustCompile(`\b(?:why|how)="(\w+)"`)

// tell returns the name and value of a counter that is told. Partitions opened and shut go by the reason as well: partitions_opened_total_copied.
func tell(line string) (name string, v float64, ok bool) {
	m := told.FindStringSubmatch(line)
	if m == nil || strings.HasSuffix(m[1], "_bucket") {
		return "", 0, false
	}
	name = m[1]
	if w := why.FindStringSubmatch(m[2]); w != nil {
		name += "_" + w[1]
	}
	v, err := strconv.ParseFloat(m[3], 64)
	return name, v, err == nil
}

// counters adds up what the nodes that run say on /metrics. What cannot be read is left out: a node may just be stopped.
func (s *Stage) counters() map[string]float64 {
	sum := map[string]float64{}
	for _, n := range s.cluster.Running() {
		b, err := proc.Get(s.ctx, "http://"+n.Admin()+"/metrics")
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			if name, v, ok := tell(lines.Text()); ok {
				sum[name] += v
			}
		}
	}
	return sum
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s" }
