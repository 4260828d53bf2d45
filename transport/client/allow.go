package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
)

// A Receipt names the slot that hits went into; zero is none.
type Receipt = bucket.Receipt

// A Check is one question. It has Key and Limits, or Attributes for the node's policy.
type Check struct {
	// Key is who is counted, 1 to 512 bytes of UTF-8.
	Key string
	// Limits are 1 to 16 limits such as "100/1m" or "50/1s token_bucket burst=200", all or nothing.
	Limits []string

	// Hits is how many to spend, up to 4294967295; 0 is one. Negative gives back.
	Hits int64
	// Peek only looks, and spends nothing; Hits must be 0.
	Peek bool
	// WantReceipt asks for a receipt.
	WantReceipt bool
	// Receipt is that of the hits to give back, for negative Hits; without one they leave the oldest slot.
	Receipt Receipt

	// Attributes are what the node's policy picks rules, keys and limits by: method, path, ip and what the policy names.
	Attributes map[string]string
	// Policy names the policy, where a node has several.
	Policy string
	// Render asks for status, headers and body that the policy would send.
	Render bool
}

// A Decision answers a check.
type Decision struct {
	Allowed bool
	// Never: more hits than the limit has. Waiting does not help.
	Never bool
	// Via says where the answer came from; ViaUnavailable: nobody could decide, and a failure mode has answered.
	Via transport.Via

	// By is the deciding limit, and what follows is how it stands; "" and zero where no limit decided.
	By        string
	Limit     uint32
	Remaining uint32
	Reset     time.Duration // until Remaining next grows
	Retry     time.Duration // until the same check would pass; 0 where it passed
	// Receipt is there if it was asked for and hits were spent.
	Receipt Receipt

	// Rule, Current and Shadow are there where a policy decided: the rule, the hits in its window, and the shadow rules that would
	// have denied.
	Rule    string
	Current uint64
	Shadow  []string
	// Answer is what the policy would send, with Check.Render.
	Answer *Answer
}

// An Answer is what a policy would send.
type Answer struct {
	Status  int
	Headers []Header
	Body    []byte
}

// A Header is one header of an Answer.
type Header struct{ Name, Value string }

// Allow asks for one hit on a key under the limits, all or nothing:
//
//	d, err := c.Allow(ctx, "account:42", "100/1m", "1000/1h")
//
// It returns by the deadline of ctx, or of Config.Timeout if ctx has none. The decision is always good to act on: where nobody could
// decide, it is that of Config.OnError, and err says why (an *Error). For a check that is wrong err wraps ErrInvalid, and the
// decision denies.
func (c *Client) Allow(ctx context.Context, key string, limits ...string) (Decision, error) {
	return c.Do(ctx, Check{Key: key, Limits: limits})
}

// Do asks one check. It returns as Allow does.
func (c *Client) Do(ctx context.Context, check Check) (Decision, error) {
	k := c.get()
	if err := c.add(k, &check); err != nil {
		c.put(k)
		return Decision{Via: transport.ViaUnavailable}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	a, now := &k.asks[0], c.now()
	if d, ok := c.remembered(k, a, now); ok {
		c.put(k)
		return d, nil
	}
	k.deadline = c.deadline(ctx, now)
	mine, err := c.ask(ctx, k, now)
	if err != nil {
		if mine {
			c.put(k)
		}
		return c.refused(err), err
	}
	d, err := c.settle(k, a, &k.decisions[0])
	c.put(k)
	return d, err
}

// DoBatch asks many checks in as few requests as hold them (1,000 checks and 1 MiB each), which take effect in order. The decisions are
// appended to into, one for each check. The error is the first of those that Do would have returned for the checks one by one;
// where a check is wrong, nothing is asked.
func (c *Client) DoBatch(ctx context.Context, checks []Check, into []Decision) ([]Decision, error) {
	first := len(into)
	for range checks {
		into = append(into, c.undecided())
	}
	out := into[first:]
	k := c.get()
	for i := range checks { // all are looked at before any is asked
		k.reset()
		if err := c.valid(k, &checks[i]); err != nil {
			for j := range out {
				out[j] = Decision{Via: transport.ViaUnavailable}
			}
			c.put(k)
			return into, fmt.Errorf("checks[%d]: %w: %w", i, ErrInvalid, err)
		}
	}
	k.reset()
	now := c.now()
	deadline := c.deadline(ctx, now)
	var failed error
	flush := func() {
		if len(k.asks) == 0 {
			return
		}
		k.deadline = deadline
		mine, err := c.ask(ctx, k, now)
		now = c.now()
		for i := range k.asks {
			a := &k.asks[i]
			if err != nil {
				out[a.of] = c.refused(err)
				continue
			}
			d, e := c.settle(k, a, &k.decisions[i])
			if out[a.of] = d; e != nil && failed == nil {
				failed = e
			}
		}
		if failed == nil {
			failed = err
		}
		if !mine {
			k = c.get()
		}
		k.reset()
	}
	for i := range checks {
		if len(k.asks) == transport.MaxChecks || len(k.buf) > maxChecks-maxCheck {
			flush()
		}
		if err := c.add(k, &checks[i]); err != nil {
			panic("client: a check that was good is bad: " + err.Error())
		}
		a := &k.asks[len(k.asks)-1]
		a.of = i
		if d, ok := c.remembered(k, a, now); ok {
			out[i] = d
			k.cut(len(k.asks) - 1)
		}
	}
	flush()
	c.put(k)
	return into, failed
}

// deadline returns when a call must have its answer.
func (c *Client) deadline(ctx context.Context, now int64) int64 {
	if at, ok := ctx.Deadline(); ok {
		return int64(at.Sub(c.base))
	}
	return now + int64(c.cfg.Timeout)
}

// undecided is the answer where no node could be asked.
func (c *Client) undecided() Decision {
	return Decision{Allowed: c.cfg.OnError.Allows(), Via: transport.ViaUnavailable}
}

// refused is the answer that goes with an error.
func (c *Client) refused(err error) Decision {
	if errors.Is(err, ErrInvalid) {
		return Decision{Via: transport.ViaUnavailable}
	}
	return c.undecided()
}

// settle makes of a node's answer what the caller gets, and remembers denials.
func (c *Client) settle(k *call, a *ask, d *Decision) (Decision, error) {
	if d.Via == transport.ViaUnavailable {
		c.stats.undecided.Add(1)
		if c.cfg.OnError != transport.ByDefault {
			d.Allowed = c.cfg.OnError.Allows()
		}
		return *d, k.node.undecided
	}
	c.remember(k, a, d)
	return *d, nil
}

// valid says what is wrong with a check, or nil. It leaves key and limits in the call's scratch memory.
func (c *Client) valid(k *call, check *Check) error {
	if check.Peek && check.Hits != 0 {
		return fmt.Errorf("a Peek spends nothing, so Hits must be 0, not %d", check.Hits)
	}
	if err := transport.ValidHits(check.Hits); err != nil {
		return err
	}
	if len(check.Attributes) > 0 || check.Policy != "" || check.Render {
		return validAttributes(check)
	}
	if len(check.Key) > transport.MaxKey {
		return fmt.Errorf("key is %d bytes; the most is %d: hash longer ones", len(check.Key), transport.MaxKey)
	}
	if check.Receipt != 0 && check.Hits >= 0 {
		return errors.New("a Receipt names a slot to give back to, so Hits must be negative; WantReceipt asks for one")
	}
	if len(check.Limits) == 0 || len(check.Limits) > transport.MaxLimits {
		return fmt.Errorf("limits: %d of them; a check has 1 to %d, such as 100/1m", len(check.Limits), transport.MaxLimits)
	}
	k.scratch = append(k.scratch[:0], check.Key...)
	k.key = k.scratch
	if err := transport.ValidKey(k.key); err != nil {
		return err
	}
	// The cache wants the texts as bytes; a limit longer than one can be is refused before it is copied.
	var ends [transport.MaxLimits]int
	for i, text := range check.Limits {
		if len(text) > bucket.MaxLimitText {
			return fmt.Errorf("limits[%d]: %d bytes; a limit is at most %d, such as 100/1m", i, len(text), bucket.MaxLimitText)
		}
		k.scratch = append(k.scratch, text...)
		ends[i] = len(k.scratch)
	}
	from := len(check.Key)
	k.key = k.scratch[:from:from]
	k.texts = k.texts[:0]
	for _, to := range ends[:len(check.Limits)] {
		k.texts = append(k.texts, k.scratch[from:to])
		from = to
	}
	var err error
	k.parsed, err = c.limits.Limits(k.texts)
	return err
}

// add appends a check to a call, or says what is wrong with it.
func (c *Client) add(k *call, check *Check) error {
	if err := c.valid(k, check); err != nil {
		return err
	}
	hits := check.Hits
	if hits == 0 && !check.Peek {
		hits = 1
	}
	if len(check.Attributes) > 0 {
		k.addAttributes(check, hits)
		return nil
	}
	k.addCheck(c, k.key, k.parsed, hits, check.Receipt, check.WantReceipt)
	return nil
}
