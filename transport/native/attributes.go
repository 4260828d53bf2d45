package native

import (
	"fmt"
	"strings"

	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
	"github.com/stint-limiter/stint/transport/policy"
)

// A check with attributes says what its request is like, and a policy makes of it one check per key.

// maxAttributes bounds what one check says about its request: policies have a handful.
const maxAttributes = 64

// readAttributes reads {"method":"POST","path":"/assets","ip":"192.0.2.1","token":"…"} into call.attrs. Attributes
// that the policy does not know are passed over by it, so that an application can send what it has whatever the
// policy of the day asks for. Null is the empty text, which policies take as absent.
func (c *call) readAttributes(s source) error {
	if err := s.object(); err != nil {
		return err
	}
	clear(c.attrs)
	for {
		name, more, err := s.field()
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		if len(c.attrs) == maxAttributes {
			return fmt.Errorf("more than %d of them", maxAttributes)
		}
		if _, twice := c.attrs[string(name)]; twice {
			return fmt.Errorf("%s is there twice", door.Quote(name))
		}
		var text []byte
		if !s.null() {
			if text, err = s.text(); err != nil {
				return fmt.Errorf("%s: %w", door.Quote(name), err)
			}
		}
		c.attrs[string(name)] = string(text)
	}
}

// planItem asks the policy for the checks that call.attrs make, hits on each, and adds them and the item to the call.
// Nothing is decided yet: a policy only looks.
func (c *call) planItem(it *item, name []byte, hits int64) error {
	p, err := door.Pick(c.policies, string(name))
	if err != nil {
		return err
	}
	// A path that no pattern can match would go unlimited, and nobody would notice: it is an application's mistake.
	if path := c.attrs["path"]; path != "" && path[0] != '/' && !strings.Contains(path, "://") {
		return fmt.Errorf(`attributes: path is %s; it starts with a /`, door.Quote(path))
	}
	if c.now == 0 {
		c.now = c.door.clock.Now()
	}
	r := policy.Request{Method: c.attrs["method"], URI: c.attrs["path"], Host: c.attrs["host"], Attributes: c.attrs}
	for _, own := range [...]string{"method", "path", "host"} {
		delete(c.attrs, own)
	}
	it.policy, it.plan = p, c.nextPlan()
	if err := p.Plan(&r, c.now, it.plan); err != nil {
		// The operator's matter: too many keys or limits meet in one request. What it is about may be secret. Where
		// failure_mode allows, what the plan has is still decided: a caller who could make a plan fail by sending more
		// attributes would otherwise go free.
		c.door.log.Debug("a policy cannot be applied to a request in full", "policy", p.Name, "error", err)
		c.door.stats.unplanned.Add(1)
		if !c.door.mode.Allows() {
			it.denied = true
			c.items = append(c.items, *it)
			return nil
		}
	}
	it.n = len(it.plan.Checks)
	for i := range it.plan.Checks {
		it.plan.Checks[i].Hits = hits
	}
	c.checks = append(c.checks, it.plan.Checks...)
	c.items = append(c.items, *it)
	c.several = c.several || it.n > 1 && hits > 0
	return nil
}

// spends reports whether the item takes hits under several keys, so that some may have to be given back.
func (it *item) spends(checks []transport.Check) bool {
	return it.n > 1 && checks[it.first].Hits > 0
}
