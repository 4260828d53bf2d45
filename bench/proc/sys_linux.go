package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// childAttr puts the child into a process group of its own, so that a Ctrl-C in the terminal does not reach it, and
// has the kernel kill it when the harness dies.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU returns the processor time, user and system, that the process and all of its threads, the ended ones too, have
// used since its start. Its grain is 10 ms: measure over stretches of a second and more.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read the processor time of %s: %w", p.Name, err)
	}
	d, err := parseStat(b)
	if err != nil {
		return 0, fmt.Errorf("read the processor time of %s: %w", p.Name, err)
	}
	return d, nil
}

// parseStat reads utime and stime, fields 14 and 15. Field 2 is the program's name in parentheses and may have
// anything in it, so counting starts after the last of them.
func parseStat(b []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, fmt.Errorf("no name in %q", b)
	}
	f := bytes.Fields(b[i+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(f) <= stime {
		return 0, fmt.Errorf("only %d fields in %q", len(f)+2, b)
	}
	var sum time.Duration
	for _, v := range [][]byte{f[utime], f[stime]} {
		n, err := strconv.ParseUint(string(v), 10, 48)
		if err != nil {
			return 0, fmt.Errorf("bad ticks in %q: %w", b, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// RSS returns the memory of the process that is in RAM, in bytes.
func (p *Process) RSS() (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read the memory of %s: %w", p.Name, err)
	}
	n, err := parseStatus(b)
	if err != nil {
		return 0, fmt.Errorf("read the memory of %s: %w", p.Name, err)
	}
	return n, nil
}

// parseStatus reads VmRSS, which is in KiB. A process that has ended and was not waited for has none.
func parseStatus(b []byte) (uint64, error) {
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		f := bytes.Fields(rest)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0, fmt.Errorf("bad line %q", line)
		}
		n, err := strconv.ParseUint(string(f[0]), 10, 50)
		if err != nil {
			return 0, fmt.Errorf("bad line %q: %w", line, err)
		}
		return n << 10, nil
	}
	return 0, errors.New("no VmRSS")
}
