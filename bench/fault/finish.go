package fault

import (
	"context"
	"fmt"
	"time"
)

// Finish asks for every key until all nodes that are up deny it, twice, and records that, too. Most of what is left of a
// large COUNT is taken in one check. The load is paused and stays so.
func (l *Load) Finish(ctx context.Context, keys []*Key) error {
	c := l.callers[len(l.callers)-1]
	up := *l.up.Load()
	if len(up) == 0 {
		return fmt.Errorf("ask for the last hits: no node is up")
	}
	for i, k := range keys {
		if err := c.exhaust(ctx, k, up, i); err != nil {
			return err
		}
	}
	return nil
}

// exhaust asks for one key, beginning at the i-th node. A cluster whose nodes deny now and then only would be asked for
// ever, so there is an end to it: the account then says what was admitted.
func (c *caller) exhaust(ctx context.Context, k *Key, up []*target, i int) error {
	var (
		denials = 0 // in a row; nodes are asked in turn, so that many are all nodes, twice
		hits    = uint32(1)
		asked   = 0
	)
	for most := 50 + 4*len(up); denials < 2*len(up) && asked < most; asked++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := c.ask(k, hits, up[(i+asked)%len(up)])
		switch s, _ := said(d, err); {
		case s == Failed:
			hits = 1
			select { // a node that cannot answer now may be able to in a moment
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		case s == Denied && hits > 1:
			hits /= 2 // less is left than the last answer has said
		case s == Denied:
			denials++
		default:
			denials = 0
			hits = 1
			if left := min(d.Remaining, uint64(k.Count)); left > 2 {
				hits = uint32(left - 2) // and the last two one by one
			}
		}
	}
	return nil
}
