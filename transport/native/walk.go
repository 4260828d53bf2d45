package native

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/stint-limiter/stint/bucket"
	"github.com/stint-limiter/stint/transport"
	"github.com/stint-limiter/stint/transport/door"
)

// The walk over a request: every rule about what a request may look like is here, once for both formats. It stops at
// the first thing that is wrong, and call.at says in which check that was.

// errTooMany is answered by 413: the request may be sent in parts.
var errTooMany = fmt.Errorf("checks: more than %d; send them in several requests", transport.MaxChecks)

// A fieldSet remembers which fields of an object have been there.
type fieldSet uint16

func (f *fieldSet) add(bit fieldSet, name string) error {
	if *f&bit != 0 {
		return fmt.Errorf("%s is there twice", name)
	}
	*f |= bit
	return nil
}

const (
	hasKey fieldSet = 1 << iota
	hasLimits
	hasHits
	hasPolicy
	hasAttributes
	hasRender
	hasReceipt

	hasChecks
	hasTimeout
)

// read reads a whole request.
func (c *call) read(s source) error {
	if err := s.object(); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	var seen fieldSet
	for {
		name, more, err := s.field()
		if err != nil {
			return fmt.Errorf("the request: %w", err)
		}
		if !more {
			break
		}
		switch string(name) {
		case "checks":
			if err := seen.add(hasChecks, "checks"); err != nil {
				return err
			}
			if !s.null() {
				if err := c.readChecks(s); err != nil {
					return err
				}
			}
		case "timeout_ms":
			if err := seen.add(hasTimeout, "timeout_ms"); err != nil {
				return err
			}
			if !s.null() {
				ms, err := s.integer()
				if err != nil {
					return fmt.Errorf("timeout_ms: %w", err)
				}
				if c.timeout, err = door.Timeout(ms); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("unknown field %s; a request has checks and timeout_ms", door.Quote(name))
		}
	}
	if err := s.end(); err != nil {
		return err
	}
	if len(c.items) == 0 {
		return fmt.Errorf("checks: there is none; a request has 1 to %d", transport.MaxChecks)
	}
	return nil
}

func (c *call) readChecks(s source) error {
	n, err := s.array()
	if err != nil {
		return fmt.Errorf("checks: %w", err)
	}
	if n > transport.MaxChecks {
		return errTooMany
	}
	quick, _ := s.(*msgpackSource) // see quick.go
	for {
		more, err := s.element()
		if err != nil {
			return fmt.Errorf("checks: %w", err)
		}
		if !more {
			return nil
		}
		if len(c.items) == transport.MaxChecks {
			return errTooMany
		}
		if quick != nil && c.quickCheck(quick) {
			continue
		}
		c.at = len(c.items)
		if err := c.readCheck(s); err != nil {
			return err
		}
		c.at = -1
	}
}

func (c *call) readCheck(s source) error {
	if err := s.object(); err != nil {
		return err
	}
	var (
		seen   fieldSet // fields that are there
		has    fieldSet // and not null
		check  = transport.Check{Hits: 1}
		it     item
		policy []byte
	)
	c.texts = c.texts[:0]
	for {
		name, more, err := s.field()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		var bit fieldSet
		switch string(name) {
		case "key":
			bit = hasKey
		case "limits":
			bit = hasLimits
		case "hits":
			bit = hasHits
		case "policy":
			bit = hasPolicy
		case "attributes":
			bit = hasAttributes
		case "render":
			bit = hasRender
		case "receipt":
			bit = hasReceipt
		default:
			return fmt.Errorf("unknown field %s; a check has key, limits, hits, policy, attributes, render and receipt", door.Quote(name))
		}
		if seen&bit != 0 {
			return fmt.Errorf("%s is there twice", name)
		}
		seen |= bit
		if s.null() {
			continue
		}
		has |= bit
		switch bit {
		case hasKey:
			check.Key, err = s.text()
		case hasLimits:
			err = c.readLimits(s)
		case hasHits:
			check.Hits, err = s.integer()
		case hasPolicy:
			policy, err = s.text()
		case hasAttributes:
			err = c.readAttributes(s)
		case hasRender:
			it.render, err = s.boolean()
		case hasReceipt:
			if s.isBoolean() {
				it.receipt, err = s.boolean()
			} else {
				check.Receipt, err = readReceipt(s)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := together(has, check.Receipt != 0, check.Hits); err != nil {
		return err
	}
	if err := transport.ValidHits(check.Hits); err != nil {
		return err
	}
	it.first = len(c.checks)
	if has&hasAttributes != 0 {
		return c.planItem(&it, policy, check.Hits)
	}
	// That it is UTF-8 the source has seen to.
	if n := len(check.Key); n == 0 || n > transport.MaxKey {
		return transport.ValidKey(check.Key)
	}
	var err error
	if check.Limits, err = c.door.limits.Limits(c.texts); err != nil {
		return err
	}
	it.n = 1
	c.checks = append(c.checks, check)
	c.items = append(c.items, it)
	return nil
}

// together says which fields of a check do not go together, or are missing.
func together(has fieldSet, receipt bool, hits int64) error {
	if has&hasAttributes != 0 {
		switch {
		case has&(hasKey|hasLimits) != 0:
			return errors.New("attributes and key or limits together: the policy picks keys and limits; send one or the other")
		case has&hasReceipt != 0:
			return errors.New("receipt goes with key and limits, not with attributes")
		}
		return nil
	}
	switch {
	case has&(hasKey|hasLimits) == 0:
		return errors.New("neither key and limits nor attributes; send one or the other")
	case has&hasKey == 0:
		return errors.New("key is missing")
	case has&hasLimits == 0:
		return errors.New("limits is missing; name at least one, such as 100/1m")
	case has&(hasPolicy|hasRender) != 0:
		return errors.New("policy and render go with attributes, not with key and limits")
	case receipt && hits >= 0:
		return errors.New("receipt names a slot to give back to, so hits must be negative; \"receipt\":true asks for one")
	}
	return nil
}

func (c *call) readLimits(s source) error {
	n, err := s.array()
	if err != nil {
		return err
	}
	for {
		if n > transport.MaxLimits || len(c.texts) > transport.MaxLimits {
			return fmt.Errorf("more than %d of them", transport.MaxLimits)
		}
		more, err := s.element()
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		text, err := s.text()
		if err != nil {
			return fmt.Errorf("[%d]: %w", len(c.texts), err)
		}
		c.texts = append(c.texts, text)
	}
}

// readReceipt reads what appendReceipt wrote.
func readReceipt(s source) (bucket.Receipt, error) {
	text, err := s.text()
	if err != nil {
		return 0, fmt.Errorf("true or the receipt of an earlier decision: %w", err)
	}
	if len(text) > 16 {
		return 0, fmt.Errorf("%s is not a receipt; copy it from a decision", door.Quote(text))
	}
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s is not a receipt; copy it from a decision", door.Quote(text))
	}
	return bucket.Receipt(n), nil
}

func appendReceipt(b []byte, r bucket.Receipt) []byte { return strconv.AppendUint(b, uint64(r), 16) }
