package transport

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/stint-limiter/stint/bucket"
)

// What a door lets in is checked here, once, before anything is decided: a request with one bad check spends nothing.

// Valid says what is wrong with the check, or nil. A Checker may rely on it. It allocates only for its errors.
func (c *Check) Valid() error {
	if err := ValidKey(c.Key); err != nil {
		return err
	}
	if err := ValidHits(c.Hits); err != nil {
		return err
	}
	if len(c.Limits) == 0 {
		return errors.New("limits: there is none; name at least one, such as 100/1m")
	}
	if len(c.Limits) > bucket.MaxWants {
		return fmt.Errorf("limits: %d of them; the most is %d", len(c.Limits), bucket.MaxWants)
	}
	// Pairs, because a check has one or two limits, seldom more; 64 of them cost about a microsecond.
	for i := range c.Limits {
		for j := range i {
			if SameLine(&c.Limits[i], &c.Limits[j]) {
				return fmt.Errorf("limits: %s and %s share one bucket; fold them", c.Limits[j].Text, c.Limits[i].Text)
			}
		}
	}
	return nil
}

// ValidKey says what is wrong with a key, or nil: 1 to MaxKey bytes of UTF-8. The key itself is not repeated in the
// error, as it may be a secret.
func ValidKey(key []byte) error {
	switch {
	case len(key) == 0:
		return errors.New("key is empty; a key is 1 to 512 bytes of UTF-8")
	case len(key) > MaxKey:
		return fmt.Errorf("key is %d bytes; the most is %d: hash longer ones", len(key), MaxKey)
	case !utf8.Valid(key):
		return errors.New("key is not UTF-8; encode bytes as hex or base64")
	}
	return nil
}

// ValidHits says what is wrong with a number of hits, or nil: −MaxHits to MaxHits.
func ValidHits(hits int64) error {
	if hits < -MaxHits || hits > MaxHits {
		return fmt.Errorf("hits is %d; it goes from -4294967295 to 4294967295", hits)
	}
	return nil
}
