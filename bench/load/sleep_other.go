//go:build !linux

package load

import "time"

// preciseSleep is Go's own sleep; Late shows how exact it is.
func preciseSleep() (sleep func(time.Duration), done func()) { return time.Sleep, func() {} }
