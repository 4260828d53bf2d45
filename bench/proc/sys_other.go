//go:build !linux

package proc

import (
	"errors"
	"syscall"
	"time"
)

// childAttr puts the child into a process group of its own. There is no parent-death signal here: a harness that is
// killed with -9 leaves its children behind.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// CPU needs /proc/PID/stat.
func (p *Process) CPU() (time.Duration, error) {
	return 0, errors.New("the processor time of a process is read on Linux only")
}

// RSS needs /proc/PID/status.
func (p *Process) RSS() (uint64, error) {
	return 0, errors.New("the memory of a process is read on Linux only")
}
