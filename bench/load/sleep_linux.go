package load

import (
	"runtime"
	"syscall"
	"time"
)

// preciseSleep returns a sleep that ends within some microseconds of its time, and what to call when it is no
// longer needed. Go's own timers wait in epoll, whose grain is a millisecond when nothing else happens: too
// coarse for requests that are due every 30 µs. So the calling goroutine gets a thread of its own, whose timer slack (50 µs by
// default: the kernel's leave to gather wake-ups) is set to the least, and sleeps in the kernel.
func preciseSleep() (sleep func(time.Duration), done func()) {
	runtime.LockOSThread()
	const prSetTimerslack = 29
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, 1, 0) // refused: sleeps are longer by 50 µs, and Late shows it
	sleep = func(d time.Duration) {
		ts := syscall.NsecToTimespec(int64(d))
		syscall.Nanosleep(&ts, nil) // interrupted: the caller looks at the clock and sleeps again
	}
	return sleep, func() {
		syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, 0, 0) // back to the thread's default
		runtime.UnlockOSThread()
	}
}
