package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

// What a clock tells is what has passed, whatever became of the wall clock; and it knows how far that has gone from it.
func TestAClockThatTheWallClockHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		began := c.Now()
		time.Sleep(time.Hour)
		if now, at := c.Now(), c.At(time.Now()); now != at {
			t.Errorf("now is %d, and %d by a moment that was read", now, at)
		}
		if passed := time.Duration(c.Now()-began) * time.Microsecond; passed != time.Hour || c.Off() != 0 {
			t.Errorf("%v passed in an hour, %v off", passed, c.Off())
		}
		c.base -= 60_000_000 // as if it had been made when the wall clock was a minute behind
		if off := c.Off(); off != time.Minute {
			t.Errorf("%v off, want a minute", off)
		}
		c.base += 120_000_000
		if off := c.Off(); off != -time.Minute {
			t.Errorf("%v off, want a minute the other way", off)
		}
	})
}
